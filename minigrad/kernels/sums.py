"""Sums over dims that are not the last.

A loop walks over rows and adds them to a row of sums, value by value, which vector instructions do
in the order in which it is written.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import FLOATS, Array, Float3, empty, kernel, prange

LARGE = 2**15       # values; with fewer, NumPy is done before the threads have begun
PARTS = 8           # that the rows of one sum are divided into; the rounding depends on it
COLUMNS = 2**11     # that are summed at a time, so that the sums stay in the first-level cache
NARROW = 16         # columns; with fewer, the loop gains nothing


def row_sums_numpy(x: Float3, y: Float3) -> None:
    """y[a, p] = Σ x[a, i] over the rows i of part p.

    Shapes: x (A, N, C), y (A, P, C): the N rows are divided into P parts.
    """
    parts = y.shape[1]
    for part in range(parts):
        y[:, part] = x[:, x.shape[1] * part // parts:x.shape[1] * (part + 1) // parts].sum(1)


@kernel(row_sums_numpy, writes=("y",))
def row_sums(x: Float3, y: Float3) -> None:
    parts, rows = y.shape[1], x.shape[1]
    for task in prange(y.shape[0] * parts):
        plane, part = task // parts, task % parts
        for left in range(0, x.shape[2], COLUMNS):
            total = y[plane, part, left:left + COLUMNS]
            total[:] = 0
            for i in range(rows * part // parts, rows * (part + 1) // parts):
                row = x[plane, i, left:left + COLUMNS]
                for j in range(len(total)):
                    total[j] += row[j]


def total(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """Σ x over some dims."""
    first, after = (min(dims), max(dims) + 1) if dims else (0, 0)
    planes, rows, columns = (math.prod(part) for part in (
        x.shape[:first], x.shape[first:after], x.shape[after:]))
    neighbours = len(dims) == after - first and columns >= NARROW
    if x.size < LARGE or not neighbours or x.dtype not in FLOATS or not x.flags.c_contiguous:
        return np.asarray(x.sum(dims, dtype=x.dtype, keepdims=keepdims))
    parts = max(1, min(PARTS // planes, rows // PARTS))
    y = empty((planes, parts, columns), x.dtype)
    row_sums(x.reshape(planes, rows, columns), y)
    kept = (1,) * len(dims) if keepdims else ()
    whole: Array = y[:, 0] if parts == 1 else y.sum(1)
    return whole.reshape(*x.shape[:first], *kept, *x.shape[after:])
