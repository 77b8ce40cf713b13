"""Sums and products of large arrays against NumPy's, however they broadcast and lie in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, strategies as st

from minigrad.kernels import arithmetic

PAIRS: dict[Any, Callable[..., Any]] = {
    arithmetic.add: operator.add, arithmetic.subtract: operator.sub,
    arithmetic.multiply: operator.mul, arithmetic.divide: operator.truediv,
    arithmetic.maximum: np.maximum, arithmetic.minimum: np.minimum}


@pytest.fixture(autouse=True, scope="module")
def every_array_is_large() -> Iterator[None]:
    before = arithmetic.LARGE, arithmetic.SHORT
    arithmetic.LARGE, arithmetic.SHORT = 0, 1
    yield
    arithmetic.LARGE, arithmetic.SHORT = before


@st.composite
def operands(draw: st.DrawFn) -> list[Any]:
    """Two arrays that broadcast: with dims of size 1, permuted, flipped, cut and expanded."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["float32", "float64", "int64"]))
    found = []
    for _ in range(2):
        own = [draw(st.sampled_from([n, 1])) for n in shape[draw(st.integers(0, len(shape))):]]
        order = draw(st.permutations(range(len(own))))
        memory = rng.integers(1, 9, [own[dim] * 2 for dim in order]).astype(dtype)
        x = memory.transpose(np.argsort(order).astype(int))
        cut = [draw(st.sampled_from([slice(n), slice(None, None, 2), slice(None, None, -2)]))
               for n in own]
        x = x[tuple(cut)]
        x = x.copy(draw(st.sampled_from("KC"))) if draw(st.booleans()) else x
        found.append(np.broadcast_to(x, shape) if draw(st.booleans()) else x)
    return found


@pytest.mark.parametrize("ours", PAIRS)
@given(pair=operands())
def test_as_numpy(ours: Callable[..., Any], pair: list[Any]) -> None:
    expected = PAIRS[ours](*pair)
    found = ours(*pair)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert not any(np.shares_memory(found, x) for x in pair)


def test_operands_with_gaps_in_memory_are_only_read_where_they_have_values() -> None:
    x = np.arange(3000 * 4000, dtype=np.float32).reshape(3000, 4000)[:, ::2]
    np.testing.assert_array_equal(arithmetic.add(x, x.copy()), x + x)


@given(pair=operands())
def test_negative_zero(pair: list[Any]) -> None:
    x = pair[0] * 0
    np.testing.assert_array_equal(np.signbit(arithmetic.negative(x)), np.signbit(-x))


def test_thread_count_changes_no_bit() -> None:
    a, b = (np.random.default_rng(i).standard_normal((3, 200, 100)) for i in range(2))
    before = numba.get_num_threads()
    found = []
    for count in (1, before):
        numba.set_num_threads(count)
        found.append(arithmetic.add(a, b[0]).tobytes())
    numba.set_num_threads(before)
    assert len(set(found)) == 1


def test_division_by_zero_is_infinite() -> None:
    x = np.array([1, -1, 0], np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(arithmetic.divide(x, x * 0), x / (x * 0))
