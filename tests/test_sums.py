"""Large reductions along any dims and in any order of memory, and rows picked by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import functional as F
from minigrad.kernels.sums import LARGE

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize(("shape", "dim"), [
    ((400, 90), 0), ((2, 200, 3, 50), (0, 1)), ((2, 200, 3, 50), (2, 1)), ((40, 30, 40), 1),
    ((40, 30, 40), (0, 2)), ((3000, 3, 5), 0), ((3, 20_000), 0), ((70_000,), 0), ((1, 40_000), 0),
    ((40, 30, 40), 2), ((300, 300), ())])
@FLOATS
def test_large_sums_of_whole_numbers_are_exact(shape: Any, dim: Any, dtype: type) -> None:
    whole = np.random.default_rng(0).integers(-9, 10, shape)
    assert whole.size >= LARGE
    arrays: list[Any] = [whole.astype(dtype), np.asfortranarray(whole, dtype)]
    for x in arrays:
        for keepdim in (False, True):
            y = mg.sum(mg.tensor(x), dim, keepdim)
            assert y.dtype == dtype
            np.testing.assert_array_equal(
                y.data, torch.tensor(whole).sum(dim, keepdim=keepdim).numpy())


def orders(x: Any) -> Iterator[Any]:
    """The same values, with the dims in each order of memory, with gaps, and the last expanded."""
    for order in itertools.permutations(range(x.ndim)):
        yield x.transpose(order).copy().transpose(np.argsort(order))
    yield np.repeat(x, 2, -1)[..., ::2]
    yield np.broadcast_to(x[..., :1], x.shape)


@pytest.mark.parametrize("shape", [(40, 30, 40), (40_000, 3), (3, 40_000), (5, 4096, 2)])
@FLOATS
def test_reductions_along_any_dims_in_any_order_of_memory(shape: Any, dtype: type) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype)
    tolerance = 3e-6 if dtype is np.float32 else 1e-12
    for x in orders(values):
        for count in range(1, x.ndim + 1):
            for dim in itertools.combinations(range(x.ndim), count):
                exact = x.astype(np.float64)
                for found, expected in (
                        (mg.mean(x, dim), exact.mean(dim)),
                        (mg.var(x, dim), exact.var(dim, ddof=1)),
                        (mg.amax(x, dim), x.max(dim)), (mg.amin(x, dim), x.min(dim)),
                        (mg.logsumexp(x, dim), np.log(np.exp(exact).sum(dim)))):
                    assert found.dtype == dtype
                    np.testing.assert_allclose(found.data, expected, tolerance, tolerance)


@pytest.mark.parametrize("dim", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
def test_extremes_are_nan_where_a_number_is(dim: Any) -> None:
    x = np.random.default_rng(0).standard_normal((40, 30, 40)).astype(np.float32)
    x[3, 4, 5], x[7, 8, 9] = np.nan, -np.nan
    np.testing.assert_array_equal(mg.amax(x, dim).data, x.max(dim))
    np.testing.assert_array_equal(mg.amin(x, dim).data, x.min(dim))


MANY = 2**24


@pytest.mark.parametrize(("shape", "dim"), [
    ((MANY,), (0,)), ((MANY // 2, 2), (0,)), ((2, MANY // 2), (1,)), ((MANY // 64, 64), (0,)),
    ((4, MANY // 16, 4), (1,)), ((16, 64, MANY // 1024), (0, 2))])
@pytest.mark.parametrize("kind", ["ones", "tenths", "random"])
def test_a_sum_of_many_numbers_keeps_its_digits(shape: Any, dim: Any, kind: str) -> None:
    x = (np.random.default_rng(0).random(shape, np.float32) if kind == "random"
         else np.full(shape, 1 if kind == "ones" else 0.1, np.float32))
    for ours, exact in ((mg.sum(x, dim), x.sum(dim, dtype=np.float64)),
                        (mg.mean(x, dim), x.mean(dim, dtype=np.float64))):
        np.testing.assert_allclose(ours.data, exact, 2e-7)


@pytest.mark.parametrize("rows", [1000, 4000, 60_000])
def test_sums_over_a_batch_keep_their_digits(rows: int) -> None:
    """In a bias's gradient, in the mean of losses, and where few values make NumPy's sum."""
    x = np.full((rows, 4), 0.1, np.float32)
    bias = mg.tensor(np.zeros(4, np.float32), requires_grad=True)
    (mg.tensor(x * 0) + bias).backward(mg.tensor(x))
    assert bias.grad is not None
    np.testing.assert_allclose(bias.grad.data, rows * float(np.float32(0.1)), 2e-6)
    np.testing.assert_allclose(F.l1_loss(x, x * 0).item(), np.float32(0.1), 2e-6)


@FLOATS
def test_the_variance_of_equal_numbers_is_zero(dtype: type) -> None:
    x = np.full((300, 301), 0.1, dtype)
    for dim in ((0,), (1,), (0, 1)):
        assert not mg.var(x, dim).data.any()


@FLOATS
def test_large_sums_are_the_same_on_any_number_of_threads(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((500, 100)).astype(dtype))
    rows = rng.integers(0, 9, 500)
    before, found = numba.get_num_threads(), set()
    for threads in {1, before}:
        numba.set_num_threads(threads)
        table = mg.tensor(np.zeros((9, 100), dtype))
        table.requires_grad = True
        F.embedding(mg.tensor(rows), table).backward(x)
        assert table.grad is not None
        found.add((x.sum(0).data.tobytes(), table.grad.data.tobytes()))
    numba.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("rows", [[[-1, 0, 2], [2, 2, -3]], [], [[]], 1])
def test_gradient_of_rows_by_number(rows: Any) -> None:
    values = np.arange(12.0).reshape(4, 3)
    index = np.asarray(rows, np.int64)
    x, expected = mg.tensor(values), torch.tensor(values, requires_grad=True)
    x.requires_grad = True
    y = expected[torch.tensor(index)]
    weights = np.arange(1.0, y.numel() + 1).reshape(y.shape)
    (y * torch.tensor(weights)).sum().backward()
    (x[index] * mg.tensor(weights)).sum().backward()
    assert x.grad is not None
    assert expected.grad is not None
    np.testing.assert_array_equal(x.grad.data, expected.grad.numpy())


def test_gradient_of_single_values_by_number() -> None:
    x = mg.tensor(np.zeros((4, 3)))
    x.requires_grad = True
    x[np.array([1, 1, 3]), np.array([0, 0, 2])].sum().backward()
    assert x.grad is not None
    assert x.grad.data[1, 0] == 2
    assert x.grad.data.sum() == 3
