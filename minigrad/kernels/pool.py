"""Pooling over windows given by where they start and stop along each axis, within the input.

So one loop serves padding, dilation (`step`), ceil_mode and the adaptive pools. Images come as
(N·C, H, W): each is one iteration.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import Float2, Float3, Index3, Int1, kernel, prange

Pair = tuple[int, int]


def max_pool_numpy(x: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float3,
                   indices: Index3) -> None:
    """y[·, i, j] = max of x over window (i, j); indices: its place h·W + w. Ties: the first; a NaN
    wins, the last of several. A window without a place gives 0 and the place -1."""
    width = x.shape[2]
    for i in range(len(h0)):
        for j in range(len(w0)):
            rows, cols = np.arange(h0[i], h1[i], step[0]), np.arange(w0[j], w1[j], step[1])
            if not rows.size * cols.size:
                y[:, i, j], indices[:, i, j] = 0, -1
                continue
            window = x[:, rows][:, :, cols].reshape(len(x), -1)
            places = (rows[:, None] * width + cols).reshape(-1)
            best = window.argmax(1)
            nan = np.isnan(window)
            best = np.where(nan.any(1), window.shape[1] - 1 - nan[:, ::-1].argmax(1), best)
            y[:, i, j] = window[np.arange(len(x)), best]
            indices[:, i, j] = places[best]


@kernel(max_pool_numpy, writes=("y", "indices"))
def max_pool(x: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float3,
             indices: Index3) -> None:
    # place by place of the windows, a whole output row at a time: without branches, as vectors
    width = x.shape[2]
    places = (w1 - w0 + step[1] - 1) // step[1]
    for n in prange(x.shape[0]):
        y[n] = 0
        indices[n] = -1
        for i in range(h0.shape[0]):
            for h in range(h0[i], h1[i], step[0]):
                for k in range(places.max()):
                    for j in range(w0.shape[0]):
                        w = min(w0[j] + k * step[1], width - 1)
                        best, value, at = y[n, i, j], x[n, h, w], indices[n, i, j]
                        wins = (k < places[j]) & ((at < 0) | (value > best) | (value != value))
                        y[n, i, j] = value if wins else best
                        indices[n, i, j] = h * width + w if wins else at


def scatter_numpy(g: Float3, indices: Index3, x: Float3) -> None:
    """x[n].flat[indices[n]] += g[n] where indices[n] ≥ 0, after x was set to 0"""
    x[:] = 0
    n, i, j = np.nonzero(indices >= 0)
    np.add.at(x.reshape(len(x), -1), (n, indices[n, i, j]), g[n, i, j])


@kernel(scatter_numpy, writes=("x",))
def scatter(g: Float3, indices: Index3, x: Float3) -> None:
    width = x.shape[2]
    for n in prange(x.shape[0]):
        x[n] = 0
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                at = indices[n, i, j]
                if at >= 0:
                    x[n, at // width, at % width] += g[n, i, j]


def gather_numpy(x: Float3, indices: Index3, y: Float3) -> None:
    """y[n] = x[n].flat[indices[n]], 0 where indices[n] is -1"""
    flat = np.take_along_axis(x.reshape(len(x), -1), indices.reshape(len(x), -1), 1)
    y[:] = np.where(indices < 0, 0, flat.reshape(y.shape))


@kernel(gather_numpy, writes=("y",))
def gather(x: Float3, indices: Index3, y: Float3) -> None:
    width = x.shape[2]
    for n in prange(x.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                at = indices[n, i, j]
                y[n, i, j] = x[n, at // width, at % width] if at >= 0 else x.dtype.type(0)


def avg_pool_numpy(x: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, y: Float3
                   ) -> None:
    """y[·, i, j] = Σ x over window (i, j) / divisor[i, j]"""
    for i in range(len(h0)):
        for j in range(len(w0)):
            y[:, i, j] = x[:, h0[i]:h1[i], w0[j]:w1[j]].sum((1, 2)) / divisor[i, j]


@kernel(avg_pool_numpy, writes=("y",))
def avg_pool(x: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, y: Float3) -> None:
    for n in prange(x.shape[0]):
        for i in range(h0.shape[0]):
            for j in range(w0.shape[0]):
                total = x.dtype.type(0)
                for h in range(h0[i], h1[i]):
                    for w in range(w0[j], w1[j]):
                        total += x[n, h, w]
                y[n, i, j] = total / divisor[i, j]


def avg_pool_grad_numpy(g: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2,
                        x: Float3) -> None:
    """x over window (i, j) += g[·, i, j] / divisor[i, j], after x was set to 0"""
    x[:] = 0
    for i in range(len(h0)):
        for j in range(len(w0)):
            x[:, h0[i]:h1[i], w0[j]:w1[j]] += (g[:, i, j] / divisor[i, j])[:, None, None]


@kernel(avg_pool_grad_numpy, writes=("x",))
def avg_pool_grad(g: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, x: Float3
                  ) -> None:
    for n in prange(x.shape[0]):
        x[n] = 0
        for i in range(h0.shape[0]):
            for j in range(w0.shape[0]):
                share = g[n, i, j] / divisor[i, j]
                for h in range(h0[i], h1[i]):
                    for w in range(w0[j], w1[j]):
                        x[n, h, w] += share
