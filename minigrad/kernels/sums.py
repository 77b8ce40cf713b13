"""Reductions of large arrays: sums, products and extremes along any dims, in any order of memory.

An array is seen as (planes, rows, columns), and the rows of each plane are reduced to one. Several
rows are treated side by side, as one long row, where a single one would be short. The inner loop
then adds a stretch of memory to a stretch of totals, which vector instructions do in the order in
which it is written. Where there is a single column, a row of memory is reduced to a number, in an
order that the compiler chooses.

Totals are float64. Added up in float32, 2²⁴ ones and another one are 2²⁴; each addition rounds to
24 bits, and the errors add up as well. In float64 it takes 2²⁹ times as many numbers to lose as
much. It costs nothing: the processor has the time, while it waits for the memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigrad.kernels import (
    FLOATS,
    Array,
    Double1,
    Double2,
    Double3,
    Float1,
    Float2,
    Float3,
    empty,
    inline,
    inline_sum,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import fast_exp, ordered, unordered

LARGE = 2**14       # values; with fewer, NumPy is done before a kernel has begun
PARTS = 16          # that the rows of one result are divided into; the rounding depends on it
LEAST = 2**12       # values in a part
WIDE = 512          # columns that are treated at a time, so that totals stay in the L1 cache
NARROW = 64         # values in a row; shorter ones are joined
EXACT = 64          # numbers that float32 may add up one after the other

SUM, DEVIATIONS, SQUARES, EXPONENTIALS, PRODUCT, LARGEST, SMALLEST = range(7)
IDENTITY = (0.0, 0.0, 0.0, 0.0, 1.0, -math.inf, math.inf)
UFUNCS = (np.add, np.add, np.add, np.add, np.multiply, np.maximum, np.minimum)


# ---- a row of memory to a number -----------------------------------------------------------------

@inline_sum
def sum_of(x: Float1) -> float:
    """Σ x."""
    total = 0.0
    for i in range(x.shape[0]):
        total += np.float64(x[i])
    return total


@inline_sum
def deviations_of(x: Float1, shift: float) -> float:
    """Σ (x - shift)."""
    total = 0.0
    for i in range(x.shape[0]):
        total += np.float64(x[i]) - shift
    return total


@inline_sum
def squares_of(x: Float1, shift: float) -> float:
    """Σ (x - shift)²."""
    total = 0.0
    for i in range(x.shape[0]):
        d = np.float64(x[i]) - shift
        total += d * d
    return total


@inline_sum
def exponentials_of(x: Float1, shift: float) -> float:
    """Σ e^(x - shift)."""
    total, own = 0.0, x.dtype.type(shift)
    for i in range(x.shape[0]):
        total += np.float64(fast_exp(x[i] - own))
    return total


@inline_sum
def product_of(x: Float1) -> float:
    """Π x."""
    total = 1.0
    for i in range(x.shape[0]):
        total *= np.float64(x[i])
    return total


@inline
def largest_of(x: Float1, sign: float) -> float:
    """The largest sign·x; NaN if there is one."""
    factor = x.dtype.type(sign)
    most = ordered(factor * x[0])
    for i in range(1, x.shape[0]):
        value = ordered(factor * x[i])
        most = value if value > most else most
    return np.float64(unordered(most, x[0]))


@inline
def reduced_row(x: Float1, shift: float, kind: int) -> float:
    if kind == SUM:
        return sum_of(x)
    if kind == DEVIATIONS:
        return deviations_of(x, shift)
    if kind == SQUARES:
        return squares_of(x, shift)
    if kind == EXPONENTIALS:
        return exponentials_of(x, shift)
    if kind == PRODUCT:
        return product_of(x)
    if x.shape[0] == 0:
        return -math.inf if kind == LARGEST else math.inf
    return largest_of(x, 1.0) if kind == LARGEST else -largest_of(x, -1.0)


# ---- rows to a row of totals ---------------------------------------------------------------------

@inline
def greater(value: float, most: float) -> float:
    """The greater of the two; NaN if one is."""
    return most if (most >= value) | (most != most) else value


@inline
def sum_rows(x: Float1, start: int, step: int, rows: int, total: Double1) -> None:
    n, four = total.shape[0], rows // 4 * 4
    for r in range(0, four, 4):
        at = start + r * step
        a, b, c, d = x[at:], x[at + step:], x[at + 2 * step:], x[at + 3 * step:]
        for j in range(n):
            total[j] += np.float64((a[j] + b[j]) + (c[j] + d[j]))
    for r in range(four, rows):
        a = x[start + r * step:]
        for j in range(n):
            total[j] += np.float64(a[j])


@inline
def deviation_rows(x: Float1, start: int, step: int, rows: int, shift: Double1, total: Double1
                   ) -> None:
    n = total.shape[0]
    for r in range(rows):
        row = x[start + r * step:]
        for j in range(n):
            total[j] += np.float64(row[j]) - shift[j]


@inline
def square_rows(x: Float1, start: int, step: int, rows: int, shift: Double1, total: Double1
                ) -> None:
    n = total.shape[0]
    for r in range(rows):
        row = x[start + r * step:]
        for j in range(n):
            d = np.float64(row[j]) - shift[j]
            total[j] += d * d


@inline
def exponential_rows(x: Float1, start: int, step: int, rows: int, shift: Double1, total: Double1
                     ) -> None:
    n, number = total.shape[0], x.dtype.type
    for r in range(rows):
        row = x[start + r * step:]
        for j in range(n):
            total[j] += np.float64(fast_exp(row[j] - number(shift[j])))


@inline
def product_rows(x: Float1, start: int, step: int, rows: int, total: Double1) -> None:
    n = total.shape[0]
    for r in range(rows):
        row = x[start + r * step:]
        for j in range(n):
            total[j] *= np.float64(row[j])


@inline
def largest_rows(x: Float1, start: int, step: int, rows: int, sign: float, total: Double1) -> None:
    """total = the largest sign·x, where total itself is sign times a number as well."""
    n = total.shape[0]
    for r in range(rows):
        row = x[start + r * step:]
        for j in range(n):
            total[j] = sign * greater(sign * np.float64(row[j]), sign * total[j])


@inline
def reduce_rows(x: Float1, start: int, step: int, rows: int, shift: Double1, kind: int,
                total: Double1) -> None:
    """total is reduced with `rows` rows of its length, which start `step` values apart."""
    if kind == SUM:
        sum_rows(x, start, step, rows, total)
    elif kind == DEVIATIONS:
        deviation_rows(x, start, step, rows, shift, total)
    elif kind == SQUARES:
        square_rows(x, start, step, rows, shift, total)
    elif kind == EXPONENTIALS:
        exponential_rows(x, start, step, rows, shift, total)
    elif kind == PRODUCT:
        product_rows(x, start, step, rows, total)
    else:
        largest_rows(x, start, step, rows, 1.0 if kind == LARGEST else -1.0, total)


@inline
def combine(kind: int, a: Double1, b: Double1) -> None:
    """Totals b are added to totals a, or what the kind does instead."""
    if kind == PRODUCT:
        for j in range(a.shape[0]):
            a[j] *= b[j]
    elif kind == LARGEST:
        for j in range(a.shape[0]):
            a[j] = greater(b[j], a[j])
    elif kind == SMALLEST:
        for j in range(a.shape[0]):
            a[j] = -greater(-b[j], -a[j])
    else:
        for j in range(a.shape[0]):
            a[j] += b[j]


# ---- the kernels ---------------------------------------------------------------------------------

def row_reductions_numpy(x: Float2, shift: Double1, kind: int, partials: Double2) -> None:
    """partials[a, p] = Σ x[a, i] over the places i of part p: or, according to kind, Σ (x - shift),
    Σ (x - shift)², Σ e^(x - shift), Π x, max x, min x; the last two are NaN if a number is.

    Shapes: x (A, N), shift (A,), partials (A, P): each row is divided into P parts. Kinds without a
    shift do not look at it.
    """
    column_reductions_numpy(x[..., None], shift[..., None], kind, partials[..., None])


@kernel(row_reductions_numpy, writes=("partials",))
def row_reductions(x: Float2, shift: Double1, kind: int, partials: Double2) -> None:
    rows, n = x.shape
    parts = partials.shape[1]
    is_shifted = DEVIATIONS <= kind <= EXPONENTIALS
    step = max(1, LEAST * parts // max(1, n))               # parts that a thread reduces in turn
    for block in prange((rows * parts + step - 1) // step):
        for at in range(block * step, min(block * step + step, rows * parts)):
            row, part = (at, 0) if parts == 1 else (at // parts, at % parts)
            values = x[row] if parts == 1 else x[row, n * part // parts:n * (part + 1) // parts]
            partials[row, part] = reduced_row(values, shift[row] if is_shifted else 0.0, kind)


def column_reductions_numpy(x: Float3, shift: Double2, kind: int, partials: Double3) -> None:
    """partials[a, p, c] = Σ x[a, i, c] over the rows i of part p, or as in `row_reductions`.

    Shapes: x (A, N, C), shift (A, C), partials (A, P, C): the N rows are divided into P parts.
    """
    rows, parts = x.shape[1], partials.shape[1]
    for part in range(parts):
        y = x[:, rows * part // parts:rows * (part + 1) // parts].astype(np.float64)
        if DEVIATIONS <= kind <= EXPONENTIALS:
            y = y - shift[:, None]
        y = np.square(y) if kind == SQUARES else np.exp(y) if kind == EXPONENTIALS else y
        partials[:, part] = UFUNCS[kind].reduce(y, 1, initial=IDENTITY[kind])


@kernel(column_reductions_numpy, writes=("partials",))
def column_reductions(x: Float3, shift: Double2, kind: int, partials: Double3) -> None:
    planes, rows, columns = x.shape
    parts = partials.shape[1]
    values = x.reshape(x.size)
    blocks = (columns + WIDE - 1) // WIDE
    tasks, identity = planes * parts * blocks, IDENTITY[kind]
    step = max(1, LEAST * parts * blocks // max(1, rows * columns))     # of a thread, in turn
    for turn in prange((tasks + step - 1) // step):
        totals, shifts = np.empty(WIDE), np.empty(WIDE)
        for task in range(turn * step, min(turn * step + step, tasks)):
            block, part, plane = task % blocks, task // blocks % parts, task // blocks // parts
            first, last = rows * part // parts, rows * (part + 1) // parts
            left = block * WIDE
            width, count = min(WIDE, columns - left), last - first
            together = max(1, min(NARROW // columns, count))
            total = totals[:together * width]
            for j in range(total.shape[0]):
                total[j] = identity
            if DEVIATIONS <= kind <= EXPONENTIALS:
                for k in range(together):
                    for j in range(width):
                        shifts[k * width + j] = shift[plane, left + j]
            start, stride = (plane * rows + first) * columns + left, together * columns
            steps, rest = count // together, count % together
            reduce_rows(values, start, stride, steps, shifts, kind, total)
            if rest:
                reduce_rows(values, start + steps * stride, stride, 1, shifts, kind,
                            total[:rest * width])
            target = partials[plane, part, left:left + width]
            for j in range(width):
                target[j] = total[j]
            for k in range(1, together):
                combine(kind, target, total[k * width:k * width + width])


# ---- on arrays of any shape ----------------------------------------------------------------------

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
    values = x if x.flags.c_contiguous else x.transpose(order)
    if not values.flags.c_contiguous:
        dense = empty(values.shape, x.dtype)
        dense[...] = values
        values = dense
    for stage, (planes, rows, columns, parts) in enumerate(plan.stages):
        shifts = NO_SHIFT
        if shift is not None and stage == 0:
            shifts = np.broadcast_to(shift.transpose(order), plan.first).reshape(planes, columns)
        partials = empty((planes, parts, columns), np.float64)
        if columns == 1:
            row_reductions(values.reshape(planes, rows), shifts[:, 0], kind,
                           partials.reshape(planes, parts))
        else:
            column_reductions(values.reshape(planes, rows, columns), shifts, kind, partials)
        values = partials[:, 0] if parts == 1 else UFUNCS[kind].reduce(partials, 1)
        kind = SUM if DEVIATIONS <= kind <= EXPONENTIALS else kind
    y: Array = values.reshape(plan.shape)
    y = y if x.flags.c_contiguous else y.transpose(plan.back)
    return y if times == 1 else y * times


def is_large(x: Array, dims: tuple[int, ...]) -> bool:
    """Whether `reduce` is for x, and not NumPy."""
    enough = LARGE if len(dims) < x.ndim else 2 * LARGE     # NumPy is best at a single result
    return x.size >= enough and x.dtype in FLOATS and len(dims) > 0


def total(x: Array, dims: tuple[int, ...], keepdims: bool, count: int = 1) -> Array:
    """Σ x over some dims, divided by `count`."""
    if not is_large(x, dims):
        # along the innermost dim NumPy adds pairs, along others one number after the other
        is_long = (x.dtype == np.float32 and len(dims) < x.ndim and dims != (x.ndim - 1,)
                   and math.prod(x.shape[dim] for dim in dims) > EXACT)
        dtype = np.float64 if is_long else x.dtype
        small: Array = np.asarray(x.sum(dims, dtype, keepdims=keepdims))
        if count != 1:
            small = small / small.dtype.type(count)
        return small.astype(x.dtype, copy=False)
    y = reduce(SUM, x, dims)
    if count != 1:
        y /= count
    return _as(y, x, dims, keepdims)


def squares(x: Array, dims: tuple[int, ...], keepdims: bool, count: float) -> Array:
    """Σ (x - mean)² over some dims, divided by `count`; 0 if all x are equal.

    That is why x is measured from the first one, not from 0, when the mean is formed.
    """
    n = math.prod(x.shape[dim] for dim in dims)
    first = x[tuple(slice(0, 1) if dim in dims else slice(None) for dim in range(x.ndim))]
    if not is_large(x, dims):
        centred = x - first
        centred = centred - centred.sum(dims, keepdims=True) / x.dtype.type(n)
        small: Array = np.square(centred).sum(dims, keepdims=keepdims) / x.dtype.type(count)
        return small
    middle = first.astype(np.float64)
    middle += reduce(DEVIATIONS, x, dims, middle) / n
    return _as(reduce(SQUARES, x, dims, middle) / count, x, dims, keepdims)


def extreme(x: Array, dims: tuple[int, ...], keepdims: bool, largest: bool) -> Array:
    """The largest or the smallest x over some dims; NaN if there is one."""
    if not is_large(x, dims):
        return np.asarray((np.max if largest else np.min)(x, dims, keepdims=keepdims))
    return _as(reduce(LARGEST if largest else SMALLEST, x, dims), x, dims, keepdims)


def product(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """Π x over some dims."""
    if not is_large(x, dims):
        return np.asarray(x.prod(dims, dtype=x.dtype, keepdims=keepdims))
    return _as(reduce(PRODUCT, x, dims), x, dims, keepdims)


def log_sum_exp(x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """log Σ e^x over some dims, computed as m + log Σ e^(x - m) with m = max x."""
    if not is_large(x, dims):
        m = x.max(dims, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0).astype(x.dtype)
        y = np.log(np.exp(x - m).sum(dims, keepdims=True)) + m
        return np.asarray(y if keepdims else y.squeeze(dims))
    m = reduce(LARGEST, x, dims)
    m = np.where(np.isfinite(m), m, 0)
    return _as(np.log(reduce(EXPONENTIALS, x, dims, m)) + m, x, dims, keepdims)


def _as(y: Array, x: Array, dims: tuple[int, ...], keepdims: bool) -> Array:
    """A result in x's dtype, with or without the dims that were reduced."""
    y = y.astype(x.dtype)
    return y if keepdims else y.squeeze(dims)
