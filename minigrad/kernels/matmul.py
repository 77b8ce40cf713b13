"""Matrix products, of two matrices or of stacks of them, on the threads that all kernels use.

The BLAS could use threads of its own. But when they are done they keep their cores busy for a
while, waiting for more work, and the next kernel needs those cores.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import (
    FLOATS,
    Array,
    Float1,
    Float2,
    Pair,
    Strided2,
    Strided4,
    empty,
    gemm,
    kernel,
    prange,
    takes,
)
from minigrad.kernels.tile import ROWS, pack, panel_width, tile

LARGE = 2**18           # multiplications; with fewer, NumPy's OpenBLAS keeps to one thread, too,
LARGE_VECTOR = 9216     # and with fewer than this where one of the matrices is a vector
TINY = 2**12            # products of a stack, each with so few, are done sooner by NumPy alone
LONG = 256              # rows or columns of a block, or more, since for each block the BLAS
BLOCKS = 8              # rearranges the whole of the other matrix; and blocks, at most
MANY_ROWS = 256         # with more, the BLAS is as fast, or faster
DEPTH = 192             # rows of a panel, which is to stay in the core's first-level cache
FEW_ROWS = 4            # so few are multiplied one by one, by a block of b that stays in the
CACHED = 2**17          # core's cache meanwhile, with so many values


def matmul_numpy(a: Strided4, b: Strided4, bias: Float1, parts: Pair, y: Strided4) -> None:
    """y = a @ b + bias

    Shapes: a (P, Q, m, k), b (P, Q, k, n), each with P and Q or 1 in their place; bias (n,), or
    empty for none → y (P, Q, m, n).
    """
    np.matmul(a, b, out=y)
    if len(bias):
        y += bias


@kernel(matmul_numpy, writes=("y",), multiplies=True)
def matmul(a: Strided4, b: Strided4, bias: Float1, parts: Pair, y: Strided4) -> None:
    outer, inner, m, n = y.shape
    down, across = parts                        # a matrix is divided into so many blocks
    for block in prange(outer * inner * down * across):
        i, j = block // across % down, block % across
        top, bottom = m * i // down, m * (i + 1) // down
        left, right = n * j // across, n * (j + 1) // across
        p, q = block // (inner * down * across), block // (down * across) % inner
        # of a stack of one, all blocks take the same matrix
        rows = a[p % a.shape[0], q % a.shape[1], top:bottom]
        columns = b[p % b.shape[0], q % b.shape[1], :, left:right]
        target = y[p, q, top:bottom, left:right]
        if len(bias):
            for row in range(bottom - top):
                for column in range(right - left):
                    target[row, column] = bias[left + column]
        if m <= FEW_ROWS and outer * inner == 1:
            for row in range(m):
                gemm(rows[row:row + 1], columns, target[row:row + 1], len(bias) > 0)
        else:
            gemm(rows, columns, target, len(bias) > 0)


def product_by_panels_numpy(a: Strided2, b: Strided2, bias: Float1, width: int, parts: int,
                            y: Float2) -> None:
    """y = a @ b + bias

    Shapes: a (m, k), b (k, n), bias (n,), or empty for none → y (m, n).
    """
    matmul_numpy(a, b, bias, (1, 1), y)


@kernel(product_by_panels_numpy, writes=("y",))
def product_by_panels(a: Strided2, b: Strided2, bias: Float1, width: int, parts: int, y: Float2
                      ) -> None:
    (m, n), k = y.shape, a.shape[1]
    for task in prange((n + width - 1) // width * parts):
        left, part = task // parts * width, task % parts        # a panel, and some rows of a
        top, bottom = m * part // parts, m * (part + 1) // parts
        right = min(left + width, n)
        panel = np.empty((DEPTH, width), a.dtype)
        if len(bias):
            for row in range(top, bottom):
                y[row, left:right] = bias[left:right]
        for start in range(0, k, DEPTH):
            stop, adds = min(start + DEPTH, k), start > 0 or len(bias) > 0
            pack(b[start:stop, left:right], panel)
            for row in range(top, bottom, ROWS):
                end = min(row + ROWS, bottom)
                tile(a[row:end, start:stop], panel, y[row:end, left:right], adds)


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """a @ b + bias: (…, m, k) @ (…, k, n) + (n,) → (…, m, n), where leading dims broadcast."""
    if a.ndim != 2 or b.ndim != 2:
        return _stack_of_products(a, b, bias)
    (m, k), n = a.shape, b.shape[1]
    large = m * k * n > (LARGE if m > 1 < n else LARGE_VECTOR)
    if large and a.dtype in FLOATS:
        a, b = _taken(a), _taken(b)
        y: Array = empty((m, n), a.dtype)
        if FEW_ROWS < m <= MANY_ROWS and a.strides[1] == a.itemsize in b.strides:
            width = panel_width(a.itemsize)
            product_by_panels(a, b, _given(bias, a), width, _row_blocks(m, -(-n // width)), y)
            return y
        matmul(a[None, None], b[None, None], _given(bias, a), parts_of(m, k, n, 1),
               y[None, None])
        return y
    y = a.dot(b)                                # faster than np.matmul for small ones
    if bias is not None:
        y += bias
    return y


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
        y = np.asarray(np.matmul(a, b))
        if bias is not None:
            y += bias
        return y
    first, second = _as_stack(a, lead), _as_stack(b, lead)
    outer, inner = max(len(first), len(second)), max(first.shape[1], second.shape[1])
    if inner > 1 and second.strides[1] < second.strides[2] and second.strides[3] == b.itemsize:
        # row by row the matrices side by side, as those of b lie: so attention's heads, which are
        # parts of one matrix, become parts of one matrix again
        y = empty((outer, m, inner, n), a.dtype).swapaxes(1, 2)
    else:
        y = empty((outer, inner, m, n), a.dtype)
    matmul(first, second, _given(bias, a), parts_of(m, k, n, outer * inner), y)
    return y.reshape(*lead, m, n)


def _as_stack(x: Array, lead: tuple[int, ...]) -> Array:
    """The matrices of x as (P, Q, rows, columns): P and Q are its last two leading dims."""
    if x.ndim > 4:                              # a view where the dims lie in memory so, or a copy
        x = np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, lead[-1], *x.shape[-2:])
    elif x.ndim < 4:
        x = x[(None,) * (4 - x.ndim)]
    return x if takes(x[0, 0]) else x.copy()


def _taken(x: Array) -> Array:
    """x, a matrix, or a copy that gemm takes."""
    return x if x.flags.forc or takes(x) else x.copy()


def _given(bias: Array | None, x: Array) -> Array:
    return np.empty(0, x.dtype) if bias is None else bias


def _row_blocks(m: int, panels: int) -> int:
    """Into how many blocks the rows of a are divided, so that there are enough tasks for each
    thread to have as many. The rounding does not depend on it."""
    parts = 1 + panels % 2
    while parts * panels < BLOCKS:
        parts *= 2
    return max(1, min(parts, m // (4 * ROWS)))


def parts_of(m: int, k: int, n: int, matrices: int) -> Pair:
    """Into how many blocks each product (m, n) is divided, by rows and by columns.

    It depends on the shapes only, and so does the rounding.
    """
    if m <= FEW_ROWS and matrices == 1:
        return 1, min(n, 2 * -(-k * n // (2 * CACHED)))
    longest = max(m, n)
    most = max(longest // LONG, 2 if matrices == 1 < longest else 1)
    parts = min(-(-BLOCKS // matrices), most)
    parts = 1 << parts.bit_length() - 1         # a power of two, to be dealt out evenly
    return (parts, 1) if m >= n else (1, parts)
