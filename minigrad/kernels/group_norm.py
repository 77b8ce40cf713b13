"""Layer norm and group norm: mean 0 and variance 1 for the values of each item, in one pass.

Means and variances are float64, and so is x - mean, whatever x is: where the values lie close
together most of x cancels there, and the rounding errors of float32 would be divided by a small σ.

statistics: mean and 1/σ of each set of values, with σ = √(var + eps).
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    SMALL,
    Double1,
    Double2,
    Double3,
    Double4,
    Float1,
    Float2,
    Float3,
    inline,
    inline_sum,
    kernel,
    prange,
)

BLOCK = 4096            # values in the rows of a block, which one thread treats in turn
TILE = 256              # items side by side
NARROW = 64             # values of fewer items are joined, so that loops are long


@inline_sum
def total(x: Float1) -> float:
    """Σ x."""
    result = 0.0
    for i in range(x.shape[0]):
        result += x[i]
    return result


@inline_sum
def spread(x: Float1, mean: float) -> float:
    """Σ (x - mean)²."""
    result = 0.0
    for i in range(x.shape[0]):
        result += (x[i] - mean) * (x[i] - mean)
    return result


@inline_sum
def products(g: Float1, x: Float1, mean: float) -> float:
    """Σ g·(x - mean)."""
    result = 0.0
    for i in range(x.shape[0]):
        result += g[i] * (x[i] - mean)
    return result


@inline_sum
def weighed(g: Float1, w: Float1) -> float:
    """Σ g·w."""
    result = 0.0
    for i in range(g.shape[0]):
        result += np.float64(g[i]) * w[i]
    return result


@inline_sum
def weighed_products(g: Float1, w: Float1, x: Float1, mean: float) -> float:
    """Σ g·w·(x - mean)."""
    result = 0.0
    for i in range(x.shape[0]):
        result += np.float64(g[i]) * w[i] * (x[i] - mean)
    return result


# ---- layer norm (Ba et al. 2016): a row of x is a set of values ----------------------------------

def layer_norm_numpy(x: Float2, w: Float1, b: Float1, eps: float, statistics: Double2, y: Float2
                     ) -> None:
    """y = (x - mean)/σ · w + b."""
    mean = x.mean(1, dtype=np.float64)
    centred = x - mean[:, None]
    statistics[:] = mean, 1 / np.sqrt(np.square(centred).mean(1) + eps)
    y[:] = centred * statistics[1, :, None] * w + b


@kernel(layer_norm_numpy, writes=("statistics", "y"), small=SMALL)
def layer_norm(x: Float2, w: Float1, b: Float1, eps: float, statistics: Double2, y: Float2) -> None:
    rows, n = x.shape
    step = max(1, BLOCK // n)
    for block in prange((rows + step - 1) // step):
        for row in range(block * step, min(block * step + step, rows)):
            source, target = x[row], y[row]
            mean = total(source) / n
            inverse = 1 / np.sqrt(spread(source, mean) / n + eps)
            statistics[0, row], statistics[1, row] = mean, inverse
            for i in range(n):
                target[i] = (source[i] - mean) * inverse * w[i] + b[i]


def layer_norm_grad_numpy(g: Float2, x: Float2, w: Float1, statistics: Double2, partials: Double3,
                          dx: Float2) -> None:
    """dx = (g·w - mean(g·w) - x̂·mean(g·w·x̂))/σ, with x̂ = (x - mean)/σ.

    partials: partial sums whose sum is the gradients of w and b, Σ g·x̂ and Σ g.
    """
    normal = (x - statistics[0, :, None]) * statistics[1, :, None]
    partials[:] = 0
    partials[0] = (g * normal).sum(0), g.sum(0, dtype=np.float64)
    slope = g.astype(np.float64) * w
    slope -= slope.mean(1, keepdims=True) + normal * (slope * normal).mean(1, keepdims=True)
    dx[:] = slope * statistics[1, :, None]


@kernel(layer_norm_grad_numpy, writes=("partials", "dx"), small=SMALL)
def layer_norm_grad(g: Float2, x: Float2, w: Float1, statistics: Double2, partials: Double3,
                    dx: Float2) -> None:
    rows, n = x.shape
    parts = partials.shape[0]
    step = (rows + parts - 1) // parts
    for part in prange(parts):
        dw, db = partials[part, 0], partials[part, 1]
        dw[:] = 0
        db[:] = 0
        for row in range(part * step, min(part * step + step, rows)):
            slope, source, target = g[row], x[row], dx[row]
            mean, inverse = statistics[0, row], statistics[1, row]
            average = weighed(slope, w) / n
            slant = weighed_products(slope, w, source, mean) * inverse * inverse / n
            for i in range(n):
                centred = source[i] - mean
                target[i] = (np.float64(slope[i]) * w[i] - average - slant * centred) * inverse
                dw[i] += slope[i] * (centred * inverse)
                db[i] += slope[i]


# ---- group norm (Wu & He 2018) -------------------------------------------------------------------
#
# x is (S, V, I): S·I sets of V values. Batch first S counts items and groups, and I is 1. Batch
# last S counts the groups and I the items, which lie side by side. A set has V / size channels of
# `size` values each; those of set s are from s % groups · V / size on.

def _by_value(w: Float1, x: Float3, groups: int, size: int) -> Float3:
    """The weights of the channels as (S, V, 1)."""
    return np.repeat(w.reshape(groups, -1), size, 1)[np.arange(len(x)) % groups][..., None]


@inline
def joined(size: int, inner: int) -> int:
    """How many values of a channel are treated as one long row, if each has `inner` items."""
    together = max(1, NARROW // inner)
    while size % together > 0:
        together -= 1
    return together


@inline
def fold(parts: Double1, divisor: float, totals: Double1) -> None:
    """totals = Σ parts / divisor, over as many rows as parts has; then each row = totals."""
    width = totals.shape[0]
    for i in range(width):
        total = 0.0
        for j in range(i, parts.shape[0], width):
            total += parts[j]
        totals[i] = total / divisor
        for j in range(i, parts.shape[0], width):
            parts[j] = totals[i]


def group_norm_numpy(x: Float3, w: Float1, b: Float1, groups: int, size: int, eps: float,
                     statistics: Double3, y: Float3) -> None:
    """y = (x - mean)/σ · w + b."""
    mean = x.mean(1, dtype=np.float64)
    centred = x - mean[:, None]
    statistics[:] = mean, 1 / np.sqrt(np.square(centred).mean(1) + eps)
    y[:] = (centred * statistics[1, :, None] * _by_value(w, x, groups, size)
            + _by_value(b, x, groups, size))


@kernel(group_norm_numpy, writes=("statistics", "y"), small=SMALL)
def group_norm(x: Float3, w: Float1, b: Float1, groups: int, size: int, eps: float,
               statistics: Double3, y: Float3) -> None:
    sets, n, inner = x.shape
    channels = n // size
    if inner == 1:
        x_rows, y_rows = x.reshape(sets, n), y.reshape(sets, n)
        for s in prange(sets):
            mean = total(x_rows[s]) / n
            inverse = 1 / np.sqrt(spread(x_rows[s], mean) / n + eps)
            statistics[0, s, 0], statistics[1, s, 0] = mean, inverse
            for c in range(channels):
                source = x_rows[s, c * size:c * size + size]
                target = y_rows[s, c * size:c * size + size]
                scale = inverse * w[s % groups * channels + c]
                shift = b[s % groups * channels + c]
                for i in range(size):
                    target[i] = (source[i] - mean) * scale + shift
    else:
        tiles, together = (inner + TILE - 1) // TILE, joined(size, inner)
        for block in prange(sets * tiles):
            s, start = block // tiles, block % tiles * TILE
            stop = min(start + TILE, inner)
            means, inverses = statistics[0, s, start:stop], statistics[1, s, start:stop]
            wide, row, target = together * (stop - start), x[s].reshape(-1), y[s].reshape(-1)
            mean, inverse = np.zeros(wide), np.zeros(wide)
            for j in range(start, n * inner, together * inner):
                source = row[j:j + wide]
                for i in range(wide):
                    mean[i] += source[i]
            fold(mean, n, means)
            for j in range(start, n * inner, together * inner):
                source = row[j:j + wide]
                for i in range(wide):
                    centred = source[i] - mean[i]
                    inverse[i] += centred * centred
            fold(inverse, n, inverses)
            for i in range(stop - start):
                inverses[i] = 1 / np.sqrt(inverses[i] + eps)
            for i in range(wide):
                inverse[i] = 1 / np.sqrt(inverse[i] + eps)
            for j in range(start, n * inner, together * inner):
                source, values = row[j:j + wide], target[j:j + wide]
                channel = s % groups * channels + j // inner // size
                factor, shift = w[channel], b[channel]
                for i in range(wide):
                    values[i] = (source[i] - mean[i]) * inverse[i] * factor + shift


def group_norm_grad_numpy(g: Float3, x: Float3, w: Float1, groups: int, size: int,
                          statistics: Double3, sums: Double4, dx: Float3) -> None:
    """dx = (g·w - mean(g·w) - x̂·mean(g·w·x̂))/σ, with x̂ = (x - mean)/σ.

    sums: Σ g·x̂ and Σ g of each channel of a set, (2, S, channels, I).
    """
    normal = (x - statistics[0, :, None]) * statistics[1, :, None]
    parts = (len(x), -1, size, x.shape[2])
    sums[:] = (g * normal).reshape(parts).sum(2), g.reshape(parts).sum(2, dtype=np.float64)
    slope = g.astype(np.float64) * _by_value(w, x, groups, size)
    slope -= slope.mean(1, keepdims=True) + normal * (slope * normal).mean(1, keepdims=True)
    dx[:] = slope * statistics[1, :, None]


@kernel(group_norm_grad_numpy, writes=("sums", "dx"), small=SMALL)
def group_norm_grad(g: Float3, x: Float3, w: Float1, groups: int, size: int, statistics: Double3,
                    sums: Double4, dx: Float3) -> None:
    sets, n, inner = x.shape
    channels = n // size
    if inner == 1:
        g_rows, x_rows, dx_rows = g.reshape(sets, n), x.reshape(sets, n), dx.reshape(sets, n)
        for s in prange(sets):
            mean, inverse = statistics[0, s, 0], statistics[1, s, 0]
            average, slant, first = 0.0, 0.0, s % groups * channels
            for c in range(channels):
                slope = g_rows[s, c * size:c * size + size]
                source = x_rows[s, c * size:c * size + size]
                sums[0, s, c, 0] = products(slope, source, mean) * inverse
                sums[1, s, c, 0] = total(slope)
                slant += sums[0, s, c, 0] * w[first + c] / n
                average += sums[1, s, c, 0] * w[first + c] / n
            for c in range(channels):
                slope = g_rows[s, c * size:c * size + size]
                source = x_rows[s, c * size:c * size + size]
                target = dx_rows[s, c * size:c * size + size]
                factor, tilt, shift = (inverse * w[first + c], slant * inverse * inverse,
                                       average * inverse)
                for i in range(size):
                    target[i] = slope[i] * factor - shift - tilt * (source[i] - mean)
    else:
        tiles, together = (inner + TILE - 1) // TILE, joined(size, inner)
        for block in prange(sets * tiles):
            s, start = block // tiles, block % tiles * TILE
            stop = min(start + TILE, inner)
            width, wide, first = stop - start, together * (stop - start), s % groups * channels
            slopes, row, target = g[s].reshape(-1), x[s].reshape(-1), dx[s].reshape(-1)
            mean, inverse = np.empty(wide), np.empty(wide)
            for i in range(width):
                for j in range(i, wide, width):
                    mean[j] = statistics[0, s, start + i]
                    inverse[j] = statistics[1, s, start + i]
            averages, slants = np.zeros(wide), np.zeros(wide)
            by_weight, by_bias = np.empty(wide), np.empty(wide)
            for c in range(channels):
                by_weight[:] = 0
                by_bias[:] = 0
                for j in range(c * size * inner + start, (c + 1) * size * inner, together * inner):
                    slope, source = slopes[j:j + wide], row[j:j + wide]
                    for i in range(wide):
                        by_weight[i] += slope[i] * (source[i] - mean[i])
                        by_bias[i] += slope[i]
                fold(by_weight, 1, sums[0, s, c, start:stop])
                fold(by_bias, 1, sums[1, s, c, start:stop])
                for i in range(width):
                    sums[0, s, c, start + i] *= inverse[i]
                for i in range(wide):
                    slants[i] += by_weight[i] * inverse[i] * w[first + c] / n
                    averages[i] += by_bias[i] * w[first + c] / n
            for i in range(wide):
                slants[i] *= inverse[i]
            for j in range(start, n * inner, together * inner):
                slope, source, values = slopes[j:j + wide], row[j:j + wide], target[j:j + wide]
                factor = np.float64(w[first + j // inner // size])
                for i in range(wide):
                    values[i] = inverse[i] * (slope[i] * factor - averages[i]
                                              - slants[i] * (source[i] - mean[i]))
