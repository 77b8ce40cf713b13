"""Quotients that are rounded down, and what remains then: a // b and a % b.

NumPy computes them number by number. Float32 can do with a quotient in float64, which vector
instructions find. Where the rest would not be exact, and in float64, the slow way is taken.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    SMALL,
    Array,
    Float1,
    empty_in_order,
    flat,
    inline,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import NAN, ONE, ZERO

LARGE = 2**8        # values; with fewer, NumPy is done before a kernel has begun
PIECE = 2**12       # values that a thread computes at a time
HALF = np.float32(0.5)
EXACT = 2.0**28     # a smaller quotient of float32 leaves a rest that is exact in float64


@inline
def divided(a: Any, b: Any, rest: Any, wants_rest: bool) -> Any:
    """⌊a / b⌋ or a - ⌊a / b⌋·b. rest: what remains of a when a / b is rounded towards 0.

    The steps are those of NumPy and PyTorch, so that each rounding is.
    """
    too_far = (rest != ZERO) & ((rest < ZERO) != (b < ZERO))
    if wants_rest:
        upper = rest + b if too_far else rest
        return upper if rest != ZERO else math.copysign(ZERO, b)
    quotient = (a - rest) / b - (ONE if too_far else ZERO)
    whole = np.floor(quotient)
    whole += ONE if quotient - whole > HALF else ZERO
    whole = whole if quotient != ZERO else math.copysign(ZERO, a / b)
    return whole if b != ZERO else a / b


@inline
def quickly_divided(a: Any, b: Any, wants_rest: bool) -> Any:
    """As `divided`; NaN for what is to be computed the slow way."""
    quotient = np.float64(a) / np.float64(b)
    rest = np.float32(np.float64(a) - np.trunc(quotient) * np.float64(b))
    return divided(a, b, rest, wants_rest) if abs(quotient) < EXACT else NAN


@inline
def has_nan(x: Float1) -> bool:
    count = 0
    for i in range(x.shape[0]):
        count += x[i] != x[i]
    return count > 0


def division_numpy(a: Float1, b: Float1, wants_rest: bool, y: Float1) -> None:
    """y = ⌊a / b⌋ or a - ⌊a / b⌋·b; a or b may be one number."""
    (np.remainder if wants_rest else np.floor_divide)(a, b, out=y)


@kernel(division_numpy, writes=("y",), small=SMALL, work=lambda *given: given[-1].size)
def division(a: Float1, b: Float1, wants_rest: bool, y: Float1) -> None:
    for piece in prange((y.shape[0] + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(piece * PIECE + PIECE, y.shape[0])
        left = a[start:stop] if a.shape[0] > 1 else np.full(stop - start, a[0])
        right = b[start:stop] if b.shape[0] > 1 else np.full(stop - start, b[0])
        target = y[start:stop]
        if y.itemsize == 8:
            target[:] = np.nan
        elif wants_rest:
            for i in range(stop - start):
                target[i] = quickly_divided(left[i], right[i], True)
        else:
            for i in range(stop - start):
                target[i] = quickly_divided(left[i], right[i], False)
        if has_nan(target):
            for i in range(stop - start):
                if target[i] != target[i]:
                    target[i] = divided(left[i], right[i], np.fmod(left[i], right[i]), wants_rest)


# ---- on arrays of any shape ----------------------------------------------------------------------

def floor_divide(a: Array, b: Array) -> Any:
    """⌊a / b⌋"""
    return _divided(a, b, False)


def remainder(a: Array, b: Array) -> Any:
    """a - ⌊a / b⌋·b"""
    return _divided(a, b, True)


def _divided(a: Array, b: Array, wants_rest: bool) -> Any:
    like = a if a.ndim else b
    if like.size < LARGE or a.dtype is not b.dtype or a.dtype not in FLOATS \
            or not {a.shape, b.shape} <= {like.shape, ()}:
        return (np.remainder if wants_rest else np.floor_divide)(a, b)
    order = memory_order(like)
    y = empty_in_order(like.shape, like.dtype, order)
    division(*(flat(x, order) if x.ndim else x.reshape(1) for x in (a, b)), wants_rest,
             flat(y, order))
    return y
