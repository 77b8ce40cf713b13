"""Products on the threads of the kernels: exact, whatever the shapes and the order in memory."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
import torch

from minigrad.kernels.matmul import LARGE, LARGE_VECTOR, product

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def whole(rng: Any, *shape: int) -> Any:
    """Whole numbers, so small that sums of their products are exact in float32."""
    return rng.integers(-9, 10, shape)


def on_each_number_of_threads(a: Any, b: Any, bias: Any = None) -> Any:
    """The product, after a check that one thread and all threads give the same bits."""
    y = product(a, b, bias)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = product(a, b, bias)
    numba.set_num_threads(before)
    assert y.tobytes() == alone.tobytes()
    return y


@pytest.mark.parametrize(("m", "k", "n"), [
    (100, 157, 50), (50, 100, 157), (1, 600, 500), (500, 600, 1), (7, 3, 20_000), (20_000, 3, 7),
    (450, 30, 410), (100, 500, 10), (10, 100, 500), (1600, 20, 1601), (1, 300_000, 1),
    (3, 700, 601), (4, 300_000, 1), (1, 1, 20_000), (20_000, 1, 1)])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
@FLOATS
def test_large_products_of_whole_numbers_are_exact(m: int, k: int, n: int, orders: str,
                                                   dtype: type) -> None:
    assert m * k * n > (LARGE_VECTOR if 1 in (m, n) else LARGE)
    rng = np.random.default_rng(0)
    a, b, bias = whole(rng, m, k), whole(rng, k, n), whole(rng, n)
    for added in (None, bias.astype(dtype)):
        given_a, given_b = (np.asarray(x, dtype, order=order)
                            for x, order in zip((a, b), orders, strict=True))
        y = product(given_a, given_b, added)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(y, a @ b + (0 if added is None else bias))


@pytest.mark.parametrize("view", [
    lambda x: x[:, ::2], lambda x: x[::-1, :320], lambda x: x[:, 320::-1], lambda x: x[:, 3:323],
    lambda x: np.broadcast_to(x[0, :320], (300, 320)), lambda x: x[:, 5:6].repeat(320, 1),
    lambda x: np.broadcast_to(x[:, :1], (300, 320)), lambda x: np.broadcast_to(x[0, 0], (300, 320)),
    lambda x: np.lib.stride_tricks.sliding_window_view(x.ravel(), 320)[:300]])
def test_any_view_is_multiplied(view: Any) -> None:
    x = view(np.arange(300 * 640.0).reshape(300, 640) % 7)
    ones = np.ones((x.shape[1], 30))
    np.testing.assert_array_equal(product(x, ones), x.sum(1, keepdims=True) * ones[:1])
    np.testing.assert_array_equal(product(ones.T, x.T), x.sum(1) * ones.T[:, :1])


@pytest.mark.parametrize(("a_lead", "b_lead"), [
    ((70,), (70,)), ((5, 7), (5, 7)), ((1, 40), (30, 1)), ((40,), (3, 1)), ((2, 3, 4), (2, 3, 4)),
    ((2, 1, 4), (3, 1)), ((2, 1, 3, 2), (4, 3, 1)), ((), (40,)), ((40,), ()), ((3,), (2, 3, 7, 3))])
@pytest.mark.parametrize(("m", "k", "n"), [(16, 32, 24), (300, 8, 30), (3, 200, 30), (1, 400, 20)])
@FLOATS
def test_stacks_of_whole_numbers_are_exact(a_lead: Any, b_lead: Any, m: int, k: int, n: int,
                                           dtype: type) -> None:
    rng = np.random.default_rng(1)
    a, b, bias = whole(rng, *a_lead, m, k), whole(rng, *b_lead, k, n), whole(rng, n)
    expected = a @ b + bias
    a, b, bias = (x.astype(dtype) for x in (a, b, bias))
    transposed_a = np.ascontiguousarray(a.swapaxes(-2, -1)).swapaxes(-2, -1)
    outermost_last = np.ascontiguousarray(b.T).T
    every_other = np.repeat(b, 2, axis=-1)[..., ::2]
    for given_a in (a, transposed_a):
        for given_b in (b, outermost_last, every_other):
            y = on_each_number_of_threads(given_a, given_b, bias)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, expected)


def test_attention_takes_heads_as_they_lie_and_gives_them_back_side_by_side() -> None:
    qkv = np.random.default_rng(2).standard_normal((4, 32, 3, 5, 16))
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)                      # each (N, heads, L, d)
    tq, tk, tv = (torch.tensor(x) for x in (q, k, v))
    scores = on_each_number_of_threads(q, k.swapaxes(-2, -1))
    np.testing.assert_allclose(scores, tq @ tk.transpose(-2, -1), rtol=1e-12, atol=1e-12)
    assert scores.flags.c_contiguous
    y = on_each_number_of_threads(scores, v)
    np.testing.assert_allclose(y, torch.tensor(scores) @ tv, rtol=1e-12, atol=1e-12)
    assert y.swapaxes(1, 2).flags.c_contiguous
    dv = on_each_number_of_threads(scores.swapaxes(-2, -1), y)
    np.testing.assert_allclose(dv, torch.tensor(scores).transpose(-2, -1) @ torch.tensor(y),
                               rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("a", "b"), [
    ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((0, 2, 3), (3, 4)), ((5, 2, 0), (5, 0, 4)),
    ((2, 0, 3, 4), (0, 4, 3)), ((0, 300), (300, 300)), ((300, 0), (0, 3000))])
def test_empty_products_are_zeros(a: Any, b: Any) -> None:
    y = product(np.ones(a), np.ones(b))
    np.testing.assert_array_equal(y, np.ones(a) @ np.ones(b))
    bias = np.arange(float(b[-1]))
    np.testing.assert_array_equal(product(np.ones(a), np.ones(b), bias), y + bias)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("m", [1, 3, 50])
def test_infinities_and_nan_pass(m: int, value: float) -> None:
    a, b = np.ones((m, 300)), np.ones((300, 200))
    b[7, 3] = value
    y = product(a, b)
    np.testing.assert_array_equal(y[:, 3], value)
    np.testing.assert_array_equal(np.delete(y, 3, 1), 300.0)
