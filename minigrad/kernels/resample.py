"""Weighted sums of a few places along one dim, as a finer or coarser grid takes them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Float1,
    Float3,
    Int1,
    empty_in_order,
    inline,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.tile import transpose

BLOCK = 2**12       # values of y that a thread computes at a time
LONG = 2**13        # values of x and y in a line; of longer ones, too few fit into a cache
EXACT = 64          # terms that float32 may add up one after the other


class Taps(NamedTuple):
    """A sparse matrix, row by row: row i has weights[k] in column places[k], for the k from
    starts[i] to starts[i + 1]."""

    starts: Array
    places: Array
    weights: Array


def resample_numpy(x: Float3, starts: Int1, places: Int1, weights: Float1, y: Float3) -> None:
    """y[:, i] = Σ_k weights[k]·x[:, places[k]], for the k from starts[i] to starts[i + 1]."""
    for i, (first, last) in enumerate(pairwise(starts)):
        y[:, i] = (weights[first:last, None] * x[:, places[first:last]]).sum(1, dtype=np.float64)


@inline
def sum_of_rows(x: Any, places: Int1, weights: Float1, y: Float1) -> None:
    """y = Σ_k weights[k]·x[places[k]], two rows at a time."""
    count = places.shape[0]
    if count % 2:
        w, row = weights[0], x[places[0]]
        for j in range(y.shape[0]):
            y[j] = w * row[j]
    elif count:
        v, w, row, other = weights[0], weights[1], x[places[0]], x[places[1]]
        for j in range(y.shape[0]):
            y[j] = v * row[j] + w * other[j]
    else:
        y[:] = 0
    for k in range(2 - count % 2, count, 2):
        v, w, row, other = weights[k], weights[k + 1], x[places[k]], x[places[k + 1]]
        for j in range(y.shape[0]):
            y[j] += v * row[j] + w * other[j]


@inline
def sums_of_rows(x: Any, starts: Int1, places: Int1, weights: Float1, begin: int, end: int, y: Any
                 ) -> None:
    """y[i] = Σ_k weights[k]·x[places[k]] for the rows i from begin to end."""
    sums = np.empty(0)
    for i in range(begin, end):
        first, last = starts[i], starts[i + 1]
        if last - first <= EXACT:
            sum_of_rows(x, places[first:last], weights[first:last], y[i])
        else:
            if sums.shape[0] == 0:
                sums = np.empty(y.shape[1])
            sum_of_rows(x, places[first:last], weights[first:last], sums)
            y[i] = sums


@inline
def sums_of_values(x: Float1, starts: Int1, places: Int1, weights: Float1, begin: int, end: int,
                   y: Float1) -> None:
    """y[i] = Σ_k weights[k]·x[places[k]] for the values i from begin to end."""
    one, two = np.uint64(1), np.uint64(2)
    for i in range(begin, end):
        # unsigned, since each read would check a signed one for being negative
        first, last = np.uint64(starts[i]), np.uint64(starts[i + 1])
        if last - first == one:
            y[i] = weights[first] * x[np.uint64(places[first])]
        elif last - first == two:
            y[i] = (weights[first] * x[np.uint64(places[first])]
                    + weights[first + one] * x[np.uint64(places[first + one])])
        else:
            total = 0.0
            for k in range(first, last):
                total += np.float64(weights[k] * x[np.uint64(places[k])])
            y[i] = total


@kernel(resample_numpy, writes=("y",), small=SMALL, work=lambda *given: given[-1].size)
def resample(x: Float3, starts: Int1, places: Int1, weights: Float1, y: Float3) -> None:
    planes, rows, columns = y.shape
    n, lanes = x.shape[1], 64 // x.itemsize
    if columns > 1:
        step = max(1, BLOCK // columns)                 # rows at a time
        parts = (rows + step - 1) // step
        for block in prange(planes * parts):
            plane, begin = block // parts, block % parts * step
            sums_of_rows(x[plane], starts, places, weights, begin, min(begin + step, rows),
                         y[plane])
    elif 2 * planes < lanes or n + rows > LONG:
        parts = (rows + BLOCK - 1) // BLOCK
        for block in prange(planes * parts):
            plane, begin = block // parts, block % parts * BLOCK
            sums_of_values(x[plane, :, 0], starts, places, weights, begin,
                           min(begin + BLOCK, rows), y[plane, :, 0])
    else:                           # lines of values: as many as a vector has lanes, side by side
        lines, targets = x.reshape(planes, n), y.reshape(planes, rows)
        step = lanes * max(1, BLOCK // (lanes * rows))
        for block in prange((planes + step - 1) // step):
            turned, sums = np.zeros((n, lanes), x.dtype), np.empty((rows, lanes), x.dtype)
            for top in range(block * step, min(block * step + step, planes), lanes):
                bottom = min(top + lanes, planes)
                for left in range(0, n, lanes):
                    right = min(left + lanes, n)
                    transpose(lines[top:bottom, left:right], turned[left:right, :bottom - top])
                sums_of_rows(turned, starts, places, weights, 0, rows, sums)
                for left in range(0, rows, lanes):
                    right = min(left + lanes, rows)
                    transpose(sums[left:right, :bottom - top], targets[top:bottom, left:right])


# ---- on arrays of any shape ----------------------------------------------------------------------

def resample_along(x: Array, dim: int, taps: Taps) -> Array:
    """x with its places along dim replaced by the sums that the taps name, in x's memory order."""
    order, m = memory_order(x), len(taps.starts) - 1
    at, sizes = order.index(dim), [x.shape[d] for d in order]
    planes, columns = math.prod(sizes[:at]), math.prod(sizes[at + 1:])
    y = empty_in_order((*x.shape[:dim], m, *x.shape[dim + 1:]), x.dtype, order)
    if y.size:
        resample(x.transpose(order).reshape(planes, sizes[at], columns), *taps,
                 y.transpose(order).reshape(planes, m, columns))
    return y


def taps_of(places: Array, weights: Array, kept: Array) -> Taps:
    """The taps of a grid whose places and weights are (most taps of a row, rows), where kept."""
    starts = np.append(0, np.cumsum(kept.sum(0)))
    return Taps(starts, places.T[kept.T], weights.T[kept.T])


def transposed(taps: Taps, n: int) -> Taps:
    """The transpose of a matrix with n columns: what is sent back from its sums."""
    order = np.argsort(taps.places, kind="stable")
    rows = np.repeat(np.arange(len(taps.starts) - 1), np.diff(taps.starts))
    starts = np.append(0, np.cumsum(np.bincount(taps.places, minlength=n)))
    return Taps(starts, rows[order], taps.weights[order])
