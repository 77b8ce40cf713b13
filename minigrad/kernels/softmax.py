"""Softmax and its logarithm along one dim, each in one pass over memory.

Arrays are (outer, n, inner), with the dim in the middle: `along` gives this view of an array. Where
inner is 1, the n values of a distribution are a row in memory. Elsewhere they lie `inner` apart,
and the loops treat many neighbouring distributions at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Double1,
    Float1,
    Float2,
    Float3,
    Kernel,
    contiguous,
    empty,
    empty_in_order,
    inline,
    inline_sum,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import fast_exp

TILED = 2**16       # values of the distributions that are treated side by side; they stay in cache
BLOCK = 4096        # values in the rows of a block, which one thread treats in turn
LANES = 16
ROWS = 64           # numbers that are added up in x's dtype, before float64 takes over


def along(x: Array, dim: int, order: tuple[int, ...]) -> Array:
    """x as (outer, n, inner), where `order` is the order of its dims in memory and n the size of
    `dim`; a view if x lies in memory so, else a copy."""
    y, at = contiguous(x.transpose(order)), order.index(dim)
    return y.reshape(math.prod(y.shape[:at]), y.shape[at], math.prod(y.shape[at + 1:]))


def apply_along(run: Kernel, dim: int, *inputs: Array, options: tuple[Any, ...] = ()) -> Array:
    """The output y of a kernel that is called as `run(*inputs, *options, y)`, the arrays `along`
    dim.

    The inputs have one shape. It is that of y, too, whose memory has the order of the first input.
    """
    x = inputs[0]
    if x.ndim == 0:
        return apply_along(run, 0, *(array.reshape(1) for array in inputs),
                           options=options).reshape(())
    if dim == x.ndim - 1 and x.size and x.flags.c_contiguous:
        rows = (-1, x.shape[-1], 1)             # a shortcut for the usual case
        y = empty(x.shape, x.dtype)
        run(*[array.reshape(rows) for array in inputs], *options, y.reshape(rows))
        return y
    order = memory_order(x)
    y = empty_in_order(x.shape, x.dtype, order)
    if y.size:
        run(*(along(array, dim, order) for array in inputs), *options, along(y, dim, order))
    return y


# ---- a row ---------------------------------------------------------------------------------------

@inline
def largest(x: Float1, lanes: Float1) -> Any:
    """The largest x, not counting NaN. LANES values side by side are compared at once."""
    whole = x.shape[0] // LANES * LANES
    best = x.dtype.type(-np.inf)
    if whole:
        lanes[:] = best
        for k in range(0, whole, LANES):
            part = x[k:k + LANES]
            for i in range(LANES):
                value, most = part[i], lanes[i]
                lanes[i] = value if value > most else most
        for i in range(LANES):
            best = lanes[i] if lanes[i] > best else best
    for i in range(whole, x.shape[0]):
        best = x[i] if x[i] > best else best
    return best


# In x's dtype at most 512 values are added up, side by side; such sums are then added in float64.

@inline_sum
def row_sum(x: Float1) -> float:
    """Σ x."""
    result = 0.0
    for start in range(0, x.shape[0], 512):
        part, block = x.dtype.type(0), x[start:start + 512]
        for i in range(block.shape[0]):
            part += block[i]
        result += np.float64(part)
    return result


@inline_sum
def row_product(x: Float1, y: Float1) -> float:
    """Σ x·y."""
    result = 0.0
    for start in range(0, x.shape[0], 512):
        part, block, other = x.dtype.type(0), x[start:start + 512], y[start:start + 512]
        for i in range(block.shape[0]):
            part += block[i] * other[i]
        result += np.float64(part)
    return result


@inline_sum
def exp_sum(x: Float1, shift: float) -> float:
    """Σ e^(x - shift)."""
    result = 0.0
    for start in range(0, x.shape[0], 512):
        part, block = x.dtype.type(0), x[start:start + 512]
        for i in range(block.shape[0]):
            part += fast_exp(block[i] - shift)
        result += np.float64(part)
    return result


# ---- distributions side by side ------------------------------------------------------------------

@inline
def tile_of(n: int) -> int:
    """How many distributions of n values are treated side by side."""
    return max(64, min(1024, TILED // n))


@inline
def largest_of_each(x: Float2, start: int, stop: int, m: Float1) -> None:
    """m = the largest x of each column from start to stop, not counting NaN."""
    m[:] = -np.inf
    for j in range(x.shape[0]):
        row = x[j, start:stop]
        for i in range(stop - start):
            value, most = row[i], m[i]
            m[i] = value if value > most else most


@inline
def exp_sum_of_each(x: Float2, start: int, stop: int, m: Float1, sums: Double1) -> None:
    """m = the largest x of each column from start to stop, sums = Σ e^(x - m)."""
    largest_of_each(x, start, stop, m)
    part = np.empty(stop - start, x.dtype)
    sums[:] = 0
    for first in range(0, x.shape[0], ROWS):
        part[:] = 0
        for j in range(first, min(first + ROWS, x.shape[0])):
            row = x[j, start:stop]
            for i in range(stop - start):
                part[i] += fast_exp(row[i] - m[i])
        for i in range(stop - start):
            sums[i] += part[i]


# ---- softmax -------------------------------------------------------------------------------------

def softmax_numpy(x: Float3, y: Float3) -> None:
    """y = e^(x - m) / Σ e^(x - m), with m = max x, so that no e^x is too large."""
    e = np.exp(x - x.max(1, keepdims=True))
    y[:] = e / e.sum(1, keepdims=True, dtype=np.float64)


@kernel(softmax_numpy, writes=("y",), small=SMALL)
def softmax(x: Float3, y: Float3) -> None:
    outer, n, inner = x.shape
    if inner == 1:
        x_rows, y_rows = x.reshape(outer, n), y.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            lanes = np.empty(LANES, x.dtype)
            for row in range(block * step, min(block * step + step, outer)):
                source, target = x_rows[row], y_rows[row]
                m = largest(source, lanes)
                for i in range(n):
                    target[i] = fast_exp(source[i] - m)
                factor = x.dtype.type(1 / row_sum(target))
                for i in range(n):
                    target[i] *= factor
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            (peaks, part), sums = np.empty((2, stop - start), x.dtype), np.zeros(stop - start)
            largest_of_each(x[o], start, stop, peaks)
            for first in range(0, n, ROWS):
                part[:] = 0
                for j in range(first, min(first + ROWS, n)):
                    source, target = x[o, j, start:stop], y[o, j, start:stop]
                    for i in range(stop - start):
                        target[i] = fast_exp(source[i] - peaks[i])
                        part[i] += target[i]
                for i in range(stop - start):
                    sums[i] += part[i]
            factors = (1 / sums).astype(x.dtype)
            for j in range(n):
                target = y[o, j, start:stop]
                for i in range(stop - start):
                    target[i] *= factors[i]


def softmax_grad_numpy(y: Float3, g: Float3, dx: Float3) -> None:
    """dx = y·(g - Σ g·y)."""
    dx[:] = y * (g - (g * y).sum(1, keepdims=True, dtype=np.float64))


@kernel(softmax_grad_numpy, writes=("dx",), small=SMALL)
def softmax_grad(y: Float3, g: Float3, dx: Float3) -> None:
    outer, n, inner = y.shape
    if inner == 1:
        y_rows, g_rows, dx_rows = y.reshape(outer, n), g.reshape(outer, n), dx.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            for row in range(block * step, min(block * step + step, outer)):
                value, slope, target = y_rows[row], g_rows[row], dx_rows[row]
                s = y.dtype.type(row_product(value, slope))
                for i in range(n):
                    target[i] = value[i] * (slope[i] - s)
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            sums = np.zeros(stop - start)
            for j in range(n):
                value, slope = y[o, j, start:stop], g[o, j, start:stop]
                for i in range(stop - start):
                    sums[i] += np.float64(value[i] * slope[i])
            shifts = sums.astype(y.dtype)
            for j in range(n):
                value, slope, target = (y[o, j, start:stop], g[o, j, start:stop],
                                        dx[o, j, start:stop])
                for i in range(stop - start):
                    target[i] = value[i] * (slope[i] - shifts[i])


# ---- its logarithm -------------------------------------------------------------------------------

def log_softmax_numpy(x: Float3, y: Float3) -> None:
    """y = x - m - log Σ e^(x - m), with m = max x."""
    below = x - x.max(1, keepdims=True)
    y[:] = below - np.log(np.exp(below).sum(1, keepdims=True, dtype=np.float64))


@kernel(log_softmax_numpy, writes=("y",), small=SMALL)
def log_softmax(x: Float3, y: Float3) -> None:
    outer, n, inner = x.shape
    if inner == 1:
        x_rows, y_rows = x.reshape(outer, n), y.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            lanes = np.empty(LANES, x.dtype)
            for row in range(block * step, min(block * step + step, outer)):
                source, target = x_rows[row], y_rows[row]
                m = largest(source, lanes)
                s = x.dtype.type(np.log(exp_sum(source, m)))
                for i in range(n):
                    target[i] = source[i] - m - s
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            peaks, sums = np.empty(stop - start, x.dtype), np.empty(stop - start)
            exp_sum_of_each(x[o], start, stop, peaks, sums)
            logs = np.log(sums).astype(x.dtype)
            for j in range(n):
                source, target = x[o, j, start:stop], y[o, j, start:stop]
                for i in range(stop - start):
                    target[i] = source[i] - peaks[i] - logs[i]


def log_softmax_grad_numpy(y: Float3, g: Float3, dx: Float3) -> None:
    """dx = g - e^y·Σ g."""
    dx[:] = g - np.exp(y) * g.sum(1, keepdims=True, dtype=np.float64)


@kernel(log_softmax_grad_numpy, writes=("dx",), small=SMALL)
def log_softmax_grad(y: Float3, g: Float3, dx: Float3) -> None:
    outer, n, inner = y.shape
    if inner == 1:
        y_rows, g_rows, dx_rows = y.reshape(outer, n), g.reshape(outer, n), dx.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            for row in range(block * step, min(block * step + step, outer)):
                value, slope, target = y_rows[row], g_rows[row], dx_rows[row]
                s = y.dtype.type(row_sum(slope))
                for i in range(n):
                    target[i] = slope[i] - fast_exp(value[i]) * s
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            sums = np.zeros(stop - start)
            for j in range(n):
                slope = g[o, j, start:stop]
                for i in range(stop - start):
                    sums[i] += slope[i]
            factors = sums.astype(y.dtype)
            for j in range(n):
                value, slope, target = (y[o, j, start:stop], g[o, j, start:stop],
                                        dx[o, j, start:stop])
                for i in range(stop - start):
                    target[i] = slope[i] - fast_exp(value[i]) * factors[i]
