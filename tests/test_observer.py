"""Observers are told of each op and each gradient, and change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import functional as F
from minigrad.modes import mode
from minigrad.observer import Observer
from minigrad.tensor import Tensor


class Diary(Observer):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.sent: list[tuple[Any, Tensor, Tensor]] = []

    def op_begins(self, op: Any, args: tuple[Any, ...], static: dict[str, Any]) -> None:
        self.events.append(("begins", op.__name__))

    def op_ends(self, op: Any, inputs: Any, static: dict[str, Any], y: Tensor) -> None:
        assert y.node is None or y.node.name == op.__name__
        (y * 1).sum()                           # what an observer does is not observed
        self.events.append(("ends", op.__name__))

    def backward_begins(self, outputs: Any, gradients: Any, inputs: Any) -> None:
        self.events.append(("backward begins", str([(y.item(), g.item()) for y, g in zip(
            outputs, gradients, strict=True)])))

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self.events.append(("vjp begins", vertex.name))

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        self.events.append(("vjp ends", vertex.name))
        self.sent.append((parent, sent, gx))


def test_events_in_order() -> None:
    x = Tensor(np.array([1.0, 2.0]), True)
    with Diary() as diary:
        (x * x).sum().backward()
    assert diary.events[:4] == [("begins", "mul"), ("ends", "mul"), ("begins", "sum"),
                                ("ends", "sum")]
    backward = [event for event in diary.events[4:] if event[0].startswith("vjp")]
    assert backward == [("vjp begins", "sum"), ("vjp ends", "sum"), ("vjp begins", "mul"),
                        ("vjp ends", "mul"), ("vjp begins", "mul"), ("vjp ends", "mul")]
    at = diary.events.index(("vjp begins", "mul"))
    assert diary.events[at + 1:at + 3] == [("begins", "mul"), ("ends", "mul")]      # g * b
    assert [event for event in diary.events if event[0] == "backward begins"] == [
        ("backward begins", "[(5.0, 1.0)]")]
    assert mode.observer is None
    x.square()
    assert len([event for event in diary.events if event[1] == "square"]) == 0


def test_what_is_computed_without_a_gradient() -> None:
    class Told(Observer):
        def __init__(self) -> None:
            self.events: list[tuple[str, int, Tensor]] = []

        def computed(self, name: str, inputs: Any, static: dict[str, Any], y: Tensor) -> None:
            self.events.append((name, len(inputs), y))

    x = Tensor(np.array([[1.0, -2.0], [0.5, 4.0]]))
    with Told() as told:
        mask = ~(x > 0)
        results = [mask, x.argmax(), mask.any(1), mg.where(mask)[0], x.max(0).indices,
                   F.one_hot(x.argmin(1)), F.max_pool2d(x[None], 2, return_indices=True)[1]]
        x[0, 0] = 3
        x.sum().item()
    names = [name for name, _, _ in told.events]
    assert names == ["greater", "invert", "argmax", "any", "nonzero", "nonzero", "argmax", "argmin",
                     "one_hot", "window_places", "assign", "read"]
    assert [inputs for _, inputs, _ in told.events] == [2, *[1] * 11]
    assert told.events[1][2] is results[0]
    assert told.events[-2][2] is x


def test_what_is_sent_and_what_arrives() -> None:
    x, bias = Tensor(np.ones((3, 2)), True), Tensor(np.ones(2), True)
    with Diary() as diary:
        (x + bias).sum().backward()
    ((_, sent, gx),) = [event for event in diary.sent if event[0] is bias]
    assert (sent.shape, gx.shape) == ((3, 2), (2,))
    assert gx.tolist() == [3.0, 3.0]


def test_each_slice_is_shown_alone() -> None:
    """Without an observer the slices' gradients are written into one array."""
    x = Tensor(np.arange(4.0), True)
    with Diary() as diary:
        (x[:2] * 3 + x[2:]).sum().backward()
    found = [gx.tolist() for parent, _, gx in diary.sent if parent is x]
    assert sorted(found) == [[0.0, 0.0, 1.0, 1.0], [3.0, 3.0, 0.0, 0.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0, 1.0, 1.0]


def test_several_observers() -> None:
    with Diary() as outer:
        mg.tensor([1.0]).exp()
        with Diary() as inner:
            mg.tensor([1.0]).sin()
        mg.tensor([1.0]).cos()
    names = [[name for _, name in diary.events[::2]] for diary in (outer, inner)]
    assert names == [["exp", "sin", "cos"], ["sin"]]


def test_an_error_leaves_no_observer_behind() -> None:
    class Refuses(Observer):
        def op_ends(self, *_: Any) -> None:
            raise ValueError("seen enough")

    with pytest.raises(ValueError, match="seen enough"), Refuses():
        mg.tensor([1.0]).exp()
    assert mode.observer is None
    with Diary() as diary, pytest.raises(RuntimeError, match="do not broadcast"):
        mg.ones(3) + mg.ones(2)
    assert diary.events == [("begins", "add")]
