"""check_op calls ops with inputs of other ranks, and without those that may be absent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import minigrad.functional as F
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import Call, OpCheckError, OpReport, check_op

RNG = np.random.default_rng(0)
A, B, C = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 5)), RNG.standard_normal(5)


def failing(fn: Any, inputs: Any, reference: Any = None) -> OpReport:
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, inputs, reference, max_examples=4, excused={"broadcast": "not meant to"})
    return caught.value.report


# ---- ranks ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("rank", [0, 1, 3, 4])
@pytest.mark.parametrize("reference", [None, np.square, torch.square])
def test_a_gradient_that_is_wrong_at_another_rank(rank: int, reference: Any) -> None:
    pair = (lambda x: x * x, lambda g, x: g * x * (2 + (x.ndim == rank)))
    report = failing(pair, [A], reference)
    assert [finding.check for finding in report.failures] == ["ranks"]
    problem = report["ranks"].problem
    assert "excused={'ranks': 'why'}" in problem
    assert report["ranks"].smallest is not None
    assert np.ndim(report["ranks"].smallest.arrays[0]) == rank


@op
def times_one_batch(x: Tensor, w: Tensor) -> Any:
    if x.ndim == 3:
        return x.data @ w.data, lambda g: g @ w.t(), lambda g: x[0].t() @ g[0]
    return x.data @ w.data, lambda g: g @ w.t(), lambda g: x.t() @ g


def test_a_gradient_that_forgets_a_batch() -> None:
    assert "inputs[1]" in failing(times_one_batch, [A, B], torch.matmul)["ranks"].problem


@pytest.mark.parametrize(("fn", "inputs", "reference"), [
    # its vjp refuses other ranks, aloud
    ((np.matmul, lambda g, a, b: (g @ b.T, a.T @ g)), [A, B], None),
    (lambda x: x.sum(0), [A], lambda x: np.sum(x, 0)),
    (lambda x, w, b: F.linear(x, w, b), [A, B.T, C], TF.linear),
    ((lambda x: x.sum(1), lambda g, x: np.broadcast_to(g[:, None], x.shape)), [A], None),
    (lambda x: x.max(), [np.array(0.5)], torch.max),
    (lambda x, i: x[i], [A, np.array([0, 2])], None),
    (F.conv2d, [RNG.standard_normal((2, 3, 5, 5)), RNG.standard_normal((4, 3, 3, 3))], TF.conv2d),
])
def test_right_ops_pass_at_other_ranks(fn: Any, inputs: Any, reference: Any) -> None:
    report = check_op(fn, inputs, reference, max_examples=4,
                      excused={"broadcast": "not meant to"})
    assert not report["ranks"].doubt


def test_values_that_differ_from_the_reference_at_another_rank_are_a_doubt() -> None:
    report = check_op(lambda x: x.softmax(-1), [A], lambda x: torch.softmax(x, 1), max_examples=4)
    assert "at other ranks its values are not the reference's" in report["ranks"].doubt
    assert "? ranks" in str(report)


def test_an_op_of_one_rank() -> None:
    @op
    def for_matrices(x: Tensor) -> Any:
        if x.ndim != 2:
            raise ValueError("for_matrices: x must have 2 dims")
        return x.data * 2, lambda g: g * 2
    assert check_op(for_matrices, [A], lambda x: x * 2)["ranks"].excuse == "the op refuses them"


# ---- absent inputs -------------------------------------------------------------------------------

@op
def scaled(x: Tensor, w: Tensor, b: Tensor | None = None) -> Any:
    y = x.data * w.data
    if b is None:
        return y, lambda g: g * w * 3, lambda g: g * x, None
    return y + b.data, lambda g: g * w, lambda g: g * x, lambda g: g


class TorchScaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
        ctx.save_for_backward(x, w, b)
        return x * w if b is None else x * w + b

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w, b = ctx.saved_tensors
        return g * w, g * x * (2 if b is None else 1), None if b is None else g


def numpy_vjp(g: Any, x: Any, w: Any, b: Any = None) -> Any:
    return (g * w, g * x, g) if b is not None else (-g * w, g * x)


@pytest.mark.parametrize("fn", [
    scaled, TorchScaled, (lambda x, w, b=None: x * w + (0 if b is None else b), numpy_vjp)])
@pytest.mark.parametrize("reference", [None, lambda x, w, b: x * w + b,
                                       lambda x, w, b=None: x * w if b is None else x * w + b])
def test_a_gradient_that_is_wrong_without_an_optional_input(fn: Any, reference: Any) -> None:
    report = failing(fn, [A, A + 1, A - 1], reference)
    assert [finding.check for finding in report.failures] == ["absent"]
    assert "without inputs[2]" in report["absent"].problem


@pytest.mark.parametrize(("fn", "inputs", "reference"), [
    (F.linear, [A, B.T, C], TF.linear),
    (F.linear, [A, B.T, C], None),
    (lambda a, b: a * b, [A, A + 1], np.multiply),
    ((np.multiply, lambda g, a, b: (g * b, g * a)), [A, A + 1], None),
    ((lambda x, i: x[i].copy(), lambda g, x, i: (np.eye(len(x))[:, i] @ g, None)),
     [A, np.array([0, 2])], None),
])
def test_right_ops_pass_without_them(fn: Any, inputs: Any, reference: Any) -> None:
    assert check_op(fn, inputs, reference, max_examples=4,
                    excused={"broadcast": "not meant to"}).ok


def test_what_there_is_to_say_where_no_input_may_be_absent() -> None:
    assert check_op(lambda x: x * 2, [A])["absent"].excuse == "it has one input"
    report = check_op(lambda a, b: a * b, Call(A, A))
    assert report["absent"].excuse == "the op needs all of its inputs"


def test_an_assert_statement_refuses_too() -> None:
    @op
    def asserting(x: Tensor) -> Any:
        assert x.ndim == 2
        assert len(x.data) > 1
        return x.data * 2, lambda g: g * 2
    assert check_op(asserting, [A], lambda x: x * 2)["ranks"].excuse == "the op refuses them"
