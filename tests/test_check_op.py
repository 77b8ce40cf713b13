"""check_op: a right op passes every check, a wrong one fails, and the report says why."""

from __future__ import annotations

import doctest
import itertools
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import autograd
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import (
    Call,
    OpCase,
    OpCheckError,
    battery,
    check_op,
    domains,
    op_tests,
    strategies as st,
)

RNG = np.random.default_rng(5)
A, B, SQUARE = RNG.standard_normal((2, 3)), RNG.standard_normal((2, 3)), RNG.standard_normal((3, 3))


@pytest.mark.parametrize("module", [battery, st], ids=lambda m: m.__name__)
def test_docstrings_are_true(module: Any) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


# ---- right ops -----------------------------------------------------------------------------------

@op
def sinh(x: Tensor) -> Any:
    return np.sinh(x.data), lambda g: g * (x.exp() + (-x).exp()) / 2


@op
def product(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: g * b, lambda g: g * a


@pytest.mark.parametrize(("fn", "inputs", "reference"), [
    (sinh, [A], torch.sinh),
    (sinh, [A], None),
    (sinh, A, np.sinh),
    (sinh, mg.tensor(A), lambda x: (x.exp() - (-x).exp()) / 2),
    (product, [A, B], torch.mul),
    (product, st.binary(domains.nonzero, domains.real), lambda a, b: a * b),
    (lambda x, w, b: mg.functional.linear(x, w, b), [A, SQUARE, SQUARE[0]],
     torch.nn.functional.linear),
    (lambda x, dim: x.softmax(dim), Call(A, dim=-1), torch.softmax),
    (lambda x: x.max(1), st.tensors(domains.distinct, st.shapes(2, 2)), lambda x: torch.max(x, 1)),
    (lambda x: x.sum(), [A], torch.sum),
    (lambda x: x @ x.t(), [A], lambda x: x @ x.T),
    (mg.functional.cross_entropy, [A, np.array([0, 2])], torch.nn.functional.cross_entropy),
])
def test_right_ops_pass(fn: Any, inputs: Any, reference: Any) -> None:
    report = check_op(fn, inputs, reference)
    assert report.ok
    assert bool(report["reference"].excuse) == (reference is None)
    assert report["gradcheck"].calls > 0


def test_the_report_of_a_right_op_says_what_was_looked_at() -> None:
    text = str(check_op(product, [A, B], torch.mul))
    assert "product: 25 checks pass" in text
    assert "✓ broadcast         gradients of broadcast inputs are summed (1 call" in text
    assert "· corners           not tried: no corners were given" in text
    assert "✓ mutants           22 of 22 wrong gradients would be noticed" in text


def test_an_input_that_wants_no_gradient_is_left_alone() -> None:
    scale = mg.tensor(B)
    report = check_op(lambda x, s: x * s.detach(), [mg.tensor(A, requires_grad=True), scale])
    assert report.ok
    with pytest.raises(OpCheckError, match="gradcheck"):
        check_op(lambda x, s: x * s.detach(), [A, B])


# ---- wrong ops: (what is wrong, op, inputs, reference, a check that must fail) -------------------

_last: list[Any] = []
_buffer = np.zeros((2, 3))
_count = itertools.count()


@op
def stale(x: Tensor) -> Any:
    _last[:] = [x]
    return x.data**2, lambda g: g * _last[0] * 2.0


@op
def writes_into_g(x: Tensor) -> Any:
    def vjp(g: Tensor) -> Tensor:
        g.data[...] = g.data * 2.0
        return g * x
    return x.data**2, vjp


@op
def writes_into_x(x: Tensor) -> Any:
    y = np.exp(x.data, out=x.data)
    return y, lambda g, y: g * y


@op
def rounded_constant(x: Tensor) -> Any:
    return x.data * 0.1, lambda g: g * float(np.float32(0.1))


@op
def wrong_for_negative_dims(x: Tensor, *, dim: int) -> Any:
    return x.data.sum(dim), lambda g: g.unsqueeze(max(dim, 0)).expand(x.shape)


def unsummed(g: Any, x: Any, b: Any) -> Any:
    return g, g


@op
def memory_order(x: Tensor) -> Any:
    return x.data.ravel("K") * 2.0, lambda g: g.reshape(x.shape) * 2.0


@op
def random(x: Tensor) -> Any:
    return x.data * np.random.default_rng(next(_count)).random(x.shape), lambda g: g


@op
def wrong_sign(a: Tensor, b: Tensor) -> Any:
    return a.data - b.data, lambda g: g, lambda g: g


@op
def a_factor_is_lost(x: Tensor) -> Any:
    return x.data**3, lambda g: g * x * x


@op
def transposed(x: Tensor, w: Tensor) -> Any:
    return x.data @ w.data, lambda g: g @ w, lambda g: x.t() @ g


@op
def only_once_differentiable(x: Tensor) -> Any:
    slope = np.cos(x.data)
    return np.sin(x.data), lambda g: g * Tensor(slope)


@op
def wrong_at_the_kink(x: Tensor) -> Any:
    return np.maximum(x.data, 0), lambda g: g * (x >= 0.0)


@op
def same_buffer(x: Tensor) -> Any:
    room = _buffer if x.shape == _buffer.shape else np.empty(x.shape)
    np.multiply(x.data, 3.0, out=room)
    return room, lambda g: g * 3.0


@op
def float64_table(x: Tensor) -> Any:
    return x.data * np.full(x.shape, 0.5), lambda g: g * 0.5


@op
def squeezes_ones(x: Tensor) -> Any:
    return np.squeeze(x.data.sum(-1)), lambda g: g.unsqueeze(-1).expand(x.shape)


@op
def fails_on_nothing(x: Tensor) -> Any:
    return x.data + 0.0 * x.data.reshape(-1)[0], lambda g: g


@op
def swapped(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: g * a, lambda g: g * b


@op
def no_vjp(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: g * b, None


@op
def knows_no_grad(x: Tensor) -> Any:
    return x.data * (2.0 if autograd.is_grad_enabled() else 2.5), lambda g: g * 2.0


@op
def g_is_ignored(x: Tensor) -> Any:
    return x.data**2, lambda g: x * 2.0


@op
def slightly_off(x: Tensor) -> Any:
    return np.tanh(x.data), lambda g, y: g * (1.0 - y * y) * 1.0001


@op
def spends_what_it_keeps(x: Tensor) -> Any:
    kept = [2.0]
    return x.data * 2.0, lambda g: g * (kept.pop() if kept else 1.0)


@op
def the_same_twice(a: Tensor, b: Tensor) -> Any:
    if a is b:
        return a.data * b.data, lambda g: g * b, lambda g: g * 0.0
    return a.data * b.data, lambda g: g * b, lambda g: g * a


@op
def another_way_when_recorded(x: Tensor) -> Any:
    return x.data * 2.0, lambda g: g * (3.0 if autograd.is_grad_enabled() else 2.0)


@op
def overflows(x: Tensor) -> Any:
    return np.log(1.0 + np.exp(x.data)), lambda g: g * x.exp() / (1.0 + x.exp())


@op
def adds_to_grad_itself(x: Tensor) -> Any:
    def vjp(g: Tensor) -> Tensor:
        x.grad = g * 2.0
        return g * 2.0
    return x.data * 2.0, vjp


@op
def first_column_only(x: Tensor, b: Tensor) -> Any:
    return x.data + b.data, lambda g: g, lambda g: g[..., :1].expand(g.shape)


@op
def unnoticed_change(x: Tensor) -> Any:
    kept = [x.data]                     # the engine looks for arrays in the vjps' own closures
    return x.data**2, lambda g: g * Tensor(2.0 * kept[0])


WRONG = [
    (stale, [A], None, "independence"),
    (writes_into_g, [A], None, "inputs kept"),
    (writes_into_x, [A], None, "inputs kept"),
    (rounded_constant, [A], torch.tensor(0.1, dtype=torch.float64).mul, "reference"),
    (rounded_constant, [A], None, "precision"),
    (wrong_for_negative_dims, Call(SQUARE, dim=-1), torch.sum, "reference"),
    ((np.add, unsummed), [A, B[0]], None, "gradcheck"),
    (memory_order, [A], lambda x: x.reshape(-1) * 2.0, "memory layout"),
    (random, [A], None, "determinism"),
    (wrong_sign, [A, B], None, "gradcheck"),
    (a_factor_is_lost, [A], None, "gradcheck"),
    (transposed, [A, SQUARE], torch.mm, "reference"),
    (only_once_differentiable, [A], torch.sin, "gradgradcheck"),
    (same_buffer, [A], None, "independence"),
    (float64_table, [A], None, "float32"),
    (squeezes_ones, [A], lambda x: x.sum(-1), "size 1"),
    (fails_on_nothing, [A], lambda x: x + 0.0, "empty"),
    (swapped, [A, B], None, "gradcheck"),
    (no_vjp, [A, B], None, "gradcheck"),
    (knows_no_grad, [A], None, "no_grad"),
    (g_is_ignored, [A], None, "linearity"),
    (slightly_off, [A], None, "gradcheck"),
    (spends_what_it_keeps, [A], None, "independence"),
    (the_same_twice, [A, B], None, "twice"),
    (another_way_when_recorded, [A], None, "recorded"),
    (adds_to_grad_itself, [A], None, "accumulation"),
    (first_column_only, [A, B[0]], torch.add, "reference"),
    (unnoticed_change, [A], None, "gradgradcheck"),
]


@pytest.mark.parametrize(("fn", "inputs", "reference", "check"), WRONG, ids=[
    f"{getattr(fn, '__name__', 'pair')}-{check}" for fn, _, _, check in WRONG])
def test_wrong_ops_fail(fn: Any, inputs: Any, reference: Any, check: str) -> None:
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, inputs, reference)
    assert caught.value.report[check].problem
    assert "in full:" in str(caught.value)


@pytest.mark.parametrize(("fn", "corners", "reference"), [
    (wrong_at_the_kink, domains.tied, torch.relu),
    (overflows, domains.special, torch.nn.functional.softplus),
])
def test_wrong_choices_at_corners_fail(fn: Any, corners: Any, reference: Any) -> None:
    assert check_op(fn, [A], reference).ok
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, [A], reference, corners=st.unary(corners))
    assert [finding.check for finding in caught.value.report.failures] == ["corners"]


# ---- what is said --------------------------------------------------------------------------------

def test_the_smallest_failing_input_is_shown() -> None:
    with pytest.raises(OpCheckError) as caught:
        check_op(a_factor_is_lost, [RNG.standard_normal((5, 7))])
    smallest = caught.value.report["gradcheck"].smallest
    assert smallest is not None
    assert smallest.arrays[0].shape == (1, 1)
    assert "inputs[0] = array([[" in str(caught.value)
    assert "likely cause" in str(caught.value)


def test_calls_that_must_fail() -> None:
    raises = [([A, B[:, :2]], RuntimeError, "do not broadcast")]
    assert check_op(product, [A, B], raises=raises)["raises"].calls == 1
    with pytest.raises(OpCheckError, match=r"raises +nothing is raised; right is ValueError with"):
        check_op(product, [A, B], raises=[([A, B], ValueError, "no")])
    with pytest.raises(OpCheckError, match=r"raises +it raises RuntimeError: product: shapes"):
        check_op(product, [A, B], raises=[([A, B[:, :2]], ValueError, "no")])


def test_checks_are_excused_with_a_reason() -> None:
    report = check_op(float64_table, [A], excused={"float32": "it is always float64"})
    assert report["float32"].excuse == "it is always float64"
    with pytest.raises(ValueError, match="excused: there is no check 'floaty'; there are refer"):
        check_op(float64_table, [A], excused={"floaty": "?"})


@pytest.mark.parametrize(("fn", "inputs", "more", "message"), [
    (3, [A], {}, "check_op: fn must be a function, a pair .*; got int"),
    (sinh, [A, 2], {}, r"inputs\[1\] must be an array, a Tensor or None; got 2"),
    (sinh, [A], {"reference": "torch"}, "reference must be a function; got str"),
    (sinh, [A], {"reference": lambda x: x.nonsense()}, "neither Tensors nor arrays: Attr"),
    (sinh, [np.arange(3)], {}, "no input with floating-point numbers"),
])
def test_what_cannot_be_checked_is_said(fn: Any, inputs: Any, more: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        check_op(fn, inputs, **more)


# ---- as tests ------------------------------------------------------------------------------------

@op_tests
def test_sinh_by_decorator() -> OpCase:
    return OpCase(sinh, torch.sinh, st.unary(), [Call(A)])


def test_a_wrong_op_fails_as_a_test() -> None:
    test = op_tests(lambda: OpCase(a_factor_is_lost, None, None, [Call(A)]))
    parameters = {p.id: p.values for mark in test.pytestmark for p in mark.args[1]}
    assert "a_factor_is_lost-twice" not in parameters
    with pytest.raises(OpCheckError, match="likely cause"):
        test(*parameters["a_factor_is_lost-gradcheck"])
    test(*parameters["a_factor_is_lost-linearity"])
