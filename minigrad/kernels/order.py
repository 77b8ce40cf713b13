"""The order in which the dims of an array lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import DTypeLike

from minigrad.kernels import tape
from minigrad.kernels.compile import FLOATS, SMALL, Array, Float2, kernel, prange
from minigrad.kernels.memory import RECYCLED_BYTES, empty
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
    y = x.transpose(_ends_with_the_first(x.ndim))
    if y.flags.c_contiguous:
        return y
    if x.size < WORTHWHILE or x.dtype not in FLOATS or not x.flags.c_contiguous:
        return y.copy()
    turned: Array = empty(y.shape, x.dtype)
    turn(x.reshape(len(x), -1), turned.reshape(-1, len(x)))
    return turned


def batch_first(x: Array) -> Array:
    """(…, N) → (N, …), a view."""
    return x.transpose(_begins_with_the_last(x.ndim))


@cache
def _ends_with_the_first(ndim: int) -> tuple[int, ...]:
    return (*range(1, ndim), 0)


@cache
def _begins_with_the_last(ndim: int) -> tuple[int, ...]:
    return (-1, *range(ndim - 1))


def memory_order(x: Array) -> tuple[int, ...]:
    """The dims of x, from the outermost in memory to the innermost."""
    return _usual(x.ndim) if x.flags.c_contiguous else _by_strides(x.strides)


@cache
def _usual(ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim))


@lru_cache(1024)
def _by_strides(strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(strides)), key=lambda dim: -abs(strides[dim])))


@lru_cache(1024)
def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """Where each dim is found in this order."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def empty_in_order(shape: tuple[int, ...], dtype: DTypeLike, order: tuple[int, ...]) -> Array:
    """`empty` whose dims lie in memory in this order."""
    return empty(tuple([shape[dim] for dim in order]), dtype).transpose(_inverse(order))


def empty_like(x: Array) -> Array:
    """`empty` of x's shape and dtype, whose dims lie in memory as those of x do."""
    if x.nbytes < RECYCLED_BYTES and not tape.running:
        return np.empty_like(x)
    if x.flags.c_contiguous:
        return empty(x.shape, x.dtype)
    return empty_in_order(x.shape, x.dtype, memory_order(x))


def flat(x: Array, order: tuple[int, ...]) -> Array:
    """The values of x with its dims in this order: a view if they lie in memory so, else a copy."""
    return x.transpose(order).reshape(-1)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """np.concatenate of arrays of one dtype, in recycled memory and in the order of the first."""
    x = arrays[0]
    if not tape.running and sum([a.nbytes for a in arrays]) < RECYCLED_BYTES:
        return np.concatenate(arrays, axis)     # the same order, too
    shape = (*x.shape[:axis], sum(a.shape[axis] for a in arrays), *x.shape[axis + 1:])
    y = empty_in_order(shape, x.dtype, memory_order(x))
    return np.concatenate(arrays, axis, out=y)
