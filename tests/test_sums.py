"""Large sums over leading or middle dims, and gradients of rows picked by number."""

from __future__ import annotations

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
