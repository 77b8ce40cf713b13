"""Indexing beyond the table of ops: shared memory, assignment, what reads as a list of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.tensor import Tensor

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("key", [0, (1, 2, 3), ..., (), None, (0, ..., None), slice(1, None),
                                 (slice(None, None, 2), -1), np.int64(1), np.array(1),
                                 (..., 0, slice(1, 3))], ids=str)
def test_ints_and_slices_give_views(key: Any) -> None:
    x = mg.tensor(X)
    y = x[key]
    assert isinstance(y.data, np.ndarray)
    assert np.shares_memory(y.data, x.data)
    y[...] = -1.0
    expected = torch.tensor(X)
    expected[key] = -1.0
    np.testing.assert_array_equal(x.data, expected.numpy())


@pytest.mark.parametrize("key", [[0], True, X > 3, ([1, 0], [2, 0]), (0, [1, 1]), (..., [0, 2])],
                         ids=str)
def test_arrays_and_masks_give_copies(key: Any) -> None:
    x = mg.tensor(X)
    assert not np.shares_memory(x[key].data, x.data)


def test_the_elements_of_a_vector_are_views_of_it() -> None:
    x = mg.tensor([1.0, 2.0, 3.0])
    for y in x:
        assert y.shape == ()
        y[...] = y * 2
    np.testing.assert_array_equal(x.data, [2.0, 4.0, 6.0])


@pytest.mark.parametrize("key", [
    (0, slice(None), [1, 3]), ([1, 0], slice(None), [1, 3]), (slice(None), 2, [0, 2]), X > 5,
    (X[:, :, 0] > 3, 1), (..., [True, False, True, False]), (0, True, [1, 2]), [[0, 1], [2, 0]],
    (None, 1, ..., [0, 0]), False, []], ids=str)
def test_assignment_reaches_what_reading_gives(key: Any) -> None:
    def for_torch(k: Any) -> Any:
        if isinstance(k, tuple) or (isinstance(k, list) and [0, 1] in k):
            return tuple(map(for_torch, k))
        return torch.tensor(k) if isinstance(k, np.ndarray) else k
    x, t = mg.tensor(X), torch.tensor(X)
    x[key] = 7.0
    t[for_torch(key)] = 7.0
    np.testing.assert_array_equal(x.data, t.numpy())


def test_assignment_refuses_what_reading_refuses() -> None:
    x = mg.tensor(X)
    for key, kind, message in ((5, IndexError, "index 5 is out of range for dim 0 of size 2"),
                               (slice(None, None, -1), ValueError, "step must be positive; got -1"),
                               ((0, 0, 0, 0), IndexError, "4 indices are too many"),
                               (X[0] > 3, IndexError, "a mask of shape .* does not fit")):
        with pytest.raises(kind, match=f"indexing: .*{message}"):
            x[key] = 0.0
    np.testing.assert_array_equal(x.data, X)


def test_tensors_index_as_arrays_do() -> None:
    x, t = mg.tensor(X), torch.tensor(X)
    for key in ([1, 0], [[0, 1], [1, 1]], [True, False], 1):
        np.testing.assert_array_equal(x[mg.tensor(key)].data, t[torch.tensor(key)].numpy())
    np.testing.assert_array_equal(x[mg.tensor(0):mg.tensor(1)].data, X[:1])
    np.testing.assert_array_equal(x[[mg.tensor([0]), mg.tensor([1])]].data, X[[0], [1]])
    assert isinstance(mg.tensor([3, 4])[0].item(), int)


def test_lists_of_tensors_are_wanted() -> None:
    x = Tensor(X)
    for f in (mg.cat, mg.stack):
        with pytest.raises(TypeError, match=f"{f.__name__}: tensors must be a tuple or list; got"):
            f(x)
        with pytest.raises(TypeError, match=f"{f.__name__}: needs a Tensor, an array or numbers"):
            f([x, None])


def sliced(x: Any) -> Any:
    """A number that depends on x by way of overlapping slices, of all of x, and of sums of it."""
    y = x * 1.5
    first, second, rest = y[:, :1], y[..., ::2], y[1:, 1:, 1:3]
    total = (first ** 2).sum() * (second ** 3).sum() + (y * y).sum() + (y + y).sum()
    return total + (rest * y[1, 1, 1]).sum() + y[0].sum() * (x[1] * x[0]).sum()


def test_gradients_of_several_slices_add_up() -> None:
    x, expected = mg.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    for _ in range(2):                      # and once more, to what is there
        sliced(x).backward()
        sliced(expected).backward()
        assert x.grad is not None
        assert expected.grad is not None
        np.testing.assert_allclose(x.grad.data, expected.grad.numpy(), rtol=1e-12)


def test_gradients_of_slices_can_be_differentiated() -> None:
    x, expected = mg.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    (g,) = mg.grad(sliced(x), x, create_graph=True)
    (t,) = torch.autograd.grad(sliced(expected), expected, create_graph=True)
    (g ** 2).sum().backward()
    (t ** 2).sum().backward()
    assert x.grad is not None
    assert expected.grad is not None
    np.testing.assert_allclose(x.grad.data, expected.grad.numpy(), rtol=1e-12)


def test_the_gradient_of_a_slice_is_not_changed_by_that_of_another() -> None:
    x = mg.tensor(X, requires_grad=True)
    y = x * 1.0
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.data.copy()))
    a, b = y[0], y[1]
    a.retain_grad()
    b.retain_grad()
    (a.sum() + (b * 2).sum()).backward()
    assert a.grad is not None
    assert b.grad is not None
    np.testing.assert_array_equal(a.grad.data, 1.0)
    np.testing.assert_array_equal(b.grad.data, 2.0)
    np.testing.assert_array_equal(seen, [np.stack([a.grad.data, b.grad.data])])
