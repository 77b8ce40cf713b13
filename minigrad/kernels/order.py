"""The order in which the dims of an array lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minigrad.kernels import tape
from minigrad.kernels.compile import FLOATS, SMALL, Array, Strided4, kernel, prange
from minigrad.kernels.memory import RECYCLED_BYTES, empty
from minigrad.kernels.tile import transpose

WORTHWHILE = 2**12          # values; NumPy turns fewer sooner
BLOCK = 64                  # columns of a matrix that a thread turns in turn


class Turn(NamedTuple):
    """How an array is copied to other strides: as matrices (A, B, M, N), its dims having been
    joined to these sizes and then exchanged to this order, so that the rows of the source and the
    columns of the target are contiguous."""

    sizes: tuple[int, ...]
    order: tuple[int, ...]


def turn_numpy(x: Strided4, y: Strided4) -> None:
    """y = xᵀ, each matrix: x (A, B, M, N) → y (A, B, N, M), both with contiguous rows."""
    y[:] = x.swapaxes(2, 3)


@kernel(turn_numpy, writes=("y",), small=SMALL)
def turn(x: Strided4, y: Strided4) -> None:
    (outer, inner, rows, columns), lanes = x.shape, 64 // x.itemsize
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in prange(outer * inner * blocks):
        matrix, first = task // blocks, task % blocks * BLOCK
        source, target = (x[matrix // inner, matrix % inner], y[matrix // inner, matrix % inner])
        for left in range(first, min(first + BLOCK, columns), lanes):
            right = min(left + lanes, columns)
            for top in range(0, rows, lanes):
                bottom = min(top + lanes, rows)
                transpose(source[top:bottom, left:right], target[left:right, top:bottom])


def contiguous(x: Array) -> Array:
    """x if it lies in memory as its dims are ordered, else a copy that does."""
    if x.flags.c_contiguous:
        return x
    if x.size < WORTHWHILE or x.dtype not in FLOATS:
        return x.copy()
    y = empty(x.shape, x.dtype)
    plan = _turn(x.shape, x.strides, x.itemsize)
    if plan is None:
        y[...] = x
    else:
        sizes, order = plan
        turn(x.reshape(sizes).transpose(order), y.reshape(sizes).transpose(
            *order[:2], order[3], order[2]))
    return y


@lru_cache(1024)            # a network turns arrays of the same few shapes again and again
def _turn(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> Turn | None:
    """None if the rows of the copy are rows in x already, or nothing in x is contiguous."""
    joined = _joined(shape, strides)
    steps = [step for _, step in joined]
    if itemsize not in steps[:-1] or min(steps) <= 0 or any(step % itemsize for step in steps) \
            or len(joined) > 4:
        return None
    ones = 4 - len(joined)
    sizes, at = (*[1] * ones, *(n for n, _ in joined)), ones + steps.index(itemsize)
    return Turn(sizes, (*(dim for dim in range(3) if dim != at), 3, at))


@lru_cache(1024)
def _joined(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Sizes and strides of an array whose dims are joined where one goes on where another ends."""
    dims: list[tuple[int, int]] = []
    for n, step in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if dims and dims[-1][1] == n * step:
            dims[-1] = (dims[-1][0] * n, step)
        else:
            dims.append((n, step))
    return tuple(dims)


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """x.reshape(shape), all sizes being known: a view where that is possible."""
    if not x.flags.c_contiguous and x.size and not _is_view(x.shape, x.strides, shape):
        x = contiguous(x)
    return x.reshape(shape)


@lru_cache(1024)
def _is_view(shape: tuple[int, ...], strides: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether each of the joined dims is divided by itself."""
    ends = accumulate((n for n, _ in _joined(shape, strides)), mul)
    return set(ends) <= set(accumulate(wanted, mul))


def batch_last(x: Array) -> Array:
    """(N, …) → (…, N), contiguous: a view if x lies in memory batch last, else a copy."""
    return contiguous(x.transpose(_ends_with_the_first(x.ndim)))


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
    return contiguous(x.transpose(order)).reshape(-1)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """np.concatenate of arrays of one dtype, in recycled memory and in the order of the first."""
    x = arrays[0]
    shape = (*x.shape[:axis], sum(a.shape[axis] for a in arrays), *x.shape[axis + 1:])
    y = empty_in_order(shape, x.dtype, memory_order(x))
    return np.concatenate(arrays, axis, out=y)
