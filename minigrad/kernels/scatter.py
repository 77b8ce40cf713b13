"""Rows of a table picked by their numbers, and the gradient of this: rows added up in the places
of a table."""

from __future__ import annotations

import numpy as np

from minigrad.kernels import FLOATS, SMALL, Array, Float2, Float3, Int1, empty, kernel, prange

BLOCK = 2**12       # values that a thread copies at a time
PARTS = 8           # of a table; a thread owns the rows whose number has its remainder


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
    y[:] = 0
    np.add.at(y, rows, x)


@kernel(scatter_rows_numpy, writes=("y",), small=SMALL)
def scatter_rows(x: Float2, rows: Int1, y: Float2) -> None:
    for part in prange(PARTS):
        for row in range(part, y.shape[0], PARTS):
            y[row] = 0
        for i in range(rows.shape[0]):
            if rows[i] % PARTS == part:
                source, target = x[i], y[rows[i]]
                for j in range(x.shape[1]):
                    target[j] += source[j]


def pick_along_numpy(x: Float3, places: Int1, y: Float3) -> None:
    """y[a, m, c] = x[a, places[a, m, c], c], where places is flat."""
    y[:] = np.take_along_axis(x, places.reshape(y.shape), 1)


@kernel(pick_along_numpy, writes=("y",), small=SMALL, work=_picked)
def pick_along(x: Float3, places: Int1, y: Float3) -> None:
    planes, rows, columns = y.shape
    for plane in prange(planes):
        for row in range(rows):
            at = (plane * rows + row) * columns
            for j in range(columns):
                y[plane, row, j] = x[plane, places[at + j], j]


def add_along_numpy(x: Float3, places: Int1, y: Float3) -> None:
    """y = 0, and then y[a, places[a, m, c], c] += x[a, m, c] for each of them."""
    y[:] = 0
    a, _, c = np.ogrid[tuple(map(slice, x.shape))]
    np.add.at(y, (a, places.reshape(x.shape), c), x)


@kernel(add_along_numpy, writes=("y",))
def add_along(x: Float3, places: Int1, y: Float3) -> None:
    planes, rows, columns = x.shape
    for plane in prange(planes):
        target = y[plane]
        target[:] = 0
        for row in range(rows):
            at = (plane * rows + row) * columns
            for j in range(columns):
                target[places[at + j], j] += x[plane, row, j]


# ---- on arrays of any shape ----------------------------------------------------------------------

def are_places(rows: Array, n: int) -> bool:
    """Whether all of these integers lie between 0 and n - 1."""
    # as an unsigned integer, a negative one is very large
    return not rows.size or bool(rows.view(f"u{rows.itemsize}").max() < n)


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
