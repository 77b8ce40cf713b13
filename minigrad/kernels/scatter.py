"""Rows of a table picked by their numbers, and the gradient of this: rows added up in the places
of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    SMALL,
    Array,
    Float1,
    Float2,
    Float3,
    Int1,
    empty,
    inline,
    kernel,
    prange,
)

BLOCK = 2**12       # values that a thread copies at a time
PARTS = 8           # of a table; a thread owns the rows whose number has its remainder
EXACT = 64          # numbers that float32 may add up one after the other
# integers that name places, and their unsigned twins
INDICES: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.int64): np.dtype(np.uint64), np.dtype(np.int32): np.dtype(np.uint32)}


def _picked(x: Array, places: Array, y: Array) -> int:
    return y.size


def pick_rows_numpy(x: Float2, rows: Int1, y: Float2) -> None:
    """y[i] = x[rows[i]]."""
    y[:] = x[rows]


@kernel(pick_rows_numpy, writes=("y",), small=SMALL, work=_picked)
def pick_rows(x: Float2, rows: Int1, y: Float2) -> None:
    columns = x.shape[1]
    step = max(1, BLOCK // max(1, columns))
    for block in prange((rows.shape[0] + step - 1) // step):
        for i in range(block * step, min(block * step + step, rows.shape[0])):
            source, target = x[rows[i]], y[i]
            for j in range(columns):
                target[j] = source[j]


def scatter_rows_numpy(x: Float2, rows: Int1, y: Float2) -> None:
    """y = 0, and then y[rows[i]] += x[i] for each i."""
    y[:] = added_at(rows, x, y.shape)


@inline
def add_rows(x: Float2, picked: Int1, y: Float1) -> None:
    """y = Σ x over the rows that are picked."""
    y[:] = 0
    for i in range(picked.shape[0]):
        source = x[picked[i]]
        for j in range(y.shape[0]):
            y[j] += source[j]


@kernel(scatter_rows_numpy, writes=("y",), small=SMALL)
def scatter_rows(x: Float2, rows: Int1, y: Float2) -> None:
    ends = np.zeros(y.shape[0] + 1, np.int64)       # sorts the rows of x by where they are added,
    for i in range(rows.shape[0]):                  # by counting
        ends[rows[i] + 1] += 1
    for row in range(y.shape[0]):
        ends[row + 1] += ends[row]
    picked, at = np.empty(rows.shape[0], np.int64), ends.copy()
    for i in range(rows.shape[0]):
        picked[at[rows[i]]] = i
        at[rows[i]] += 1
    for part in prange(PARTS):
        sums = np.empty(y.shape[1])
        for row in range(part, y.shape[0], PARTS):
            mine = picked[ends[row]:ends[row + 1]]
            if mine.shape[0] <= EXACT:
                add_rows(x, mine, y[row])
            else:
                add_rows(x, mine, sums)
                y[row] = sums


def pick_along_numpy(x: Float3, places: Int1, y: Float3) -> None:
    """y[a, m, c] = x[a, places[a, m, c], c], where places is flat."""
    y[:] = np.take_along_axis(x, places.reshape(y.shape), 1)


@kernel(pick_along_numpy, writes=("y",), small=SMALL, work=_picked)
def pick_along(x: Float3, places: Int1, y: Float3) -> None:
    planes, rows, columns = y.shape
    for plane in prange(planes):
        if columns == 1:
            source, target, mine = x[plane, :, 0], y[plane, :, 0], places[plane * rows:]
            for row in range(rows):
                target[row] = source[mine[row]]
            continue
        for row in range(rows):
            at = (plane * rows + row) * columns
            for j in range(columns):
                y[plane, row, j] = x[plane, places[at + j], j]


def add_along_numpy(x: Float3, places: Int1, y: Float3) -> None:
    """y = 0, and then y[a, places[a, m, c], c] += x[a, m, c] for each of them."""
    a, _, c = np.ogrid[tuple(map(slice, x.shape))]
    y[:] = added_at((a, places.reshape(x.shape), c), x, y.shape)


@inline
def add_plane(x: Float2, places: Int1, y: Float2) -> None:
    """y = 0, and then y[places[m, c], c] += x[m, c] for each of them."""
    rows, columns = x.shape
    y[:] = 0
    for row in range(rows):
        for j in range(columns):
            y[places[row * columns + j], j] += x[row, j]


@kernel(add_along_numpy, writes=("y",))
def add_along(x: Float3, places: Int1, y: Float3) -> None:
    planes, rows, columns = x.shape
    for plane in prange(planes):
        mine = places[plane * rows * columns:(plane + 1) * rows * columns]
        if rows <= EXACT:
            add_plane(x[plane], mine, y[plane])
        else:
            sums = np.empty(y.shape[1:])
            add_plane(x[plane], mine, sums)
            y[plane] = sums


# ---- on arrays of any shape ----------------------------------------------------------------------

def are_places(rows: Array, n: int) -> bool:
    """Whether all of these integers lie between 0 and n - 1."""
    # as an unsigned integer, a negative one is very large
    return not rows.size or bool(np.maximum.reduce(rows.view(INDICES[rows.dtype]), None) < n)


def added_at(places: Any, x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros to which x is added at these places, floats in float64."""
    sums = empty(shape, np.float64 if x.dtype.kind == "f" else x.dtype)
    sums.fill(0)
    np.add.at(sums, places, x)
    return sums.astype(x.dtype, copy=False)


def rows_of(x: Array, rows: Array) -> Array:
    """x[rows], where all rows are known to lie within x."""
    y = empty((*rows.shape, *x.shape[1:]), x.dtype)
    if y.size < SMALL or x.dtype not in FLOATS or not x.flags.c_contiguous:
        # the mode says what is to be done with places out of range, so that none is looked for;
        # `out` by name is what a tape knows of
        return np.take(x, rows, 0, out=y, mode="clip")
    pick_rows(x.reshape(len(x), -1), rows.astype(np.int64, copy=False).reshape(-1),
              y.reshape(rows.size, -1))
    return y
