"""Affine maps. Source: torch.nn.Linear, torch.nn.Identity."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import DTypeLike

from minigrad import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter, empty
from minigrad.ops.arguments import to_size
from minigrad.tensor import Tensor


class Identity(Module):
    """y = x, whatever the arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x·wᵀ + b.  Raises: TypeError or ValueError unless both sizes are ints of at least 0.

    Shapes: x (*, in_features), w (out_features, in_features), b (out_features,)
    → (*, out_features). w and b start in U(-k, k), k = 1/√in_features.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 dtype: DTypeLike | None = None) -> None:
        super().__init__()
        self.in_features = to_size(type(self).__name__, "in_features", in_features, 0)
        self.out_features = to_size(type(self).__name__, "out_features", out_features, 0)
        self.weight = empty(self.out_features, self.in_features, dtype=dtype)
        self.bias: Parameter | None = empty(self.out_features, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_affine(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


def reset_affine(weight: Parameter, bias: Parameter | None) -> None:
    """torch's default for linear and convolutional layers: U(-k, k), k = 1/√fan_in."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init.fans(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(bias, -bound, bound)
