"""What minigrad.func leaves alone: the caller's tensors, graph and grad mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from leaves import at

import minigrad as mg
import minigrad.functional as F
from minigrad import func
from minigrad.tensor import Tensor

# torch's first jvp imports scripts
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script")

Program = Callable[..., Any]
X, Y = np.random.default_rng(0).standard_normal((2, 3))


def s(*terms: Any) -> Any:
    return sum((t * t * t).sum() for t in terms)


def test_nothing_happens_to_the_callers_tensors() -> None:
    x, w = at([1.0, 2.0]), at([3.0, 4.0])
    called = []
    x.register_hook(lambda g: called.append(g))
    x.grad = Tensor(np.ones(2))
    frozen = Tensor(np.array([5.0, 6.0]))
    for transform in (func.grad, func.jacrev, func.jacfwd, func.hessian, func.grad_and_value):
        transform(lambda a, b: s(a * b * w), argnums=(0, 1))(x, frozen)
    func.vjp(lambda a: a * w, x)[1](frozen)
    func.jvp(lambda a: a * w, (x,), (frozen,))
    func.hvp(lambda a: s(a * w), (x,), (frozen,))
    assert called == []
    assert x.grad.tolist() == [1.0, 1.0]
    assert w.grad is None
    assert (x.requires_grad, w.requires_grad, frozen.requires_grad) == (True, True, False)
    assert frozen.grad is None
    assert (x.tolist(), w.tolist(), frozen.tolist()) == ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])


def test_results_belong_to_no_graph_unless_the_caller_has_one() -> None:
    x, w = Tensor(X), Tensor(Y, True)
    results = [func.grad(s)(x), func.grad(lambda a: s(a) + w.sum())(x),
               *func.grad_and_value(s)(x), *func.vjp(s, x)[1](mg.tensor(1.0)),
               func.vjp(s, x)[0], *func.jvp(s, (x,), (x,)), func.hessian(s)(x),
               func.grad(lambda a: (s(a), a * 2), has_aux=True)(x)[1],
               func.grad(lambda a: a * func.grad(lambda b: a * b * b)(x[0]))(x[1]),
               func.grad(lambda a: s(a * func.jvp(lambda b: a * b * b, (x,), (x,))[1]))(x),
               func.jacfwd(func.jacfwd(lambda a: a * a.sum()))(x),
               func.jacrev(func.jacfwd(lambda a: a * a.sum()))(x),
               func.hvp(lambda a: func.grad(s)(a).exp().sum(), (x,), (x,)),
               func.linearize(lambda a: func.grad(s)(a), x)[1](x)]
    assert not any(t.requires_grad for t in results)
    assert func.grad(lambda a: (a * a * w).sum())(x).requires_grad
    assert func.jvp(s, (x,), (w,))[1].requires_grad
    assert func.vjp(lambda a: a * a, x)[1](w)[0].requires_grad


@pytest.mark.parametrize("compute", [
    lambda f, x, w: f.grad(lambda a: (a * a * w).sum())(x),
    lambda f, x, w: f.grad_and_value(lambda a: (a * a * w).sum())(x)[1],
    lambda f, x, w: f.vjp(lambda a: a * a * w, x)[1](w)[0],
    lambda f, x, w: f.vjp(lambda a: a * a * w, x)[0],
    lambda f, x, w: f.jvp(lambda a: a * a * w, (x,), (w * 1,))[1],
    lambda f, x, w: f.jacrev(lambda a: a * a * w)(x),
    lambda f, x, w: f.jacfwd(lambda a: a * a * w)(x),
    lambda f, x, w: f.grad(lambda a: (s(a), a * w), has_aux=True)(x)[1],
])
def test_results_can_be_differentiated_by_backward(compute: Program) -> None:
    x, w = Tensor(X.copy(), True), Tensor(Y.copy(), True)
    torch_x, torch_w = torch.tensor(X, requires_grad=True), torch.tensor(Y, requires_grad=True)
    s(compute(func, x, w)).backward()
    s(compute(torch.func, torch_x, torch_w)).backward()
    for ours, theirs in ((x, torch_x), (w, torch_w)):
        if theirs.grad is None:
            assert ours.grad is None
        else:
            np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-12, atol=1e-13)


def test_no_grad_outside_changes_nothing_but_the_graph() -> None:
    x, w = Tensor(X, True), Tensor(Y, True)
    with mg.no_grad():
        results = [func.grad(lambda a: (a * a * w).sum())(x), func.hessian(s)(x),
                   func.jvp(lambda a: a * w, (x,), (x,))[1],
                   func.vjp(lambda a: a * w, x)[1](x)[0], func.vjp(lambda a: a * w, x)[0]]
        assert not mg.autograd.is_grad_enabled()
    expected = [2 * X * Y, np.diag(6 * X), X * Y, X * Y, X * Y]
    for found, value in zip(results, expected, strict=True):
        assert not found.requires_grad
        np.testing.assert_allclose(found.data, value, rtol=1e-12)


def test_no_grad_inside_makes_constants() -> None:
    def f(x: Any) -> Any:
        with mg.no_grad():
            constant = x * x
        return (x - constant).sum()

    x = Tensor(X)
    assert func.grad(f)(x).tolist() == [1.0, 1.0, 1.0]
    assert func.jacfwd(f)(x).tolist() == [1.0, 1.0, 1.0]

    def inner(x: Any) -> Any:
        with mg.no_grad():
            constant = func.grad(lambda a: (a * a).sum())(x)
        return (x * constant).sum()

    np.testing.assert_allclose(func.grad(inner)(x).data, 2 * X)


def test_recording_is_as_before_after_an_error() -> None:
    with mg.no_grad():
        with pytest.raises(ZeroDivisionError):
            func.grad(lambda x: x.sum() * (1 / 0))(Tensor(X))
        assert not mg.autograd.is_grad_enabled()


def test_vjp_fn_frees_the_graph_only_if_asked_to() -> None:
    y, vjp_fn = func.vjp(lambda a: a.exp(), Tensor(X))
    assert vjp_fn(y)[0].tolist() == vjp_fn(y)[0].tolist()
    vjp_fn(y, retain_graph=False)
    with pytest.raises(RuntimeError, match="already freed"):
        vjp_fn(y)
    w = Tensor(Y, True)
    _, vjp_fn = func.vjp(lambda a: a * w, Tensor(X))
    assert vjp_fn(y)[0].requires_grad
    assert not vjp_fn(y, create_graph=False)[0].requires_grad


def test_a_change_in_place_between_the_passes_is_noticed() -> None:
    x = Tensor(X.copy())
    _, vjp_fn = func.vjp(lambda a: a * a, x)
    x[0] = 3.0
    with pytest.raises(RuntimeError, match="changed in place since"):
        vjp_fn(Tensor(Y))


# ---- with the rest of the library ----------------------------------------------------------------

def test_in_a_compiled_step() -> None:
    @mg.compile
    def step(x: Any, y: Any) -> Any:
        return (func.grad(lambda a: ((a * a - y).tanh() ** 2).sum())(x),
                func.jvp(lambda a: F.softmax(a * y, 0), (x,), (y,))[1],
                func.hessian(lambda a: F.mse_loss(a.exp(), y))(x))

    for seed in range(5):
        x, y = np.random.default_rng(seed).standard_normal((2, 4))
        found = step(Tensor(x), Tensor(y))
        expected = step.__wrapped__(Tensor(x), Tensor(y))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
