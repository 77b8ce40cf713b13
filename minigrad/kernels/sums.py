"""Reductions of arrays over any dims, in any order of memory."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import FLOATS, Array, empty, memory_order
from minigrad.kernels.reductions import (
    DEVIATIONS,
    EXPONENTIALS,
    LARGEST,
    LEAST,
    PRODUCT,
    SMALLEST,
    SQUARES,
    SUM,
    UFUNCS,
    WIDE,
    column_reductions,
    row_reductions,
    running_sums,
)
from minigrad.kernels.softmax import apply_along

LARGE = 2**14       # values; with fewer, NumPy is done before a kernel has begun
LONG = 2**11        # the same where NumPy takes several times as long as for a sum
PARTS = 16          # that the rows of one result are divided into; the rounding depends on it
BLOCK = 512         # squares that the BLAS adds up in x's dtype
EXACT = 64          # numbers that float32 may add up one after the other


class Plan(NamedTuple):
    """How an array is reduced, over one dim or some that are neighbours in memory at each stage.

    stages: the (planes, rows, columns) that it is seen as, and into how many parts the rows are
    divided. first, shape: its dims, in the order of memory, after the first stage and after the
    last. back: the order that undoes this one.
    """

    stages: tuple[tuple[int, int, int, int], ...]
    first: tuple[int, ...]
    shape: tuple[int, ...]
    back: tuple[int, ...]


@lru_cache(1024)            # a network reduces arrays of the same few shapes again and again
def _planned(shape: tuple[int, ...], order: tuple[int, ...], dims: tuple[int, ...]) -> Plan:
    groups: list[tuple[list[int], bool]] = []   # neighbours that are all reduced, or all kept
    for dim in order:
        if groups and (groups[-1][1] == (dim in dims) or shape[dim] == 1):
            groups[-1][0].append(dim)
        else:
            groups.append(([dim], dim in dims))
    if not any(is_reduced for _, is_reduced in groups):         # over dims of size 1 only
        groups.append(([], True))
    sizes = [math.prod(shape[dim] for dim in group) for group, _ in groups]
    reduced = [i for i, (_, is_reduced) in enumerate(groups) if is_reduced]
    stages = []
    for i in reversed(reduced):
        planes, rows = math.prod(sizes[:i]), sizes[i]
        columns = math.prod(sizes[j] for j in range(i + 1, len(sizes)) if j not in reduced)
        tasks = planes * -(-columns // WIDE)
        parts = max(1, min(PARTS // tasks, rows, rows * min(columns, WIDE) // LEAST))
        stages.append((planes, rows, columns, parts))
    last = groups[reduced[-1]][0]
    return Plan(tuple(stages), tuple(1 if dim in last else shape[dim] for dim in order),
                tuple(1 if dim in dims else shape[dim] for dim in order),
                tuple(sorted(range(len(order)), key=order.__getitem__)))


NO_SHIFT = np.zeros((1, 1))


def reduce(kind: int, x: Array, dims: tuple[int, ...], shift: Array | None = None) -> Array:
    """x reduced over some dims, at least one, which are kept with size 1; float64.

    shift: float64, of the result's shape.
    """
    times = 1
    if 0 in x.strides and kind not in (LARGEST, SMALLEST, PRODUCT):     # expanded: all are equal
        alike = [dim for dim in dims if x.strides[dim] == 0]
        times = math.prod(x.shape[dim] for dim in alike)
        x = x[tuple(slice(1 if dim in alike else None) for dim in range(x.ndim))]
    order = memory_order(x)
    plan = _planned(x.shape, order, dims)
    is_usual = x.flags.c_contiguous
    values = x if is_usual else x.transpose(order)
    if not (is_usual or values.flags.c_contiguous):
        dense = empty(values.shape, x.dtype)
        dense[...] = values
        values = dense
    for stage, (planes, rows, columns, parts) in enumerate(plan.stages):
        shifts = NO_SHIFT
        if shift is not None and stage == 0:
            shifts = np.broadcast_to(shift.transpose(order), plan.first).reshape(planes, columns)
        if columns == 1:
            partials = empty((planes, parts), np.float64)
            row_reductions(values.reshape(planes, rows), shifts.reshape(-1), kind, partials)
        else:
            partials = empty((planes, parts, columns), np.float64)
            column_reductions(values.reshape(planes, rows, columns), shifts, kind, partials)
        values = partials if parts == 1 else UFUNCS[kind].reduce(partials, 1)
        kind = SUM if DEVIATIONS <= kind <= EXPONENTIALS else kind
    y: Array = values.reshape(plan.shape)
    y = y if is_usual else y.transpose(plan.back)
    return y if times == 1 else y * times


def is_large(x: Array, dims: tuple[int, ...], least: int = LARGE) -> bool:
    """Whether `reduce` is for x, and not NumPy."""
    enough = least if len(dims) < x.ndim else 2 * least     # NumPy is best at a single result
    return x.size >= enough and x.dtype in FLOATS and len(dims) > 0


def total(x: Array, dims: tuple[int, ...], keepdims: bool, count: int = 1) -> Array:
    """Σ x over some dims, divided by `count`."""
    if not is_large(x, dims):
        small: Array = np.asanyarray(_added(x, dims, keepdims))
        if count != 1:
            small = small / small.dtype.type(count)
        return small.astype(x.dtype, copy=False)
    y = reduce(SUM, x, dims)
    if count != 1:
        y /= count
    return _as(y, x, dims, keepdims)


def _added(x: Array, dims: tuple[int, ...], keepdims: bool) -> Any:
    """Σ x over some dims with NumPy; float64 where NumPy would add float32 one after the other.

    That is wherever the numbers do not lie in one stretch of memory, in which NumPy adds pairs.
    """
    apart = x.dtype.char in "ef" and not (
        x.flags.c_contiguous and dims == tuple(range(x.ndim - len(dims), x.ndim)))
    is_long = apart and math.prod(x.shape[dim] for dim in dims) > EXACT
    add: Any = np.add                           # as x.sum(), without its detour through Python
    return add.reduce(x, dims, np.float64 if is_long else x.dtype, None, keepdims)


def squares(x: Array, dims: tuple[int, ...], keepdims: bool, count: float) -> Array:
    """Σ (x - mean)² over some dims, divided by `count`; 0 if all x are equal.

    That is why x is measured from the first one, not from 0, when the mean is formed.
    """
    n = math.prod(x.shape[dim] for dim in dims)
    first = x[tuple(slice(0, 1) if dim in dims else slice(None) for dim in range(x.ndim))]
    if not is_large(x, dims):
        centred = x - first
        mean = (_added(centred, dims, True) / x.dtype.type(n)).astype(x.dtype, copy=False)
        variance: Array = _added(np.square(centred - mean), dims, keepdims) / x.dtype.type(count)
        return variance.astype(x.dtype, copy=False)
    middle = first.astype(np.float64)
    middle += reduce(DEVIATIONS, x, dims, middle) / n
    return _as(reduce(SQUARES, x, dims, middle) / count, x, dims, keepdims)


def euclidean_norm(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """√(Σ x²) over some dims."""
    if not is_large(x, dims, LONG):
        return np.asarray(np.sqrt(_added(np.square(x), dims, keepdims))).astype(x.dtype, copy=False)
    origin = np.zeros([1 if dim in dims else n for dim, n in enumerate(x.shape)])
    return _as(np.sqrt(reduce(SQUARES, x, dims, origin)), x, dims, keepdims)


def extreme(x: Array, dims: tuple[int, ...], keepdims: bool, largest: bool) -> Array:
    """The largest or the smallest x over some dims; NaN if there is one."""
    if not is_large(x, dims, LONG):
        find: Any = np.maximum if largest else np.minimum   # as x.max(), without its detour
        return np.asarray(find.reduce(x, dims, None, None, keepdims))
    return _as(reduce(LARGEST if largest else SMALLEST, x, dims), x, dims, keepdims)


def product(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """Π x over some dims."""
    if not is_large(x, dims, LONG):
        wide = np.float64 if x.dtype.kind == "f" else x.dtype       # NumPy never multiplies pairs
        multiply: Any = np.multiply
        y = np.asarray(multiply.reduce(x, dims, wide, None, keepdims))
        return y.astype(x.dtype, copy=False)
    return _as(reduce(PRODUCT, x, dims), x, dims, keepdims)


def log_sum_exp(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """log Σ e^x over some dims, computed as m + log Σ e^(x - m) with m = max x."""
    if not is_large(x, dims):
        m = x.max(dims, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0).astype(x.dtype)
        y = (np.log(_added(np.exp(x - m), dims, True)) + m).astype(x.dtype, copy=False)
        return np.asarray(y if keepdims else y.squeeze(dims))
    m = reduce(LARGEST, x, dims)
    m = np.where(np.isfinite(m), m, 0)
    return _as(np.log(reduce(EXPONENTIALS, x, dims, m)) + m, x, dims, keepdims)


def norm(x: Array, p: float) -> Array:
    """(Σ |x|^p)^(1/p) over all x; float64."""
    values = x.reshape(-1)
    if p != 2:
        return np.asarray(np.linalg.norm(values.astype(np.float64), p))
    whole = values.size // BLOCK * BLOCK
    blocks, rest = values[:whole].reshape(-1, 1, BLOCK), values[whole:].astype(np.float64)
    total = np.matmul(blocks, blocks.transpose(0, 2, 1)).sum(dtype=np.float64)
    return np.asarray(np.sqrt(total + rest.dot(rest)))


def cumulative(x: Array, dim: int, from_end: bool = False) -> Array:
    """The sums x_0 + … + x_i along a dim, or those of x_i and all behind it."""
    if x.size >= LONG and x.dtype in FLOATS:
        return apply_along(running_sums, dim, x, options=(from_end,))
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    if from_end:
        return np.flip(np.flip(x, dim).cumsum(dim, dtype=wide), dim).astype(x.dtype, copy=False)
    return x.cumsum(dim, dtype=wide).astype(x.dtype, copy=False)


def _as(y: Array, x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """A result in x's dtype, with or without the dims that were reduced."""
    y = y.astype(x.dtype)
    return y if keepdims else y.reshape([n for dim, n in enumerate(x.shape) if dim not in dims])
