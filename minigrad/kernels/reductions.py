"""Loops that reduce: sums, products and extremes of rows and of columns.

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

import numpy as np

from minigrad.kernels import (
    SMALL,
    TINY_STEPS,
    Double1,
    Double2,
    Double3,
    Float1,
    Float2,
    Float3,
    inline,
    inline_sum,
    kernel,
    prange,
)
from minigrad.kernels.maths import fast_exp, ordered, unordered

LEAST = 2**12       # values in a part
WIDE = 512          # columns that are treated at a time, so that totals stay in the L1 cache
NARROW = 64         # values in a row; shorter ones are joined
SIDE_BY_SIDE = 4    # rows of which the running sums are formed at a time

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
    for i in range(x.shape[0]):         # from 0: vectors leave no rest of a usual row
        value = ordered(factor * x[i])
        most = value if value > most else most
    return np.float64(unordered(most, x[0]))


@inline
def reduced_row(x: Float1, shift: float, kind: int) -> float:
    """x reduced to a number, in any way but SUM."""
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


@kernel(row_reductions_numpy, writes=("partials",), small=TINY_STEPS)
def row_reductions(x: Float2, shift: Double1, kind: int, partials: Double2) -> None:
    rows, n = x.shape
    parts = partials.shape[1]
    numbers, totals = x.reshape(x.size), partials.reshape(partials.size)
    is_shifted = DEVIATIONS <= kind <= EXPONENTIALS
    step = max(1, LEAST * parts // max(1, n))               # parts that a thread reduces in turn
    for block in prange((rows * parts + step - 1) // step):
        for at in range(block * step, min(block * step + step, rows * parts)):
            row, first, last = at, 0, n
            if parts > 1:
                row, part = at // parts, at % parts
                first, last = n * part // parts, n * (part + 1) // parts
            values = numbers[row * n + first:row * n + last]
            if kind == SUM:                 # short rows would be added sooner than this is chosen
                totals[at] = sum_of(values)
            else:
                totals[at] = reduced_row(values, shift[row] if is_shifted else 0.0, kind)


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


@kernel(column_reductions_numpy, writes=("partials",), small=TINY_STEPS)
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


def running_sums_numpy(x: Float3, from_end: bool, y: Float3) -> None:
    """y[a, i, c] = Σ x[a, j, c] over all j ≤ i, or all j ≥ i."""
    if from_end:
        y[:] = x[:, ::-1].cumsum(1, dtype=np.float64)[:, ::-1]
    else:
        y[:] = x.cumsum(1, dtype=np.float64)


@inline
def running_sums_of_rows(x: Float2, from_end: bool, y: Float2) -> None:
    """Of SIDE_BY_SIDE rows at most, so that an addition need not wait for the one before."""
    rows, n = x.shape
    first, step = (n - 1, -1) if from_end else (0, 1)
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    if rows == SIDE_BY_SIDE:
        for i in range(n):
            at = first + step * i
            a, b, c, d = a + x[0, at], b + x[1, at], c + x[2, at], d + x[3, at]
            y[0, at], y[1, at], y[2, at], y[3, at] = a, b, c, d
    else:
        for row in range(rows):
            a = 0.0
            for i in range(n):
                at = first + step * i
                a += x[row, at]
                y[row, at] = a


@kernel(running_sums_numpy, writes=("y",), small=SMALL)
def running_sums(x: Float3, from_end: bool, y: Float3) -> None:
    planes, rows, columns = x.shape
    if columns == 1:
        x_rows, y_rows = x.reshape(planes, rows), y.reshape(planes, rows)
        for block in prange((planes + SIDE_BY_SIDE - 1) // SIDE_BY_SIDE):
            mine = slice(block * SIDE_BY_SIDE, min(block * SIDE_BY_SIDE + SIDE_BY_SIDE, planes))
            running_sums_of_rows(x_rows[mine], from_end, y_rows[mine])
    else:
        blocks = (columns + WIDE - 1) // WIDE
        for task in prange(planes * blocks):
            plane, left = task // blocks, task % blocks * WIDE
            right = min(left + WIDE, columns)
            total = np.zeros(right - left)
            for i in range(rows):
                row = rows - 1 - i if from_end else i
                source, target = x[plane, row, left:right], y[plane, row, left:right]
                for j in range(right - left):
                    total[j] += source[j]
                    target[j] = total[j]
