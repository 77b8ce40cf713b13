"""Gradients that are found together, in one pass: `autograd.together`."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from leaves import at

import minigrad as mg
from minigrad import autograd
from minigrad.autograd import enable_grad, grad, op
from minigrad.tensor import Tensor


@pytest.fixture
def no_cycle_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@op
def product(a: Tensor, b: Tensor, *, passes: list[bool]) -> Any:
    """a·b, whose gradients are found in one pass; notes each pass, and whether it is recorded."""
    def gradients(g: Tensor) -> tuple[Tensor, Tensor]:
        passes.append(autograd.is_grad_enabled())
        return g * b, g * a
    return a.data * b.data, *autograd.together(gradients, 2)


def test_gradients_found_together_are_found_once() -> None:
    a, b, passes = at([2.0, 3.0]), at([5.0, 7.0]), []
    product(a, b, passes=passes).backward(np.array([1.0, 10.0]))
    assert (a.grad.tolist(), b.grad.tolist()) == ([5.0, 70.0], [2.0, 30.0])
    assert passes == [False]


@pytest.mark.parametrize("wanted", [0, 1])
def test_gradients_found_together_may_be_wanted_one_by_one(wanted: int) -> None:
    """Another gradient, mode or change in place finds them anew: nothing stale is handed out."""
    inputs, passes, g = [at([2.0]), at([5.0])], [], mg.ones(1, dtype=mg.float64)
    y = product(*inputs, passes=passes)
    other = inputs[1 - wanted]
    for scale in (1.0, 3.0):
        g[...] = scale
        found = grad(y, inputs[wanted], g, retain_graph=True)[0]
        assert found.item() == scale * other.item()
    found = grad(y, other, g, create_graph=True)[0]
    assert found.requires_grad
    assert passes == [False, False, True]


def test_gradients_found_together_can_be_differentiated_again() -> None:
    a, b, passes = at([2.0]), at([5.0]), []
    by_a, by_b = grad(product(a * a, b, passes=passes), [a, b], create_graph=True)
    assert grad(by_a + by_b, [a, b]) == (2 * 5.0 + 2 * 2.0, 2 * 2.0)        # 2ab + a²


def test_a_vjp_may_take_a_gradient_itself_while_others_are_found() -> None:
    @op
    def outer(a: Tensor, b: Tensor) -> Any:
        def gradients(g: Tensor) -> tuple[Tensor, Tensor]:
            with enable_grad():
                inner = [at([2.0]), at([3.0])]
                found = grad(product(*inner, passes=[]), inner)
            return g * found[0].item(), g * found[1].item()
        return a.data + b.data, *autograd.together(gradients, 2)

    a, b = at([1.0]), at([1.0])
    outer(a, b).backward()
    assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)


@pytest.mark.usefixtures("no_cycle_collector")
@pytest.mark.parametrize("create_graph", [False, True])
def test_what_is_found_together_and_not_wanted_is_given_back(create_graph: bool) -> None:
    found: list[Any] = []

    @op
    def summed(a: Tensor, b: Tensor) -> Any:
        def gradients(g: Tensor) -> tuple[Tensor, Tensor]:
            both = g * 1.0, g * 2.0
            found.extend(map(weakref.ref, both))
            return both
        return a.data + b.data, *autograd.together(gradients, 2)

    a, b, g = at([1.0]), at([1.0]), mg.ones(1, dtype=mg.float64)
    y = summed(a, b)
    by_a = grad(y, a, g, retain_graph=True, create_graph=create_graph)[0]
    assert by_a.item() == 1.0
    assert found[1]() is None
    del by_a
    assert found[0]() is None
