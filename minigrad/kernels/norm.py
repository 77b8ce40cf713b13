"""Normalisation, channel by channel or across channels, each in one pass over memory.

Arrays are (C, M): the M values of a channel in all images lie side by side (batch last).
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Double1,
    Double2,
    Float1,
    Float2,
    inline,
    kernel,
    prange,
)
from minigrad.kernels.sums import EXACT

# ---- sums over a channel -------------------------------------------------------------------------
#
# A sum of floats must be added up in the order in which it is written, so the compiler cannot use
# vector instructions for one. It can for 64 partial sums side by side, the `lanes`. After 4096
# values they are added to a float64 and start from zero again, before their rounding errors grow.
# What is left over, fewer than 64 values, goes into the float64 directly.


@inline
def total(x: Float1, lanes: Float1) -> float:
    """Σ x."""
    result = 0.0
    for start in range(0, x.shape[0], 4096):
        lanes[:] = 0
        block = x[start:start + 4096]
        whole = block.shape[0] // 64 * 64
        for k in range(0, whole, 64):
            part = block[k:k + 64]
            for i in range(64):
                lanes[i] += part[i]
        for i in range(block.shape[0] - whole):
            result += block[whole + i]
        for i in range(64):
            result += lanes[i]
    return result


@inline
def total_of_products(x: Float1, a: float, y: Float1, b: float, lanes: Float1) -> float:
    """Σ (x - a)·(y - b)."""
    result, near, close = 0.0, x.dtype.type(a), y.dtype.type(b)
    for start in range(0, x.shape[0], 4096):
        lanes[:] = 0
        block, other = x[start:start + 4096], y[start:start + 4096]
        whole = block.shape[0] // 64 * 64
        for k in range(0, whole, 64):
            part, factor = block[k:k + 64], other[k:k + 64]
            for i in range(64):
                lanes[i] += (part[i] - near) * (factor[i] - close)
        for i in range(block.shape[0] - whole):
            result += (block[whole + i] - a) * (other[whole + i] - b)
        for i in range(64):
            result += lanes[i]
    return result


def channel_sums_numpy(x: Float2, y: Float1) -> None:
    """y = Σ x over each channel."""
    y[:] = x.sum(1)


@kernel(channel_sums_numpy, writes=("y",), small=SMALL)
def channel_sums(x: Float2, y: Float1) -> None:
    for c in prange(x.shape[0]):
        y[c] = total(x[c], np.empty(64, x.dtype))


# ---- batch norm (Ioffe & Szegedy 2015) -----------------------------------------------------------
#
# Where the values of a channel lie close together, most of x cancels in x - mean, and most of g in
# dx; what is left is then divided by a small σ, and the rounding errors of float32 with it. So dx
# is worked out in float64, whatever x is. For y it is enough to subtract the mean in two parts: the
# nearest number that x's dtype has, which adds no error where most of x cancels, and the rest. The
# running mean, which is subtracted outside of training, has x's dtype, and so no rest.

def batch_norm_numpy(x: Float2, w: Float1, b: Float1, eps: float, training: bool,
                     statistics: Double2, y: Float2) -> None:
    """y = (x - mean) / √(var + eps) · w + b.

    statistics: mean and var of each channel. In training they are those of x, and are written.
    """
    if training:
        statistics[0] = x.mean(1, dtype=np.float64)
        statistics[1] = np.square(x - statistics[0, :, None]).mean(1)
    scale = w / np.sqrt(statistics[1] + eps)
    y[:] = (x - statistics[0, :, None]) * scale[:, None] + b[:, None]


@kernel(batch_norm_numpy, writes=("statistics", "y"), small=SMALL)
def batch_norm(x: Float2, w: Float1, b: Float1, eps: float, training: bool, statistics: Double2,
               y: Float2) -> None:
    for c in prange(x.shape[0]):
        lanes, source, target = np.empty(64, x.dtype), x[c], y[c]
        mean, variance = statistics[0, c], statistics[1, c]
        if training:
            mean = total(source, lanes) / source.shape[0]
            variance = total_of_products(source, mean, source, mean, lanes) / source.shape[0]
            statistics[0, c], statistics[1, c] = mean, variance
        scale, bias = x.dtype.type(w[c] / np.sqrt(variance + eps)), b[c]
        near = x.dtype.type(mean)
        rest = x.dtype.type(mean - near) if training else x.dtype.type(0)
        for i in range(source.shape[0]):
            target[i] = (source[i] - near - rest) * scale + bias


def batch_norm_grad_numpy(g: Float2, x: Float2, w: Float1, eps: float, training: bool,
                          statistics: Double2, sums: Float2, dx: Float2) -> None:
    """dx = w/σ · (g - mean(g) - x̂·mean(g·x̂)), with x̂ = (x - mean)/σ and σ = √(var + eps).

    Outside of training mean and σ do not depend on x, and dx = w/σ · g.
    sums: the gradients of w and b, which are Σ g·x̂ and Σ g.
    """
    scale = 1 / np.sqrt(statistics[1] + eps)
    normal = (x - statistics[0, :, None]) * scale[:, None]
    by_weight, by_bias = (g * normal).sum(1), g.sum(1, dtype=np.float64)
    sums[:] = by_weight, by_bias
    if training:
        g = g - (by_bias[:, None] + normal * by_weight[:, None]) / x.shape[1]
    dx[:] = (w * scale)[:, None] * g


@kernel(batch_norm_grad_numpy, writes=("sums", "dx"), small=SMALL)
def batch_norm_grad(g: Float2, x: Float2, w: Float1, eps: float, training: bool,
                    statistics: Double2, sums: Float2, dx: Float2) -> None:
    for c in prange(x.shape[0]):
        lanes, slope, source, target = np.empty(64, x.dtype), g[c], x[c], dx[c]
        n, mean, scale = source.shape[0], statistics[0, c], 1 / np.sqrt(statistics[1, c] + eps)
        by_bias = total(slope, lanes)
        by_weight = total_of_products(slope, 0.0, source, mean, lanes) * scale
        sums[0, c], sums[1, c] = by_weight, by_bias
        factor, average, slant = w[c] * scale, by_bias / n, by_weight * scale / n
        if training:
            for i in range(n):
                target[i] = factor * (slope[i] - average - slant * (source[i] - mean))
        else:
            for i in range(n):
                target[i] = factor * slope[i]


# ---- local response normalisation across channels (Krizhevsky et al. 2012, §3.3) -----------------
#
#   s_i = k + α/size · Σ_j x_j²,   j from i - size//2 to i + (size-1)//2, within the channels
#   y_i = x_i · s_i^-β
#   dx_j = g_j · s_j^-β - 2αβ/size · x_j · Σ_i g_i x_i s_i^(-β-1),   over all i with j in the window

TILE = 256          # positions at a time: the values of all channels there stay in cache


def _window_sums(x: Array, before: int, after: int) -> Array:
    """Σ x_j over the channels j from i - before to i + after, for each channel i."""
    channels = len(x)
    result = np.zeros(x.shape, x.dtype if before + after < EXACT else np.float64)
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            result[low:high] += x[low + shift:high + shift]
    return result.astype(x.dtype, copy=False)


@inline
def window_sums(x: Float2, low: int, high: int, squares: bool, start: int, stop: int, s: Float1,
                wide: Double1) -> None:
    """s = Σ x, or Σ x² if `squares`, over the channels from low to high, at the positions from
    start to stop. `wide` is room for sums of so many channels that float32 would lose digits."""
    n, is_long = stop - start, high - low > EXACT
    if is_long:
        for i in range(n):
            wide[i] = 0
    for first in range(low, high, EXACT):
        for i in range(n):
            s[i] = 0
        for j in range(first, min(first + EXACT, high)):
            value = x[j, start:stop]
            if squares:
                for i in range(n):
                    s[i] += value[i] * value[i]
            else:
                for i in range(n):
                    s[i] += value[i]
        if is_long:
            for i in range(n):
                wide[i] += s[i]
    if is_long:
        for i in range(n):
            s[i] = wide[i]


@inline
def window_norms(x: Float2, c: int, size: int, scale: float, k: float, start: int, stop: int,
                 s: Float1, wide: Double1) -> None:
    """s = k + scale · Σ x² over the window of channel c, at the positions from start to stop."""
    window_sums(x, max(c - size // 2, 0), min(c + (size - 1) // 2 + 1, x.shape[0]), True, start,
                stop, s, wide)
    for i in range(stop - start):
        s[i] = s[i] * scale + k


def lrn_numpy(x: Float2, size: int, alpha: float, beta: float, k: float, y: Float2) -> None:
    """y_i = x_i · s_i^-β."""
    s = k + alpha / size * _window_sums(x * x, size // 2, (size - 1) // 2)
    y[:] = x * s ** -beta


@kernel(lrn_numpy, writes=("y",))
def lrn(x: Float2, size: int, alpha: float, beta: float, k: float, y: Float2) -> None:
    channels, positions = x.shape
    number = x.dtype.type
    scale, offset, power, one = number(alpha / size), number(k), number(-beta), number(1)
    for t in prange((positions + TILE - 1) // TILE):
        start, stop = t * TILE, min(t * TILE + TILE, positions)
        s, wide = np.empty(TILE, x.dtype), np.empty(TILE)
        for c in range(channels):
            window_norms(x, c, size, scale, offset, start, stop, s, wide)
            source, target = x[c, start:stop], y[c, start:stop]
            if beta == 0.75:        # square roots have vector instructions, powers have not
                for i in range(stop - start):
                    root = np.sqrt(s[i])
                    target[i] = source[i] * (one / (root * np.sqrt(root)))
            else:
                for i in range(stop - start):
                    target[i] = source[i] * s[i] ** power


def lrn_grad_numpy(g: Float2, x: Float2, size: int, alpha: float, beta: float, k: float, dx: Float2
                   ) -> None:
    """dx_j = g_j · s_j^-β - 2αβ/size · x_j · Σ_i g_i x_i s_i^(-β-1)."""
    before, after = size // 2, (size - 1) // 2
    s = k + alpha / size * _window_sums(x * x, before, after)
    dx[:] = g * s ** -beta \
        - 2 * alpha * beta / size * x * _window_sums(g * x * s ** (-beta - 1), after, before)


@kernel(lrn_grad_numpy, writes=("dx",))
def lrn_grad(g: Float2, x: Float2, size: int, alpha: float, beta: float, k: float, dx: Float2
             ) -> None:
    channels, positions = x.shape
    number = x.dtype.type
    scale, offset, power, one = number(alpha / size), number(k), number(-beta), number(1)
    factor = number(2 * alpha * beta / size)
    for t in prange((positions + TILE - 1) // TILE):
        start, stop = t * TILE, min(t * TILE + TILE, positions)
        n = stop - start
        s, wide = np.empty(TILE, x.dtype), np.empty(TILE)
        inner = np.empty((channels, TILE), x.dtype)
        for c in range(channels):                               # inner = g · x · s^(-β-1)
            window_norms(x, c, size, scale, offset, start, stop, s, wide)
            slope, source, target = g[c, start:stop], x[c, start:stop], dx[c, start:stop]
            product = inner[c]
            if beta == 0.75:
                for i in range(n):
                    root = np.sqrt(s[i])
                    shrunk = slope[i] * (one / (root * np.sqrt(root)))
                    product[i] = shrunk * source[i] / s[i]
                    target[i] = shrunk
            else:
                for i in range(n):
                    shrunk = slope[i] * s[i] ** power
                    product[i] = shrunk * source[i] / s[i]
                    target[i] = shrunk
        for c in range(channels):
            window_sums(inner, max(c - (size - 1) // 2, 0), min(c + size // 2 + 1, channels), False,
                        0, n, s, wide)
            source, target = x[c, start:stop], dx[c, start:stop]
            for i in range(n):
                target[i] -= factor * source[i] * s[i]
