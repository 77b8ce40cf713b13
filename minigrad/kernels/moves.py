"""What moves values or leaves some out: triangles of matrices, and a frame around an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import (
    TINY_STEPS,
    Array,
    Float3,
    Pair,
    contiguous,
    empty_in_order,
    empty_like,
    kernel,
    memory_order,
    prange,
)

BLOCK = 2**12       # values that a thread writes at a time

Sizes = tuple[Pair, ...]        # how much is added before and behind each dim


def triangle_numpy(x: Float3, lower: bool, diagonal: int, y: Float3) -> None:
    """y = the lower or the upper triangle of each matrix of x, 0 elsewhere."""
    cut: Any = np.tril if lower else np.triu
    y[:] = np.where(cut(np.ones(x.shape[1:], bool), diagonal), x, x.dtype.type(0))


@kernel(triangle_numpy, writes=("y",), small=TINY_STEPS)
def triangle(x: Float3, lower: bool, diagonal: int, y: Float3) -> None:
    planes, rows, columns = x.shape
    zero, step = x.dtype.type(0), max(1, BLOCK // max(1, columns))      # rows at a time
    parts = (rows + step - 1) // step
    for block in prange(planes * parts):
        plane, begin = block // parts, block % parts * step
        for i in range(begin, min(begin + step, rows)):
            source, target = x[plane, i], y[plane, i]
            if lower:
                for j in range(columns):
                    target[j] = source[j] if j <= i + diagonal else zero
            else:
                for j in range(columns):
                    target[j] = source[j] if j >= i + diagonal else zero


# ---- on arrays of any shape ----------------------------------------------------------------------

def framed(x: Array, sizes: Sizes, value: Any) -> Array:
    """x with `value` around it, a number or an array of one, in x's memory order."""
    shape = tuple([b + n + a for n, (b, a) in zip(x.shape, sizes, strict=True)])
    y = empty_in_order(shape, x.dtype, memory_order(x))
    y[...] = value
    y[tuple([slice(b, b + n) for n, (b, _) in zip(x.shape, sizes, strict=True)])] = x
    return y


def triangle_of(x: Array, lower: bool, diagonal: int) -> Array:
    """The lower or the upper triangle of each matrix of x (…, M, N), 0 elsewhere."""
    x = contiguous(x)
    y = empty_like(x)
    if y.size:
        stack = (-1, *x.shape[-2:])
        triangle(x.reshape(stack), lower, diagonal, y.reshape(stack))
    return y
