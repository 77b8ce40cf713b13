"""Activations of a number and their gradients, each in one pass over memory.

A gradient is dx = g · y'(x).
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import SMALL, Array, Float1, kernel, prange
from minigrad.kernels.maths import (
    fast_exp,
    fast_expm1,
    fast_log1p,
    fast_sigmoid,
    scaled_tail,
    sigmoid_of,
    whole_exp,
)

DENSITY = 1 / math.sqrt(2 * math.pi)                    # φ(x) = DENSITY · e^(-x²/2)
SLOPE, CUBE = math.sqrt(8 / math.pi), 0.044715          # in gelu_tanh


# ---- GELU (Hendrycks & Gimpel 2016) --------------------------------------------------------------
#
# Φ and φ are the distribution function and the density of the standard normal distribution. By
# tanh, (1 + tanh u) / 2 = σ(2u) takes the place of Φ.

def _normal_cdf(x: Array) -> Array:
    return np.array([0.5 * math.erfc(-value * math.sqrt(0.5)) for value in x], x.dtype)


def gelu_numpy(x: Float1, y: Float1) -> None:
    """y = x·Φ(x)."""
    y[:] = x * _normal_cdf(x)


@kernel(gelu_numpy, writes=("y",), small=SMALL)
def gelu(x: Float1, y: Float1) -> None:
    number = x.dtype.type
    half, one, zero = number(0.5), number(1), number(0)
    for i in prange(x.shape[0]):
        v = x[i]
        tail = fast_exp(-half * v * v) * scaled_tail(abs(v))
        y[i] = v * (tail if v < zero else one - tail)


def gelu_grad_numpy(x: Float1, g: Float1, dx: Float1) -> None:
    """dx = g·(Φ(x) + x·φ(x))."""
    dx[:] = g * (_normal_cdf(x) + x * (DENSITY * np.exp(-0.5 * x * x)))


@kernel(gelu_grad_numpy, writes=("dx",), small=SMALL)
def gelu_grad(x: Float1, g: Float1, dx: Float1) -> None:
    number = x.dtype.type
    half, one, zero, density = number(0.5), number(1), number(0), number(DENSITY)
    for i in prange(x.shape[0]):
        v = x[i]
        bell = fast_exp(-half * v * v)
        tail = bell * scaled_tail(abs(v))
        dx[i] = g[i] * ((tail if v < zero else one - tail) + v * (density * bell))


def gelu_tanh_numpy(x: Float1, y: Float1) -> None:
    """y = x·σ(z) with z = √(8/π)·(x + 0.044715·x³)."""
    y[:] = x * sigmoid_of(SLOPE * (x + CUBE * x * x * x))


@kernel(gelu_tanh_numpy, writes=("y",), small=SMALL)
def gelu_tanh(x: Float1, y: Float1) -> None:
    number = x.dtype.type
    slope, cubed = number(SLOPE), number(SLOPE * CUBE)
    for i in prange(x.shape[0]):
        v = x[i]
        y[i] = v * fast_sigmoid(v * (slope + cubed * v * v))


def gelu_tanh_grad_numpy(x: Float1, g: Float1, dx: Float1) -> None:
    """dx = g·σ(z)·(1 + x·(1 - σ(z))·z') with z' = √(8/π)·(1 + 3·0.044715·x²)."""
    s = sigmoid_of(SLOPE * (x + CUBE * x * x * x))
    dx[:] = g * s * (1 + x * (1 - s) * (SLOPE * (1 + 3 * CUBE * x * x)))


@kernel(gelu_tanh_grad_numpy, writes=("dx",), small=SMALL)
def gelu_tanh_grad(x: Float1, g: Float1, dx: Float1) -> None:
    number = x.dtype.type
    slope, cubed, one, three = number(SLOPE), number(SLOPE * CUBE), number(1), number(3)
    for i in prange(x.shape[0]):
        v = x[i]
        s = fast_sigmoid(v * (slope + cubed * v * v))
        dx[i] = g[i] * s * (one + v * (one - s) * (slope + three * cubed * v * v))


# ---- SiLU ----------------------------------------------------------------------------------------

def silu_numpy(x: Float1, y: Float1) -> None:
    """y = x·σ(x)."""
    y[:] = x * sigmoid_of(x)


@kernel(silu_numpy, writes=("y",), small=SMALL)
def silu(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = x[i] * fast_sigmoid(x[i])


def silu_grad_numpy(x: Float1, g: Float1, dx: Float1) -> None:
    """dx = g·σ(x)·(1 + x·(1 - σ(x)))."""
    s = sigmoid_of(x)
    dx[:] = g * s * (1 + x * (1 - s))


@kernel(silu_grad_numpy, writes=("dx",), small=SMALL)
def silu_grad(x: Float1, g: Float1, dx: Float1) -> None:
    one = x.dtype.type(1)
    for i in prange(x.shape[0]):
        s = fast_sigmoid(x[i])
        dx[i] = g[i] * s * (one + x[i] * (one - s))


# ---- ELU, leaky ReLU and softplus ----------------------------------------------------------------

def elu_numpy(x: Float1, alpha: float, y: Float1) -> None:
    """y = x for x > 0, α·(e^x - 1) elsewhere."""
    y[:] = np.where(x < 0, np.expm1(x) * x.dtype.type(alpha), x)


@kernel(elu_numpy, writes=("y",), small=SMALL)
def elu(x: Float1, alpha: float, y: Float1) -> None:
    factor, zero = x.dtype.type(alpha), x.dtype.type(0)
    for i in prange(x.shape[0]):
        v = x[i]
        below = factor * fast_expm1(v if v < zero else zero)
        y[i] = below if v < zero else v


def elu_grad_numpy(x: Float1, g: Float1, alpha: float, dx: Float1) -> None:
    """dx = g for x > 0, g·α·e^x elsewhere."""
    dx[:] = g * np.where(x <= 0, x.dtype.type(alpha) * np.exp(np.minimum(x, 0)), 1)


@kernel(elu_grad_numpy, writes=("dx",), small=SMALL)
def elu_grad(x: Float1, g: Float1, alpha: float, dx: Float1) -> None:
    factor, zero, one = x.dtype.type(alpha), x.dtype.type(0), x.dtype.type(1)
    for i in prange(x.shape[0]):
        v = x[i]
        below = factor * whole_exp(v if v < zero else zero)
        dx[i] = g[i] * (below if v <= zero else one)


def leaky_relu_numpy(x: Float1, slope: float, y: Float1) -> None:
    """y = x for x > 0, slope·x elsewhere."""
    y[:] = np.where(x > 0, x, x * x.dtype.type(slope))


@kernel(leaky_relu_numpy, writes=("y",), small=SMALL)
def leaky_relu(x: Float1, slope: float, y: Float1) -> None:
    factor, zero = x.dtype.type(slope), x.dtype.type(0)
    for i in prange(x.shape[0]):
        y[i] = x[i] if x[i] > zero else x[i] * factor


def leaky_relu_grad_numpy(x: Float1, g: Float1, slope: float, dx: Float1) -> None:
    """dx = g for x > 0, slope·g elsewhere."""
    dx[:] = np.where(x > 0, g, g * g.dtype.type(slope))


@kernel(leaky_relu_grad_numpy, writes=("dx",), small=SMALL)
def leaky_relu_grad(x: Float1, g: Float1, slope: float, dx: Float1) -> None:
    factor, zero = x.dtype.type(slope), x.dtype.type(0)
    for i in prange(x.shape[0]):
        dx[i] = g[i] if x[i] > zero else g[i] * factor


def softplus_numpy(x: Float1, beta: float, threshold: float, y: Float1) -> None:
    """y = log(1 + e^z) / β with z = β·x; x itself where z > threshold."""
    z = x * x.dtype.type(beta)
    y[:] = np.where(z > threshold, x, np.logaddexp(0, z) / x.dtype.type(beta))


@kernel(softplus_numpy, writes=("y",), small=SMALL)
def softplus(x: Float1, beta: float, threshold: float, y: Float1) -> None:
    number = x.dtype.type
    factor, limit, zero = number(beta), number(threshold), number(0)
    for i in prange(x.shape[0]):
        z = x[i] * factor
        soft = (fast_log1p(fast_exp(-abs(z))) + (zero if z < zero else z)) / factor
        y[i] = x[i] if z > limit else soft


def softplus_grad_numpy(x: Float1, g: Float1, beta: float, threshold: float, dx: Float1) -> None:
    """dx = g·σ(β·x), or g where β·x > threshold."""
    z = x * x.dtype.type(beta)
    dx[:] = np.where(z > threshold, g, g * sigmoid_of(z))


@kernel(softplus_grad_numpy, writes=("dx",), small=SMALL)
def softplus_grad(x: Float1, g: Float1, beta: float, threshold: float, dx: Float1) -> None:
    factor, limit = x.dtype.type(beta), x.dtype.type(threshold)
    for i in prange(x.shape[0]):
        z = x[i] * factor
        soft = g[i] * fast_sigmoid(z)
        dx[i] = g[i] if z > limit else soft
