"""The order in which the dims of an array lie in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from minigrad.kernels.compile import FLOATS, SMALL, Array, Float2, kernel, prange
from minigrad.kernels.memory import empty
from minigrad.kernels.tile import transpose

WORTHWHILE = 2**12          # values; NumPy turns fewer sooner
BLOCK = 64                  # columns of a matrix that a thread turns in turn


def turn_numpy(x: Float2, y: Float2) -> None:
    """y = xᵀ: x (M, N) → y (N, M)."""
    y[:] = x.T


@kernel(turn_numpy, writes=("y",), small=SMALL)
def turn(x: Float2, y: Float2) -> None:
    (rows, columns), lanes = x.shape, 64 // x.itemsize
    for block in prange((columns + BLOCK - 1) // BLOCK):
        for left in range(block * BLOCK, min(block * BLOCK + BLOCK, columns), lanes):
            right = min(left + lanes, columns)
            for top in range(0, rows, lanes):
                bottom = min(top + lanes, rows)
                transpose(x[top:bottom, left:right], y[left:right, top:bottom])


def batch_last(x: Array) -> Array:
    """(N, …) → (…, N), contiguous: a view if x lies in memory batch last, else a copy."""
    y = x.transpose(*range(1, x.ndim), 0)
    if y.flags.c_contiguous:
        return y
    if x.size < WORTHWHILE or x.dtype not in FLOATS or not x.flags.c_contiguous:
        return y.copy()
    turned: Array = empty(y.shape, x.dtype)
    turn(x.reshape(len(x), -1), turned.reshape(-1, len(x)))
    return turned


def batch_first(x: Array) -> Array:
    """(…, N) → (N, …), a view."""
    return x.transpose(-1, *range(x.ndim - 1))


def memory_order(x: Array) -> tuple[int, ...]:
    """The dims of x, from the outermost in memory to the innermost."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda dim: -abs(x.strides[dim])))


def empty_in_order(shape: tuple[int, ...], dtype: DTypeLike, order: tuple[int, ...]) -> Array:
    """`empty` whose dims lie in memory in this order."""
    y = empty(tuple(shape[dim] for dim in order), dtype)
    return y.transpose(sorted(range(len(shape)), key=order.__getitem__))


def flat(x: Array, order: tuple[int, ...]) -> Array:
    """The values of x with its dims in this order: a view if they lie in memory so, else a copy."""
    return x.transpose(order).reshape(-1)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """np.concatenate of arrays of one dtype, in recycled memory and in the order of the first."""
    x = arrays[0]
    shape = (*x.shape[:axis], sum(a.shape[axis] for a in arrays), *x.shape[axis + 1:])
    y = empty_in_order(shape, x.dtype, memory_order(x))
    return np.concatenate(arrays, axis, out=y)
