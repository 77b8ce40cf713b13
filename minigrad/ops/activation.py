"""Non-linearities between layers, under torch's names: elementwise, one number in, one out.

At kinks the gradient is torch's: that of the branch x ≤ 0, and 0 where hardtanh saturates.
`inplace=True` gives the same result and leaves x as it was: a gradient may still need its values.
Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, as_tensor, op
from minigrad.ops import elementwise as el
from minigrad.ops.arguments import require_float, require_number

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def relu(input: Any, inplace: bool = False) -> Tensor:
    """y = max(x, 0)"""
    return el.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x for x > 0, negative_slope · x elsewhere"""
    x = _floats("leaky_relu", input, negative_slope=negative_slope)
    return el.leaky_relu(x, negative_slope=negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x for x > 0, α·(e^x - 1) elsewhere.  Source: Clevert et al. 2016"""
    return _elu(_floats("elu", input, alpha=alpha), alpha=alpha)


@op
def _elu(x: Tensor, *, alpha: float) -> Recorded:
    def vjp(g: Tensor) -> Tensor:
        below = el.where(x < 0, x, 0.0)         # at 0 itself the slope is α and does not change
        return g * el.where(x <= 0, el.exp(below) * alpha, 1.0)
    return np.where(x.data < 0, np.expm1(x.data) * x.dtype.type(alpha), x.data), vjp


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """y = x · Φ(x), Φ the normal distribution; approximate="tanh": Hendrycks & Gimpel's formula.

    Raises RuntimeError for another `approximate`. Source: arXiv 1606.08415.
    """
    x = _floats("gelu", input)
    if approximate == "none":
        return x * 0.5 * (el.erf(x * math.sqrt(0.5)) + 1)
    if approximate == "tanh":
        return x * 0.5 * (el.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")


def silu(input: Any, inplace: bool = False) -> Tensor:
    """y = x · σ(x)"""
    x = _floats("silu", input)
    return x * el.sigmoid(x)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = log(1 + e^(β·x)) / β, and x itself where β·x > threshold"""
    x = _floats("softplus", input, beta=beta, threshold=threshold)
    return el.softplus(x, beta=beta, threshold=threshold)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
             ) -> Tensor:
    """y = x held between min_val and max_val; gradient 0 on the boundary.

    Raises ValueError if min_val is greater than max_val.
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
    return el.where(outside, x.detach().clamp(min_val, max_val).to(x.dtype), x)


def logsigmoid(input: Any) -> Tensor:
    """y = log σ(x) = -log(1 + e^-x)"""
    return -el.softplus(-_floats("logsigmoid", input), threshold=math.inf)


def _floats(name: str, input: Any, **numbers: Any) -> Tensor:
    """x, once it and the other arguments have been checked"""
    x = as_tensor(name, input)
    require_float(name, x)
    require_number(name, **numbers)
    return x
