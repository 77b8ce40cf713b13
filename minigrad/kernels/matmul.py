"""Matrix products, of two matrices or of stacks of them, on the threads that all kernels use.

The BLAS could use threads of its own. But when they are done they keep their cores busy for a
while, waiting for more work, and the next kernel needs those cores.

A product y = a @ b is divided into blocks, one thread computes a block, and a block is computed
panel by panel (see tile.py). Each value of y is the same sum in the same order whatever the blocks
are, so their number may depend on the number of threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    SMALL,
    Array,
    Double1,
    Double2,
    Float1,
    Float2,
    Float4,
    Pair,
    Strided2,
    Strided4,
    empty,
    gemm,
    inline,
    inline_sum,
    kernel,
    prange,
    takes,
    thread_count,
)
from minigrad.kernels.tile import PANEL_BYTES, ROWS, VECTORS, pack, tile

LARGE = 2**18           # multiplications; with fewer, NumPy's OpenBLAS keeps to one thread, too,
LARGE_VECTOR = 9216     # and with fewer than this where one of the matrices is a vector
TINY = 2**12            # products of a stack, each with so few, are done sooner by NumPy alone
FORKED = 2**22          # with fewer, one thread is done before others are awake
DEPTH = 400             # rows of a panel; fewer mean more passes over y
LONG = 16               # panels whose products are added up in y's dtype, and then in float64
SHORT = 512             # summands that the BLAS may add up one after the other, as it does where
SMALL_RESULT = 2**10    # one of the matrices is a vector, or the result has fewer values than this
MOST_SHORT = 1024       # and, so that small products stay fast, at most
MOST_ROWS = 480         # of a block, whose part of a is to stay in the core's second-level cache
PACKING = 8             # to pack a row of b takes as long as to multiply it by so many rows of a
FEW_ROWS = 4            # so few are multiplied one by one, by a block of b that stays in the
CACHED = 2**17          # core's cache meanwhile, with so many values


def _multiplications(a: Array, b: Array, bias: Array, parts: Pair, scratch: Array, y: Array
                     ) -> int:
    count: int = y.size * a.shape[3]
    return count


def add_products(a: Array, b: Array, y: Array) -> None:
    """y = a @ b with NumPy, a part of the inner dim at a time; the parts' products are added up in
    float64."""
    m, n = y.shape[-2:]
    step = SHORT if min(m, n) == 1 or m * n < SMALL_RESULT else LONG * DEPTH
    np.matmul(a[..., :step], b[..., :step, :], out=y)
    if a.shape[-1] > step:
        sums = y.astype(np.float64)
        for start in range(step, a.shape[-1], step):
            sums += np.matmul(a[..., start:start + step], b[..., start:start + step, :])
        y[:] = sums


@inline
def move(y: Float2, sums: Double2) -> None:
    """sums += y"""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            sums[i, j] += y[i, j]


def matmul_numpy(a: Strided4, b: Strided4, bias: Float1, parts: Pair, scratch: Float4, y: Strided4
                 ) -> None:
    """y = a @ b + bias

    Shapes: a (P, Q, m, k), b (P, Q, k, n), each with P and Q or 1 in their place; bias (n,), or
    empty for none → y (P, Q, m, n), its rows contiguous. b has contiguous rows or columns.
    scratch: for each thread a panel of b and, where a has contiguous columns, as many panels of a
    as hold the rows of a block.
    """
    add_products(a, b, y)
    if len(bias):
        y += bias


@kernel(matmul_numpy, writes=("y",), scratch=("scratch",), small=FORKED, work=_multiplications)
def matmul(a: Strided4, b: Strided4, bias: Float1, parts: Pair, scratch: Float4, y: Strided4
           ) -> None:
    outer, inner, m, n = y.shape
    threads, panels, depth, width = scratch.shape
    lanes, k = width // VECTORS, a.shape[3]
    down, across = parts                        # a matrix is divided into so many blocks
    blocks, tiles, vectors = (outer * inner * down * across, (m + ROWS - 1) // ROWS,
                              (n + lanes - 1) // lanes)
    for thread in prange(threads):
        panel, strips = scratch[thread, 0], scratch[thread, 1:]
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            p, q = block // (inner * down * across), block // (down * across) % inner
            i, j = block // across % down, block % across
            top, bottom = tiles * i // down * ROWS, min(tiles * (i + 1) // down * ROWS, m)
            left, right = vectors * j // across * lanes, min(vectors * (j + 1) // across * lanes, n)
            # of a stack of one, all blocks take the same matrix
            rows = a[p % a.shape[0], q % a.shape[1], top:bottom]
            columns = b[p % b.shape[0], q % b.shape[1], :, left:right]
            target, added = y[p, q, top:bottom, left:right], bias[left:right]
            high, wide = target.shape
            sums = np.zeros((high, wide) if k > LONG * depth else (0, 0))
            for start in range(0, max(k, 1), depth):
                stop, adds = min(start + depth, k), start % (LONG * depth) > 0
                if start > 0 and not adds:
                    move(target, sums)
                    added = bias[:0]
                for strip in range(panels - 1):
                    pack(rows[strip * width:strip * width + width, start:stop].T, strips[strip])
                for column in range(0, wide, width):
                    end = min(column + width, wide)
                    pack(columns[start:stop, column:end], panel)
                    for row in range(0, high, ROWS):
                        below, strip = min(row + ROWS, high), row // width
                        if panels > 1:
                            at = row - strip * width
                            tile(strips[strip, :stop - start, at:at + below - row].T, panel,
                                 added[column:end], target[row:below, column:end], adds)
                        else:
                            tile(rows[row:below, start:stop], panel,
                                 added[column:end], target[row:below, column:end], adds)
            if sums.size > 0:
                move(target, sums)
                target[:] = sums


def _weights(a: Array, b: Array, bias: Array, parts: int, y: Array) -> int:
    return b.size


def few_rows_numpy(a: Strided2, b: Strided2, bias: Float1, parts: int, y: Float2) -> None:
    """y = a @ b + bias

    Shapes: a (m, k), b (k, n), bias (n,), or empty for none → y (m, n).
    """
    add_products(a, b, y)
    if len(bias):
        y += bias


@kernel(few_rows_numpy, writes=("y",), small=4 * SMALL, work=_weights, multiplies=True)
def few_rows(a: Strided2, b: Strided2, bias: Float1, parts: int, y: Float2) -> None:
    (m, n), k = y.shape, a.shape[1]
    for block in prange(parts):
        left, right = n * block // parts, n * (block + 1) // parts
        sums = np.zeros((1, right - left))
        for row in range(m):
            target = y[row:row + 1, left:right]
            if len(bias):
                y[row, left:right] = bias[left:right]
            gemm(a[row:row + 1, :SHORT], b[:SHORT, left:right], target, len(bias) > 0)
            if k > SHORT:
                sums[:] = 0
                for start in range(SHORT, k, SHORT):
                    move(target, sums)
                    gemm(a[row:row + 1, start:start + SHORT], b[start:start + SHORT, left:right],
                         target, False)
                move(target, sums)
                target[:] = sums


def dots_numpy(a: Float1, b: Float1, sums: Double1) -> None:
    """sums = Σ a·b over equally long parts of two vectors."""
    for part in range(len(sums)):
        piece = slice(len(a) * part // len(sums), len(a) * (part + 1) // len(sums))
        sums[part] = a[piece].astype(np.float64) @ b[piece].astype(np.float64)


@inline_sum
def dot(a: Float1, b: Float1) -> float:
    """Σ a·b."""
    result = 0.0
    for i in range(a.shape[0]):
        result += np.float64(a[i]) * np.float64(b[i])
    return result


@kernel(dots_numpy, writes=("sums",), small=FORKED)
def dots(a: Float1, b: Float1, sums: Double1) -> None:
    n, parts = a.shape[0], sums.shape[0]
    for part in prange(parts):
        first, last = n * part // parts, n * (part + 1) // parts
        sums[part] = dot(a[first:last], b[first:last])


def inner(a: Array, b: Array) -> Array:
    """Σ a·b of two vectors."""
    if a.dtype not in FLOATS:
        return np.asarray(np.dot(a, b))
    sums = empty((max(1, -(-len(a) // CACHED)),), np.float64)
    dots(a, b, sums)
    return np.asarray(np.add.reduce(sums)).astype(a.dtype)


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """a @ b + bias: (…, m, k) @ (…, k, n) + (n,) → (…, m, n), where leading dims broadcast."""
    if a.ndim != 2 or b.ndim != 2:
        return _stack_of_products(a, b, bias)
    (m, k), n = a.shape, b.shape[1]
    large = m * k * n > (LARGE if m > 1 < n else LARGE_VECTOR)
    if large and m == 1 == n and bias is None and a.dtype in FLOATS:
        return inner(a.reshape(k), b.reshape(k)).reshape(1, 1)
    if large and a.dtype in FLOATS:
        y: Array = empty((m, n), a.dtype)
        if m <= FEW_ROWS:
            parts = min(n, 2 * -(-k * n // (2 * CACHED)))
            few_rows(_taken(a), _taken(b), _given(bias, a), parts, y)
        else:
            _multiply(_readable(a)[None, None], _packable(b)[None, None], bias, y[None, None])
        return y
    y = _small_product(a, b)
    if bias is not None:
        y += bias
    return y


def _small_product(a: Array, b: Array) -> Array:
    multiply: Any = np.dot if a.ndim == b.ndim == 2 else np.matmul  # faster for small ones
    if a.shape[-1] <= MOST_SHORT:
        return np.asarray(multiply(a, b))
    y = multiply(a[..., :MOST_SHORT], b[..., :MOST_SHORT, :])
    for start in range(MOST_SHORT, a.shape[-1], MOST_SHORT):
        stop = start + MOST_SHORT
        y += multiply(a[..., start:stop], b[..., start:stop, :])
    return np.asarray(y)


def _multiply(a: Array, b: Array, bias: Array | None, y: Array) -> None:
    (outer, inner, m, n), k = y.shape, a.shape[3]
    threads = thread_count() if y.size * k >= FORKED else 1
    by_columns = a.strides[3] != a.itemsize == a.strides[2]
    parts, scratch = _plan(m, k, n, outer * inner, threads, a.itemsize, by_columns)
    matmul(a, b, _given(bias, a), parts, empty(scratch, a.dtype), y)


def _stack_of_products(a: Array, b: Array, bias: Array | None) -> Array:
    (m, k), n = a.shape[-2:], b.shape[-1]
    if b.ndim == 2 and a.flags.c_contiguous:    # all rows times one matrix
        return product(a.reshape(math.prod(a.shape[:-1]), k), b, bias).reshape(*a.shape[:-1], n)
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError("leading dims could not be broadcast") from None
    small = m * k * n <= TINY or math.prod(lead) * m * k * n <= LARGE
    if small or a.dtype not in FLOATS:
        y = _small_product(a, b)
        if bias is not None:
            y += bias
        return y
    first, second = _readable(_as_stack(a, lead)), _packable(_as_stack(b, lead))
    outer, inner = max(len(first), len(second)), max(first.shape[1], second.shape[1])
    if inner > 1 and second.strides[1] < second.strides[2] and second.strides[3] == b.itemsize:
        # row by row the matrices side by side, as those of b lie: so attention's heads, which are
        # parts of one matrix, become parts of one matrix again
        y = empty((outer, m, inner, n), a.dtype).swapaxes(1, 2)
    else:
        y = empty((outer, inner, m, n), a.dtype)
    _multiply(first, second, bias, y)
    return y.reshape(*lead, m, n)


def _as_stack(x: Array, lead: tuple[int, ...]) -> Array:
    """The matrices of x as (P, Q, rows, columns): P and Q are its last two leading dims."""
    if x.ndim > 4:                              # a view where the dims lie in memory so, or a copy
        x = np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, lead[-1], *x.shape[-2:])
    elif x.ndim < 4:
        x = x[(None,) * (4 - x.ndim)]
    return x


def _taken(x: Array) -> Array:
    """x, a matrix, or a copy that gemm takes."""
    return x if x.flags.forc or takes(x) else x.copy()


def _readable(x: Array) -> Array:
    """x, matrices, or a copy whose strides are whole numbers of values."""
    return x.copy() if x.strides[-1] % x.itemsize or x.strides[-2] % x.itemsize else x


def _packable(x: Array) -> Array:
    """x, matrices, or a copy with contiguous rows or columns."""
    return _readable(x) if x.itemsize in x.strides[-2:] else x.copy()


def _given(bias: Array | None, x: Array) -> Array:
    return np.empty(0, x.dtype) if bias is None else bias


@lru_cache(1024)
def _plan(m: int, k: int, n: int, matrices: int, threads: int, itemsize: int, by_columns: bool
          ) -> tuple[Pair, tuple[int, int, int, int]]:
    """Into how many blocks each product is divided, by rows and by columns, so that the thread
    with the most to do has as little as can be; and the shape of the scratch memory."""
    width = PANEL_BYTES // itemsize
    lanes = width // VECTORS
    blocks = 1 if matrices % threads == 0 or matrices > 4 * threads else threads

    def size(parts: Pair) -> Pair:
        """Of the largest block."""
        return _upwards(-(-m // parts[0]), ROWS), _upwards(-(-n // parts[1]), lanes)

    def most_work(parts: Pair) -> int:
        rows, columns = size(parts)
        columns += lanes // 2 * (columns % width > 0)       # the last panel is less efficient
        return -(-matrices * math.prod(parts) // threads) * (rows + PACKING) * columns

    divisions = ((blocks // across, across) for across in range(1, blocks + 1)
                 if blocks % across == 0)
    parts = min(((_upwards(-(-m // MOST_ROWS), down), across) for down, across in divisions),
                key=most_work)
    passes = max(1, -(-k // DEPTH))
    panels = 1 + by_columns * -(-size(parts)[0] // width)
    return parts, (threads, panels, _upwards(-(-k // passes), lanes), width)


def _upwards(x: int, unit: int) -> int:
    """The next multiple of unit; at least one."""
    return max(1, -(-x // unit)) * unit
