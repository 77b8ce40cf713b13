"""Sums and products of large arrays against NumPy's, however they broadcast and lie in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from minigrad.kernels import arithmetic, division

PAIRS: dict[Any, Callable[..., Any]] = {
    arithmetic.add: operator.add, arithmetic.subtract: operator.sub,
    arithmetic.multiply: operator.mul, arithmetic.divide: operator.truediv,
    arithmetic.maximum: np.maximum, arithmetic.minimum: np.minimum,
    division.floor_divide: np.floor_divide, division.remainder: np.remainder}


@pytest.fixture(autouse=True, scope="module")
def every_array_is_large() -> Iterator[None]:
    before = arithmetic.LARGE, division.LARGE, arithmetic.SHORT
    arithmetic.LARGE, division.LARGE, arithmetic.SHORT = 0, 0, 1
    yield
    arithmetic.LARGE, division.LARGE, arithmetic.SHORT = before


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_quotients_and_rests_are_exact_at_every_size(dtype: str) -> None:
    """Of ordinary numbers, of the largest and the smallest, and of zeros, infinities and NaN."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    special = np.array([0, 1, 2.5, 0.1, 3e8, 7e15, info.max, info.tiny, info.smallest_subnormal,
                        np.inf, np.nan], dtype)
    special = np.concatenate([special, -special])
    pairs = [np.meshgrid(special, special), np.meshgrid(special, rng.standard_normal(400))]
    for scale in (1, 100, 2.0**26, 2.0**30):            # of the quotients
        ordinary, whole = rng.standard_normal((2, 5000)), rng.integers(1, 99, (2, 5000))
        pairs += [(x * scale, y) for x, y in (ordinary, whole, whole / 10)]
    for pair in pairs:
        a, b = (np.ascontiguousarray(x, dtype).reshape(-1) for x in pair)
        for left, right in ((a, b), (b, a)):
            t, u = torch.tensor(left), torch.tensor(right)
            with np.errstate(all="ignore"):
                found = division.floor_divide(left, right), division.remainder(left, right)
                numpys = np.floor_divide(left, right), np.remainder(left, right)
            for ours, expected in zip(found, numpys, strict=True):
                np.testing.assert_array_equal(ours, expected)
                number = ~np.isnan(expected)
                np.testing.assert_array_equal(np.signbit(ours[number]),
                                              np.signbit(expected[number]))
            np.testing.assert_array_equal(found[0], torch.floor_divide(t, u).numpy())
            rest = torch.remainder(t, u).numpy()
            lost = np.isnan(rest)           # PyTorch's is NaN for the largest quotients as well
            np.testing.assert_array_equal(found[1][~lost], rest[~lost])


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
