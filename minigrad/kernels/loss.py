"""Losses of numbers x with targets t, and their gradients, each in one pass over memory.

A loss is three functions of two numbers: its value, and its derivatives by x and by t. Each has a
loop here, over a piece of memory. The kernels below divide arrays into such pieces. The sum of the
losses is formed piece by piece, while the values of a piece are in cache, so that none of them is
written to memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    SMALL,
    Array,
    Double1,
    Float1,
    empty,
    empty_in_order,
    flat,
    inline,
    inline_sum,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import (
    ONE,
    ZERO,
    fast_exp,
    fast_log,
    fast_log1p,
    fast_sigmoid,
    sigmoid_of,
    whole_log1p,
)

Options = tuple[float, float, float, float]
Numbers = tuple[Any, Any, Any, Any]

LARGE = 2**6        # values; with fewer, NumPy is done before a kernel has begun
PIECE = 2**12       # values that are summed at a time; the rounding depends on it

SQUARE, DISTANCE, PROBABILITY, LOGIT, DIVERGENCE = range(5)


# ---- a piece of memory ---------------------------------------------------------------------------
#
# The values of each loss, and its derivatives. The options of a loss are numbers of x's dtype.

@inline
def squares(x: Float1, t: Float1, y: Float1) -> None:
    """(x - t)²"""
    for i in range(y.shape[0]):
        d = x[i] - t[i]
        y[i] = d * d


@inline
def squares_by_x(x: Float1, t: Float1, y: Float1) -> None:
    for i in range(y.shape[0]):
        d = x[i] - t[i]
        y[i] = d + d


@inline
def distances(x: Float1, t: Float1, options: Numbers, y: Float1) -> None:
    """With d = |x - t|: slope·d - offset for d ≥ limit, a parabola curve·d² below."""
    limit, curve, slope, offset = options
    for i in range(y.shape[0]):
        d = abs(x[i] - t[i])
        y[i] = slope * d - offset if d >= limit else curve * d * d


@inline
def distances_by_x(x: Float1, t: Float1, options: Numbers, y: Float1) -> None:
    limit, curve, slope, _ = options
    only_lines, twice = limit <= ZERO, curve + curve
    for i in range(y.shape[0]):
        d = x[i] - t[i]
        line = slope if d > ZERO else -slope
        line = line if abs(d) > ZERO else ZERO         # also where d is NaN
        y[i] = line if abs(d) >= limit or only_lines else twice * d


@inline
def probabilities(x: Float1, t: Float1, options: Numbers, y: Float1) -> None:
    """-(t·log x + (1 - t)·log(1 - x)), the logarithms no less than the first option."""
    least = options[0]
    for i in range(y.shape[0]):
        log, rest = fast_log(x[i]), whole_log1p(-x[i])
        log = least if log < least else log
        rest = least if rest < least else rest
        y[i] = t[i] * (rest - log) - rest


@inline
def probabilities_by_x(x: Float1, t: Float1, options: Numbers, y: Float1) -> None:
    least = options[1]
    for i in range(y.shape[0]):
        variance = x[i] * (ONE - x[i])
        y[i] = (x[i] - t[i]) / (least if variance < least else variance)


@inline
def probabilities_by_t(x: Float1, y: Float1) -> None:
    for i in range(y.shape[0]):
        y[i] = whole_log1p(-x[i]) - fast_log(x[i])


@inline
def logits(x: Float1, t: Float1, y: Float1) -> None:
    """-(t·log σ(x) + (1 - t)·log(1 - σ(x))) = (1 - t)·x - log σ(x)"""
    for i in range(y.shape[0]):
        v = x[i]
        minus_log_sigmoid = fast_log1p(fast_exp(-abs(v))) - (v if v < ZERO else ZERO)
        y[i] = (ONE - t[i]) * v + minus_log_sigmoid


@inline
def logits_by_x(x: Float1, t: Float1, y: Float1) -> None:
    for i in range(y.shape[0]):
        y[i] = fast_sigmoid(x[i]) - t[i]


@inline
def divergences(x: Float1, t: Float1, y: Float1) -> None:
    """t·log t - t·x, with 0·log 0 = 0"""
    for i in range(y.shape[0]):
        entropy = t[i] * fast_log(t[i])
        y[i] = (ZERO if t[i] == ZERO else entropy) - t[i] * x[i]


@inline
def divergences_by_t(x: Float1, t: Float1, y: Float1) -> None:
    """log t + 1 - x; NaN for t = 0"""
    for i in range(y.shape[0]):
        log = fast_log(t[i])
        y[i] = (ZERO if t[i] == ZERO else log) + t[i] / t[i] - x[i]


@inline
def negatives(x: Float1, y: Float1) -> None:
    for i in range(y.shape[0]):
        y[i] = -x[i]


@inline
def fill_values(x: Float1, t: Float1, kind: int, options: Numbers, y: Float1) -> None:
    if kind == SQUARE:
        squares(x, t, y)
    elif kind == DISTANCE:
        distances(x, t, options, y)
    elif kind == PROBABILITY:
        probabilities(x, t, options, y)
    elif kind == LOGIT:
        logits(x, t, y)
    else:
        divergences(x, t, y)


@inline
def fill_slopes(x: Float1, t: Float1, kind: int, by_target: bool, options: Numbers, y: Float1
                ) -> None:
    if kind == SQUARE:
        squares_by_x(t if by_target else x, x if by_target else t, y)
    elif kind == DISTANCE:
        distances_by_x(t if by_target else x, x if by_target else t, options, y)
    elif kind == PROBABILITY and by_target:
        probabilities_by_t(x, y)
    elif kind == PROBABILITY:
        probabilities_by_x(x, t, options, y)
    elif kind == LOGIT and by_target:
        negatives(x, y)
    elif kind == LOGIT:
        logits_by_x(x, t, y)
    elif by_target:
        divergences_by_t(x, t, y)
    else:
        negatives(t, y)


@inline
def numbers(x: Float1, options: Options) -> Numbers:
    """The options in x's dtype."""
    number = x.dtype.type
    return number(options[0]), number(options[1]), number(options[2]), number(options[3])


# ---- the same with NumPy -------------------------------------------------------------------------

def value_numpy(x: Array, t: Array, kind: int, options: Options) -> Any:
    """The losses of arrays."""
    if kind == SQUARE:
        d = x - t
        return d * d
    if kind == DISTANCE:
        limit, curve, slope, offset = options
        d = np.abs(x - t)
        return np.where(d >= limit, slope * d - offset, curve * d * d)
    if kind == PROBABILITY:
        log, rest = (np.maximum(y, options[0]) for y in (np.log(x), np.log1p(-x)))
        return t * (rest - log) - rest
    if kind == LOGIT:
        return (1 - t) * x + (np.log1p(np.exp(-np.abs(x))) - np.minimum(x, 0))
    return np.where(t == 0, 0, t * np.log(t)) - t * x


def slope_numpy(x: Array, t: Array, kind: int, by_target: bool, options: Options) -> Any:
    """The derivatives of the losses by x or by t."""
    if kind in (SQUARE, DISTANCE):
        d = t - x if by_target else x - t
        if kind == SQUARE:
            return d + d
        limit, curve, slope, _ = options
        line = np.where(d > 0, slope, np.where(d < 0, -slope, 0))
        return np.where((np.abs(d) >= limit) | (limit <= 0), line, 2 * curve * d)
    if kind == PROBABILITY:
        if by_target:
            return np.log1p(-x) - np.log(x)
        return (x - t) / np.maximum(x * (1 - x), options[1])
    if kind == LOGIT:
        return -x if by_target else sigmoid_of(x) - t
    return np.where(t == 0, 0, np.log(t)) + t / t - x if by_target else -t


# ---- on arrays -----------------------------------------------------------------------------------

@inline_sum
def total(x: Float1) -> float:
    """Σ x, in float64."""
    result = 0.0
    for i in range(x.shape[0]):
        result += np.float64(x[i])
    return result


def losses_numpy(x: Float1, t: Float1, kind: int, options: Options, y: Float1) -> None:
    """y = the loss of each x."""
    y[:] = value_numpy(x, t, kind, options)


@kernel(losses_numpy, writes=("y",), small=SMALL)
def losses(x: Float1, t: Float1, kind: int, options: Options, y: Float1) -> None:
    for piece in prange((x.shape[0] + PIECE - 1) // PIECE):
        part = slice(piece * PIECE, min(piece * PIECE + PIECE, x.shape[0]))
        fill_values(x[part], t[part], kind, numbers(x, options), y[part])


def loss_sums_numpy(x: Float1, t: Float1, kind: int, options: Options, sums: Double1) -> None:
    """sums = the sum of the losses of each piece of x."""
    y = value_numpy(x, t, kind, options)
    for piece in range(len(sums)):
        sums[piece] = y[piece * PIECE:piece * PIECE + PIECE].sum(dtype=np.float64)


@kernel(loss_sums_numpy, writes=("sums",), small=SMALL)
def loss_sums(x: Float1, t: Float1, kind: int, options: Options, sums: Double1) -> None:
    for piece in prange(sums.shape[0]):
        part = slice(piece * PIECE, min(piece * PIECE + PIECE, x.shape[0]))
        y = np.empty(part.stop - part.start, x.dtype)
        fill_values(x[part], t[part], kind, numbers(x, options), y)
        sums[piece] = total(y)


def loss_grad_numpy(x: Float1, t: Float1, g: Float1, kind: int, by_target: bool, factor: float,
                    options: Options, dx: Float1) -> None:
    """dx = factor·g·∂l/∂x, or ∂l/∂t instead; g is one number, or one for each x."""
    dx[:] = slope_numpy(x, t, kind, by_target, options) * (g * g.dtype.type(factor))


@kernel(loss_grad_numpy, writes=("dx",), small=SMALL)
def loss_grad(x: Float1, t: Float1, g: Float1, kind: int, by_target: bool, factor: float,
              options: Options, dx: Float1) -> None:
    share = x.dtype.type(factor)
    for piece in prange((x.shape[0] + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(piece * PIECE + PIECE, x.shape[0])
        target = dx[start:stop]
        fill_slopes(x[start:stop], t[start:stop], kind, by_target, numbers(x, options), target)
        if g.shape[0] == 1:
            scale = g[0] * share
            for i in range(stop - start):
                target[i] *= scale
        else:
            slope = g[start:stop]
            for i in range(stop - start):
                target[i] *= slope[i] * share


def count_outside_numpy(x: Float1, low: float, high: float, counts: Double1) -> None:
    """counts = how many numbers of each piece of x do not lie between low and high, or are NaN."""
    outside = ~((x >= low) & (x <= high))
    for piece in range(len(counts)):
        counts[piece] = outside[piece * PIECE:piece * PIECE + PIECE].sum()


@kernel(count_outside_numpy, writes=("counts",), small=SMALL)
def count_outside(x: Float1, low: float, high: float, counts: Double1) -> None:
    least, most = x.dtype.type(low), x.dtype.type(high)
    for piece in prange(counts.shape[0]):
        inside = 0
        part = x[piece * PIECE:min(piece * PIECE + PIECE, x.shape[0])]
        for i in range(part.shape[0]):
            inside += (part[i] >= least) & (part[i] <= most)
        counts[piece] = part.shape[0] - inside


# ---- on arrays of any shape ----------------------------------------------------------------------

def is_large(x: Array, t: Array) -> bool:
    return x.size >= LARGE and x.dtype in FLOATS and x.shape == t.shape


def value(x: Array, t: Array, kind: int, options: Options, reduction: str) -> Any:
    """The losses, or their sum or mean."""
    if not is_large(x, t):
        y = value_numpy(x, t, kind, options)
        if reduction == "none":
            return y
        sum = np.add.reduce(y, None)
        return sum if reduction == "sum" else sum / y.dtype.type(y.size)
    order = memory_order(x)
    if reduction == "none":
        y = empty_in_order(x.shape, x.dtype, order)
        losses(flat(x, order), flat(t, order), kind, options, flat(y, order))
        return y
    sums = empty((-(-x.size // PIECE),), np.float64)
    loss_sums(flat(x, order), flat(t, order), kind, options, sums)
    sum = np.add.reduce(sums)
    return (sum if reduction == "sum" else sum / x.size).astype(x.dtype)


def gradient(x: Array, t: Array, g: Array, kind: int, by_target: bool, factor: float,
             options: Options) -> Any:
    """factor·g·∂l/∂x, or ∂l/∂t instead."""
    if not is_large(x, t):
        slope = slope_numpy(x, t, kind, by_target, options)
        return (np.broadcast_to(slope, np.broadcast_shapes(x.shape, t.shape))
                * (g * g.dtype.type(factor)))
    order = memory_order(x)
    dx = empty_in_order(x.shape, x.dtype, order)
    slopes = flat(g, order) if g.size > 1 else g.reshape(1)
    loss_grad(flat(x, order), flat(t, order), slopes, kind, by_target, factor, options,
              flat(dx, order))
    return dx


def all_within(x: Array, low: float, high: float) -> bool:
    """Whether all x lie between low and high."""
    if x.size < LARGE or x.dtype not in FLOATS:
        return not x.size or bool(x.min() >= low and x.max() <= high)
    counts = empty((-(-x.size // PIECE),), np.float64)
    count_outside(flat(x, memory_order(x)), low, high, counts)
    return not counts.any()
