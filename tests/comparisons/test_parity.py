"""`parity` agrees where both sides are right, in networks of many kinds, and names what is wrong.
"""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pytest
from running import one_line, spiral
from untrained import write

import minigrad
from comparisons.audits.parity import audit, measure
from comparisons.audits.parity.drift import drift
from comparisons.audits.parity.recording import FORWARD
from comparisons.cli import main
from comparisons.errors import Fault
from comparisons.tasks import dexpression
from comparisons.tasks.registry import find

MODEL = re.compile(r"        return nn\.Sequential\(nn\.Linear\(2, 64\).*?\n\n", re.S)

NETWORKS = {
    "a bias before batch norm": """
        return nn.Sequential(
            nn.Linear(2, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)),
            nn.Conv2d(4, 6, 2), nn.BatchNorm2d(6), nn.Tanh(), nn.Conv2d(6, 6, 2),
            nn.InstanceNorm2d(6), nn.Flatten(), nn.Linear(24, len(data.classes)))
    """,
    "the same inside one layer": """
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(implementation.package.ones(8, 2))
                self.bias = nn.Parameter(implementation.package.zeros(8))

            def forward(self, x):
                F = implementation.functional
                y = F.linear(x, self.weight.cumsum(0).sin(), self.bias)
                return F.batch_norm(y, None, None, training=True)
        return nn.Sequential(Block(), nn.Linear(8, len(data.classes)))
    """,
    "dropout": """
        return nn.Sequential(nn.Linear(2, 32), nn.Dropout(0.5), nn.GELU(), nn.LayerNorm(32),
                             nn.Dropout(0.2), nn.Linear(32, len(data.classes)))
    """,
    "one layer": """
        return nn.Linear(2, len(data.classes))
    """,
    "a layer twice, and one never": """
        class Twice(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.again = nn.Linear(2, 16), nn.Linear(16, 16)
                self.last, self.idle = nn.Linear(16, len(data.classes)), nn.Linear(3, 3)

            def forward(self, x):
                return self.last(self.again(self.again(self.first(x)).tanh()))
        return Twice()
    """,
    "layers that return several tensors": """
        class Halves(nn.Module):
            def forward(self, x):
                return x[:, :8], {"other": x[:, 8:], "number": 3, "index": x.argmax(1)}

        class Pair(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(implementation.package.ones(8))

            def forward(self, x):
                return [x * self.weight, x.sin() * self.weight]

        class Several(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.halves, self.pair = nn.Linear(2, 16), Halves(), Pair()
                self.last = nn.Linear(8, len(data.classes))

            def forward(self, x):
                a, b = self.halves(self.first(x))
                c, d = self.pair(b["other"])
                e, f = self.pair(a.tanh())
                return self.last(c * d + e * f)
        return Several()
    """}


def task_file(folder, network):
    """The spiral with another network."""
    path = folder / "own.py"
    code, count = MODEL.subn(textwrap.indent(textwrap.dedent(network), " " * 8) + "\n", spiral())
    assert count == 1
    path.write_text(code)
    return path


def subject(path):
    return audit.subjects([find(str(path))], 0, None, None)[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_of_many_kinds_agree_and_every_broken_layer_is_named(kind, tmp_path):
    found = subject(task_file(tmp_path, NETWORKS[kind]))
    lines, ties = measure.measured(found)
    assert ties == []
    assert [line.label for line in lines if line.out] == []
    names = [line.name for line in lines if line.kind == FORWARD]
    for layer, module in found.modules():
        title = f"{layer} ({type(module).__name__})"
        name = next((name for name in names if name.startswith(title)), None)
        if name is None:
            assert layer == "idle"
            with pytest.raises(Fault, match="--break idle: this layer does not run"):
                audit.broken_in([found], layer)
            continue
        (broken,) = audit.broken_in([found], layer)
        first = measure.first_out(measure.measured(broken)[0])
        assert first is not None
        assert (first.kind, first.name) == (FORWARD, name)


def test_the_bound_of_a_sum_that_cancels_is_that_of_its_terms(tmp_path):
    """The scale is about the root of the sum of the squared terms, by hand."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(16, 4)).astype(np.float32)
    g -= g.mean(0)
    truth, shaken = g.astype(float).sum(0), (g * (1 + 1e-6 * rng.choice((-1, 1), g.shape))).sum(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SHAKE", 1e-6)
        size = measure.scale(truth, shaken, truth)
    assert 0.2 * np.sqrt((g**2).sum(0).mean()) < size < 3 * np.sqrt((g**2).sum(0).mean())
    assert measure.scale(np.array([2.0, -3.0]), np.array([2.0, -3.0]), np.array([2.0, -3.0])) == 3
    assert measure.scale(np.zeros(3), np.zeros(3), np.zeros(3)) == 1
    # a single value that went another way does not stretch the bound of all the others
    jumped = np.array([1.0, 2.0, 3.0, 0.0, 1.0])
    assert measure.scale(jumped, np.array([1.0, 2.0, 3.0, 5.0, 1.0]), jumped) == 3


@pytest.mark.parametrize(("error", "key"), [
    (np.array([1.0, 2.0]), 1.0), (None, np.nan), (np.zeros(3), np.nan),
    (np.array([np.nan, 0.0]), np.nan)])
def test_what_is_missing_or_no_number_is_out_of_bounds(error, key):
    found = measure.error(error, np.array([1.0, 1.0]), 1.0)
    assert found == key or np.isnan(key) == np.isnan(found)
    assert measure.Line(FORWARD, "x", (2,), found, 0.0, 0.0).out


def test_a_wrong_gradient_is_named_where_it_arises(tmp_path, monkeypatch):
    found = subject(task_file(tmp_path, NETWORKS["a bias before batch norm"]))
    tanh = minigrad.nn.Tanh.forward
    monkeypatch.setattr(minigrad.nn.Tanh, "forward", lambda self, x: (
        tanh(self, x) + 1e-3 * (x - x.detach())))
    first = measure.first_out(measure.measured(found)[0])
    assert first is not None
    assert first.label == "∂ 5 (BatchNorm2d)"


PAIRS = """
        class Pairs(nn.Module):
            def forward(self, x):
                near = {near} if implementation.name == "minigrad" else 1.0
                return implementation.package.stack([x, x * near], -1)
        return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), Pairs(), nn.{pool}, nn.Flatten(),
                             nn.Linear(16, len(data.classes)))
"""


@pytest.mark.parametrize("pool", ["MaxPool1d(2)", "MaxPool2d((1, 2))", "AdaptiveMaxPool1d(1)"])
def test_a_tie_in_a_pool_is_told_and_is_no_difference(pool, tmp_path, capsys):
    """Both values of each window are equal in PyTorch; in minigrad, the second is larger by the
    last digit if it is positive."""
    path = task_file(tmp_path, PAIRS.format(near=1 + 2**-52, pool=pool))
    lines, told = measure.measured(subject(path))
    assert [line.label for line in lines if line.out] == []
    (sentence,) = told
    name = f"3 ({pool.partition('(')[0]})"
    found = re.fullmatch(
        re.escape(f"In {name}, ") + r"(\d+) of 256 windows have two largest values that differ by "
        "rounding alone. The sides pass their gradients to different ones, and both are right",
        sentence)
    assert found
    assert 50 < int(found[1]) < 206         # about half of them are positive
    assert main(["parity", str(path), "--steps", "1", "--out", str(tmp_path / "out.html")]) == 0
    for text in (capsys.readouterr().out, (tmp_path / "out.html").read_text("utf-8")):
        assert f"tensors are within their bounds. {sentence}." in text


def test_what_is_no_tie_is_not_excused(tmp_path, monkeypatch):
    def measured(near):
        folder = tmp_path / str(near)
        folder.mkdir(exist_ok=True)
        return measure.measured(subject(task_file(folder, PAIRS.format(
            near=near, pool="MaxPool1d(2)"))))

    def with_wrong_gradient(of, extra):
        forward = of.forward
        monkeypatch.setattr(of, "forward", lambda self, x: (
            forward(self, x) + 1e-3 * extra(x - x.detach())))

    tie = 1 + 2**-52
    lines, told = measured(1 + 1e-8)
    assert (told, measure.first_out(lines).label) == ([], "2 (Pairs)")
    with_wrong_gradient(minigrad.nn.Tanh, lambda x: x)
    lines, told = measured(tie)                 # a tie, and beside it a wrong gradient
    assert (len(told), measure.first_out(lines).label) == (1, "∂ 0 (Linear)")
    monkeypatch.undo()
    with_wrong_gradient(minigrad.nn.MaxPool1d, lambda x: x.sum(-1, keepdim=True))
    for near in (1, tie):                       # that of the pool itself
        assert measure.first_out(measured(near)[0]).label == "∂ 2 (Pairs)"


def test_drift_is_none_for_equal_sides_and_that_of_rounding_otherwise(tmp_path, capsys,
                                                                      monkeypatch):
    monkeypatch.setattr("comparisons.audits.parity.drift.LINE_EVERY", 3)
    found = subject(task_file(tmp_path, NETWORKS["dropout"]))
    apart = drift(found, 4)
    assert len(apart["float32"].weights) == len(apart["float64"].losses) == 4
    assert 0 < apart["float64"].weights[-1] < 1e-9 < apart["float32"].weights[-1] < 1e-3
    assert capsys.readouterr().out.splitlines() == [
        f"  spiral, {name}: {n} training steps" for name in ("float32", "float64") for n in (3,)]
    (broken,) = audit.broken_in([found], "0")
    assert drift(broken, 1)["float64"].losses[0] > 1e-6


# ---- the command ---------------------------------------------------------------------------------

def test_it_agrees_for_every_network_and_makes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dexpression, "SIZE", 16)
    argv = ["diabetes", "mnist-mlp", "dexpression", "--steps", "1", "--out", str(tmp_path)]
    assert main(["parity", *argv]) == 0
    table = capsys.readouterr().out
    for words in ("dexpression, compact: batch of", "dexpression, paper: batch of", "∂ ",
                  "(Linear)", "all within bounds"):
        assert words in table
    page = (tmp_path / "parity.html").read_text()
    for name in ("diabetes", "mnist-mlp-plain", "mnist-mlp-deep", "dexpression-compact",
                 "dexpression-paper"):
        assert f'<section id="{name}">' in page
    assert page.count("within their bounds") == 5
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "url(" not in page


def test_a_planted_error_is_named_in_table_and_page(tmp_path, capsys):
    path = tmp_path / "broken.html"
    assert main(["parity", "mnist-mlp", "--break", "layers.2", "--steps", "2", "--out",
                 str(path)]) == 1
    told = "planted in layers.2. The first place that differs: layers.2 (Linear)."
    assert told in capsys.readouterr().out
    assert told in path.read_text()


def test_a_planted_error_that_changes_nothing_is_not_passed_over(tmp_path, capsys):
    path = task_file(tmp_path, """
        net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, len(data.classes)))
        net[0].weight.data *= 0
        net[0].bias.data[:] = -1
        return net
    """)
    argv = ["parity", str(path), "--steps", "1", "--out", str(tmp_path)]
    assert main(argv) == 0
    assert main([*argv, "--break", "1"]) == 1
    assert "planted in 1. It was not noticed, since" in capsys.readouterr().out
    assert "It was not noticed" in (tmp_path / "parity.html").read_text()


def test_a_fault_leaves_no_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["--break", "conv"], ["--break", ""], ["--checkpoint", "none"]):
        assert main(["parity", "mnist-mlp", *words]) == 1
        assert words[1] in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_users_data_and_weights(tmp_path, capsys):
    table = tmp_path / "mine.csv"
    rng = np.random.default_rng(0)
    rows = [",".join(f"{v:.1f}" for v in [*rng.uniform(20, 90, 8), k % 2]) for k in range(60)]
    table.write_text("\n".join(rows) + "\n")
    out = ["--out", str(tmp_path)]
    assert main(["parity", "diabetes", "--data", str(table), *out]) == 0
    assert "seed 0, mine" in capsys.readouterr().out
    file = tmp_path / "spiral.py"
    file.write_text(spiral())
    assert main(["run", str(file), "--arms", "4", "--epochs", "1", "--impl", "torch", *out]) == 0
    path = tmp_path / "spiral-torch" / "last.safetensors"
    capsys.readouterr()
    assert main(["parity", str(file), "--checkpoint", str(path), *out]) == 0
    told = capsys.readouterr().out
    assert f"weights of {path}" in told
    assert re.search(r"4 \(Linear\) +16×4 ", told)          # four arms, as the checkpoint has
    assert main(["parity", "mnist-mlp", "--checkpoint", str(path), *out]) == 1
    assert "is a checkpoint of spiral, not of mnist-mlp" in one_line(capsys)


def test_a_checkpoint_of_other_data_says_so(tmp_path, capsys):
    path, _ = write(tmp_path, "mnist-mlp", "torch", dataset="idx")
    argv = ["--steps", "1", "--out", str(tmp_path)]
    assert main(["parity", "mnist-mlp", "--checkpoint", str(path), *argv]) == 0
    told = capsys.readouterr().out
    assert f"{path}: was trained on idx; it is compared on mnist-subset\n" in told
    assert "After 1 training step in float32" in told
    path, _ = write(tmp_path, "mnist-mlp", "torch", dataset="other", classes=[*"abcdefghij"])
    assert main(["parity", "mnist-mlp", "--checkpoint", str(path), *argv]) == 1
    assert one_line(capsys) == (
        f"comparisons: {path}: was trained on other, whose items or classes are not those of "
        "mnist-subset; name its data with --data\n")


def test_what_it_cannot_use_is_refused(tmp_path, capsys):
    for words, status, told in (
            (["regression", "--data", str(tmp_path)], 2, "--data: not used by regression"),
            (["all", "--checkpoint", "x"], 2, "--checkpoint requires a single TASK"),
            (["mnist-mlp", "--steps", "0"], 2, "must be at least 1"),
            (["mnist-mlp", "--data", str(tmp_path / "none")], 1, "no such file or folder"),
            (["mnist-mlp", "--checkpoint", str(tmp_path / "none")], 1, "none"),
            (["mnist-mlp", "--break", "conv"], 1,
             "mnist-mlp, plain has dropout, layers.0, layers.1.0, layers.1.1, layers.2;")):
        assert main(["parity", *words, "--out", str(tmp_path)]) == status
        assert told in one_line(capsys)
    assert not list(tmp_path.glob("*.html"))
