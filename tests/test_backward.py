"""backward() and grad(): what arrives where, what is freed, what fails, and hooks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import autograd
from minigrad.autograd import grad, no_grad, op
from minigrad.tensor import Tensor


def leaf(*values: float) -> Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


# ---- grad() --------------------------------------------------------------------------------------

def test_grad_leaves_every_grad_alone() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gx, = grad((x * w).sum(), x)
    np.testing.assert_array_equal(gx.data, [3.0, 4.0])
    assert (x.grad, w.grad) == (None, None)
    assert not gx.requires_grad


def test_grad_of_several_outputs_weighed() -> None:
    x = leaf(1.0, 2.0)
    gx, = grad([x * 2.0, x.sum()], [x], [Tensor(np.array([1.0, 10.0])), None])
    np.testing.assert_array_equal(gx.data, [3.0, 21.0])


def test_grad_of_the_same_output_twice() -> None:
    x = leaf(1.0)
    y = x * 3.0
    gx, = grad([y, y], x)
    assert gx.item() == 6.0


def test_unused_inputs() -> None:
    x, unused = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"grad: .* do not depend on inputs\[1\]; allow_unused"):
        grad(x * 2.0, [x, unused])
    gx, none = grad(x * 2.0, [x, unused], allow_unused=True)
    assert gx.item() == 2.0
    assert none is None


def test_grad_of_interior_tensors() -> None:
    x = leaf(3.0)
    y = x * x
    z = y.exp() + y
    gy, gx = grad(z, [y, x])
    np.testing.assert_allclose([gy.item(), gx.item()], [np.exp(9) + 1, (np.exp(9) + 1) * 6])


def test_an_output_may_be_its_own_input() -> None:
    x = leaf(3.0)
    y = x * 2.0
    gy, gx = grad(y, [y, x])
    assert (gy.item(), gx.item()) == (1.0, 2.0)
    gx, = grad(x, x)
    assert gx.item() == 1.0


def test_grad_refuses_what_it_cannot_do() -> None:
    x, plain = leaf(1.0, 2.0), mg.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"grad: inputs\[0\] of shape \(2,\) does not require"):
        grad(x.sum(), plain)
    with pytest.raises(RuntimeError, match=r"grad: the output of shape \(2,\) does not require"):
        grad(plain * 2.0, x)
    with pytest.raises(RuntimeError, match=r"grad: an output of shape \(2,\) needs a gradient"):
        grad(x * 2.0, x)
    with pytest.raises(RuntimeError, match=r"the gradient has shape \(3,\), the output \(2,\)"):
        grad(x * 2.0, x, Tensor(np.ones(3)))
    with pytest.raises(ValueError, match="grad: got 2 grad_outputs for 1 outputs"):
        grad(x.sum(), x, [None, None])


# ---- backward, freeing, accumulating -------------------------------------------------------------

def test_second_backward_says_what_to_do() -> None:
    x = leaf(1.0)
    y = (x * 2.0).exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"already freed; .*retain_graph=True"):
        y.backward()
    assert x.grad.item() == pytest.approx(2 * np.exp(2))


def test_retain_graph_and_accumulation() -> None:
    x = leaf(1.0)
    y = (x * 2.0).exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == pytest.approx(4 * np.exp(2))


def test_shared_part_of_two_graphs_is_freed_by_the_first() -> None:
    x = leaf(1.0)
    shared = x.exp()
    a, b = shared * 2.0, shared * 3.0
    a.backward(np.ones(1))
    with pytest.raises(RuntimeError, match="the graph through exp was already freed"):
        b.backward(np.ones(1))


def test_a_failing_backward_leaves_every_grad_as_it_was() -> None:
    @op
    def fails(x: Tensor) -> Any:
        def vjp(g: Tensor) -> Tensor:
            raise ZeroDivisionError
        return x.data.copy(), vjp

    a, b = leaf(1.0), leaf(2.0)
    (a * 5.0).backward(np.ones(1))
    y = a * 2.0 + b * 3.0 + fails(a)
    with pytest.raises(ZeroDivisionError):
        y.backward(np.ones(1))
    assert a.grad.item() == 5.0
    assert b.grad is None
    assert autograd.is_grad_enabled()


def test_backward_needs_a_gradient_that_fits() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"backward: an output of shape \(2,\) needs a gradient"):
        (x * 2.0).backward()
    with pytest.raises(RuntimeError, match="the gradient has shape"):
        (x * 2.0).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad"):
        mg.tensor([1.0]).backward()
    with no_grad():
        y = x.sum()
    with pytest.raises(RuntimeError, match="made under no_grad"):
        y.backward()


def test_a_leaf_that_is_its_own_output() -> None:
    x = leaf(1.0)
    x.backward()
    x.backward()
    assert x.grad.item() == 2.0


def test_grads_own_their_memory() -> None:
    a, b, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), np.array([1.0, 1.0])
    (a + b + b.reshape(2)).backward(seed)
    c = leaf(1.0, 2.0)
    c.backward(seed)
    d = leaf(1.0, 2.0)
    d.sum().backward()
    memory = [a.grad.data, b.grad.data, c.grad.data, d.grad.data, seed]
    for i, x in enumerate(memory):
        for y in memory[i + 1:]:
            assert not np.shares_memory(x, y)
    d.grad.data[0] = 5.0                            # a broadcast view would refuse, or change all
    np.testing.assert_array_equal(d.grad.data, [5.0, 1.0])


def test_grads_do_not_share_memory_with_what_hooks_saw() -> None:
    seen: list[Tensor] = []
    replacement = Tensor(np.array([7.0]))
    x, y = leaf(1.0), leaf(1.0)
    x.register_hook(seen.append)
    y.register_hook(lambda g: replacement)
    inner = x + y
    inner.register_hook(seen.append)
    inner.backward(np.ones(1))
    for saved in (*seen, replacement):
        for t in (x, y):
            assert not np.shares_memory(saved.data, t.grad.data)


def test_accumulation_does_not_write_into_an_earlier_gradient() -> None:
    x = leaf(1.0)
    (x * 2.0).backward(np.ones(1))
    before = x.grad
    (x * 3.0).backward(np.ones(1))
    assert (before.item(), x.grad.item()) == (2.0, 5.0)


# ---- hooks ---------------------------------------------------------------------------------------

def test_hooks_see_the_whole_gradient_once() -> None:
    seen: dict[str, Any] = {}
    x = leaf(2.0)
    y = x * 3.0
    x.register_hook(lambda g: seen.__setitem__("x", g.item()))
    y.register_hook(lambda g: seen.__setitem__("y", g.item()))
    (y * y + y).backward(np.ones(1))
    assert seen == {"y": 13.0, "x": 39.0}
    assert x.grad.item() == 39.0


def test_hooks_replace_in_turn_and_can_be_removed() -> None:
    x = leaf(2.0)
    y = x * 3.0
    handle = x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 10.0)
    y.register_hook(lambda g: g * 2.0)
    y.backward(np.ones(1), retain_graph=True)
    assert x.grad.item() == (1 * 2 * 3 + 1) * 10
    handle.remove()
    x.grad = None
    y.backward(np.ones(1))
    assert x.grad.item() == 1 * 2 * 3 * 10


@pytest.mark.parametrize("hooked", ["x", "y"])
def test_hooks_run_in_grad_too(hooked: str) -> None:
    """A target's gradient is what arrives, as in torch; what goes on from there is the hook's."""
    x, t = leaf(2.0), torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    y, s = x * 3.0, t * 3.0
    {"x": x, "y": y}[hooked].register_hook(lambda g: g * 2.0)
    {"x": t, "y": s}[hooked].register_hook(lambda g: g * 2.0)
    ours, torchs = grad(y * 5.0, [y, x], Tensor(np.ones(1))), torch.autograd.grad(s * 5.0, [s, t])
    assert [g.item() for g in ours] == [g.item() for g in torchs]


def test_grad_through_a_freed_graph_says_so() -> None:
    x, w = leaf(2.0), leaf(3.0)
    h = x ** 3
    grad(h, x)
    for y in (h, h * 2.0, h * w):
        for options in ({}, {"allow_unused": True}):
            with pytest.raises(RuntimeError, match=r"already freed; .*retain_graph=True"):
                grad(y, x, **options)
    assert grad(h * 2.0, h)[0].item() == 2.0            # not gone through: h is the target


def test_grad_frees_the_graph_where_asked_to() -> None:
    x = leaf(2.0)
    y = x ** 3
    grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="already freed"):
        grad(y, x)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: grad(x.sum(), []), "grad: inputs must be a Tensor or several; got none"),
    (lambda x: grad(x.sum(), [1.0]), "grad: inputs must be a Tensor or several; got 1.0"),
    (lambda x: grad(None, x), "grad: outputs must be a Tensor or several; got None"),
    (lambda x: grad(x.sum(), None), "grad: inputs must be a Tensor or several; got None"),
    (lambda x: x.sum().backward("a"), "backward: needs a Tensor, an array or numbers; got 'a'")])
def test_what_is_no_tensor_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(leaf(1.0, 2.0))


def test_a_hook_of_the_wrong_shape_or_place_is_refused() -> None:
    x = leaf(2.0, 3.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match=r"hook .*shape \(\).*\(2,\)"):
        (x * 3.0).sum().backward()
    with pytest.raises(RuntimeError, match="register_hook: this tensor does not require grad"):
        mg.tensor([1.0]).register_hook(print)


def test_a_gradient_that_is_not_a_number_comes_without_a_warning() -> None:
    x, y = leaf(1.0), leaf(math.inf)
    (x * y).backward(mg.tensor([0.0]))
    assert math.isnan(x.grad.item())        # type: ignore[union-attr]


def test_a_hook_that_returns_an_array_is_refused() -> None:
    y = leaf(1.0) * 2
    y.register_hook(lambda g: g.data)       # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="a hook must return a Tensor or None; got ndarray"):
        y.backward()
