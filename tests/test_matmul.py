"""Products large enough to be shared out among threads: exact, whatever the shape and the order in
memory."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.kernels.matmul import LARGE, product


@pytest.mark.parametrize(("m", "k", "n"), [
    (100, 157, 50), (50, 100, 157), (1, 600, 500), (500, 600, 1), (7, 3, 20_000), (20_000, 3, 7),
    (450, 30, 410), (100, 500, 10), (10, 100, 500), (1600, 20, 1601)])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_products_of_whole_numbers_are_exact(m: int, k: int, n: int, orders: str,
                                                   dtype: type) -> None:
    assert m * k * n > LARGE
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 10, (m, k)), rng.integers(-9, 10, (k, n))
    y = product(np.asarray(a, dtype, order=orders[0]), np.asarray(b, dtype, order=orders[1]))
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, a @ b)


def test_every_other_column_is_multiplied_as_it_stands() -> None:
    a, b = (np.arange(300 * 160.0).reshape(300, 160) % 7)[:, ::2], np.ones((80, 30))
    np.testing.assert_array_equal(product(a, b), a.sum(1, keepdims=True) * np.ones(30))
