"""In-place changes: noticed where backward needs the value, and only there."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import inplace
from minigrad.autograd import Recorded, no_grad, op
from minigrad.inplace import mark_changed
from minigrad.tensor import Tensor


def leaf(*values: float) -> Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def assign(t: Tensor) -> None:
    with no_grad():
        t[0] = 9.0


def assign_data(t: Tensor) -> None:
    t.data = np.array([9.0, 9.0])


def subtract_data(t: Tensor) -> None:
    t.data -= 0.5


def fill(t: Tensor) -> None:
    with no_grad():
        t.fill_(0.5)


def kernel(t: Tensor) -> None:
    np.subtract(t.data, 0.1, out=t.data)
    mark_changed(t.data)


def through_a_view(t: Tensor) -> None:
    t.detach().reshape(2, 1)[0] = 9.0


def through_the_array(t: Tensor) -> None:
    Tensor(t.data[1:])[...] = 9.0


IN_PLACE = [assign, subtract_data, fill, kernel, through_a_view, through_the_array]


@pytest.mark.parametrize("change", IN_PLACE)
def test_a_needed_value_that_changed_is_an_error_naming_the_op(
        change: Callable[[Tensor], None]) -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"mul: a value of shape \(2,\) .* changed in place"):
        y.backward()
    assert x.grad is None


@pytest.mark.parametrize("change", [*IN_PLACE, assign_data])
def test_no_false_alarm_where_the_value_is_not_needed(change: Callable[[Tensor], None]) -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x + w).sum()
    change(w)
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [1.0, 1.0])


@pytest.mark.parametrize("change", [*IN_PLACE, assign_data])
def test_no_false_alarm_where_only_another_inputs_gradient_needs_it(
        change: Callable[[Tensor], None]) -> None:
    x, w = mg.tensor([1.0, 2.0], dtype=mg.float64), leaf(3.0, 4.0)
    y = (x * w).sum()
    change(w)                                           # ∂y/∂w = x
    y.backward()
    np.testing.assert_array_equal(w.grad.data, [1.0, 2.0])


def test_the_first_layer_does_not_need_its_weight() -> None:
    x = mg.tensor([[1.0, 2.0]], dtype=mg.float64)
    w = mg.tensor([[3.0, 4.0]], dtype=mg.float64, requires_grad=True)
    y = mg.functional.linear(x, w).sum()
    subtract_data(w)
    y.backward()
    np.testing.assert_array_equal(w.grad.data, x.data)


def test_assigning_data_is_a_change_too() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    assign_data(w)
    with pytest.raises(RuntimeError, match="mul: a value of shape"):
        y.backward()


def test_an_output_that_its_own_gradient_needs() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    total = y.sum()
    y.detach()[0] = 5.0
    with pytest.raises(RuntimeError, match="exp: a value"):
        total.backward()


def test_a_change_before_recording_is_no_matter() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assign(w)
    (x * w).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [9.0, 4.0])


def test_training_steps_in_a_row() -> None:
    x, w = mg.tensor([1.0, 2.0], dtype=mg.float64), leaf(3.0, 4.0)
    for _ in range(3):
        loss = ((x * w).exp() * w).sum()
        w.grad = None
        loss.backward()
        w.data -= 1e-4 * w.grad.data
    assert np.isfinite(w.data).all()


def test_a_weight_used_before_and_after_its_update() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    before = (x * w).sum()
    subtract_data(w)
    after = (x * w).sum()
    after.backward()
    with pytest.raises(RuntimeError, match="changed in place"):
        before.backward()


def test_an_unrelated_change_is_no_matter() -> None:
    x, w, other = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    y = (x * w).sum()
    assign(other)
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [3.0, 4.0])


def test_a_clone_is_safe() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w.clone()).sum()
    assign(w)
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [3.0, 4.0])


def test_assignment_to_graph_tensors_is_refused() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2.0
    with pytest.raises(RuntimeError, match="the result of mul is part of a graph"):
        y[0] = 1.0
    with pytest.raises(RuntimeError, match=r"a leaf that requires grad .* under no_grad"):
        x[0] = 1.0
    plain = mg.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="the assigned value requires grad"):
        plain[0] = x[0]


@pytest.mark.parametrize("key", [0, -1, (0, slice(1, None)), ..., [1, 0], (0, slice(None), [2, 0]),
                                 np.array([[True, False], [False, True]]), (slice(None), 1, [0])])
def test_assignment_puts_values_where_torch_does(key: Any) -> None:
    x, t = mg.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    torch_key = tuple(torch.tensor(k) if isinstance(k, list) else k for k in key) \
        if isinstance(key, tuple) else torch.tensor(key) if isinstance(key, np.ndarray) else key
    value = np.arange(t[torch_key].numel(), dtype=np.float32).reshape(tuple(t[torch_key].shape))
    x[key] = value
    t[torch_key] = torch.tensor(value)
    np.testing.assert_array_equal(x.data, t.numpy())
    x[key] = 7
    t[torch_key] = 7
    np.testing.assert_array_equal(x.data, t.numpy())


def test_freed_memory_leaves_no_stamp_behind() -> None:
    before = len(inplace._stamps)
    for _ in range(100):
        mg.tensor([1.0, 2.0])[0] = 3.0
    assert len(inplace._stamps) == before


@op
def cube(x: Tensor) -> Recorded:
    def slope() -> Tensor:
        return x * x * 3
    return x.data ** 3, lambda g: g * slope()


def test_what_a_helper_of_the_vjp_holds_on_to_counts() -> None:
    x = leaf(1.0, 2.0)
    y = cube(x).sum()
    assign(x)
    with pytest.raises(RuntimeError, match="cube: a value of shape"):
        y.backward()


# ---- x += 1 --------------------------------------------------------------------------------------

def test_augmented_assignment_changes_a_leaf_in_place_as_in_torch() -> None:
    for lib, w in ((mg, leaf(1.0, 2.0)), (torch, torch.tensor([1.0, 2.0], requires_grad=True))):
        model = [w]
        with lib.no_grad():     # type: ignore[attr-defined]
            for p in model:
                p += 3
                p -= lib.ones(2)            # type: ignore[attr-defined]
                p *= 2
                p /= 4
        np.testing.assert_array_equal(w.detach().numpy(), [1.5, 2.0])
        assert w.requires_grad


def test_augmented_assignment_to_a_graph_tensor_is_recorded_as_in_torch() -> None:
    """All who know the tensor see its new value, and the gradients are those of what it became."""
    found = []
    for lib, x in ((mg, leaf(1.0, 2.0)), (torch, torch.tensor([1.0, 2.0], requires_grad=True,
                                                              dtype=torch.float64))):
        y = known = x * 2
        y += x
        y *= x
        y /= x + 1
        y **= 2
        y -= x
        total: Any = lib.zeros(2, dtype=lib.float64)
        totals = {"loss": total}
        totals["loss"] += y
        total.add_(y)
        total.sum().backward()
        assert known is y
        np.testing.assert_array_equal(total.detach().numpy(), 2 * known.detach().numpy())
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[0], found[1])
    y = leaf(1.0, 2.0) * 2
    y += y
    np.testing.assert_array_equal(y.data, [4.0, 8.0])


@pytest.mark.parametrize("views", [
    list, lambda t: list(t.detach()[:, None]), lambda t: [t[:1], t[1:]],
    lambda t: list(t.reshape(2, 1)), lambda t: list(t.split(1)), lambda t: [t[0], t.view(-1)[1]]])
@pytest.mark.parametrize("change", [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow,
    lambda t, x: t.add_(x)])
def test_a_change_of_a_view_is_made_or_refused_never_lost(views: Any, change: Any) -> None:
    x = leaf(3.0)
    totals, twin = mg.ones(2, dtype=mg.float64) * 2, torch.ones(2, dtype=torch.float64) * 2
    for k, (t, u) in enumerate(zip(views(totals), views(twin), strict=True)):
        loss = x.sum() * k
        with pytest.raises(RuntimeError, match="is a view"):
            change(t, loss)
        with mg.no_grad():                      # changes the memory itself, as in torch
            change(t, loss)
        change(u, torch.tensor(loss.item(), dtype=torch.float64))
    np.testing.assert_array_equal(totals.data, twin.numpy())


@pytest.mark.parametrize("change", [operator.iadd, operator.imul, operator.ipow,
                                    operator.ifloordiv, operator.imod])
def test_rows_change_in_place_without_a_graph(change: Any) -> None:
    ours, theirs = mg.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for x in (ours, theirs):
        for row in x:           # type: ignore[attr-defined]
            row = change(row, 2)
    np.testing.assert_array_equal(ours.data, theirs.numpy())
    for name in ("iand", "ior", "ixor"):
        bits, twin = mg.tensor([[True, False]] * 2), torch.tensor([[True, False]] * 2)
        getattr(operator, name)(bits[0], True)
        getattr(operator, name)(twin[0], True)
        np.testing.assert_array_equal(bits.data, twin.numpy())


def test_a_view_that_nobody_else_sees_can_change() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = (x * 2).reshape(2, 2)
    y += x.reshape(2, 2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [3.0] * 4)      # type: ignore[union-attr]


def test_what_an_earlier_op_needs_is_noticed_when_a_graph_tensor_changes() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    y += x
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward()


def test_augmented_assignment_is_noticed_and_refused_where_torch_refuses() -> None:
    x, c = leaf(1.0, 2.0), leaf(3.0, 4.0).detach()
    y = (x * c).sum()
    c += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    with pytest.raises(RuntimeError, match=r"under no_grad\(\)"):
        x += 1
    for target, value in ((mg.tensor([1, 2]), 0.5), (mg.zeros(2), mg.ones(3, 2))):
        with pytest.raises(RuntimeError, match="cannot become one of"):
            target += value


@pytest.mark.parametrize("changed", ["input", "output", "nothing"])
def test_a_change_that_a_hook_makes_during_the_backward_pass_is_noticed(changed: str) -> None:
    for lib in (mg, torch):
        x: Any = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x.exp() if changed == "output" else x * x
        memory = {"input": x.detach(), "output": y.detach(), "nothing": lib.ones(2)}[changed]

        def hook(_: Any, memory: Any = memory) -> None:
            memory += 1

        z = y * 3
        z.register_hook(hook)
        if changed == "nothing":        # that a gradient needs
            z.sum().backward()
            assert x.grad.tolist() == [6.0, 12.0]
        else:
            with pytest.raises(RuntimeError, match=r"modified by an inplace|changed in place"):
                z.sum().backward()
            assert x.grad is None
