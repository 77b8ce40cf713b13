"""Pooling over windows that are given by where they start and stop along each axis of the input.

Window (i, j) covers rows h0[i] to h1[i] and columns w0[j] to w1[j], without the ends. So one loop
serves padding, dilation (`step`), ceil_mode and the adaptive pools. Images lie batch last, as
(C, H, W, N), and a place of a window is looked at for all images at once. Then the innermost loops
have no branches, and compile to vector instructions. For `FEW` images these loops would be too
short, so a window is looked at as a whole, image by image.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    SMALL,
    Float2,
    Float3,
    Float4,
    Index4,
    Int1,
    Pair as Pair,
    inline_sum,
    kernel,
    prange,
)

FEW = 8                     # images: fewer than a vector has lanes


def max_pool_numpy(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float4,
                   indices: Index4) -> None:
    """y[c, i, j] = the maximum of x over window (i, j); indices: its place, h·W + w.

    Of several equal maxima the first counts. A NaN counts as the maximum, the last of several. An
    empty window gives 0 and the place -1.
    """
    width = x.shape[2]
    for i in range(len(h0)):
        for j in range(len(w0)):
            rows, cols = np.arange(h0[i], h1[i], step[0]), np.arange(w0[j], w1[j], step[1])
            if not rows.size * cols.size:
                y[:, i, j], indices[:, i, j] = 0, -1
                continue
            window = x[:, rows][:, :, cols].reshape(len(x), rows.size * cols.size, x.shape[3])
            best = window.argmax(1)
            nan = np.isnan(window)
            best = np.where(nan.any(1), window.shape[1] - 1 - nan[:, ::-1].argmax(1), best)
            y[:, i, j] = np.take_along_axis(window, best[:, None], 1)[:, 0]
            indices[:, i, j] = (rows[:, None] * width + cols).reshape(-1)[best]


@kernel(max_pool_numpy, writes=("y", "indices"), small=SMALL // 4)
def max_pool(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float4,
             indices: Index4) -> None:
    width, images = x.shape[2:]
    rows = h0.shape[0]
    for piece in prange(x.shape[0] * rows):
        c, i = piece // rows, piece % rows
        for j in range(w0.shape[0]):
            if images < FEW:
                for n in range(images):
                    most, where = x.dtype.type(0), np.int32(-1)
                    for h in range(h0[i], h1[i], step[0]):
                        for w in range(w0[j], w1[j], step[1]):
                            one = x[c, h, w, n]
                            if where < 0 or one > most or one != one:
                                most, where = one, np.int32(h * width + w)
                    y[c, i, j, n], indices[c, i, j, n] = most, where
                continue
            best, at = y[c, i, j], indices[c, i, j]
            best[:] = 0
            at[:] = -1
            first = True
            for h in range(h0[i], h1[i], step[0]):
                for w in range(w0[j], w1[j], step[1]):
                    value, place = x[c, h, w], np.int32(h * width + w)
                    if first:
                        for n in range(images):
                            best[n] = value[n]
                            at[n] = place
                        first = False
                    else:
                        for n in range(images):
                            wins = (value[n] > best[n]) | (value[n] != value[n])
                            best[n] = value[n] if wins else best[n]
                            at[n] = place if wins else at[n]


def max_pool_grad_numpy(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair,
                        indices: Index4, dx: Float4) -> None:
    """dx = 0, then dx[c, place] += g[c, i, j] for the place that indices[c, i, j] names."""
    dx[:] = 0
    c, i, j, n = np.nonzero(indices >= 0)
    planes = dx.reshape(len(dx), dx.shape[1] * dx.shape[2], dx.shape[3])
    np.add.at(planes, (c, indices[c, i, j, n], n), g[c, i, j, n])


@kernel(max_pool_grad_numpy, writes=("dx",))
def max_pool_grad(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, indices: Index4,
                  dx: Float4) -> None:
    # Compares every place of a window with the index. With vector instructions that takes less time
    # than one store to an address that differs from image to image, unless images are few.
    width, images = dx.shape[2:]
    for c in prange(dx.shape[0]):
        dx[c] = 0
        for i in range(h0.shape[0]):
            for j in range(w0.shape[0]):
                if images < FEW:
                    for n in range(images):
                        where = indices[c, i, j, n]
                        if where >= 0:
                            dx[c, where // width, where % width, n] += g[c, i, j, n]
                    continue
                slope, at = g[c, i, j], indices[c, i, j]
                for h in range(h0[i], h1[i], step[0]):
                    for w in range(w0[j], w1[j], step[1]):
                        target, place = dx[c, h, w], np.int32(h * width + w)
                        for n in range(images):
                            target[n] += slope[n] if at[n] == place else dx.dtype.type(0)


def gather_numpy(x: Float4, indices: Index4, y: Float4) -> None:
    """y[c, i, j, n] = x[c, …, n] at the place that indices[c, i, j, n] names, or 0 if it is -1."""
    c, _, _, n = np.indices(y.shape)
    y[:] = np.where(indices < 0, 0, x[c, indices // x.shape[2], indices % x.shape[2], n])


@kernel(gather_numpy, writes=("y",))
def gather(x: Float4, indices: Index4, y: Float4) -> None:
    width = x.shape[2]
    for c in prange(x.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for n in range(y.shape[3]):
                    at = indices[c, i, j, n]
                    y[c, i, j, n] = (x[c, at // width, at % width, n] if at >= 0
                                     else x.dtype.type(0))


@inline_sum
def window_sum(x: Float3, top: int, bottom: int, left: int, right: int, n: int) -> float:
    """Σ x of image n, in rows top to bottom and columns left to right."""
    total: float = x.dtype.type(0)
    for h in range(top, bottom):
        row = x[h]
        for w in range(left, right):
            total += row[w, n]
    return total


def avg_pool_numpy(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, y: Float4
                   ) -> None:
    """y[c, i, j] = Σ x over window (i, j) / divisor[i, j]."""
    for i in range(len(h0)):
        for j in range(len(w0)):
            y[:, i, j] = x[:, h0[i]:h1[i], w0[j]:w1[j]].sum((1, 2)) / divisor[i, j]


@kernel(avg_pool_numpy, writes=("y",), small=SMALL)
def avg_pool(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, y: Float4) -> None:
    rows, images = h0.shape[0], x.shape[3]
    for piece in prange(x.shape[0] * rows):
        c, i = piece // rows, piece % rows
        for j in range(w0.shape[0]):
            if images < FEW:
                for n in range(images):
                    value = window_sum(x[c], h0[i], h1[i], w0[j], w1[j], n)
                    y[c, i, j, n] = value / divisor[i, j]
                continue
            total = y[c, i, j]
            total[:] = 0
            for h in range(h0[i], h1[i]):
                for w in range(w0[j], w1[j]):
                    values = x[c, h, w]
                    for n in range(images):
                        total[n] += values[n]
            for n in range(images):
                total[n] /= divisor[i, j]


def avg_pool_grad_numpy(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2,
                        dx: Float4) -> None:
    """dx = 0, then dx over each window (i, j) += g[c, i, j] / divisor[i, j]."""
    dx[:] = 0
    for i in range(len(h0)):
        for j in range(len(w0)):
            dx[:, h0[i]:h1[i], w0[j]:w1[j]] += (g[:, i, j] / divisor[i, j])[:, None, None]


@kernel(avg_pool_grad_numpy, writes=("dx",))
def avg_pool_grad(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Float2, dx: Float4
                  ) -> None:
    images = dx.shape[3]
    for c in prange(dx.shape[0]):
        dx[c] = 0
        for i in range(h0.shape[0]):
            for j in range(w0.shape[0]):
                if images < FEW:
                    for n in range(images):
                        share = g[c, i, j, n] / divisor[i, j]
                        for h in range(h0[i], h1[i]):
                            for w in range(w0[j], w1[j]):
                                dx[c, h, w, n] += share
                    continue
                slope = g[c, i, j]
                for h in range(h0[i], h1[i]):
                    for w in range(w0[j], w1[j]):
                        target = dx[c, h, w]
                        for n in range(images):
                            target[n] += slope[n] / divisor[i, j]
