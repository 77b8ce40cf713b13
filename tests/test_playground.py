"""The playground's perceptron learns as PyTorch's does, and the page is told the truth about it."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.inspect.playground import data
from minigrad.inspect.playground.model import (
    ACTIVATIONS,
    FINE,
    GRID,
    HISTORY,
    LAYERS,
    NEURONS,
    OPTIMISERS,
    POINTS,
    STEPS,
    Playground,
)

TWINS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid,
         "gelu": torch.nn.GELU}
TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}


def twin(play: Playground) -> torch.nn.Sequential:
    """The same network in PyTorch."""
    layers: list[torch.nn.Module] = []
    for layer in play.layers:
        made = torch.nn.Linear(layer.in_features, layer.out_features)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(layer.weight.data))
            made.bias.copy_(torch.from_numpy(layer.bias.data))
        layers += [made, TWINS[play.settings.activation]()]
    return torch.nn.Sequential(*layers[:-1])


def torch_loss(net: torch.nn.Module, x: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        net(torch.from_numpy(x)), torch.from_numpy(labels))


# ---- data ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", data.SETS)
def test_a_set_has_as_many_points_of_each_class_within_the_square(name):
    x, labels = data.points(name, 0.3, 0)
    n = 0 if name == "drawn" else 2 * data.COUNT
    assert x.shape == (n, 2)
    assert labels.shape == (n, 1)
    assert x.dtype == labels.dtype == np.float32
    assert np.abs(x).max(initial=0) <= data.SIDE
    assert labels.sum() == n / 2
    np.testing.assert_array_equal(x, data.points(name, 0.3, 0)[0])
    assert n == 0 or not np.array_equal(x, data.points(name, 0.3, 1)[0])


def test_the_sets_are_what_they_are_called():
    x, labels = (a.squeeze() for a in data.points("xor", 0, 0))
    np.testing.assert_array_equal(x[:, 0] * x[:, 1] < 0, labels == 1)
    x, labels = (a.squeeze() for a in data.points("circles", 0, 0))
    np.testing.assert_array_equal(np.hypot(*x.T) > 1.5, labels == 1)
    x, labels = (a.squeeze() for a in data.points("moons", 0, 0))
    np.testing.assert_allclose(
        np.hypot(*(x - np.where(labels[:, None], [0.85, 0.4], [-0.85, -0.4])).T), 1.7, rtol=1e-5)
    x, labels = (a.squeeze() for a in data.points("spiral", 0, 0))
    turned = np.arctan2(x[:, 1], x[:, 0]) - 3.2 * np.pi * np.hypot(*x.T) / 2.7 - np.pi * labels
    np.testing.assert_allclose(np.cos(turned), 1, atol=1e-5)


# ---- learning ------------------------------------------------------------------------------------

@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_training_is_pytorchs(activation, optimiser):
    play = Playground((5, 3))
    for name, value in (("activation", activation), ("optimiser", optimiser), ("l2", 0.01),
                        ("lr", 0.02), ("batch", 64)):
        play.set(name, value)
    net = twin(play)
    rule = TORCH[optimiser](net.parameters(), lr=0.02, weight_decay=0.01)
    order = np.random.default_rng(play.seed).permutation(len(play.x))
    for batch in (order[:64], order[64:128], order[128:192], order[192:]):
        play.train(1)
        rule.zero_grad()
        torch_loss(net, play.x[batch], play.labels[batch]).backward()
        rule.step()
    for p, q in zip(play.net.parameters(), net.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=2e-4, atol=2e-5)
    state = play.state()
    for i, layer in enumerate(m for m in net if isinstance(m, torch.nn.Linear)):
        for key, value in (("weights", layer.weight), ("biases", layer.bias),
                           ("weight_gradients", layer.weight.grad),
                           ("bias_gradients", layer.bias.grad)):
            np.testing.assert_allclose(state[key][i], value.detach().numpy(), atol=5e-5)
    step, loss, test = state["history"][-1]
    assert step == 4
    assert loss == pytest.approx(torch_loss(net, play.x, play.labels).item(), rel=1e-4)
    assert test == pytest.approx(torch_loss(net, play.test_x, play.test_labels).item(), rel=1e-4)


def test_each_point_comes_once_in_an_epoch():
    play = Playground((2,))
    play.set("batch", 30)
    seen = [play._next_batch() for _ in range(7)]
    assert [len(batch) for batch in seen] == [30] * 6 + [20]
    assert sorted(np.concatenate(seen)) == list(range(200))


def test_it_learns_the_moons():
    play = Playground()
    play.set("data", "moons")
    for _ in range(4):
        play.train(STEPS)
    assert min(play.state()["accuracy"]) > 0.95


# ---- what the page shows -------------------------------------------------------------------------

def test_the_gradients_of_a_chosen_point_are_pytorchs():
    play = Playground((4, 3))
    play.train(3)
    play.choose(7)
    net, state = twin(play), play.state()
    x, labels = play.x[7:8], play.labels[7:8]
    loss = torch_loss(net, x, labels)
    loss.backward()
    for i, layer in enumerate(m for m in net if isinstance(m, torch.nn.Linear)):
        np.testing.assert_allclose(state["weight_gradients"][i], layer.weight.grad, atol=2e-5)
        np.testing.assert_allclose(state["bias_gradients"][i], layer.bias.grad, atol=2e-5)
    chosen = state["chosen"]
    assert chosen["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert chosen["probability"] == pytest.approx(
        torch.sigmoid(net(torch.from_numpy(x))).item(), rel=1e-4)
    assert (chosen["point"], chosen["label"]) == (7, 0)


def test_maps_are_what_the_neurons_answer():
    play = Playground((4, 3))
    play.train(3)
    net, state = twin(play), play.state()
    with torch.no_grad():
        x = torch.from_numpy(play.grid.data)
        answers = [x, net[:2](x), net[:4](x), 2 * torch.sigmoid(net(x)) - 1]
    assert [len(maps) for maps in state["maps"]] == [2, 4, 3, 1]
    for maps, peak, answer in zip(state["maps"], state["peaks"], answers, strict=True):
        for cells, column in zip(maps, answer.T, strict=True):
            steps = np.frombuffer(base64.b64decode(cells), np.uint8).astype(float)
            assert steps.shape == (GRID**2,)
            np.testing.assert_allclose((steps - 128) / 127 * peak, column, atol=peak * 0.0041)
    fine = np.frombuffer(base64.b64decode(state["surface"]), np.uint8).reshape(FINE, FINE)
    coarse = np.frombuffer(base64.b64decode(state["maps"][-1][0]), np.uint8).reshape(GRID, GRID)
    blocks = fine.reshape(GRID, FINE // GRID, GRID, FINE // GRID).mean((1, 3))
    np.testing.assert_allclose(blocks, coarse, atol=1.5)
    first, last = play.grid.data[[0, -1]]
    assert first[0] < 0 < first[1]                          # the upper left corner, as on a screen
    np.testing.assert_array_equal(first, -last)


def test_a_point_is_explained_and_nothing_changes():
    play = Playground((3,))
    play.train(2)
    before = play.state()
    page = play.explain(5)
    assert play.state() == before
    assert len(page) < 300_000
    assert re.search(r"<title>The gradient of the point \(.*\) of class 0, at step 2</title>", page)
    assert '"code":"logits = self.net(mg.tensor(x))"' in page


def test_the_curve_is_as_long_as_the_page_can_show():
    play = Playground((1,))
    for i in range(3 * HISTORY):
        play.train(1 + i % 2)
    steps = [step for step, _, _ in play.history]
    assert HISTORY / 3 < len(steps) <= HISTORY
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, play.step)
    gaps = np.diff(steps[:-1])
    assert gaps.max() <= 4 * gaps.min()


# ---- what the user does --------------------------------------------------------------------------

def test_neurons_that_stay_keep_their_weights():
    play = Playground((4, 4))
    play.train(5)
    before = [layer.weight.data.copy() for layer in play.layers]
    play.reshape([4, 6])
    np.testing.assert_array_equal(play.layers[0].weight.data, before[0])
    np.testing.assert_array_equal(play.layers[1].weight.data[:4], before[1])
    np.testing.assert_array_equal(play.layers[2].weight.data[:, :4], before[2])
    assert play.step == 5
    for sizes in ([4], [], [1] * LAYERS, [NEURONS] * LAYERS):
        play.reshape(sizes)
        play.train(1)
        assert [len(maps) for maps in play.state()["maps"]] == [2, *sizes, 1]


def test_a_session_without_points():
    play = Playground((2,))
    play.choose(3)
    play.set("data", "drawn")
    play.train(5)
    assert play.state()["history"] == []
    assert play.state()["accuracy"] == [None, None]
    assert play.state()["chosen"] is None
    moved = play.state()["moved"]
    for label in (0, 1, 1):
        play.add_point(label, -2.5, label)
    assert play.points()["train"] == [[0, -2.5, 0], [1, -2.5, 1], [1, -2.5, 1]]
    assert play.state()["moved"] == moved + 3
    play.set("noise", 0.5)                                  # the user's own points stay
    play.train(5)
    assert play.state()["history"][-1][0] == 5
    assert play.state()["history"][-1][2] is None


def test_reset_begins_again_from_other_weights_and_the_same_points():
    play, again = Playground(), Playground()
    first = play.layers[0].weight.data.copy()
    np.testing.assert_array_equal(again.layers[0].weight.data, first)
    play.train(3)
    play.reset()
    assert play.step == 0
    assert not np.array_equal(play.layers[0].weight.data, first)
    np.testing.assert_array_equal(play.x, again.x)


def test_a_network_that_has_diverged_is_still_shown():
    play = Playground()
    for name, value in (("optimiser", "sgd"), ("activation", "relu"), ("lr", 10.0), ("l2", 1.0)):
        play.set(name, value)
    play.train(STEPS)
    assert play.state()["step"] == STEPS
    with mg.no_grad():
        play.layers[0].weight[:] = float("nan")
    play.train(1)
    state = play.state()
    assert state["history"][-1][1] == "nan"
    assert state["peaks"][1] == "nan"


@pytest.mark.parametrize("wrong", [
    ("set", "lr", -1), ("set", "lr", float("nan")), ("set", "lr", "0.1"), ("set", "lr", True),
    ("set", "batch", 0), ("set", "batch", 2.5), ("set", "noise", 1e9), ("set", "l2", None),
    ("set", "activation", "softmax"), ("set", "activation", ["tanh"]), ("set", "data", "iris"),
    ("set", "optimiser", "lbfgs"), ("set", "x", 1), ("reshape", [0]), ("reshape", [NEURONS + 1]),
    ("reshape", [1] * (LAYERS + 1)), ("reshape", "88"), ("reshape", [True]), ("train", -1),
    ("train", STEPS + 1), ("train", 1.0), ("choose", 200), ("choose", -1), ("choose", "0"),
    ("add_point", 4, 0, 0), ("add_point", 0, float("nan"), 0), ("add_point", 0, 0, 2),
    ("add_point", "0", 0, 1), ("explain", 200)])
def test_what_cannot_be_is_refused_and_changes_nothing(wrong):
    play = Playground((3,))
    before = play.state()
    name, *arguments = wrong
    with pytest.raises(ValueError, match=r"^[\w ]+: "):
        getattr(play, name)(*arguments)
    assert play.state() == before


def test_there_is_an_end_of_points():
    play = Playground((1,))
    for _ in range(POINTS - len(play.x)):
        play.add_point(0, 0, 0)
    with pytest.raises(ValueError, match="there are 1000 points already"):
        play.add_point(0, 0, 0)
