"""`gemm` in a compiled loop and as plain Python: matrices taken where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from minigrad.kernels import gemm, load_numba, takes

sizes = st.integers(0, 5)


@pytest.fixture(scope="module")
def compiled() -> Any:
    def loop(a: Any, b: Any, y: Any, adds: bool) -> None:
        gemm(a, b, y, adds)

    return load_numba().njit(loop)


def laid_out(x: Any, layout: str, dtype: str) -> Any:
    """x, in memory row by row or column by column, part of a larger matrix or not."""
    x = x.astype(dtype)
    if "transposed" in layout:
        return laid_out(x.T, layout.replace("transposed", ""), dtype).T
    if "part" in layout:
        whole = np.full((len(x) + 2, x.shape[1] + 3), np.nan, dtype)
        whole[1:-1, 2:-1] = x
        return whole[1:-1, 2:-1]
    return x.copy()


layouts = st.sampled_from(["whole", "part", "transposed", "transposed part"])


@given(m=sizes, k=sizes, n=sizes, a_layout=layouts, b_layout=layouts,
       y_layout=st.sampled_from(["whole", "part"]), adds=st.booleans(),
       dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 99))
@example(m=1, k=3, n=1, a_layout="part", b_layout="part", y_layout="part", adds=True,
         dtype="float32", seed=0)
def test_gemm_takes_matrices_as_they_lie(
        compiled: Any, m: int, k: int, n: int, a_layout: str, b_layout: str, y_layout: str,
        adds: bool, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, before = (rng.integers(-9, 10, shape) for shape in ((m, k), (k, n), (m, n)))
    expected = a @ b + (before if adds else 0)
    for run in (compiled, gemm):
        y = laid_out(before, y_layout, dtype)
        given_a, given_b = laid_out(a, a_layout, dtype), laid_out(b, b_layout, dtype)
        assert takes(given_a)
        assert takes(given_b)
        run(given_a, given_b, y, adds)
        np.testing.assert_array_equal(y, expected)
        if y.base is not None:                          # the rest of the larger matrix
            assert np.isnan(y.base).sum() == y.base.size - y.size


def test_a_single_row_or_column_may_have_any_stride(compiled: Any) -> None:
    x = np.arange(12.0).reshape(3, 4)
    for a, b in ((x[:1], x.T[:, ::2]), (x[:, 1:2].T, x[:, ::3]), (x[1][None], x[1][:, None]),
                 (x[:, 1:2], x[2:3]), (x[::2, :1], x[None, 0, ::2]), (x[:, ::4], x[:1, ::4])):
        assert takes(a)
        y = np.empty((len(a), b.shape[1]))
        if takes(b):
            compiled(a, b, y, False)
            np.testing.assert_array_equal(y, a @ b)


@pytest.mark.parametrize("view", [
    lambda x: x[:, ::2], lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x[::2].T[::2],
    lambda x: np.broadcast_to(x[0], x.shape), lambda x: np.broadcast_to(x[:, :1], x.shape),
    lambda x: np.broadcast_to(x[0, 0], x.shape),
    lambda x: np.lib.stride_tricks.sliding_window_view(x.ravel(), 3)])
def test_what_gemm_does_not_take(view: Any) -> None:
    assert not takes(view(np.ones((4, 6))))


def test_a_stride_that_is_no_whole_number_of_values_is_not_taken() -> None:
    table = np.zeros(3, [("row", np.float64, 4), ("flag", np.int8)])
    assert not takes(table["row"])
