"""Initial weights. Each function fills a tensor in place and returns it.

The variance of a layer's output should equal that of its input. With n inputs a unit, weights of
variance 1/n do that for a linear layer; `gain` corrects for the non-linearity that follows.
fan_in and fan_out are the numbers of inputs and outputs that one weight connects.
Source: torch.nn.init; equal seeds give equal draws.
"""

from __future__ import annotations

import math

from minigrad import random
from minigrad.autograd import Array, no_grad
from minigrad.random import Generator
from minigrad.tensor import Tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0,
             generator: Generator | None = None) -> Tensor:
    """U(a, b)"""
    draw = (generator or random.default_generator).uniform
    return _fill(tensor, draw(tensor.shape, a, b, tensor.dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0,
            generator: Generator | None = None) -> Tensor:
    """N(mean, std²)"""
    draw = (generator or random.default_generator).normal
    return _fill(tensor, draw(tensor.shape, mean, std, tensor.dtype))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same value everywhere"""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere"""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere"""
    return _fill(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                    ) -> Tensor:
    """U(-a, a), a = gain·√(6 / (fan_in + fan_out)).  Source: Glorot & Bengio 2010, eq. 16"""
    fan_in, fan_out = fans(tensor)
    a = math.sqrt(3.0) * (gain * math.sqrt(2.0 / (fan_in + fan_out)))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                   ) -> Tensor:
    """N(0, σ²), σ = gain·√(2 / (fan_in + fan_out)).  Source: Glorot & Bengio 2010"""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu", generator: Generator | None = None
                     ) -> Tensor:
    """U(-b, b), b = gain·√(3 / fan).  Source: He et al. 2015, eq. 10 and 14

    a: the negative slope of the leaky ReLU that follows. mode: "fan_in" keeps the variance of the
    forward pass, "fan_out" that of the gradients.
    """
    b = math.sqrt(3.0) * (calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))
    return uniform_(tensor, -b, b, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", generator: Generator | None = None
                    ) -> Tensor:
    """N(0, σ²), σ = gain / √fan; the arguments are those of `kaiming_uniform_`."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
          "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
          "relu": math.sqrt(2.0), "selu": 0.75}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must grow to make up for a non-linearity.

    leaky_relu with slope a: √(2 / (1 + a²)); relu √2; tanh 5/3; selu 3/4; linear layers and
    sigmoid 1. param: the slope (0.01). Raises ValueError for another name.
    """
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, int | float)):
            raise ValueError(f"calculate_gain: param must be a number; got {param!r}")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; "
                         f"expected leaky_relu or one of {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need at least 2 dims; got shape {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _fan(tensor: Tensor, mode: str) -> int:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out'; got {mode!r}")
    return fans(tensor)[mode.lower() == "fan_out"]


def _fill(tensor: Tensor, value: Array | float) -> Tensor:
    with no_grad():
        return tensor.copy_(value)
