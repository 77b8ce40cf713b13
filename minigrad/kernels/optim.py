"""Optimiser steps in one pass over flat arrays, in place, in torch's order of arithmetic, each
operation rounded by itself."""

from __future__ import annotations

import numpy as np

from minigrad.kernels import SMALL, Float1, kernel, prange


def adam_numpy(p: Float1, g: Float1, m: Float1, v: Float1, v_max: Float1, shrink: float,
               decay: float, beta1: float, beta2: float, step_size: float, v_scale: float,
               eps: float) -> None:
    """One step of Adam.

    p ← shrink·p;   g ← g + decay·p;   m ← β₁·m + (1 - β₁)·g;   v ← β₂·v + (1 - β₂)·g²
    p ← p - step_size·m / (√v / v_scale + eps)

    step_size is lr / (1 - β₁ᵗ), and v_scale is √(1 - β₂ᵗ). With amsgrad, v_max is the largest v so
    far, which takes the place of v in the last line; without, it is v itself.
    """
    if shrink != 1:
        p *= shrink
    if decay:
        g = g + decay * p
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    if v_max is not v:
        np.maximum(v_max, v, out=v_max)
    p += -step_size * m / (np.sqrt(v_max) / v_scale + eps)


@kernel(adam_numpy, writes=("p", "m", "v", "v_max"), small=SMALL, fused=False)
def adam(p: Float1, g: Float1, m: Float1, v: Float1, v_max: Float1, shrink: float, decay: float,
         beta1: float, beta2: float, step_size: float, v_scale: float, eps: float) -> None:
    number = p.dtype.type                   # a Python float would make the sums float64
    keep, add, scale, tiny = number(shrink), number(decay), number(v_scale), number(eps)
    keep1, rest1, keep2, rest2, step = (number(beta1), number(1 - beta1), number(beta2),
                                        number(1 - beta2), number(-step_size))
    for i in prange(p.shape[0]):
        value = p[i] * keep
        slope = g[i] + add * value
        m[i] = m[i] * keep1 + rest1 * slope
        square = v[i] * keep2 + rest2 * slope * slope
        v[i] = square
        if square > v_max[i] or square != square:
            v_max[i] = square
        p[i] = value + step * m[i] / (np.sqrt(v_max[i]) / scale + tiny)


def sgd_numpy(p: Float1, g: Float1, v: Float1, lr: float, momentum: float, dampening: float,
              decay: float, nesterov: bool) -> None:
    """One step of gradient descent with momentum.

    g ← g + decay·p;   v ← momentum·v + (1 - dampening)·g
    p ← p - lr·v;      with nesterov p ← p - lr·(g + momentum·v)
    """
    g = g + decay * p
    v *= momentum
    v += (1 - dampening) * g
    p += -lr * (g + momentum * v if nesterov else v)


@kernel(sgd_numpy, writes=("p", "v"), small=SMALL, fused=False)
def sgd(p: Float1, g: Float1, v: Float1, lr: float, momentum: float, dampening: float,
        decay: float, nesterov: bool) -> None:
    number = p.dtype.type                   # a Python float would make the sums float64
    step, keep, rest, add = number(-lr), number(momentum), number(1 - dampening), number(decay)
    for i in prange(p.shape[0]):
        slope = g[i] + add * p[i]
        v[i] = v[i] * keep + rest * slope
        p[i] += step * (slope + keep * v[i] if nesterov else v[i])
