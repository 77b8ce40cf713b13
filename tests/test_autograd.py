"""The engine: graphs of any depth and shape, modes, grad(), hooks, freeing, in-place changes."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import autograd
from minigrad.autograd import enable_grad, grad, no_grad, op
from minigrad.tensor import Tensor


def leaf(*values: float) -> Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


@op
def probe(x: Tensor, *, calls: list[str], name: str = "") -> Any:
    """The identity, noting when its vjp runs."""
    def vjp(g: Tensor) -> Tensor:
        calls.append(name)
        return g
    return x.data.copy(), vjp


# ---- depth and freeing ---------------------------------------------------------------------------

@pytest.fixture
def no_cycle_collector() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def chain(x: Tensor, n: int) -> Tensor:
    for _ in range(n):
        x = x * 1.0001
    return x


def test_a_chain_of_50000_ops() -> None:
    x = leaf(1.0)
    chain(x, 50_000).backward(np.ones(1))
    np.testing.assert_allclose(x.grad.data, [1.0001**50_000], rtol=1e-9)


def test_60_stacked_diamonds_take_linear_time() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward(np.ones(1))
    assert x.grad.item() == 2.0**60


@pytest.mark.parametrize("backward", [True, False])
@pytest.mark.usefixtures("no_cycle_collector")
def test_a_deep_graph_is_freed_at_once_without_recursion(backward: bool) -> None:
    x, factor = leaf(1.0), mg.tensor([2.0], dtype=mg.float64)
    saved = weakref.ref(factor)
    y = chain(x * factor, 50_000)
    del factor
    assert saved() is not None                          # the vjp of the first op needs it
    if backward:
        y.backward(np.ones(1))
        assert saved() is None
    del y
    assert saved() is None


@pytest.mark.usefixtures("no_cycle_collector")
def test_results_die_by_reference_count_alone() -> None:
    x = leaf(1.0, 2.0)
    y = (x.exp() * x).sum()
    alive = weakref.ref(y)
    del y
    assert alive() is None


@pytest.mark.usefixtures("no_cycle_collector")
def test_backward_frees_saved_values_as_it_passes() -> None:
    x = leaf(1.0, 2.0)
    early = x * 2.0
    late = early.exp()
    saved = weakref.ref(late.data)
    y = late.sum()
    del late
    assert saved() is not None                          # exp's vjp needs its output
    seen: list[Any] = []
    early.register_hook(lambda g: seen.append(saved()))
    y.backward()
    assert seen == [None]


def test_intermediate_values_that_no_vjp_needs_are_not_kept() -> None:
    x = leaf(1.0, 2.0)
    middle = x + 1.0
    saved = weakref.ref(middle.data)
    y = (middle + 1.0).sum()
    del middle
    assert saved() is None
    y.backward()


def test_the_output_is_kept_only_for_a_vjp_that_asks_for_it() -> None:
    x = leaf(1.0, 2.0)
    assert x.exp().node.output is not None
    assert (x * 2.0).node.output is None


# ---- which vjps run ------------------------------------------------------------------------------

def test_only_needed_vjps_are_called() -> None:
    calls: list[str] = []
    a, b, c = leaf(1.0), leaf(2.0), mg.tensor([3.0], dtype=mg.float64)
    y = probe(a, calls=calls, name="a") * probe(b, calls=calls, name="b") \
        * probe(c, calls=calls, name="c")
    y.backward(np.ones(1), retain_graph=True)
    assert sorted(calls) == ["a", "b"]
    calls.clear()
    grad(y, a, Tensor(np.ones(1)))
    assert calls == ["a"]


def test_a_vjp_runs_once_however_many_users_its_output_has() -> None:
    calls: list[str] = []
    x = leaf(2.0)
    y = probe(x, calls=calls, name="once")
    (y * y + y + y.exp()).backward(np.ones(1))
    assert calls == ["once"]


def test_the_first_layer_never_computes_its_input_gradient() -> None:
    x, w = mg.tensor([[1.0, 2.0]]), mg.tensor([[3.0], [4.0]], requires_grad=True)
    assert [parent for parent, _ in (x @ w).node.edges] == [w]


def test_integer_results_are_not_recorded() -> None:
    x = leaf(1.0, 2.0)
    assert not x.argmax().requires_grad
    assert not (x > 1.0).requires_grad
    assert not x.to(np.int64).requires_grad


# ---- no_grad and enable_grad ---------------------------------------------------------------------

def test_grad_modes_nest_and_are_restored() -> None:
    seen = [autograd.is_grad_enabled()]
    with no_grad():
        seen.append(autograd.is_grad_enabled())
        with enable_grad():
            seen.append(autograd.is_grad_enabled())
            with no_grad():
                seen.append(autograd.is_grad_enabled())
            seen.append(autograd.is_grad_enabled())
        seen.append(autograd.is_grad_enabled())
    seen.append(autograd.is_grad_enabled())
    assert seen == [True, False, True, False, True, False, True]


def test_an_exception_restores_the_mode() -> None:
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert autograd.is_grad_enabled()


def test_one_context_may_be_entered_again() -> None:
    quiet = no_grad()
    with quiet, quiet:
        assert not autograd.is_grad_enabled()
    assert autograd.is_grad_enabled()
    with quiet:
        assert not autograd.is_grad_enabled()


def test_grad_modes_as_decorators() -> None:
    @no_grad()
    def plain(x: Tensor, depth: int) -> Tensor:
        return plain(x, depth - 1) if depth else x * 2.0

    @enable_grad()
    def recorded(x: Tensor) -> Tensor:
        return x * 2.0

    assert not plain(leaf(1.0), 3).requires_grad
    assert autograd.is_grad_enabled()
    with no_grad():
        assert recorded(leaf(1.0)).requires_grad
        assert not autograd.is_grad_enabled()


def test_grad_modes_as_decorators_without_parentheses() -> None:
    @no_grad
    def double(x: Tensor) -> Tensor:
        """Twice x"""
        return x * 2.0

    assert not double(leaf(1.0)).requires_grad
    assert double.__doc__ == "Twice x"
    with pytest.raises(TypeError, match="no_grad: numbers is a generator"):
        @no_grad()
        def numbers() -> Any:
            yield 1


def test_threads_have_their_own_mode_and_graphs() -> None:
    @no_grad()
    def plain(x: Tensor) -> bool:
        inside.wait()
        recorded = (x * 2.0).requires_grad
        inside.wait()
        return recorded

    inside = threading.Barrier(4, timeout=30)
    results: dict[int, Any] = {}

    def work(i: int) -> None:
        x = leaf(float(i))
        if i % 2:
            results[i] = plain(x)
        else:
            inside.wait()
            y = chain(x, 200)
            y.backward(np.ones(1))
            inside.wait()
            results[i] = x.grad.item()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    with no_grad():                                     # of this thread only
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == {0: pytest.approx(1.0001**200), 1: False,
                       2: pytest.approx(1.0001**200), 3: False}


# ---- broadcasting, wrong ops ---------------------------------------------------------------------

@pytest.mark.parametrize(("wide", "shape"), [
    ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)), ((2, 0), (2, 1)),
    ((1, 3), (1, 3)), ((5, 1, 3), (1, 1)), ((0, 3), (3,))])
def test_unbroadcast_is_the_adjoint_of_broadcasting(wide: tuple[int, ...],
                                                    shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    g, x = rng.standard_normal(wide), rng.standard_normal(shape)
    back = autograd.unbroadcast(Tensor(g), shape)
    assert back.shape == shape
    np.testing.assert_allclose((back.data * x).sum(), (g * np.broadcast_to(x, wide)).sum())


def test_wrong_vjps_are_errors_that_name_the_op() -> None:
    @op
    def miscounts(a: Tensor, b: Tensor) -> Any:
        return a.data + b.data, lambda g: g

    @op
    def misshapes(x: Tensor) -> Any:
        return x.data.copy(), lambda g: Tensor(np.ones((2, 2)))

    with pytest.raises(TypeError, match="miscounts: the op returned 1 vjps for 2 inputs"):
        miscounts(leaf(1.0), leaf(1.0))
    with pytest.raises(RuntimeError, match=r"misshapes: a vjp returned a gradient of shape "
                                           r"\(2, 2\) for an input of shape \(3,\)"):
        misshapes(leaf(1.0, 2.0, 3.0)).sum().backward()

    @op
    def unwraps(x: Tensor) -> Any:
        return x.data.copy(), lambda g: g.data

    with pytest.raises(TypeError, match="unwraps: a vjp must return a Tensor; got ndarray"):
        unwraps(leaf(1.0)).sum().backward()


def test_an_argument_with_a_default_is_not_the_output() -> None:
    @op
    def scales(x: Tensor) -> Any:
        return x.data * 3, lambda g, k=3: g * k

    x = leaf(1.0, 2.0)
    scales(x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [3.0, 3.0])      # type: ignore[union-attr]


def test_ops_take_inputs_by_name_left_out_or_none() -> None:
    @op
    def affine(x: Tensor, w: Tensor, b: Tensor | None = None, *, scale: float = 1.0) -> Any:
        y = x.data * w.data * scale + (0 if b is None else b.data)
        return y, lambda g: g * w * scale, lambda g: g * x * scale, lambda g: g

    x, w, b = leaf(2.0), leaf(3.0), leaf(5.0)
    for y, value in ((affine(x, w), 6.0), (affine(x, w, None, 2.0), 12.0),
                     (affine(x, w, b), 11.0), (affine(x, w=w, b=b), 11.0),
                     (affine(x, b=b, w=w, scale=2.0), 17.0), (affine(2.0, [3.0], b), 11.0)):
        assert y.item() == value
        assert y.requires_grad
    gw, gb = grad(affine(x, b=b, w=w, scale=2.0), [w, b])
    assert (gw.item(), gb.item()) == (4.0, 1.0)
    with pytest.raises(TypeError, match="affine: takes at most 4 arguments; got 5"):
        affine(x, w, b, 2.0, 3.0)
    with pytest.raises(TypeError, match="affine: got scale by position and by name"):
        affine(x, w, b, 2.0, scale=2.0)
    with pytest.raises(TypeError, match="affine: needs a Tensor, an array or numbers; got None"):
        affine(None, w)
    assert affine(input=x, other=w, b=b).item() == 11.0
    with pytest.raises(TypeError, match="affine: missing input 'w'"):
        affine(x)
    with pytest.raises(TypeError, match="unexpected keyword argument 'q'"):
        affine(x, w, q=1)


# ---- higher derivatives, dtypes, NumPy -----------------------------------------------------------

def test_third_derivatives_are_torchs() -> None:
    def f(x: Any, w: Any) -> Any:
        return ((x * w).sin() * x.exp() / (w * w + 1.0)).sum() + (x @ w).tanh() ** 3

    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 4))
    x, w = Tensor(a, True), Tensor(b, True)
    tx, tw = (torch.tensor(v, requires_grad=True) for v in (a, b))
    y, ty = f(x, w), f(tx, tw)
    for order in range(3):
        gx, gw = grad(y, [x, w], create_graph=True)
        tgx, tgw = torch.autograd.grad(ty, [tx, tw], create_graph=True)
        np.testing.assert_allclose(gx.data, tgx.detach().numpy(), rtol=1e-9, err_msg=f"{order}")
        np.testing.assert_allclose(gw.data, tgw.detach().numpy(), rtol=1e-9, err_msg=f"{order}")
        u = rng.standard_normal((2, 4))
        y = (gx * u[0] + gw * u[1]).sum()
        ty = (tgx * torch.tensor(u[0]) + tgw * torch.tensor(u[1])).sum()


def test_backward_with_create_graph_gives_grads_that_can_be_differentiated() -> None:
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    ggx, = grad(x.grad, x)
    assert ggx.item() == pytest.approx(12.0)
    x.grad = None


def test_gradients_come_in_each_inputs_own_dtype() -> None:
    a = mg.tensor([1.0, 2.0], requires_grad=True)
    b = leaf(3.0, 4.0)
    y = (a * b).sum()
    assert y.dtype == np.float64
    y.backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    (a.double() * 2.0).sum().backward()
    assert a.grad.dtype == np.float32
    np.testing.assert_array_equal(a.grad.data, [5.0, 6.0])
