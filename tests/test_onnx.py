"""minigrad.onnx.export: whole networks, batches of any size, what is refused, and the file."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import minigrad as mg
import minigrad.onnx
from comparisons.speed.networks import ZOO
from minigrad import functional as F, models, nn
from minigrad.onnx import Exported, ExportError, export
from minigrad.tensor import Tensor

VALUES = np.random.default_rng(0).standard_normal((3, 4), np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.onnx"


def run(done: Exported, *inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, dict(zip(done.inputs, inputs, strict=True)))
    return found


def require_equal(net: Any, done: Exported, *inputs: Any) -> None:
    """onnxruntime's outputs are the network's, within 1e-5 of the largest, at least 1."""
    y = net(*map(Tensor, inputs))
    for own, other in zip(y if isinstance(y, tuple) else (y,), run(done, *inputs), strict=True):
        assert own.shape == other.shape
        scale = max(1, np.abs(own.data).max(initial=0))
        np.testing.assert_allclose(other / scale, own.data / scale, rtol=0, atol=1e-5)


# ---- networks ------------------------------------------------------------------------------------

@pytest.mark.parametrize("network", ZOO, ids=lambda network: network.title)
def test_a_network_of_the_zoo(network, path):
    net = network.make(nn, F)
    done = export(net, network.items(2, 0)[0], path)
    assert done.dynamic_batch
    net.eval()
    for n in (1, 5):
        require_equal(net, done, network.items(n, n)[0])


@pytest.mark.parametrize(("net", "shape"), [
    (models.LinearRegression(), (1,)), (models.LogisticRegression(), (8,)),
    (models.MLP(), (1, 28, 28)), (models.CNN(), (1, 28, 28)),
    (models.DeXpression(size=32), (1, 32, 32)),
    (models.DeXpression(size=48, variant="compact"), (1, 48, 48))], ids=lambda v: str(v)[:12])
def test_our_models(net, shape, path):
    done = export(net, mg.randn(3, *shape), path)
    assert done.dynamic_batch
    assert done.difference < 1e-6
    net.eval()
    require_equal(net, done, mg.randn(4, *shape).data)


class Cell(nn.Module):
    """A recurrent network, whose state begins with zeros for each item of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(3, 16), nn.Linear(4, 16, bias=False)

    def forward(self, x):
        n, steps, _ = x.shape
        h = c = mg.zeros(n, 4)
        for t in range(steps):
            i, f, g, o = (self.x(x[:, t]) + self.h(h)).split(4, 1)
            c = c * f.sigmoid() + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h, c


class Masked(nn.Module):
    """Causal attention over numbers of words, where 0 is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8, padding_idx=0)
        self.first = nn.Parameter(np.ones((1, 1, 8)))
        self.qkv, self.norm = nn.Linear(8, 24), nn.LayerNorm(8)
        self.double()

    def forward(self, words):
        n, length = words.shape
        x = mg.cat([self.first.expand(n, 1, 8), self.words(words)], 1)
        padding = mg.cat([mg.zeros(n, 1, dtype=mg.bool), words == 0], 1)
        q, k, v = (part.reshape(n, length + 1, 2, 4).transpose(1, 2)
                   for part in self.qkv(self.norm(x)).chunk(3, -1))
        scores = mg.einsum("nhqd,nhkd->nhqk", q, k).masked_fill(padding[:, None, None], -1e9)
        causal = mg.triu(mg.ones(length + 1, length + 1), 1).bool()
        y = scores.masked_fill(causal, -np.inf).softmax(-1) @ v
        return y.transpose(1, 2).reshape(n, -1)


def picks(x, places):
    """Integers pick; positions of the largest; a count of each class."""
    best = x.max(1)
    return (x[:, [2, 0]], x.gather(1, places), best.values, best.indices, x[..., -1],
            F.one_hot(places, 7).sum(1), (x > 0).any(1), mg.where(places > 1, places, -places))


def by_batch_size(x):
    """The number of items itself takes part."""
    y = x * 1
    y += 1
    y[...] = y * x.shape[0]
    return y.sum(0) / x.shape[0], y.reshape(x.shape[0] * 2, -1), mg.cat([y, y[:1]]), x.flip(0)


@pytest.mark.parametrize(("net", "inputs"), [
    (Cell(), (mg.randn(2, 5, 3),)), (Masked(), (np.arange(14).reshape(2, 7) % 5,)),
    (picks, (mg.randn(3, 4, 6), np.arange(24).reshape(3, 2, 4).transpose(0, 2, 1)[..., :6] % 4)),
    (by_batch_size, (mg.randn(3, 4),))], ids=["recurrent", "masks", "picks", "batch size"])
def test_a_batch_of_any_size(net, inputs, path):
    done = export(net, inputs, path, dynamic_batch=True)
    rng = np.random.default_rng(1)
    for n in (1, 2, 6):
        arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
        require_equal(net, done, *(rng.permutation(np.resize(x, (n, *x.shape[1:])))
                                   for x in arrays))


def test_a_network_that_returns_its_loss(path):
    def net(x, target):
        return F.cross_entropy(x, target), F.mse_loss(x, x * 2), F.huber_loss(x, x * 3)

    done = export(net, (VALUES, np.arange(3)), path, dynamic_batch=True)
    require_equal(net, done, np.tile(VALUES, (2, 1)), np.arange(6) % 4)


def test_the_keys_of_a_dict_name_the_outputs(path):
    def net(x):
        return {"scores": x * 2, "parts": [x[:, :1], (x[:, 1:], x + 1)]}

    assert export(net, mg.randn(2, 3), path).outputs == ("scores", "parts.0", "parts.1.0",
                                                         "parts.1.1")
    assert export(lambda x: (x, x * 2), mg.randn(2, 3), path).outputs == ("output.0", "output.1")


def test_a_branch_for_small_batches_is_noticed(path):
    def net(x):
        return x[:2] if len(x) > 2 else x * 1

    assert not export(net, mg.randn(4, 3), path).dynamic_batch


def test_a_batch_that_cannot_be_left_open(path):
    def numbered(x):
        return x + mg.arange(x.shape[0]).float().unsqueeze(1)

    done = export(numbered, mg.randn(3, 2), path)
    assert not done.dynamic_batch
    assert "go on as the batch grows" in done.why_fixed
    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    with pytest.raises(ExportError, match=r"cannot be left open: .*go on as the batch grows"):
        export(numbered, mg.randn(3, 2), path, dynamic_batch=True)
    assert not export(F.relu, mg.randn(3), path, dynamic_batch=False).dynamic_batch


# ---- what is refused, and where ------------------------------------------------------------------


def choosing(x):
    return x * 2 if float(x.sum()) > 0 else x - 1


def by_numpy(x):
    return x / mg.tensor(np.linalg.norm(x.data))


def by_item(x):
    return x * x.max().item()


def repeating(x):
    n = 0
    while float(x.sum()) > 0 and n < 5:
        x, n = x - 1, n + 1
    return x


def in_part(x):
    y = mg.zeros(x.shape[0], 3)
    y[:, 1] = x[:, 0]
    return y


@pytest.mark.parametrize(("net", "message"), [
    (choosing, r"x \* 2 if .*runs sub here for one input and mul"),
    (by_numpy, r"test_onnx.py:\d+: return x / mg.tensor.*: div uses a value of shape \(\)"),
    (by_item, r"return x \* x.max\(\).item\(\): mul uses a value of shape \(\)"),
    (repeating, r"test_onnx.py:\d+: (while float|x, n = x - 1).*: the network runs \w+ here for "
                r"one input, and has ended for another"),
    (in_part, r"y\[:, 1\] = x\[:, 0\]: a part of a tensor is changed in place"),
    (lambda x: x[x > 0], "getitem depends on a size"),
    (lambda x: mg.tensor(np.sort(x.data)), "an output uses a value"),
    (lambda x: x + mg.randn(*x.shape), "or at random"),
    (lambda x: F.dropout(x), "dropout draws random numbers"),
    (lambda x: (x, 3.0), r"returns float in \[1\]"),
    (lambda x: (), "returns nothing")])
def test_what_is_refused_is_named_with_its_place(net, message, path):
    with pytest.raises(ExportError, match=message):
        export(net, VALUES, path)
    assert not path.exists()


def test_the_module_of_what_is_refused_is_named(path):
    class Noisy(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5)

    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Noisy()))
    with pytest.raises(ExportError, match=r"1\.1 \(Noisy\), test_onnx.py:\d+: return F.dropout"):
        export(net, mg.randn(2, 4), path)


def test_reading_values_is_told_where_nothing_else_shows_it(path):
    def checked(x):
        if x.abs().max().item() > 100:
            raise ValueError("too large")
        return x * 2

    with pytest.warns(UserWarning, match=r"if x.abs\(\).max\(\).item\(\) > 100:: the program"):
        export(checked, mg.randn(3, 4), path)


def test_outputs_that_differ_are_an_error(path, monkeypatch):
    """A translation that is wrong, as a mistake of ours would be."""
    from minigrad.onnx.translate import TRANSLATORS
    monkeypatch.setitem(TRANSLATORS, "tanh", lambda graph, op: graph("Sigmoid", op.x))
    with pytest.raises(ExportError, match=r"onnxruntime's output differs by"):
        export(lambda x: x.tanh(), mg.randn(3, 4), path)
    assert not path.exists()
    monkeypatch.setitem(TRANSLATORS, "tanh", lambda graph, op: graph(
        "Add", graph("Tanh", op.x), np.float32(1e-4)))
    with pytest.warns(UserWarning, match=r"differ by 1.0e-04"):
        export(lambda x: x.tanh(), mg.randn(3, 4), path)


# ---- the file, and what was there before ---------------------------------------------------------

def test_names_are_module_paths(path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
            self.head = nn.Linear(2, 3)

        def forward(self, x):
            return self.head(self.features(x).mean((2, 3)))

    done = export(Net(), mg.randn(1, 1, 8, 8), path, input_names=["picture"],
                  output_names=["scores"], metadata={"classes": "a, b, c"})
    model = onnx.load(path)
    assert {each.name for each in model.graph.initializer} >= {
        "features.0.weight", "features.1.running_mean", "features.1.running_var", "head.bias"}
    assert [(node.name, node.op_type) for node in model.graph.node] == [
        ("features.0/Conv", "Conv"), ("features.1/BatchNormalization", "BatchNormalization"),
        ("features.2/Relu", "Relu"), ("ReduceMean", "ReduceMean"), ("head/Gemm", "Gemm")]
    assert (done.inputs, done.outputs, done.nodes) == (("picture",), ("scores",), 5)
    assert "features.0 (Conv2d)" in model.graph.node[0].doc_string
    assert {p.key: p.value for p in model.metadata_props} == {"classes": "a, b, c"}
    (picture,), (scores,) = model.graph.input, model.graph.output
    assert [d.dim_param or d.dim_value for d in picture.type.tensor_type.shape.dim] == [
        "N", 1, 8, 8]
    assert [d.dim_param or d.dim_value for d in scores.type.tensor_type.shape.dim] == ["N", 3]
    with pytest.raises(ValueError, match="needs 1 different input names"):
        export(Net(), mg.randn(1, 1, 8, 8), path, input_names=["a", "b"])


def test_the_network_is_as_it_was(path):
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net[1].eval()
    before = {key: value.data.copy() for key, value in net.state_dict().items()}
    random = mg.random.default_generator.get_state()
    x = mg.randn(3, 4)
    mg.random.default_generator.set_state(random)
    values = x.data.copy()
    export(net, x, path)
    assert [module.training for module in net.modules()] == [True, True, False, True]
    assert all((net.state_dict()[key].data == value).all() for key, value in before.items())
    assert (x.data == values).all()
    assert (mg.random.default_generator.get_state() == random).all()
    assert all(p.grad is None for p in net.parameters())


def test_a_buffer_that_the_network_moves_begins_as_it_was(path, monkeypatch):
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", mg.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x + self.calls

    net, x = Counting(), np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert export(net, x, path).difference == 0
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"input": x})[0], x + 1)
    assert net.calls.item() == 0


def test_a_network_that_replaces_what_it_holds_is_unchanged_afterwards(path):
    class Running(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", mg.ones(4))
            self.runs, self.weights = 0, None

        def forward(self, x):
            if self.weights is None:
                self.weights = self.mean * 3
            self.mean, self.runs = self.mean * 2, self.runs + 1
            return x + self.mean * self.weights

    net, x = nn.Sequential(Running()), np.ones((3, 4), np.float32)
    mean = net[0].mean
    assert export(net, x, path).difference == 0
    assert net[0].mean is mean
    assert (net[0].runs, net[0].weights, mean.tolist()) == (0, None, [1.0] * 4)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"input": x})[0], x + 6)


def test_a_file_that_is_there_stays_if_the_export_fails(path):
    path.write_bytes(b"before")
    with pytest.raises(ExportError):
        export(by_item, mg.randn(3, 4), path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in path.parent.iterdir()] == ["net.onnx"]


def test_without_onnx_one_line_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "minigrad\[onnx\]"'):
        export(F.relu, mg.randn(3), path)


def test_without_onnxruntime_nothing_is_compared(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = export(F.relu, mg.randn(3, 2), path)
    assert done.difference is None
    assert done.unchecked == "onnxruntime is not installed"


def test_importing_minigrad_needs_no_onnx():
    code = ("import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None\n"
            "import minigrad, minigrad.onnx; assert 'minigrad.onnx' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- windows -------------------------------------------------------------------------------------

def test_pools_of_every_kind(path):
    """Kernels, strides, paddings, holes, rounding; average pools always become one node."""
    x = mg.randn(2, 3, 11, 10)
    for k, s, p, d, ceil in itertools.product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)):
        if 2 * p <= k:
            def pools(x, k=k, s=s, p=p, d=d, ceil=ceil):
                return (F.max_pool2d(x, k, s, p, d, ceil),
                        F.max_pool2d(x, k, s, p, 1, ceil, return_indices=True),
                        F.avg_pool2d(x, k, s, p, ceil), F.avg_pool2d(x, k, s, p, ceil, False))
            done = export(pools, x, path)
            kinds = [node.op_type for node in onnx.load(done.path).graph.node]
            assert kinds.count("AveragePool") == 2
            assert "MatMul" not in kinds
            assert done.dynamic_batch
            assert done.difference < 1e-6
