"""Losses of a choice among classes, each in one pass over memory.

Scores are (outer, n, inner), with the n classes in the middle, as in `softmax`; what there is for
each item, such as its class, is (outer, inner).
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import SMALL, Float2, Float3, Int2, kernel, prange
from minigrad.kernels.maths import fast_exp
from minigrad.kernels.softmax import BLOCK, LANES, exp_sum, exp_sum_of_each, largest, tile_of

# ---- cross-entropy -------------------------------------------------------------------------------

def cross_entropy_numpy(x: Float3, target: Int2, weight: Float2, normalizer: Float2,
                        loss: Float2) -> None:
    """loss = -weight·log softmax(x)_t for the class t, 0 where it is -1; normalizer = log Σ e^x."""
    m = x.max(1, keepdims=True)
    normalizer[:] = (m + np.log(np.exp(x - m).sum(1, keepdims=True, dtype=np.float64)))[:, 0]
    chosen = np.take_along_axis(x, np.maximum(target, 0)[:, None], 1)[:, 0]
    loss[:] = np.where(target < 0, 0, (normalizer - chosen) * weight)


@kernel(cross_entropy_numpy, writes=("normalizer", "loss"), small=SMALL)
def cross_entropy(x: Float3, target: Int2, weight: Float2, normalizer: Float2, loss: Float2
                  ) -> None:
    outer, n, inner = x.shape
    zero = x.dtype.type(0)
    if inner == 1:
        x_rows = x.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            lanes = np.empty(LANES, x.dtype)
            for row in range(block * step, min(block * step + step, outer)):
                source, t = x_rows[row], target[row, 0]
                m = largest(source, lanes)
                s = x.dtype.type(np.log(exp_sum(source, m)))
                normalizer[row, 0] = m + s
                loss[row, 0] = zero if t < 0 else (m - source[max(t, 0)] + s) * weight[row, 0]
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            peaks, sums = np.empty(stop - start, x.dtype), np.empty(stop - start)
            exp_sum_of_each(x[o], start, stop, peaks, sums)
            for i in range(stop - start):
                t, log = target[o, start + i], x.dtype.type(np.log(sums[i]))
                normalizer[o, start + i] = peaks[i] + log
                loss[o, start + i] = zero if t < 0 else (
                    (peaks[i] - x[o, max(t, 0), start + i] + log) * weight[o, start + i])


def cross_entropy_grad_numpy(x: Float3, target: Int2, share: Float2, normalizer: Float2,
                             dx: Float3) -> None:
    """dx = share·(softmax(x) - 1 at the class t), 0 where it is -1."""
    chosen = np.arange(x.shape[1])[:, None] == target[:, None]
    dx[:] = np.where(target[:, None] < 0, 0,
                     (np.exp(x - normalizer[:, None]) - chosen) * share[:, None])


@kernel(cross_entropy_grad_numpy, writes=("dx",), small=SMALL)
def cross_entropy_grad(x: Float3, target: Int2, share: Float2, normalizer: Float2, dx: Float3
                       ) -> None:
    outer, n, inner = x.shape
    zero = x.dtype.type(0)
    if inner == 1:
        x_rows, dx_rows = x.reshape(outer, n), dx.reshape(outer, n)
        step = max(1, BLOCK // n)
        for block in prange((outer + step - 1) // step):
            for row in range(block * step, min(block * step + step, outer)):
                source, slope, t = x_rows[row], dx_rows[row], target[row, 0]
                factor, shift = share[row, 0], normalizer[row, 0]
                if t < 0:
                    slope[:] = 0
                else:
                    for i in range(n):
                        slope[i] = fast_exp(source[i] - shift) * factor
                    slope[t] -= factor
    else:
        tile = tile_of(n)
        tiles = (inner + tile - 1) // tile
        for block in prange(outer * tiles):
            o, start = block // tiles, block % tiles * tile
            stop = min(start + tile, inner)
            classes, factor = target[o, start:stop], share[o, start:stop]
            shift = normalizer[o, start:stop]
            for j in range(n):
                source, slope = x[o, j, start:stop], dx[o, j, start:stop]
                for i in range(stop - start):
                    value = fast_exp(source[i] - shift[i])
                    value = value - x.dtype.type(1) if classes[i] == j else value
                    slope[i] = zero if classes[i] < 0 else value * factor[i]


# ---- the score of the class ----------------------------------------------------------------------

def class_loss_numpy(x: Float3, target: Int2, weight: Float2, loss: Float2) -> None:
    """loss = -weight·x_t for the class t, 0 where it is -1."""
    chosen = np.take_along_axis(x, np.maximum(target, 0)[:, None], 1)[:, 0]
    loss[:] = np.where(target < 0, 0, -weight * chosen)


@kernel(class_loss_numpy, writes=("loss",), small=SMALL)
def class_loss(x: Float3, target: Int2, weight: Float2, loss: Float2) -> None:
    outer, inner = target.shape
    zero = x.dtype.type(0)
    for o in prange(outer):
        for i in range(inner):
            t = target[o, i]
            loss[o, i] = zero if t < 0 else -weight[o, i] * x[o, max(t, 0), i]


def class_loss_grad_numpy(share: Float2, target: Int2, dx: Float3) -> None:
    """dx = -share at the class t, 0 elsewhere and where t is -1."""
    chosen = np.arange(dx.shape[1])[:, None] == target[:, None]
    dx[:] = np.where(chosen, -share[:, None], 0)


@kernel(class_loss_grad_numpy, writes=("dx",), small=SMALL, work=lambda *given: given[-1].size)
def class_loss_grad(share: Float2, target: Int2, dx: Float3) -> None:
    outer, inner = target.shape
    for o in prange(outer):
        dx[o] = 0
        for i in range(inner):
            t = target[o, i]
            if t >= 0:
                dx[o, t, i] = -share[o, i]
