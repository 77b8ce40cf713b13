"""Layers against torch's: keys, initial weights, outputs and gradients."""

import re

import numpy as np
import pytest
import torch
from signatures import assert_signature

import minigrad as mg
from minigrad import nn

# what torch says about empty weights, and about channels that nothing counts
pytestmark = [pytest.mark.filterwarnings("ignore:Initializing zero-element"),
              pytest.mark.filterwarnings("ignore:input's size at dim=1"),
              pytest.mark.filterwarnings("ignore:.*mplicit dimension choice"),
              pytest.mark.filterwarnings("ignore:.*dim was not given")]


def f(*shape):
    return lambda rng: rng.standard_normal(shape)


def integers(high, *shape):
    return lambda rng: rng.integers(0, high, shape)


def probabilities(*shape):
    return lambda rng: 0.02 + 0.96 * rng.random(shape)


def weights(n):
    """A weight for losses, in either framework."""
    return np.linspace(0.5, 2, n)


# (name, positional arguments, keyword arguments, inputs)
CASES = [
    ("Identity", (), {}, [f(2, 3)]),
    ("Linear", (4, 3), {}, [f(5, 4)]),
    ("Linear", (4, 3), {}, [f(4)]),
    ("Linear", (4, 3), {"bias": False}, [f(2, 5, 4)]),
    ("Linear", (0, 3), {}, [f(2, 0)]),
    ("Linear", (4, 0), {}, [f(2, 4)]),
    ("Conv1d", (4, 6, 3), {}, [f(2, 4, 9)]),
    ("Conv1d", (4, 6, 3, 2, 1, 2, 2), {"bias": False}, [f(2, 4, 11)]),
    ("Conv1d", (2, 3, 3), {"padding": "same"}, [f(2, 2, 7)]),
    ("Conv1d", (2, 3, 4), {"padding": "same", "padding_mode": "reflect"}, [f(2, 7)]),
    ("Conv1d", (2, 3, 3), {"padding": 2, "padding_mode": "circular"}, [f(2, 2, 7)]),
    ("Conv2d", (3, 4, 3), {}, [f(2, 3, 6, 7)]),
    ("Conv2d", (4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2), {}, [f(2, 4, 7, 8)]),
    ("Conv2d", (4, 4, 3), {"groups": 4, "bias": False, "padding": "valid"}, [f(2, 4, 6, 6)]),
    ("Conv2d", (2, 3, (2, 5)), {"padding": "same", "dilation": (2, 1)}, [f(2, 2, 7, 6)]),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "reflect"}, [f(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, 3), {"padding": (2, 1), "padding_mode": "replicate"}, [f(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, (4, 3)), {"padding": "same", "padding_mode": "circular"}, [f(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, [2, 3]), {"stride": [2, 1], "padding": [1, 0]}, [f(2, 6, 5)]),
    ("Conv2d", (2, 3, 3), {"padding": "valid", "stride": 2, "padding_mode": "circular"},
     [f(2, 6, 5)]),
    ("ConvTranspose2d", (3, 4, 3), {}, [f(2, 3, 5, 4)]),
    ("ConvTranspose2d", (3, 4, 3), {"stride": (3, 2), "dilation": 2, "output_padding": (2, 1)},
     [f(3, 5, 4)]),
    ("ConvTranspose2d", (4, 6, (3, 2), 2, 1, 1, 2, False, 2), {}, [f(2, 4, 4, 5)]),
    ("ConvTranspose1d", (3, 4, 3), {}, [f(2, 3, 5)]),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1, 2, False, 2), {}, [f(4, 5)]),
    ("MaxPool1d", (2,), {}, [f(2, 3, 7)]),
    ("MaxPool1d", ((3,), 2, (1,)), {"ceil_mode": True, "dilation": 2}, [f(2, 3, 8)]),
    ("MaxPool2d", (2,), {}, [f(2, 3, 6, 7)]),
    ("MaxPool2d", ((3, 2), (2, 1), (1, 0)), {"ceil_mode": True, "dilation": (1, 2)},
     [f(2, 3, 8, 7)]),
    ("AvgPool1d", (2,), {}, [f(2, 3, 7)]),
    ("AvgPool1d", ([3], 2, 1), {"ceil_mode": True, "count_include_pad": False}, [f(3, 8)]),
    ("AvgPool2d", (2,), {}, [f(2, 3, 6, 7)]),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, [f(2, 3, 6, 7)]),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, [f(2, 3, 6, 7)]),
    ("AdaptiveAvgPool1d", (1,), {}, [f(2, 3, 7)]),
    ("AdaptiveMaxPool1d", ((4,),), {}, [f(2, 3, 7)]),
    ("AdaptiveAvgPool2d", (1,), {}, [f(2, 3, 6, 7)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [f(2, 3, 7, 5)]),
    ("AdaptiveMaxPool2d", ((4, 2),), {}, [f(2, 3, 7, 5)]),
    ("BatchNorm1d", (4,), {}, [f(5, 4)]),
    ("BatchNorm1d", (4,), {"eps": 1e-3, "momentum": 0.3, "affine": False}, [f(3, 4, 5)]),
    ("BatchNorm2d", (3,), {}, [f(4, 3, 2, 5)]),
    ("BatchNorm2d", (3,), {"momentum": None}, [f(4, 3, 2, 5)]),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, [f(4, 3, 2, 5)]),
    ("BatchNorm1d", (3, 1e-2, None, False, False), {}, [f(4, 3)]),
    ("InstanceNorm1d", (3,), {}, [f(2, 3, 6)]),
    ("InstanceNorm1d", (3,), {"affine": True}, [f(3, 6)]),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, [f(2, 3, 4, 5)]),
    ("InstanceNorm2d", (3, 1e-3), {}, [f(3, 4, 5)]),
    ("InstanceNorm2d", (3, 1e-3, None, True, True), {}, [f(2, 3, 4, 5)]),
    ("InstanceNorm1d", (3, 1e-3, 0.4, False, True), {}, [f(2, 3, 5)]),
    ("LayerNorm", (5,), {}, [f(2, 3, 5)]),
    ("LayerNorm", ((3, 5),), {"eps": 1e-3, "bias": False}, [f(2, 3, 5)]),
    ("LayerNorm", (5,), {"elementwise_affine": False}, [f(2, 5)]),
    ("GroupNorm", (2, 6), {}, [f(3, 6, 4)]),
    ("GroupNorm", (3, 6, 1e-2), {"affine": False}, [f(3, 6, 2, 2)]),
    ("LocalResponseNorm", (5,), {}, [f(2, 7, 3, 3)]),
    ("LocalResponseNorm", (3, 0.5, 0.6, 2.0), {}, [f(2, 7, 3, 3)]),
    ("ReLU", (), {}, [f(3, 4)]),
    ("ReLU", (True,), {}, [f(3, 4)]),
    ("LeakyReLU", (), {}, [f(3, 4)]),
    ("LeakyReLU", (0.2, True), {}, [f(3, 4)]),
    ("ELU", (), {}, [f(3, 4)]),
    ("ELU", (), {"alpha": 0.7, "inplace": True}, [f(3, 4)]),
    ("GELU", (), {}, [f(3, 4)]),
    ("GELU", (), {"approximate": "tanh"}, [f(3, 4)]),
    ("SiLU", (), {}, [f(3, 4)]),
    ("SiLU", (), {"inplace": True}, [f(3, 4)]),
    ("Softplus", (), {}, [f(3, 4)]),
    ("Softplus", (2.0,), {"threshold": 1.0}, [f(3, 4)]),
    ("Hardtanh", (), {}, [f(3, 4)]),
    ("Hardtanh", (-0.5, 0.7, True), {}, [f(3, 4)]),
    ("Sigmoid", (), {}, [f(3, 4)]),
    ("LogSigmoid", (), {}, [f(3, 4)]),
    ("Tanh", (), {}, [f(3, 4)]),
    ("Softmax", (1,), {}, [f(3, 4)]),
    ("Softmax", (), {}, [f(3, 4, 2)]),
    ("LogSoftmax", (None,), {}, [f(3, 4)]),
    ("LogSoftmax", (), {"dim": 0}, [f(3, 4)]),
    ("Dropout", (0.0, True), {}, [f(3, 4)]),
    ("Dropout", (1.0,), {}, [f(3, 4)]),
    ("Dropout1d", (0.0,), {}, [f(3, 4, 5)]),
    ("Dropout1d", (1.0,), {}, [f(3, 4)]),
    ("Dropout2d", (0.0,), {}, [f(3, 4, 2, 5)]),
    ("Dropout2d", (), {"p": 1.0, "inplace": False}, [f(3, 4, 2, 5)]),
    ("Flatten", (), {}, [f(3, 4, 5)]),
    ("Flatten", (0, 1), {}, [f(3, 4, 5)]),
    ("Unflatten", (1, (2, 3)), {}, [f(3, 6, 5)]),
    ("Unflatten", (-1, (2, -1, 2)), {}, [f(3, 12)]),
    ("Unflatten", (1, (2, -1)), {}, [f(0, 6)]),
    ("Upsample", ((5, 7),), {}, [f(2, 3, 4, 3)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
     [f(2, 3, 4, 3)]),
    ("Upsample", (None, (1.5, 2.0), "bilinear", False, True), {}, [f(2, 3, 5, 3)]),
    ("Unfold", ((2, 3), 1, (1, 0)), {"stride": 2}, [f(2, 3, 5, 7)]),
    ("Unfold", (3, 2), {}, [f(2, 6, 7)]),
    ("Fold", ((5, 6), 2), {"padding": 1, "stride": (2, 1)}, [f(2, 12, 21)]),
    ("Fold", ((5, 6), (3, 2), 2, 1, 1), {}, [f(2, 18, 18)]),
    ("Embedding", (7, 3), {}, [integers(7, 2, 4)]),
    ("Embedding", (7, 5), {"padding_idx": -2}, [integers(7, 20)]),
    ("Embedding", (7, 5, 3, None, 2.0, True), {}, [integers(7, 20)]),
    ("Embedding", (7, 3), {"max_norm": 1.0}, [integers(7, 6)]),
    ("Embedding", (7, 3), {"max_norm": 1.5, "norm_type": 1.0, "padding_idx": 0}, [integers(7, 6)]),
    ("Embedding", (4, 2), {"_weight": np.arange(8, dtype=np.float32).reshape(4, 2),
                           "_freeze": True}, [integers(4, 6)]),
    ("CrossEntropyLoss", (), {}, [f(6, 4), integers(4, 6)]),
    ("CrossEntropyLoss", (), {"ignore_index": 1, "label_smoothing": 0.2, "weight": weights(4)},
     [f(6, 4, 3), integers(4, 6, 3)]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, [f(6, 4), probabilities(6, 4)]),
    ("CrossEntropyLoss", (weights(4),), {"reduction": "sum", "label_smoothing": 0.3},
     [f(6, 4), probabilities(6, 4)]),
    ("NLLLoss", (weights(4),), {}, [f(6, 4), integers(4, 6)]),
    ("NLLLoss", (), {"ignore_index": 2, "reduction": "sum"}, [f(6, 4), integers(4, 6)]),
    ("MSELoss", (), {}, [f(3, 4), f(3, 4)]),
    ("L1Loss", (), {"reduction": "sum"}, [f(3, 4), f(3, 4)]),
    ("MSELoss", (), {"reduction": "none"}, [f(3, 4), f(3, 4)]),
    ("SmoothL1Loss", (), {"beta": 0.3}, [f(3, 4), f(3, 4)]),
    ("SmoothL1Loss", (), {"beta": 0, "reduction": "none"}, [f(3, 4), f(3, 4)]),
    ("HuberLoss", (), {}, [f(3, 4), f(3, 4)]),
    ("HuberLoss", ("none", 0.4), {}, [f(3, 4), f(3, 4)]),
    ("BCELoss", (), {}, [probabilities(3, 4), probabilities(3, 4)]),
    ("BCELoss", (weights(4),), {"reduction": "sum"}, [probabilities(3, 4), probabilities(3, 4)]),
    ("BCEWithLogitsLoss", (), {"pos_weight": weights(4)}, [f(3, 4), probabilities(3, 4)]),
    ("BCEWithLogitsLoss", (weights(4),), {"reduction": "none"}, [f(3, 4), probabilities(3, 4)]),
    ("KLDivLoss", (), {"reduction": "none"}, [f(3, 4), probabilities(3, 4)]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [f(3, 4), probabilities(3, 4)]),
    ("KLDivLoss", (), {"reduction": "sum", "log_target": True}, [f(3, 4), f(3, 4)]),
]
IDS = [f"{name}{args or ''}{kwargs or ''}" for name, args, kwargs, _ in CASES]
each_case = pytest.mark.parametrize(("name", "args", "kwargs", "inputs"), CASES, ids=IDS)


def pair(name, args, kwargs, seed=5):
    """The module of both frameworks, made after the same seed."""
    def build(package, convert):
        def convert_any(v):
            return convert(v) if isinstance(v, np.ndarray) else v
        return getattr(package, name)(*map(convert_any, args),
                                      **{k: convert_any(v) for k, v in kwargs.items()})
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    return build(nn, mg.tensor), build(torch.nn, torch.tensor)


def random_pair(name, args, kwargs, dtype):
    """With random parameters (norms start with ones and zeros) that are equal."""
    ours, theirs = pair(name, args, kwargs)
    ours.to(dtype), theirs.to(getattr(torch, dtype))
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.tensor(rng.standard_normal(p.shape).astype(dtype)))
    if name == "Embedding" and theirs.padding_idx is not None:
        theirs.weight.data[theirs.padding_idx] = 0
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_every_layer_has_a_case():
    layers = {name for name, value in vars(nn).items()
              if isinstance(value, type) and issubclass(value, nn.Module)}
    containers = {"Module", "Sequential", "ModuleList", "ModuleDict"}
    assert layers - containers == {name for name, *_ in CASES}


@each_case
def test_keys_and_initial_weights_are_torchs(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    for key, value in ours.state_dict().items():
        expected = state[key].numpy()
        assert value.dtype == expected.dtype
        if name == "Embedding":     # normal numbers: the logarithms of two libraries
            np.testing.assert_allclose(value.numpy(), expected, rtol=3e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(value.numpy(), expected)


def shown(module):
    """The repr, but for the norms' `bias`, which older versions of torch lack."""
    return re.sub(r"(affine=\w+), bias=\w+", r"\1", repr(module))


@each_case
def test_repr_is_torchs(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    assert shown(ours) == shown(theirs)


TOLERANCES = {"float64": {"rtol": 1e-10, "atol": 1e-10},
              "float32": {"rtol": 1.3e-6, "atol": 1e-5}}      # torch's own for this dtype


@each_case
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_outputs_gradients_and_buffers_are_torchs(name, args, kwargs, inputs, training, dtype):
    ours, theirs = random_pair(name, args, kwargs, dtype)
    ours.train(training), theirs.train(training)
    rng = np.random.default_rng(2)
    for _ in range(2):              # twice: running statistics add up
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a
                  for a in (draw(rng) for draw in inputs)]
        xs = [mg.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0)
              for i, a in enumerate(arrays)]
        zs = [torch.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0)
              for i, a in enumerate(arrays)]
        # a copy for torch, which writes over it where `inplace` says so
        y, z = ours(*xs), theirs(*[z.clone() for z in zs])
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **TOLERANCES[dtype])
        assert y.shape == tuple(z.shape)
        assert y.dtype == z.detach().numpy().dtype
        np.testing.assert_array_equal(xs[0].detach().numpy(), arrays[0])
        if not z.requires_grad:
            continue
        g = rng.standard_normal(y.shape).astype(dtype)
        ours.zero_grad(), theirs.zero_grad()
        y.backward(mg.tensor(g))
        z.backward(torch.tensor(g))
        for a, b in [*zip(xs[:1], zs[:1], strict=True),
                     *zip(ours.parameters(), theirs.parameters(), strict=True)]:
            assert (a.grad is None) == (b.grad is None)
            if b.grad is not None:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **TOLERANCES[dtype])
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), **TOLERANCES[dtype])


@pytest.mark.parametrize("name", sorted({name for name, *_ in CASES}))
def test_signatures_are_torchs(name):
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert_signature(ours, theirs, new={"bias"} if "Norm" in name else ())
    assert_signature(ours.forward, theirs.forward)


@pytest.mark.parametrize(("name", "args"), [
    ("Linear", (3, 4)), ("Conv1d", (2, 3, 2)), ("Conv2d", (2, 3, 2)),
    ("ConvTranspose1d", (2, 3, 2)), ("ConvTranspose2d", (2, 3, 2)),
    ("BatchNorm1d", (3,)), ("BatchNorm2d", (3,)), ("InstanceNorm2d", (3, 1e-5, 0.1, True, True)),
    ("LayerNorm", (3,)), ("GroupNorm", (2, 4)), ("Embedding", (4, 5))])
def test_a_dtype_may_be_given(name, args):
    mg.manual_seed(1)
    torch.manual_seed(1)
    ours = getattr(nn, name)(*args, dtype=mg.float64).state_dict()
    theirs = getattr(torch.nn, name)(*args, dtype=torch.float64).state_dict()
    for key, value in theirs.items():
        assert ours[key].dtype == value.numpy().dtype
        np.testing.assert_allclose(ours[key].numpy(), value.numpy(), rtol=1e-12, atol=1e-14)


@each_case
def test_state_moves_both_ways(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    again, torchs_again = pair(name, args, kwargs, seed=6)
    again.load_state_dict(theirs.state_dict())
    torchs_again.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for a, b in ((again, theirs), (ours, torchs_again)):
        for key, value in b.state_dict().items():
            np.testing.assert_array_equal(a.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize(("name", "args", "shape"), [
    ("MaxPool1d", (3, 2), (2, 3, 7)), ("AdaptiveMaxPool1d", (3,), (2, 3, 7)),
    ("MaxPool2d", (3, 2), (2, 3, 7, 5)), ("AdaptiveMaxPool2d", ((3, 2),), (2, 3, 7, 5))])
def test_max_pools_give_indices(name, args, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    values, places = getattr(nn, name)(*args, return_indices=True)(mg.tensor(x))
    expected = getattr(torch.nn, name)(*args, return_indices=True)(torch.tensor(x))
    np.testing.assert_array_equal(values.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(places.numpy(), expected[1].numpy())


def test_dropout_draws_anew_and_only_in_training():
    mg.manual_seed(0)
    layer, x = nn.Dropout(0.3), mg.ones(100, 100)
    first, second = layer(x).numpy(), layer(x).numpy()
    assert (first != second).any()
    assert abs((first == 0).mean() - 0.3) < 0.02
    np.testing.assert_allclose(first[first != 0], 1 / 0.7, rtol=1e-6)
    assert layer.eval()(x) is x


def test_channel_dropout_drops_whole_channels():
    mg.manual_seed(0)
    for layer, shape in ((nn.Dropout2d(0.3), (40, 50, 3, 4)), (nn.Dropout1d(0.3), (40, 50, 5)),
                         (nn.Dropout1d(0.3), (2000, 5))):
        y = layer(mg.ones(*shape)).numpy().reshape(2000, -1)
        assert (y == y[:, :1]).all()
        assert set(np.round(y[:, 0], 6)) == {0, np.float32(1 / 0.7).round(6)}
        assert abs((y[:, 0] == 0).mean() - 0.3) < 0.05


@pytest.mark.parametrize("size", [None, (9,), [10], (2, 4, 10)])
def test_a_transposed_convolution_of_lines_takes_an_output_size(size):
    ours, theirs = random_pair("ConvTranspose1d", (3, 4, 3), {"stride": 2}, "float64")
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_allclose(ours(mg.tensor(x), output_size=size).detach().numpy(),
                               theirs(torch.tensor(x), output_size=size).detach().numpy(),
                               rtol=1e-12)


@pytest.mark.parametrize("size", [None, (9, 12), [10, 13], (2, 4, 10, 12)])
def test_a_transposed_convolution_takes_an_output_size(size):
    ours, theirs = random_pair("ConvTranspose2d", (3, 4, 3), {"stride": (2, 3)}, "float64")
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    for a in (x, x[0]):
        if size is None or a.ndim == 4 or len(size) == 2:
            np.testing.assert_allclose(
                ours(mg.tensor(a), output_size=size).detach().numpy(),
                theirs(torch.tensor(a), output_size=size).detach().numpy(), rtol=1e-12)


def test_an_embedding_around_a_given_table():
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    for package, tensor in ((nn, mg.Tensor), (torch.nn, torch.from_numpy)):
        layer = package.Embedding.from_pretrained(tensor(table), padding_idx=1)
        assert not layer.weight.requires_grad
        assert layer(tensor(np.array([1, 3]))).tolist() == [[2, 3], [6, 7]]
        assert package.Embedding.from_pretrained(tensor(table), False).weight.requires_grad
    assert_signature(nn.Embedding.from_pretrained, torch.nn.Embedding.from_pretrained)


@pytest.mark.parametrize(("name", "args", "shape"), [
    ("BatchNorm2d", (3,), (2, 3, 4, 4)), ("InstanceNorm2d", (3, 1e-5, 0.1, True), (2, 3, 4, 4)),
    ("GroupNorm", (3, 6), (2, 6, 4))])
def test_norms_without_bias(name, args, shape):
    x = mg.tensor(np.random.default_rng(0).standard_normal(shape))
    layer, usual = (getattr(nn, name)(*args, bias=bias).double() for bias in (False, True))
    assert "bias" not in layer.state_dict()
    np.testing.assert_array_equal(layer(x).detach().numpy(), usual(x).detach().numpy())
