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

from minigrad.autograd import Recorded, as_tensor, op
from minigrad.kernels import (
    activation as kernels,
    dropout,
    elementwise,
    empty_in_order,
    flat,
    memory_order,
    softmax as rows,
)
from minigrad.kernels.elementwise import apply
from minigrad.kernels.softmax import apply_along
from minigrad.ops.arguments import (
    normalize_dim,
    refuse_bools,
    require_float,
    require_number,
    to_floats,
)
from minigrad.ops.elementwise import _clamp_grad, exp, where
from minigrad.ops.promotion import float_op

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- rectifiers: straight lines with a kink ------------------------------------------------------

@op
def relu(input: Tensor, *, inplace: bool = False) -> Recorded:
    """y = max(x, 0); gradient 0 at 0"""
    refuse_bools("relu", input)
    return apply(elementwise.relu, input.data), lambda g, y: _relu_grad(g, y)


@op
def _relu_grad(g: Tensor, y: Tensor) -> Recorded:
    """dx of y = relu(x): g where y > 0 or NaN, 0 elsewhere"""
    return apply(elementwise.relu_grad, y.data, g.data), lambda c: _relu_grad(c, y), None


@op
def leaky_relu(input: Tensor, *, negative_slope: float = 0.01, inplace: bool = False) -> Recorded:
    """y = x for x > 0, negative_slope · x elsewhere"""
    x, slope = input, negative_slope
    require_float("leaky_relu", x)
    require_number("leaky_relu", negative_slope=slope)
    return (apply(kernels.leaky_relu, x.data, options=(float(slope),)),
            lambda g: _leaky_relu_grad(g, x, slope=slope))


@op
def _leaky_relu_grad(g: Tensor, x: Tensor, *, slope: float) -> Recorded:
    """dx = g for x > 0, slope · g elsewhere"""
    return (apply(kernels.leaky_relu_grad, x.data, g.data, options=(float(slope),)),
            lambda c: _leaky_relu_grad(c, x, slope=slope), None)


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
    return _hardtanh(x, low=min_val, high=max_val)


@op
def _hardtanh(x: Tensor, *, low: float, high: float) -> Recorded:
    if x.dtype.kind != "f":
        return np.clip(x.data, low, high).astype(x.dtype), None
    return (apply(elementwise.clamp, x.data, options=(float(low), float(high))),
            lambda g: _clamp_grad(g, x, low=low, high=high, passes_nan=True))


# ---- smooth ones ---------------------------------------------------------------------------------

#
# The gradient of each is an op, dx = g · y'(x). It has two gradients of its own: by g it is
# c · y'(x), the same op of c, and by x it is c · g · y''(x).

@float_op
def sigmoid(input: Tensor) -> Recorded:
    """y = σ(x) = 1 / (1 + e^-x)"""
    return apply(elementwise.sigmoid, input.data), lambda g, y: _sigmoid_grad(g, y)


@op
def _sigmoid_grad(g: Tensor, y: Tensor) -> Recorded:
    """dx = g·y·(1 - y)"""
    return (apply(elementwise.sigmoid_grad, y.data, g.data),
            lambda c: _sigmoid_grad(c, y), lambda c: c * g * (1 - y * 2))


def logsigmoid(input: Any) -> Tensor:
    """y = log σ(x) = -log(1 + e^-x)"""
    x = as_tensor("logsigmoid", input)
    require_float("logsigmoid", x)
    return softplus(x, beta=-1.0, threshold=math.inf)


@float_op
def tanh(input: Tensor) -> Recorded:
    """y = tanh x"""
    return apply(elementwise.tanh, input.data), lambda g, y: _tanh_grad(g, y)


@op
def _tanh_grad(g: Tensor, y: Tensor) -> Recorded:
    """dx = g·(1 - y²)"""
    return (apply(elementwise.tanh_grad, y.data, g.data),
            lambda c: _tanh_grad(c, y), lambda c: c * g * y * -2)


@op
def softplus(input: Tensor, *, beta: float = 1.0, threshold: float = 20.0) -> Recorded:
    """y = log(1 + e^(β·x)) / β, and x itself where β·x > threshold"""
    x = input
    require_float("softplus", x)
    require_number("softplus", beta=beta, threshold=threshold)
    options = float(beta), float(threshold)
    return (apply(kernels.softplus, x.data, options=options),
            lambda g: _softplus_grad(g, x, options=options))


@op
def _softplus_grad(g: Tensor, x: Tensor, *, options: tuple[float, float]) -> Recorded:
    """dx = g·σ(β·x), or g where β·x > threshold"""
    beta, threshold = options

    def by_x(c: Tensor) -> Tensor:
        s = sigmoid(x * beta)
        return where(x * beta > threshold, 0.0, c * g * s * (1 - s) * beta)

    return (apply(kernels.softplus_grad, x.data, g.data, options=options),
            lambda c: _softplus_grad(c, x, options=options), by_x)


@op
def elu(input: Tensor, *, alpha: float = 1.0, inplace: bool = False) -> Recorded:
    """y = x for x > 0, α·(e^x - 1) elsewhere.  Source: Clevert et al. 2016"""
    x = input
    require_float("elu", x)
    require_number("elu", alpha=alpha)
    return (apply(kernels.elu, x.data, options=(float(alpha),)),
            lambda g: _elu_grad(g, x, alpha=alpha))


@op
def _elu_grad(g: Tensor, x: Tensor, *, alpha: float) -> Recorded:
    """dx = g for x > 0, g·α·e^x elsewhere"""
    return (apply(kernels.elu_grad, x.data, g.data, options=(float(alpha),)),
            lambda c: _elu_grad(c, x, alpha=alpha),
            # at 0 itself the slope is α and does not change
            lambda c: where(x < 0, c * g * exp(where(x < 0, x, 0.0)) * alpha, 0.0))


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """y = x · Φ(x), where Φ is the distribution function of the standard normal distribution.

    approximate: "tanh" for the formula that approximates Φ by a tanh.
    Raises: RuntimeError for another `approximate`.
    Source: Hendrycks & Gimpel, arXiv 1606.08415.
    """
    x = as_tensor("gelu", input)
    require_float("gelu", x)
    if approximate == "none":
        return _gelu(x)
    if approximate == "tanh":
        return _gelu_tanh(x)
    raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")


@op
def _gelu(x: Tensor) -> Recorded:
    """y = x·Φ(x)"""
    return apply(kernels.gelu, x.data), lambda g: _gelu_grad(g, x)


@op
def _gelu_grad(g: Tensor, x: Tensor) -> Recorded:
    """dx = g·(Φ(x) + x·φ(x)), with Φ' = φ and φ' = -x·φ"""
    return (apply(kernels.gelu_grad, x.data, g.data), lambda c: _gelu_grad(c, x),
            lambda c: c * g * exp(x * x * -0.5) * (2 - x * x) * kernels.DENSITY)


@op
def _gelu_tanh(x: Tensor) -> Recorded:
    """y = x·σ(z) with z = √(8/π)·(x + 0.044715·x³)"""
    return apply(kernels.gelu_tanh, x.data), lambda g: _gelu_tanh_grad(g, x)


@op
def _gelu_tanh_grad(g: Tensor, x: Tensor) -> Recorded:
    """dx = g·(σ + x·σ'·z'), where z' = √(8/π)·(1 + 3·0.044715·x²)"""
    def by_x(c: Tensor) -> Tensor:
        squared = x * x * kernels.CUBE
        z, z1, z2 = (x * (squared + 1) * kernels.SLOPE, (squared * 3 + 1) * kernels.SLOPE,
                     x * (6 * kernels.CUBE * kernels.SLOPE))
        return c * g * _times_sigmoid_curvature(x, sigmoid(z), z1, z2)

    return (apply(kernels.gelu_tanh_grad, x.data, g.data), lambda c: _gelu_tanh_grad(c, x), by_x)


def silu(input: Any, inplace: bool = False) -> Tensor:
    """y = x · σ(x)"""
    x = as_tensor("silu", input)
    require_float("silu", x)
    return _silu(x)


@op
def _silu(x: Tensor) -> Recorded:
    """y = x·σ(x)"""
    return apply(kernels.silu, x.data), lambda g: _silu_grad(g, x)


@op
def _silu_grad(g: Tensor, x: Tensor) -> Recorded:
    """dx = g·σ·(1 + x·(1 - σ))"""
    return (apply(kernels.silu_grad, x.data, g.data), lambda c: _silu_grad(c, x),
            lambda c: c * g * _times_sigmoid_curvature(x, sigmoid(x), 1.0, 0.0))


def _times_sigmoid_curvature(x: Tensor, s: Tensor, z1: Any, z2: Any) -> Tensor:
    """y'' of y = x·σ(z(x)), which is σ·(1 - σ)·(2z' + x·((1 - 2σ)·z'² + z'')), from s = σ(z)"""
    bend: Tensor = x * ((1 - s * 2) * z1 * z1 + z2) + z1 * 2
    return s * (1 - s) * bend


# ---- softmax: a distribution along a dim ---------------------------------------------------------

@op
def softmax(x: Tensor, *, dim: int, dtype: DTypeLike | None = None) -> Recorded:
    """y = e^x / Σ e^x.   vjp: y·(g - Σ g·y)"""
    x = to_floats("softmax", x, dtype)
    axis = normalize_dim("softmax", dim, x.ndim)
    return apply_along(rows.softmax, axis, x.data), lambda g, y: _softmax_grad(g, y, axis=axis)


@op
def _softmax_grad(g: Tensor, y: Tensor, *, axis: int) -> Recorded:
    """dx = y·(g - Σ g·y)"""
    return (apply_along(rows.softmax_grad, axis, y.data, g.data),
            lambda c: _softmax_grad(c, y, axis=axis),
            lambda c: (c * (g - (g * y).sum(axis, keepdim=True))
                       - g * (c * y).sum(axis, keepdim=True)))


@op
def log_softmax(x: Tensor, *, dim: int, dtype: DTypeLike | None = None) -> Recorded:
    """y = x - log Σ e^x.   vjp: g - softmax(x)·Σ g"""
    x = to_floats("log_softmax", x, dtype)
    axis = normalize_dim("log_softmax", dim, x.ndim)
    return (apply_along(rows.log_softmax, axis, x.data),
            lambda g, y: _log_softmax_grad(g, y, axis=axis))


@op
def _log_softmax_grad(g: Tensor, y: Tensor, *, axis: int) -> Recorded:
    """dx = g - e^y·Σ g"""
    return (apply_along(rows.log_softmax_grad, axis, y.data, g.data),
            lambda c: c - (c * y.exp()).sum(axis, keepdim=True),
            lambda c: -c * y.exp() * g.sum(axis, keepdim=True))


# ---- dropout -------------------------------------------------------------------------------------

@op
def dropped(x: Tensor, *, p: float, words: Any) -> Recorded:
    """y = x / (1 - p) or, with probability p, 0; linear in x, and so its own gradient

    words: two random numbers. A hash of them and of a value's index says whether it is kept, in
    whatever order the values lie in memory.
    """
    require_float("dropout", x)
    usual = tuple(range(x.ndim))
    batch_last = (*usual[1:], *usual[:1])       # the order of images in memory
    order = batch_last if x.ndim > 1 and memory_order(x.data) == batch_last else usual
    y = empty_in_order(x.shape, x.dtype, order)
    dropout.dropout(flat(x.data, order), np.asarray(words, np.int64), p,
                    1 if order == usual else x.shape[0], flat(y, order))
    return y, lambda g: dropped(g, p=p, words=words)
