"""A watched training: what is recorded of it is right, it learns the same, and it can be paused."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
import weakref
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from watched import T, X, network, silent, train

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.inspect.watch.capture import Drawings
from minigrad.inspect.watch.history import (
    BINS,
    HIGHEST,
    LOWEST,
    POINTS,
    RECORDS,
    SIDE,
    Curve,
    History,
    Measured,
    binned,
)


def counts_of(encoded: Any) -> dict[int, int]:
    """Which bins are filled."""
    return {encoded[0] + i: h for i, h in enumerate(b64decode(encoded[1])) if h}


# ---- histograms and curves -----------------------------------------------------------------------

EDGES = [float(m * 2.0**k) for k in range(LOWEST, HIGHEST) for m in (1.0, 1.5)]


@given(hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32)))
def test_bins_are_half_octaves_on_both_sides_of_zero(x):
    found, odd = binned(x)[:-1], binned(x)[-1]
    finite = x[np.isfinite(x)].astype(np.float64)
    above = np.histogram(np.minimum(finite[finite > 0], EDGES[-1]), [0, *EDGES, np.inf])[0]
    below = np.histogram(np.minimum(-finite[finite < 0], EDGES[-1]), [0, *EDGES, np.inf])[0]
    assert len(found) == BINS
    np.testing.assert_array_equal(found[SIDE + 1:], above[1:])
    np.testing.assert_array_equal(found[:SIDE][::-1], below[1:])
    assert found[SIDE] == (finite == 0).sum() + above[0] + below[0]
    assert odd == len(x) - len(finite)


def test_values_of_other_types_and_memory_orders_are_binned():
    x = np.asfortranarray(np.arange(-6.0, 6).reshape(3, 4))
    np.testing.assert_array_equal(binned(x[::2]), binned(x[::2].astype(np.float32).ravel()))
    assert binned(np.array([1e300]))[-1] == 1
    assert binned(np.float64(1.2)).sum() == 1


def test_what_is_told_of_a_histogram():
    measured = Measured()
    measured.add(np.array([3.0, -4.0, 0.0, np.nan]))
    measured.add(np.zeros(4))
    first, heights, size, zeros, odd = measured.encoded()
    assert size == pytest.approx(np.sqrt(25 / 7), rel=1e-5)
    assert (zeros, odd) == (0.625, 1)
    assert counts_of([first, heights]) == {
        SIDE: 255, SIDE + 1 + 2 * (1 - LOWEST) + 1: 255, SIDE - 1 - 2 * (2 - LOWEST): 255}
    assert Measured().encoded() is None
    nothing = Measured()
    nothing.add(np.full(3, np.nan))
    assert nothing.encoded() == [0, "", None, 0.0, 3]


def test_long_curves_become_means_of_neighbours():
    curve = Curve()
    n = 4 * POINTS
    for i in range(n):
        curve.add(i, float(i))
    assert curve.every == 4
    assert len(curve.steps) == POINTS
    assert curve.steps[:2] == [3, 7]
    assert curve.values[:2] == [1.5, 5.5]


def test_many_records_are_thinned():
    history = History()
    for i in range(2 * RECORDS):
        history.record({"step": i})
    assert history.thinned == 1
    assert [record["step"] for record in history.records] == list(range(0, 2 * RECORDS, 2))


def test_once_its_history_is_full_a_watched_training_grows_no_more(tmp_path, monkeypatch):
    history, training = (sys.modules[f"minigrad.inspect.watch.{name}"]
                         for name in ("history", "training"))
    monkeypatch.setattr(history, "POINTS", 40)
    monkeypatch.setattr(training, "RECORDS", 10)            # at least 30 are kept
    net = network()
    optimizer = optim.SGD(net.parameters(), 0.01)
    sizes, held = [], []
    tracemalloc.start()
    with silent(net, optimizer, tmp_path) as watching:
        for _ in range(30):
            train(net, optimizer, 50)
            gc.collect()
            sizes.append(len(json.dumps(watching.training.state())))
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert watching.training.history.thinned >= 3           # it was full more than once
    assert max(sizes[10:]) < 1.3 * max(sizes[:10])
    assert max(held[20:]) < max(held[5:15]) + 200_000
    assert len(watching.training.history.records) < 60
    assert (tmp_path / "t.html").stat().st_size < 2_000_000


# ---- what is recorded ----------------------------------------------------------------------------

def test_a_watched_training_is_the_same_to_the_bit(tmp_path):
    plain, watched = network(), network()
    mg.manual_seed(5)
    losses = train(plain, optim.Adam(plain.parameters(), 0.1), 6)
    mg.manual_seed(5)
    optimizer = optim.Adam(watched.parameters(), 0.1)
    with silent(watched, optimizer, tmp_path):
        assert train(watched, optimizer, 6) == losses
    for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_what_is_recorded_is_what_happened(tmp_path):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.5)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    told: list[dict[str, Any]] = []
    net[1].register_forward_hook(lambda module, args, y: told.append({"y": y.retain_grad() or y}))
    before = [net[4].weight.data.copy()]

    def each(i: int) -> None:
        scheduler.step()
        told[-1] |= {"grad": net[4].weight.grad.data.copy()}
        before.append(net[4].weight.data.copy())

    with silent(net, optimizer, tmp_path) as watched:
        losses = train(net, optimizer, 3, each)
    state = watched.training.state()
    assert state["curves"]["loss"] == [[1, 2, 3], pytest.approx(losses, rel=1e-5)]
    assert state["curves"]["learning rate"] == [[1, 2, 3], [0.5, 0.25, 0.125]]
    assert [record["step"] for record in state["records"]] == [1, 2, 3]
    layers = watched.training.description()["layers"]
    assert [layer["path"] for layer in layers] == ["0", "1", "2", "3", "4"]
    assert layers[4]["parameters"] == {"weight": [3, 5], "bias": [3]}
    for i, record in enumerate(state["records"]):
        linear, norm = record["layers"][4], record["layers"][1]
        for name, x in [("values", before[i + 1]), ("gradients", told[i]["grad"])]:
            assert set(counts_of(linear[name][0])) == set(np.flatnonzero(binned(x)))
            assert linear[name][0][2] == pytest.approx(np.sqrt(np.square(x).mean()), rel=1e-4)
        change = np.linalg.norm(before[i + 1] - before[i]) / np.linalg.norm(before[i])
        assert linear["changes"][0] == pytest.approx(change, rel=1e-4)
        for name, x in [("activations", told[i]["y"]), ("flowing", told[i]["y"].grad)]:
            assert set(counts_of(norm[name])) == set(np.flatnonzero(binned(x.data)))
    graph = watched.training.drawings.svgs
    assert len(graph) == 1
    assert state["records"][-1]["drawing"] == 0
    for name in ("relu", "batch_norm", "cross_entropy"):
        assert name in graph[0]
    norms = state["records"][-1]["norms"]
    assert 1.0 in norms.values()                # that of the loss
    assert any(x == pytest.approx(np.linalg.norm(told[2]["y"].grad.data), rel=1e-4)
               for x in norms.values())


def test_losses_of_a_step_are_added_and_evaluations_do_not_count(tmp_path):
    net = nn.Sequential(nn.Linear(6, 3))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        parts = []
        for half in (slice(0, 4), slice(4, 8)):
            loss = F.cross_entropy(net(X[half]), T[half]) / 2
            loss.backward()
            parts.append(loss.item())
        net(X * 1e6)                            # in a graph, but in no backward pass
        with mg.no_grad():
            net(X * 1e6)
        mg.autograd.grad(net(X).sum(), [net[0].weight])
        optimizer.step()
        watched.log(accuracy=0.5, other=2)
    state = watched.training.state()
    assert state["curves"]["loss"][1] == [pytest.approx(sum(parts), rel=1e-5)]
    assert state["curves"]["accuracy"] == [[1], [0.5]]
    (record,) = state["records"]
    assert max(counts_of(record["layers"][0]["activations"])) < SIDE + 2 * (10 - LOWEST)


def test_graphs_that_nobody_needs_are_not_kept_alive(tmp_path):
    net = nn.Sequential(nn.Linear(6, 3), nn.Tanh())
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        kept = [weakref.ref(net(X).node) for _ in range(3)]
        train(net, optimizer, 1)
        kept.append(weakref.ref(net(X).node))
        (X * 1).sum()                           # the frames of the last op are let go
        gc.collect()
        assert [ref() for ref in kept] == [None] * 4
        assert watched.training.step == 1


class Twice(nn.Module):
    """A layer that is called twice, one that changes nothing, and one that nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.same, self.unused = nn.Linear(6, 6), nn.Identity(), nn.Linear(2, 2)
        self.tied = self.shared
        self.scale = nn.Parameter(mg.ones(()))

    def forward(self, x: mg.Tensor) -> tuple[mg.Tensor, dict[str, mg.Tensor]]:
        y = self.same(self.shared(self.shared(x)))
        return y * self.scale, {"also": y}


def test_layers_that_are_called_twice_or_never_and_outputs_of_any_form(tmp_path):
    net = Twice()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        y, also = net(X)
        (y.sum() + also["also"].square().sum()).backward()
        optimizer.step()
    rows = dict(zip([layer["path"] for layer in watched.training.description()["layers"]],
                    watched.training.state()["records"][0]["layers"], strict=True))
    assert list(rows) == ["", "shared", "same", "unused"]
    assert rows["unused"]["activations"] is rows["unused"]["gradients"][0] is None
    assert rows["unused"]["changes"] == [0, 0]
    assert rows["same"]["activations"] is not None
    assert rows[""]["gradients"][0] is not None
    assert watched.training.pictures("")[0]["name"] == "scale"


def test_a_program_that_changes_is_drawn_again_but_not_for_ever(tmp_path):
    net = nn.Sequential(nn.Linear(6, 3))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        for i in range(Drawings.MOST + 3):
            y = net(X)
            for _ in range(i):
                y = y.tanh()
            y.sum().backward()
            optimizer.step()
    assert [record["drawing"] for record in watched.training.state()["records"]] == [
        *range(Drawings.MOST), None, None, None]


def test_a_compiled_step_is_watched(tmp_path):
    net = nn.Sequential(nn.Linear(6, 3))
    optimizer = optim.SGD(net.parameters(), lr=0.1)

    @mg.compile
    def step(x: mg.Tensor, t: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), t)
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(X, T).item() for _ in range(3)]
    with silent(net, optimizer, tmp_path) as watched:
        losses += [step(X, T).item() for _ in range(3)]
    assert watched.training.state()["curves"]["loss"] == [
        [1, 2, 3], pytest.approx(losses[3:], rel=1e-5)]
    assert losses == sorted(losses, reverse=True)


def test_filters_and_the_pixels_that_a_unit_looks_at_are_pictures(tmp_path):
    mg.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 7))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        net(mg.randn(2, 3, 8, 8)).sum().backward()
        optimizer.step()
    kernel, bias, output = watched.training.pictures("0")
    assert (kernel["shape"], bias["shape"], output["shape"]) == ([4, 3, 3, 3], [4], [1, 4, 6, 6])
    assert watched.training.pictures("2")[0]["tiles"] == [7, 12, 12]
    with pytest.raises(ValueError, match="there is no layer 'nowhere'"):
        watched.training.pictures("nowhere")


def test_how_often_is_looked(tmp_path):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path, every=4) as watched:
        train(net, optimizer, 10)
    assert [record["step"] for record in watched.training.state()["records"]] == [1, 5, 9]
    with silent(net, optimizer, tmp_path, every=None) as watched:
        train(net, optimizer, 10)
    assert watched.training.state()["records"][0]["step"] == 1
