"""check_op where a closer look is needed: several outputs, hard numbers, other frameworks."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import Call, OpCase, OpCheckError, OpReport, check_op
from minigrad.testing.checks import CHECKS, sizes

A = np.random.default_rng(0).standard_normal((3, 4))


def failing(fn: Any, inputs: Any, reference: Any = None, **more: Any) -> OpReport:
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, inputs, reference, max_examples=4, **more)
    return caught.value.report


def passing(fn: Any, inputs: Any, reference: Any = None, **more: Any) -> OpReport:
    return check_op(fn, inputs, reference, max_examples=4, **more)


class WrongSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


# ---- whose function it is, and whose inputs ------------------------------------------------------

@pytest.mark.parametrize("inputs", [A, mg.tensor(A, requires_grad=True), Call(A)])
def test_a_wrapped_torch_function_cannot_hide_its_gradient(inputs: Any) -> None:
    report = failing(lambda x: WrongSquare.apply(x), inputs)
    assert "WrongSquare.apply got a minigrad Tensor: give torch tensors as inputs" in str(report)


def test_a_call_remembers_whose_tensors_it_was_given() -> None:
    x = torch.tensor(A, requires_grad=True)
    assert failing(lambda x: WrongSquare.apply(x), Call(x))["gradcheck"].problem
    assert passing(lambda x, dim: x.softmax(dim), Call(x, dim=-1)).ok
    call = Call(mg.tensor(A, requires_grad=True), mg.tensor(A), torch.tensor(A))
    assert [call.wants_gradient(i) for i in range(3)] == [True, False, False]
    assert passing(lambda x, w: x * w.detach(), Call(x, torch.tensor(A))).ok


@pytest.mark.parametrize(("fn", "message"), [
    (torch.sin, "sin is PyTorch's: give torch tensors as inputs"),
    (jnp.sin, "sin is JAX's: give JAX's arrays as inputs"),
    (np.sin, r"sin is NumPy's, which has no gradients: give a pair \(sin, vjp\), with vjp\(g, "),
])
def test_functions_of_other_frameworks_ask_for_their_own(fn: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_op(fn, [A])


@pytest.mark.parametrize("fn", [
    (lambda x, dim: x.sum(dim), lambda g, x, dim: np.expand_dims(g, dim) * np.ones_like(x)),
    jax.custom_vjp(lambda x, dim: jnp.sum(x, dim), nondiff_argnums=(1,)),
])
def test_static_arguments_reach_foreign_ops(fn: Any) -> None:
    if isinstance(fn, jax.custom_vjp):
        fn.defvjp(lambda x, dim: (jnp.sum(x, dim), x),
                  lambda dim, x, g: (jnp.expand_dims(g, dim) * jnp.ones_like(x),))
    assert passing(fn, Call(A, dim=1)).ok


# ---- cotangents as they arrive -------------------------------------------------------------------

def test_foreign_ops_get_the_cotangent_itself() -> None:
    def in_place(g: Any, x: Any) -> Any:
        g *= 2 * x
        return g

    class NeedsContiguous(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.view(-1).view(g.shape) * 2.0

    assert failing((np.square, in_place), A)["inputs kept"].problem
    assert failing(NeedsContiguous, A)["memory layout"].problem


def test_a_torch_graph_is_sent_back_through_twice() -> None:
    class Spent(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.times = [3.0]
            return x * 3.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * (ctx.times.pop() if ctx.times else 1.0)
    assert failing(Spent, A)["independence"].problem


def test_a_vjp_that_goes_another_way_if_g_is_recorded() -> None:
    @op
    def another_way(x: Tensor) -> Any:
        return x.data**2, lambda g: g * x * 3.0 if g.requires_grad else g * x * 2.0
    assert failing(another_way, A)["recorded"].problem


# ---- several outputs -----------------------------------------------------------------------------

def test_one_output_at_a_time() -> None:
    def both(g: Any, x: Any) -> Any:
        return g[0] * np.cos(x) - g[1] * np.sin(x)

    def confused(g: Any, x: Any) -> Any:
        return both(g, x) if all(u.any() for u in g) else g[0] * np.cos(x)

    def pair(x: Any) -> Any:
        return np.sin(x), np.cos(x)

    assert passing((pair, both), A)["one output"].calls
    assert failing((pair, confused), A)["one output"].problem
    assert "one output" in passing((np.sin, lambda g, x: g * np.cos(x)), A)["one output"].excuse


def test_outputs_of_several_dtypes_keep_them() -> None:
    def fn(x: Any, w: Any) -> Any:
        return torch.sin(x), w * 2.0
    tensors = [torch.tensor(A, requires_grad=True), torch.tensor(A, requires_grad=True)]
    assert passing(fn, tensors, fn).ok


# ---- hard numbers --------------------------------------------------------------------------------

@pytest.mark.parametrize(("fn", "inputs"), [
    (lambda x: (x * 1000.0).sin(), A),
    (lambda x: x - x.mean(), A + 1e6),
    (lambda x: 1.0 / x, np.array([1e-3, -2e-3, 4e-3])),
    (lambda x: x.sin(), np.array([1e6, 3e6, -2e6])),
    (lambda x: x * x + 1e4, A),
])
def test_hard_numbers_are_no_mistakes(fn: Any, inputs: Any) -> None:
    assert passing(fn, [inputs], excused={"size 1": "0 out of large numbers"}).ok


def test_modules_of_torch_may_be_float32() -> None:
    assert passing(torch.nn.Linear(4, 2), A).ok


def test_what_is_once_differentiable_has_no_second_derivative() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0].cos()
    report = passing(Once, A)
    assert "once_differentiable" in report["gradgradcheck"].excuse


# ---- what is said --------------------------------------------------------------------------------

def test_without_floating_point_outputs_nothing_passes() -> None:
    for fn in (lambda x: (), lambda x: x.argmax()):
        with pytest.raises(ValueError, match=r"nothing to check|no floating-point"):
            check_op(fn, [A])


def test_what_is_not_meant_to_broadcast_is_told_what_to_do() -> None:
    @op
    def dot(a: Tensor, b: Tensor) -> Any:
        return np.float64((a.data * b.data).sum()), lambda g: g * b, lambda g: g * a
    report = failing(dot, [A, A[::-1]])
    problem = report["broadcast"].problem
    assert "let it raise an error for them, or say excused={'broadcast': 'why'}" in problem
    smallest = report["broadcast"].smallest         # the call itself, not the example it is made of
    assert smallest is not None
    assert smallest.arrays[0].shape != smallest.arrays[1].shape


def test_float64_beside_integers_names_the_way_out() -> None:
    @op
    def scaled(x: Tensor, n: Tensor) -> Any:
        return x.data * n.data, lambda g: g * n.data.astype(g.dtype), None
    problem = failing(scaled, [A, np.arange(1, 5)])["float32"].problem
    assert "all floating-point inputs are float32" in problem
    assert 'dtypes=("float64",)' in problem


def test_the_adjoint_says_where() -> None:
    @op
    def nearly(x: Tensor) -> Any:
        return np.sin(x.data), lambda g: g * x.cos() * (1.0 + 3e-6)
    problem = failing(nearly, A)["adjoint"].problem
    assert "<u, Jv>" in problem
    assert "gradcheck: the gradient by inputs[0]" in problem
    assert "likely cause: " in problem


def test_references_and_tuples_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match=r"the reference .* must return a Tensor, an array or "
                                        "several; got NoneType"):
        check_op(lambda x: x.exp(), A, lambda x: None)
    for wrong in ((np.sin, None), (np.sin,), (np.sin, np.cos, np.cos)):
        with pytest.raises(TypeError, match=r"a pair \(f, vjp\) must be two functions; got"):
            check_op(wrong, A)


def test_the_checks_are_quiet() -> None:
    @op
    def warns(x: Tensor) -> Any:
        warnings.warn("one of very many", stacklevel=2)
        return np.sin(x.data), lambda g: g * x.cos()
    case = OpCase(warns, None, None, [Call(A)])
    with warnings.catch_warnings(record=True) as seen:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        CHECKS["linearity"].run(case, case.examples[0])
    assert not seen
    with warnings.catch_warnings():
        warnings.simplefilter("error")          # as in a test run: a warning is a failure
        with pytest.raises(UserWarning):
            CHECKS["linearity"].run(case, case.examples[0])


@pytest.mark.parametrize(("statement", "on_purpose"), [
    ("raise ValueError('not ' +\n        'empty')", True), ("assert 0, 'not empty'", True),
    ("[].pop()", False), ("__import__('numpy').max([])", False),
])
def test_an_error_is_a_refusal_where_a_statement_makes_it(statement: str, on_purpose: bool) -> None:
    space: dict[str, Any] = {}
    exec(f"def f():\n    {statement}\n", space)       # without a source file, as in a notebook
    with pytest.raises((ValueError, AssertionError, IndexError)) as caught:
        space["f"]()
    assert sizes.made_by_a_statement(caught.value) is on_purpose


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_that_is_a_small_difference_is_no_surer_in_float32(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((3, 2)) * 0.05      # rows of two: nearly ±1
    assert passing(lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]), [torch.tensor(x)])
