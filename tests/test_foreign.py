"""Ops of PyTorch, JAX and NumPy are checked as minigrad's are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import grad
from minigrad.testing import (
    GradcheckError,
    OpCheckError,
    check_op,
    gradcheck,
    gradgradcheck,
    mutate,
)
from minigrad.testing.foreign import (
    JaxFunction,
    NoGradientError,
    NumpyFunction,
    TorchFunction,
    native,
)

RNG = np.random.default_rng(8)
A, B = RNG.standard_normal((2, 3)), RNG.standard_normal(3)


def torch_op(derivative: Any) -> Any:
    class Op(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return x.sin() * w

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, w = ctx.saved_tensors
            return derivative(g, x, w)
    return Op


def jax_op(derivative: Any) -> Any:
    @jax.custom_vjp
    def jax_function(x: Any, w: Any) -> Any:
        return jnp.sin(x) * w

    jax_function.defvjp(lambda x, w: (jax_function(x, w), (x, w)),
                        lambda kept, g: derivative(g, *kept))
    return jax_function


def summed(g: Any, x: Any) -> Any:
    """g summed over the dims that x was broadcast along."""
    g = g.sum(tuple(range(g.ndim - x.ndim)))
    return g.sum(tuple(i for i, n in enumerate(x.shape) if n == 1 != g.shape[i]), keepdims=True)


TORCH = torch_op(lambda g, x, w: ((g * x.cos() * w).sum_to_size(x.shape),
                                  (g * x.sin()).sum_to_size(w.shape)))
JAX = jax_op(lambda g, x, w: (summed(g * jnp.cos(x) * w, x), summed(g * jnp.sin(x), w)))
NUMPY = (lambda x, w: np.sin(x) * w,
         lambda g, x, w: (summed(g * np.cos(x) * w, x), summed(g * np.sin(x), w)))
RIGHT = [TORCH, JAX, NUMPY]
WRONG = [torch_op(lambda g, x, w: (g * x.cos() * w, (g * x.cos()).sum(0))),
         jax_op(lambda g, x, w: (g * jnp.cos(x) * w, (g * jnp.cos(x)).sum(0))),
         (NUMPY[0], lambda g, x, w: (g * np.cos(x) * w, (g * np.cos(x)).sum(0)))]
KINDS = pytest.mark.parametrize("kind", range(3), ids=["PyTorch", "JAX", "NumPy"])


@KINDS
def test_right_ones_pass(kind: int) -> None:
    assert gradcheck(RIGHT[kind], [A, B])
    report = check_op(RIGHT[kind], [A, B], lambda x, w: torch.sin(x) * w, max_examples=12)
    assert report.ok
    assert bool(report["gradgradcheck"].excuse) == (kind == 2)
    assert report["mutants"].passed.startswith("2")


@KINDS
def test_wrong_ones_fail_with_a_cause(kind: int) -> None:
    with pytest.raises(GradcheckError, match=r"inputs\[1\] of shape \(3,\) is wrong at 3 of 3"):
        gradcheck(WRONG[kind], [A, B])
    with pytest.raises(OpCheckError) as caught:
        check_op(WRONG[kind], [A, B], max_examples=12)
    assert {"gradcheck", "adjoint"} <= {f.check for f in caught.value.report.failures}


def test_second_derivatives() -> None:
    assert gradgradcheck(TORCH, [A, B])
    assert gradgradcheck(JAX, [A, B])
    assert gradcheck(TORCH, [A, B], order=3)
    with pytest.raises(NoGradientError):
        gradgradcheck(NUMPY, [A, B])

    class Once(torch.autograd.Function):            # right, but its backward is not differentiable
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.slope = 3 * x.detach() ** 2
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.slope

    assert gradcheck(Once, [A])
    with pytest.raises(GradcheckError, match=r"inputs\[0\](.|\n)*no gradient arrives"):
        gradgradcheck(Once, [A])


def test_tensors_say_which_of_them_are_differentiated() -> None:
    x = torch.tensor(A, requires_grad=True)
    constant = torch.tensor(B)
    assert gradcheck(lambda x, w: x * w.detach(), [x, constant])
    with pytest.raises(GradcheckError):
        gradcheck(lambda x, w: x * w.detach(), [x, constant.requires_grad_()])
    with pytest.raises(ValueError, match="none of the inputs is a Tensor that requires grad"):
        gradcheck(torch.sin, torch.tensor(A))


def test_kinks_and_several_outputs() -> None:
    x = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(torch.relu, x)                 # torch.autograd.gradcheck refuses this one
    with pytest.raises(RuntimeError):
        torch.autograd.gradcheck(torch.relu, x)
    rows = torch.tensor(A, requires_grad=True)
    assert gradcheck(lambda x: torch.max(x, 1), rows)
    assert gradcheck(JaxFunction(lambda x: (jnp.sin(x), x.sum())), A)
    assert gradcheck(torch.nn.Linear(3, 2).double(), rows)
    assert gradcheck((lambda a: (a**2, a.sum()), lambda g, a: g[0] * 2 * a + g[1]), A)


def two_torch_outputs(backward: Any) -> Any:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x, x.sin()

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            return backward(a, b, *ctx.saved_tensors)
    return Two


def two_numpy_outputs(vjp: Any) -> Any:
    return lambda x: (x * x, np.sin(x)), lambda g, x: vjp(*g, x)


@pytest.mark.parametrize(("fn", "check"), [
    (two_torch_outputs(lambda a, b, x: a.mul_(2) * x + b * x.cos()), "inputs kept"),
    (two_torch_outputs(lambda a, b, x: 2 * x * a.view(-1).view(x.shape) + b * x.cos()),
     "memory layout"),
    (two_numpy_outputs(lambda a, b, x: 2 * a * x + np.multiply(b, np.cos(x), out=b)),
     "inputs kept"),
    (two_numpy_outputs(lambda a, b, x: 2 * x * a.ravel("K").reshape(a.shape) + b * np.cos(x)),
     "memory layout"),
])
def test_each_of_several_outputs_gets_its_own_cotangent_as_it_is(fn: Any, check: str) -> None:
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, [A])
    assert caught.value.report[check].problem


@pytest.mark.parametrize("fn", [
    two_torch_outputs(lambda a, b, x: 2 * a * x + b * x.cos()),
    two_numpy_outputs(lambda a, b, x: 2 * a * x + b * np.cos(x)),
])
def test_several_outputs_of_which_one_is_used_or_all(fn: Any) -> None:
    x = mg.tensor(A, requires_grad=True)
    squares, sines = native(fn, [])[0](x)
    (squares.sum() + 2 * squares.sum()).backward(retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 6 * A)
    x.grad = None
    for _ in range(2):
        (squares * 2 + sines).sum().backward(retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 2 * (4 * A + np.cos(A)))


def test_outputs_of_several_dtypes_keep_them() -> None:
    seen = []

    def vjp(g: Any, x: Any) -> Any:
        seen.append([u.dtype.name for u in g])
        return g[0].astype(float) * 2 + g[1]

    pair = (lambda x: ((2 * x).astype(np.float32), x + 0), vjp)
    x = mg.tensor(A, requires_grad=True)
    ys = native(pair, [])[0](x)
    grad(ys, x, [mg.ones(2, 3), mg.ones(2, 3, dtype=mg.float64)])
    assert seen == [["float32", "float64"]]


def test_pytorch_computes_on_one_thread_while_it_is_checked() -> None:
    before, seen = torch.get_num_threads(), set()

    def counted(x: Any) -> Any:
        seen.add(torch.get_num_threads())
        return x * 2

    check_op(counted, [torch.tensor(A)], max_examples=2)
    assert seen == {1}
    assert torch.get_num_threads() == before


def test_mutants_of_a_foreign_op() -> None:
    report = mutate(TORCH, [mg.tensor(A, requires_grad=True), mg.tensor(B, requires_grad=True)])
    assert report.ok
    assert len(report.rows) == 22
    assert report.name == "Op"


def test_what_a_pair_may_return() -> None:
    with pytest.raises(AssertionError, match=r"the vjp returns a gradient of shape \(2, 3\) for "
                                             r"inputs\[1\] of shape \(3,\)(.|\n)*the sum over"):
        gradcheck((np.add, lambda g, x, w: (g, g)), [A, B])
    with pytest.raises(TypeError, match="a gradient for each of the 2 inputs; got 1"):
        gradcheck((np.add, lambda g, x, w: g), [A, B])
    with pytest.raises(GradcheckError, match="no gradient arrives"):
        gradcheck((np.multiply, lambda g, x, w: (g * w, None)), [A, A])


def test_the_complex_step_is_exact_for_those_that_compute_with_complex_numbers() -> None:
    for fn in (NUMPY, TorchFunction(lambda x, w: torch.sin(x) * w),
               JaxFunction(lambda x, w: jnp.sin(x) * w)):
        assert gradcheck(fn, [A, B], method="complex step", atol=0.0, rtol=1e-14)
    with pytest.raises(ValueError, match="the complex step needs a fn that computes with complex"):
        gradcheck((np.abs, lambda g, x: g * np.sign(x)), A, method="complex step")
    with pytest.raises(ValueError, match="the complex step needs an analytic fn; this one is not"):
        gradcheck((lambda x: x / (1 + np.abs(x)), lambda g, x: g / (1 + np.abs(x)) ** 2), A,
                  method="complex step")


def test_what_has_no_second_derivative_says_so() -> None:
    with pytest.raises(NoGradientError, match=r"a pair \(f, vjp\) has no second derivative"):
        gradgradcheck(NUMPY, [A, B])
    with pytest.raises(NoGradientError, match="a plain function of arrays has no gradient"):
        gradcheck(NumpyFunction(np.sin), A)
    with pytest.raises(AssertionError, match="must be expanded to the input's shape"):
        gradcheck((np.sum, lambda g, x: g), A)


def test_jax_functions_are_compiled_once_for_a_shape_where_they_can_be() -> None:
    traced = []

    def counted(x: Any) -> Any:
        traced.append(type(x).__name__)
        return jnp.sin(x)

    def looks_at_values(x: Any) -> Any:
        return jnp.sin(x) if float(x[0, 0]) < 1e9 else x

    def draws(x: Any) -> Any:
        return x * float(RNG.random())

    function = JaxFunction(counted)
    for _ in range(9):
        np.testing.assert_allclose(function(A)[0], np.sin(A))
    assert len(traced) == 3             # as it is, once more, and compiled
    function(B)
    assert len(traced) == 4             # by now it is known to be the same when compiled
    np.testing.assert_allclose(JaxFunction(looks_at_values)(A)[0], np.sin(A))
    assert gradcheck(JaxFunction(counted), A)
    longer = JaxFunction(lambda x: jnp.sin(x) if len(x) < 3 or float(x[0]) < 1e9 else x)
    for x in (A, B):
        np.testing.assert_allclose(longer(x)[0], np.sin(x))     # where it cannot be compiled, not
    random = JaxFunction(draws)
    assert not np.array_equal(random(A)[0], random(A)[0])


@pytest.mark.parametrize("kind", [NumpyFunction, TorchFunction])
def test_a_function_may_be_wrapped_by_hand(kind: Any) -> None:
    if kind is TorchFunction:
        assert gradcheck(kind(lambda x: x.exp()), A)
    else:
        assert gradcheck(kind(np.exp, lambda g, x: g * np.exp(x)), A)


def test_the_frameworks_are_not_imported_for_others() -> None:
    code = ("import sys, numpy as np, minigrad as mg\n"
            "from minigrad.testing import check_op\n"
            "check_op(lambda x: x.exp(), np.array([0.5, 2.0]), np.exp)\n"
            "assert not {'torch', 'jax'} & set(sys.modules)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
