"""Local response normalisation across channels (Krizhevsky et al. 2012, §3.3), in one pass.

    s_i = k + α/size · Σ_j x_j²,   j from i - size//2 to i + (size-1)//2, within the channels
    y_i = x_i · s_i^-β
    dx_j = g_j · s_j^-β - 2αβ/size · x_j · Σ_i g_i x_i s_i^(-β-1),   over the i whose window holds j
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import Array, Float3, kernel, prange


def _window_sums(x: Array, before: int, after: int) -> Array:
    """Σ x_j over channels j from i - before to i + after"""
    total, channels = np.zeros_like(x), x.shape[1]
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            total[:, low:high] += x[:, low + shift:high + shift]
    return total


def lrn_numpy(x: Float3, size: int, alpha: float, beta: float, k: float, y: Float3) -> None:
    """x, y (N, C, positions)"""
    s = k + alpha / size * _window_sums(x * x, size // 2, (size - 1) // 2)
    y[:] = x * s ** -beta


@kernel(lrn_numpy, writes=("y",))
def lrn(x: Float3, size: int, alpha: float, beta: float, k: float, y: Float3) -> None:
    images, channels, positions = x.shape
    before, after = size // 2, (size - 1) // 2
    tiles = (positions + 255) // 256
    scale, offset, power = x.dtype.type(alpha / size), x.dtype.type(k), x.dtype.type(-beta)
    one = x.dtype.type(1)
    for t in prange(images * tiles):
        n, start = np.int64(t) // tiles, np.int64(t) % tiles * 256
        stop = min(start + 256, positions)
        total = np.empty(256, x.dtype)
        for c in range(channels):
            total[:] = 0
            for j in range(max(c - before, 0), min(c + after + 1, channels)):
                for p in range(start, stop):
                    total[p - start] += x[n, j, p] * x[n, j, p]
            if beta == 0.75:        # two square roots are vector instructions, a power is not
                for p in range(start, stop):
                    root = np.sqrt(total[p - start] * scale + offset)
                    y[n, c, p] = x[n, c, p] * (one / (root * np.sqrt(root)))
            else:
                for p in range(start, stop):
                    y[n, c, p] = x[n, c, p] * (total[p - start] * scale + offset) ** power


def lrn_grad_numpy(g: Float3, x: Float3, size: int, alpha: float, beta: float, k: float, dx: Float3
                   ) -> None:
    """g, x, dx (N, C, positions)"""
    before, after = size // 2, (size - 1) // 2
    s = k + alpha / size * _window_sums(x * x, before, after)
    dx[:] = g * s ** -beta \
        - 2 * alpha * beta / size * x * _window_sums(g * x * s ** (-beta - 1), after, before)


@kernel(lrn_grad_numpy, writes=("dx",))
def lrn_grad(g: Float3, x: Float3, size: int, alpha: float, beta: float, k: float, dx: Float3
             ) -> None:
    images, channels, positions = x.shape
    before, after = size // 2, (size - 1) // 2
    tiles = (positions + 255) // 256
    scale, offset, power = x.dtype.type(alpha / size), x.dtype.type(k), x.dtype.type(-beta)
    factor, one = x.dtype.type(2 * alpha * beta / size), x.dtype.type(1)
    for t in prange(images * tiles):
        n, start = np.int64(t) // tiles, np.int64(t) % tiles * 256
        stop = min(start + 256, positions)
        total = np.empty(256, x.dtype)
        inner = np.empty((channels, 256), x.dtype)              # g · x · s^(-β-1)
        for c in range(channels):
            total[:] = 0
            for j in range(max(c - before, 0), min(c + after + 1, channels)):
                for p in range(start, stop):
                    total[p - start] += x[n, j, p] * x[n, j, p]
            if beta == 0.75:
                for p in range(start, stop):
                    s = total[p - start] * scale + offset
                    root = np.sqrt(s)
                    shrunk = g[n, c, p] * (one / (root * np.sqrt(root)))
                    inner[c, p - start] = shrunk * x[n, c, p] / s
                    dx[n, c, p] = shrunk
            else:
                for p in range(start, stop):
                    s = total[p - start] * scale + offset
                    shrunk = g[n, c, p] * s ** power
                    inner[c, p - start] = shrunk * x[n, c, p] / s
                    dx[n, c, p] = shrunk
        for c in range(channels):
            total[:] = 0
            for j in range(max(c - after, 0), min(c + before + 1, channels)):
                for p in range(start, stop):
                    total[p - start] += inner[j, p - start]
            for p in range(start, stop):
                dx[n, c, p] -= factor * x[n, c, p] * total[p - start]
