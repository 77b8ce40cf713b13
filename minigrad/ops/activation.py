"""Activations: the non-linear functions between layers, and softmax.

At a kink the gradient is torch's: that of the branch x ≤ 0, and 0 where hardtanh saturates.
`inplace=True` gives the same result and leaves x as it was: a gradient may still need its values.
Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels import elementwise as kernels
from minigrad.ops.arguments import (
    normalize_dim,
    refuse_bools,
    require_float,
    require_number,
    to_floats,
)
from minigrad.ops.elementwise import erf, exp, where
from minigrad.ops.promotion import float_op

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- rectifiers: straight lines with a kink ------------------------------------------------------

@op
def relu(input: Tensor, *, inplace: bool = False) -> Recorded:
    """y = max(x, 0); gradient 0 at 0"""
    refuse_bools("relu", input)
    return kernels.apply(kernels.relu, input.data), lambda g, y: _relu_grad(g, y)


@op
def _relu_grad(g: Tensor, y: Tensor) -> Recorded:
    """dx of y = relu(x): g where y > 0 or NaN, 0 elsewhere"""
    return kernels.apply(kernels.relu_grad, y.data, g.data), lambda c: _relu_grad(c, y), None


@op
def leaky_relu(input: Tensor, *, negative_slope: float = 0.01, inplace: bool = False) -> Recorded:
    """y = x for x > 0, negative_slope · x elsewhere"""
    require_float("leaky_relu", input)
    require_number("leaky_relu", negative_slope=negative_slope)
    x, right = input.data, input.data > 0
    return (np.where(right, x, x * x.dtype.type(negative_slope)),
            lambda g: where(right, g, g * negative_slope))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
             ) -> Tensor:
    """y = x held between min_val and max_val; gradient 0 on the boundary.

    Raises: ValueError if min_val is greater than max_val.
    """
    x = as_tensor("hardtanh", input)
    require_number("hardtanh", min_val=min_val, max_val=max_val)
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not be greater than max_val; got {min_val}, "
                         f"{max_val}")
    if x.dtype.kind == "b" or (x.dtype.kind == "u" and min(min_val, max_val) < 0):
        raise RuntimeError(f"hardtanh: {min_val} and {max_val} do not go with x of {x.dtype}")
    if x.dtype.kind != "f" and not (math.isfinite(min_val) and math.isfinite(max_val)):
        raise RuntimeError(f"hardtanh: x of {x.dtype} needs finite limits; "
                           f"got {min_val}, {max_val}")
    outside = (x <= min_val) | (x >= max_val)               # a NaN is neither: its gradient passes
    return where(outside, x.detach().clamp(min_val, max_val).to(x.dtype), x)


# ---- smooth ones ---------------------------------------------------------------------------------

@float_op
def sigmoid(input: Tensor) -> Recorded:
    """y = σ(x) = 1 / (1 + e^-x)"""
    e = np.exp(-np.abs(input.data))                             # ≤ 1: never overflows
    y = (np.where(input.data >= 0, 1, e) / (1 + e)).astype(input.dtype)
    return y, lambda g, y: g * y * (1 - y)


def logsigmoid(input: Any) -> Tensor:
    """y = log σ(x) = -log(1 + e^-x)"""
    x = as_tensor("logsigmoid", input)
    require_float("logsigmoid", x)
    return -softplus(-x, threshold=math.inf)


@float_op
def tanh(input: Tensor) -> Recorded:
    """y = tanh x"""
    return np.tanh(input.data), lambda g, y: g * (1 - y * y)


@op
def softplus(input: Tensor, *, beta: float = 1.0, threshold: float = 20.0) -> Recorded:
    """y = log(1 + e^(β·x)) / β, and x itself where β·x > threshold"""
    x = input
    require_float("softplus", x)
    require_number("softplus", beta=beta, threshold=threshold)
    z = x.data * beta
    linear = z > threshold
    y = np.where(linear, x.data, np.logaddexp(0, z) / beta).astype(x.dtype)
    return y, lambda g: where(linear, g, g * sigmoid(x * beta))


@op
def elu(input: Tensor, *, alpha: float = 1.0, inplace: bool = False) -> Recorded:
    """y = x for x > 0, α·(e^x - 1) elsewhere.  Source: Clevert et al. 2016"""
    x = input
    require_float("elu", x)
    require_number("elu", alpha=alpha)

    def vjp(g: Tensor) -> Tensor:
        below = where(x < 0, x, 0.0)            # at 0 itself the slope is α and does not change
        return g * where(x <= 0, exp(below) * alpha, 1.0)
    return np.where(x.data < 0, np.expm1(x.data) * x.dtype.type(alpha), x.data), vjp


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """y = x · Φ(x), where Φ is the distribution function of the standard normal distribution.

    approximate: "tanh" for the formula that approximates Φ by a tanh.
    Raises: RuntimeError for another `approximate`.
    Source: Hendrycks & Gimpel, arXiv 1606.08415.
    """
    x = as_tensor("gelu", input)
    require_float("gelu", x)
    if approximate == "none":
        return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1)
    if approximate == "tanh":
        return x * 0.5 * (tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")


def silu(input: Any, inplace: bool = False) -> Tensor:
    """y = x · σ(x)"""
    x = as_tensor("silu", input)
    require_float("silu", x)
    return x * sigmoid(x)


# ---- softmax: a distribution along a dim ---------------------------------------------------------

@op
def softmax(x: Tensor, *, dim: int, dtype: DTypeLike | None = None) -> Recorded:
    """y = e^x / Σ e^x.   vjp: y·(g - Σ g·y)"""
    axes, shifted = _below_max("softmax", x, dim, dtype)
    e = np.exp(shifted)
    return (e / e.sum(axes, keepdims=True),
            lambda g, y: y * (g - (g * y).sum(axes, keepdim=True)))


@op
def log_softmax(x: Tensor, *, dim: int, dtype: DTypeLike | None = None) -> Recorded:
    """y = x - log Σ e^x.   vjp: g - softmax(x)·Σ g"""
    axes, shifted = _below_max("log_softmax", x, dim, dtype)
    return (shifted - np.log(np.exp(shifted).sum(axes, keepdims=True)),
            lambda g, y: _log_softmax_grad(g, y, axes=axes))


@op
def _log_softmax_grad(g: Tensor, y: Tensor, *, axes: tuple[int, ...]) -> Recorded:
    """dx = g - e^y·Σ g"""
    return (g.data - np.exp(y.data) * g.data.sum(axes, keepdims=True),
            lambda c: c - (c * y.exp()).sum(axes, keepdim=True),
            lambda c: -c * y.exp() * g.sum(axes, keepdim=True))


def _below_max(name: str, x: Tensor, dim: int,
               dtype: DTypeLike | None) -> tuple[tuple[int, ...], Array]:
    """The axes to sum over, and x - max x, whose exponential cannot overflow."""
    x = to_floats(name, x, dtype)
    axes = (normalize_dim(name, dim, x.ndim),)[:x.ndim]
    return axes, x.data - x.data.max(axes, keepdims=True, initial=-np.inf)
