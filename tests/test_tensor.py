"""The Tensor itself: operators, in-place methods, `.grad`, and what Python asks of it."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import no_grad, op
from minigrad.tensor import Tensor


def leaf(*values: float) -> Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


# ---- operators -----------------------------------------------------------------------------------

@pytest.mark.parametrize("mixed", [
    lambda x, n: n * x, lambda x, n: n + x, lambda x, n: n - x, lambda x, n: n / x,
    lambda x, n: n**x, lambda x, n: x * n, lambda x, n: x - n, lambda x, n: x / n,
    lambda x, n: x**n, lambda x, n: n @ x, lambda x, n: x @ n])
@pytest.mark.parametrize("number", [np.array([2.0, 3.0]), [2.0, 3.0], np.float64(2.0), 2, 2.5])
def test_arrays_lists_and_numbers_mix_into_operators(mixed: Any, number: Any) -> None:
    x, t = leaf(1.5, 2.5), torch.tensor([1.5, 2.5], dtype=torch.float64, requires_grad=True)
    plain = torch.tensor(number, dtype=torch.float64) if np.ndim(number) else float(number)
    try:
        expected = mixed(t, plain)
    except TypeError:                                   # a number @ a vector
        with pytest.raises((TypeError, RuntimeError)):
            mixed(x, number)
        return
    y = mixed(x, number)
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-6)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-6)


def test_comparisons_with_arrays_from_either_side() -> None:
    x = leaf(1.0, 2.0)
    for y in (x > np.array([0.0, 3.0]), np.array([0.0, 3.0]) < x):
        np.testing.assert_array_equal(y.data, [True, False])
    with pytest.raises(TypeError):
        np.add(np.ones(2), x)


def test_hashing_and_membership_go_by_identity() -> None:
    a, b = leaf(1.0), leaf(1.0)
    assert len({a, b, a}) == 2
    assert {a: 1}.get(b) is None


def test_comparison_with_none_or_text_is_pythons() -> None:
    x = leaf(1.0, 2.0)
    assert (x == None) is False         # noqa: E711
    assert (x != None) is True          # noqa: E711
    assert (x == "a") is False


def test_corners_that_differed_from_torchs() -> None:
    assert mg.sign(mg.tensor([True, False])).data.tolist() == [True, False]
    assert mg.cat([mg.tensor([]), mg.ones(1, 2)]).shape == (1, 2)
    with pytest.raises(RuntimeError, match="must name each of the 2 dims"):
        mg.ones(2, 3).permute()
    with pytest.raises(RuntimeError, match="no size may be negative"):
        mg.randn(-1)


def test_arrays_come_in_this_machines_byte_order_and_hold_numbers() -> None:
    swapped = np.arange(16, dtype=">f4").reshape(1, 1, 4, 4)
    for x in (mg.tensor(swapped), Tensor(swapped)):
        assert mg.functional.max_pool2d(x, 2).data.tolist() == [[[[5.0, 7.0], [13.0, 15.0]]]]
    for data in (np.array(["a"]), np.array([1j]), np.array([None])):
        with pytest.raises(TypeError, match="cannot hold data of dtype"):
            Tensor(data)


OPERATORS = {
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "&": lambda a, b: a & b,
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "-": lambda a, b: a - b,
    "**": lambda a, b: a ** b, "<": lambda a, b: a < b}
OPERANDS = [np.array([1.5, -2.5, 4.0]), np.array([3, -2, 7]), np.array([True, False, True]),
            np.array([3, 2, 7], np.uint8), True, 2, -3, 2.5]


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("a", OPERANDS, ids=str)
@pytest.mark.parametrize("b", OPERANDS, ids=str)
def test_operators_between_all_kinds_are_torchs(symbol: str, a: Any, b: Any) -> None:
    if not (isinstance(a, np.ndarray) or isinstance(b, np.ndarray)):
        return                                          # Python's own numbers
    f = OPERATORS[symbol]
    t = [torch.tensor(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
    x = [Tensor(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
    try:
        expected = f(*t)
    except (RuntimeError, TypeError):
        with pytest.raises((RuntimeError, TypeError)):
            f(*x)
        return
    y = f(*x)
    assert str(y.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.data, expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("number", [np.float64(2.5), np.float64(2.0)])
def test_a_numpy_float_is_a_python_number(number: Any) -> None:
    """np.float64 is a float: as in torch, it widens no float32 and makes float32 of integers."""
    for a in (np.array([1, 2]), np.array([1.5], np.float32), np.array([1.5])):
        for f in (lambda x: x * number, lambda x: number * x, lambda x: x.clamp(number)):
            y, expected = f(Tensor(a)), f(torch.tensor(a))
            assert str(y.dtype) == str(expected.dtype).removeprefix("torch.")
            np.testing.assert_array_equal(y.data, expected.numpy())


def test_unary_operators_and_membership() -> None:
    x, whole, mask = mg.tensor([1.5, -2.0]), mg.tensor([1, -2]), mg.tensor([True, False])
    assert (+x).tolist() == [1.5, -2.0]
    assert abs(whole).tolist() == [1, 2]
    assert (~whole).tolist() == [-2, 1]
    assert (~mask).tolist() == [False, True]
    assert 1.5 in x
    assert 2.0 not in x
    for f, kind in ((lambda: ~x, TypeError), (lambda: -mask, RuntimeError),
                    (lambda: +mask, RuntimeError)):
        with pytest.raises(kind):
            f()


def test_infinities_and_nans_come_without_warnings_in_any_thread() -> None:
    def compute() -> None:
        x = mg.tensor([np.inf, 0.0, -1.0, 1e30], requires_grad=True)
        ys = [x - x, x * 1e30, x * 1e300, x @ x, x / 0, x.log(), (x * 0).sum(), x.sqrt(), x % 0]
        mg.stack([y.sum() for y in ys]).sum().backward()
        mg.functional.conv2d(x.reshape(4, 1, 1, 1), x[:1].reshape(1, 1, 1, 1) - x[0])

    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        compute()
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                compute()
            except BaseException as error:
                failures.append(error)
        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join()
    assert failures == []


def test_numpys_own_warnings_stay_as_the_caller_set_them() -> None:
    with np.errstate(divide="raise"):
        mg.tensor([0.0]).log()
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(1))


# ---- .grad ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("wrong", "kind", "message"), [
    (np.ones(2), TypeError, "grad: needs a Tensor or None; got ndarray"),
    (Tensor(np.ones(3)), RuntimeError, r"float64 \(2,\) must be alike; got float64 \(3,\)"),
    (mg.ones(2), RuntimeError, r"must be alike; got float32 \(2,\)")])
def test_a_gradient_that_does_not_fit_is_refused(wrong: Any, kind: Any, message: str) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(kind, match=message):
        x.grad = wrong
    assert x.grad is None


def test_retain_grad_keeps_the_gradient_of_an_interior_tensor() -> None:
    x, t = leaf(1.0, 2.0), torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y, s = x * x, t * t
    for tensor in (y, s):
        tensor.retain_grad()
        for _ in range(2):
            (tensor * tensor).sum().backward(retain_graph=True)
    assert y.grad.tolist() == s.grad.tolist() == [4.0, 16.0]
    x.retain_grad()                                     # a leaf keeps its own in any case
    y, s = x * 3.0, t * 3.0
    for tensor in (y, s):
        tensor.retain_grad()
        tensor.retain_grad()                            # again: no difference
        tensor.register_hook(lambda g: g * 10.0)        # even after it: what arrives is the hook's
        (tensor * tensor).sum().backward()
    assert y.grad.tolist() == s.grad.tolist()
    with pytest.raises(RuntimeError, match="does not require grad"):
        mg.ones(1).retain_grad()


def test_retain_grad_keeps_no_tensor_alive() -> None:
    gc.disable()
    try:
        y = leaf(1.0) * 2
        y.retain_grad()
        end, gone = y * 2, weakref.ref(y)
        del y
        assert gone() is None
        end.sum().backward()
    finally:
        gc.enable()


# ---- in place ------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "arguments"), [
    ("add_", (2.0,)), ("sub_", (2.0,)), ("mul_", (2.0,)), ("div_", (2.0,)), ("clamp_", (0.0, 1.0))])
def test_in_place_methods_are_torchs(name: str, arguments: tuple[float, ...]) -> None:
    x, t = mg.tensor([1.5, -2.0]), torch.tensor([1.5, -2.0])
    view = x[:1]
    assert getattr(x, name)(*arguments) is x
    np.testing.assert_array_equal(x.data, getattr(t, name)(*arguments).numpy())
    assert view.item() == x.data[0]


def test_in_place_methods_refuse_what_torch_refuses() -> None:
    x, whole = leaf(1.0, 2.0), mg.tensor([1, 2])
    for f, message in ((lambda: x.add_(1.0), "only be changed in place under"),
                       (lambda: whole.div_(2), "int64 .* cannot become one of float32"),
                       (lambda: whole.add_(mg.tensor([[1], [2]])), "cannot become one of")):
        with pytest.raises(RuntimeError, match=message):
            f()
    with no_grad():
        assert x.add_(1.0, alpha=2).tolist() == [3.0, 4.0]


@pytest.mark.parametrize(("key", "value", "kind", "message"), [
    (0, np.ones(3), RuntimeError, r"shape \(3,\) does not fit the place of shape \(4,\)"),
    (..., np.ones((5, 4)), RuntimeError, r"does not fit the place of shape \(3, 4\)"),
    (0, "a", TypeError, "item assignment: needs a Tensor, an array or numbers; got 'a'"),
    (0, None, TypeError, "item assignment: needs a Tensor"),
    (3, 1.0, IndexError, "index 3 is out of range for dim 0 of size 3")])
def test_what_does_not_fit_is_not_assigned(key: Any, value: Any, kind: Any, message: str) -> None:
    x = mg.zeros(3, 4)
    with pytest.raises(kind, match=message):
        x[key] = value
    assert not x.data.any()


def test_memory_that_is_shared_or_read_only_is_not_assigned_to() -> None:
    with pytest.raises(RuntimeError, match=r"read-only, or shared by expand\(\); clone"):
        mg.zeros(1).expand(3)[0] = 1.0


def test_assigned_numbers_keep_their_precision() -> None:
    x = mg.zeros(2, dtype=mg.float64)
    x[0] = 0.3
    x[1:] = [0.1]
    assert x.tolist() == [0.3, 0.1]
    assert mg.zeros(2, dtype=mg.float64).fill_(0.3).tolist() == [0.3, 0.3]


def test_size_of_a_dim() -> None:
    x = mg.zeros(3, 4)
    assert (x.size(), x.size(-1), x.size(dim=0)) == ((3, 4), 4, 3)
    with pytest.raises(IndexError, match="size: dim 2 is out of range"):
        x.size(2)


# ---- vjps that are no plain functions ------------------------------------------------------------

def test_a_vjp_may_be_a_partial_or_a_method() -> None:
    class Scale:
        factor = 3.0

        def back(self, g: Tensor) -> Tensor:
            return g * self.factor

        def back_with_output(self, g: Tensor, y: Tensor) -> Tensor:
            return g * y

    def by(factor: float, g: Tensor) -> Tensor:
        return g * factor

    for vjp, expected in ((partial(by, 3.0), 3.0), (Scale().back, 3.0),
                          (Scale().back_with_output, 6.0)):
        @op
        def triple(x: Tensor, *, vjp: Any = vjp) -> Any:
            return x.data * 3.0, vjp

        x = leaf(2.0)
        triple(x).sum().backward()
        assert x.grad.item() == expected


def test_what_a_partial_holds_may_not_change() -> None:
    def by(factor: Tensor, g: Tensor) -> Tensor:
        return g * factor

    @op
    def times(x: Tensor, w: Tensor) -> Any:
        return x.data * w.data, partial(by, w), None

    x, w = leaf(2.0), mg.tensor([3.0], dtype=mg.float64)
    y = times(x, w)
    w.add_(1.0)
    with pytest.raises(RuntimeError, match=r"times: .* changed in place"):
        y.backward()
