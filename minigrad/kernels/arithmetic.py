"""Sums and products of large arrays: in recycled memory, shared out among all threads.

NumPy adds two arrays with one thread, into memory that the operating system may have to hand out
anew, page by page. For arrays that no cache holds, either takes longer than the additions.

An operand that is broadcast is read again and again, which only takes a step of 0 from one value to
the next. So all cases have one form: the output is seen as (planes, rows, columns), in the order in
which it lies in memory, and each operand has a step in memory for each of the three. For example,

    y (N, C, H, W) + b (C, 1, 1)      is (N, C, H·W), and the steps of b are (0, 1, 0),
    y (N, L, D) + p (L, D)            is (1, N, L·D), and the steps of p are (0, 0, 1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    TINY_STEPS,
    Array,
    Float1,
    contiguous,
    empty,
    empty_in_order,
    inline,
    kernel,
    memory_order,
    prange,
)

LARGE = 2**15       # values; with fewer, NumPy is done before the threads have begun
SHORT = 16          # columns; with fewer, finding the next row takes longer than computing a row
PIECE = 2**13       # values that a thread computes at a time

ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM = range(6)
UFUNCS = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum)

Triple = tuple[int, int, int]
Steps = tuple[int, ...]

ALONG = (0, 0, 1)   # the steps of an operand that is not broadcast, in a single row


@inline
def place_of(at: int, sizes: Triple, steps: Triple) -> int:
    """Where in memory an operand has the value for place `at` of the output."""
    row = at // sizes[2]
    return row // sizes[1] * steps[0] + row % sizes[1] * steps[1] + at % sizes[2] * steps[2]


@inline
def value_of(kind: int, a: float, b: float) -> float:
    """The kind is the same for all values, so the compiler decides it once, outside of loops."""
    if kind == ADD:
        return a + b
    if kind == SUBTRACT:
        return a - b
    if kind == MULTIPLY:
        return a * b
    if kind == DIVIDE:
        return a / b
    if kind == MAXIMUM:
        return a if (a >= b) | (a != a) else b
    return a if (a <= b) | (a != a) else b


def arithmetic_numpy(a: Float1, b: Float1, kind: int, sizes: Triple, a_steps: Triple,
                     b_steps: Triple, y: Float1) -> None:
    """y = a + b, a - b, a · b, a / b, max(a, b) or min(a, b)."""
    left, right = (
        np.lib.stride_tricks.as_strided(x, sizes, [step * x.itemsize for step in steps])
        for x, steps in ((a, a_steps), (b, b_steps)))
    UFUNCS[kind](left, right, out=y.reshape(sizes))


@kernel(arithmetic_numpy, writes=("y",), small=TINY_STEPS, work=lambda *given: given[-1].size)
def arithmetic(a: Float1, b: Float1, kind: int, sizes: Triple, a_steps: Triple, b_steps: Triple,
               y: Float1) -> None:
    for piece in prange((y.shape[0] + PIECE - 1) // PIECE):
        at, end = piece * PIECE, min(piece * PIECE + PIECE, y.shape[0])
        while at < end:                                 # to the end of the row, or of the piece
            stop = min(at // sizes[2] * sizes[2] + sizes[2], end)
            i, j, n = place_of(at, sizes, a_steps), place_of(at, sizes, b_steps), stop - at
            target = y[at:stop]
            if a_steps[2] == b_steps[2]:
                left, right = a[i:i + n], b[j:j + n]
                for p in range(n):
                    target[p] = value_of(kind, left[p], right[p])
            elif a_steps[2]:
                left, value = a[i:i + n], b[j]
                for p in range(n):
                    target[p] = value_of(kind, left[p], value)
            else:
                value, right = a[i], b[j:j + n]
                for p in range(n):
                    target[p] = value_of(kind, value, right[p])
            at = stop


# ---- on arrays of any shape ----------------------------------------------------------------------

def add(a: Array, b: Array) -> Any:
    """a + b"""
    return _large(ADD, a, b) if a.size >= LARGE or b.size >= LARGE else a + b


def subtract(a: Array, b: Array) -> Any:
    """a - b"""
    return _large(SUBTRACT, a, b) if a.size >= LARGE or b.size >= LARGE else a - b


def multiply(a: Array, b: Array) -> Any:
    """a · b"""
    return _large(MULTIPLY, a, b) if a.size >= LARGE or b.size >= LARGE else a * b


def divide(a: Array, b: Array) -> Any:
    """a / b"""
    return _large(DIVIDE, a, b) if a.size >= LARGE or b.size >= LARGE else a / b


def maximum(a: Array, b: Array) -> Any:
    """max(a, b)"""
    return (_large(MAXIMUM, a, b) if a.size >= LARGE or b.size >= LARGE
            else np.maximum(a, b))


def minimum(a: Array, b: Array) -> Any:
    """min(a, b)"""
    return (_large(MINIMUM, a, b) if a.size >= LARGE or b.size >= LARGE
            else np.minimum(a, b))


def negative(x: Array) -> Any:
    """-x"""
    return _large(MULTIPLY, x, np.asarray(-1, x.dtype)) if x.size >= LARGE else -x


def _large(kind: int, a: Array, b: Array) -> Any:
    if a.dtype is not b.dtype or a.dtype not in FLOATS:
        return UFUNCS[kind](a, b)
    if a.shape == b.shape and a.flags.c_contiguous and b.flags.c_contiguous:
        y = empty(a.shape, a.dtype)
        n = y.size
        arithmetic(a.reshape(n), b.reshape(n), kind, (1, 1, n), ALONG, ALONG, y.reshape(n))
        return y
    shape, order, plan = _planned(a.shape, a.strides, b.shape, b.strides, a.itemsize)
    y = empty_in_order(shape, a.dtype, order)
    if plan is None:                            # their dims lie in memory in different orders
        a, b = (_arranged(x, order) for x in (a, b))
        _, _, plan = _planned(a.shape, a.strides, b.shape, b.strides, a.itemsize)
    if plan is None:
        return UFUNCS[kind](a, b, out=y)
    arithmetic(_as_it_lies(a), _as_it_lies(b), kind, *plan, _as_it_lies(y))
    return y


def _arranged(x: Array, order: tuple[int, ...]) -> Array:
    """x, or a copy of it, with the dims in this order in memory; some may be missing in front."""
    x = x[(None,) * (len(order) - x.ndim)]
    y = contiguous(_once(x).transpose(order)).transpose(np.argsort(order))
    return y if y.shape == x.shape else np.broadcast_to(y, x.shape)


def _as_it_lies(x: Array) -> Array:
    """The values of an array that fills one stretch of memory, in the order in which they lie."""
    return _in_order(x).reshape(-1)


def _in_order(x: Array) -> Array:
    """A view of x with the dims in the order of memory; contiguous, if x is one stretch of it."""
    if x.flags.c_contiguous:
        return x
    x = _once(x)
    return x.transpose(memory_order(x))


def _once(x: Array) -> Array:
    """x without repetitions: all along an expanded dim is one value."""
    if 0 not in x.strides:
        return x
    return x[tuple(slice(1 if step == 0 else None) for step in x.strides)]


Plan = tuple[Triple, Triple, Triple] | None


@lru_cache(1024)            # a network adds arrays of the same few shapes again and again
def _planned(a_shape: Steps, a_strides: Steps, b_shape: Steps, b_strides: Steps, itemsize: int
             ) -> tuple[Steps, Steps, Plan]:
    """The shape of the output, the order of its dims in memory, and the sizes and steps of the
    loop; None if an operand is not one stretch of memory, or the loop would have short rows."""
    # without values: of these arrays only the shapes and strides are looked at
    a, b = (np.lib.stride_tricks.as_strided(np.empty(0, f"V{itemsize}"), *given)
            for given in ((a_shape, a_strides), (b_shape, b_strides)))
    shape = np.broadcast_shapes(a_shape, b_shape)
    # that of the first, unless the dims of the other lie as they are ordered
    whole = [x for x in (a, b) if x.shape == shape and 0 not in x.strides]
    order = memory_order(min(whole, key=lambda x: not x.flags.c_contiguous,
                             default=np.empty(shape, "V0")))
    sizes: list[int] = []
    steps: list[tuple[int, ...]] = []           # for each dim: the output's, a's, b's
    y = empty_in_order(shape, f"V{itemsize}", order)
    for dim in order:
        own = tuple(x.strides[dim] // itemsize if shape[dim] > 1 else 0
                    for x in (y, *np.broadcast_arrays(a, b)))
        if shape[dim] == 1:
            continue
        if sizes and all(before == shape[dim] * step
                         for before, step in zip(steps[-1], own, strict=True)):
            sizes[-1], steps[-1] = sizes[-1] * shape[dim], own      # goes on where that dim ends
        else:
            sizes.append(shape[dim])
            steps.append(own)
    dense = all(_in_order(x).flags.c_contiguous for x in (a, b))
    if not dense or not 0 < len(sizes) <= 3 or sizes[-1] < SHORT \
            or steps[-1][1:] not in ((1, 1), (0, 1), (1, 0)):
        return shape, order, None
    while len(sizes) < 3:
        sizes.insert(0, 1)
        steps.insert(0, (0, 0, 0))
    _, of_a, of_b = zip(*steps, strict=True)
    return shape, order, ((sizes[0], sizes[1], sizes[2]), of_a, of_b)
