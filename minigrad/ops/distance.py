"""Directions of vectors, and how similar two of them are.

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, as_tensor, op
from minigrad.ops.arguments import (
    Dims,
    normalize_dim,
    normalize_dims,
    require_broadcast,
    require_float,
    require_number,
)
from minigrad.ops.promotion import promote
from minigrad.ops.reduce import vector_norm

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def normalize(input: Any, p: float = 2.0, dim: Dims = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(‖x‖_p, eps) along dim.

    p: any number; 0 counts the elements that are not 0, ±∞ gives the largest or smallest |x|.
    """
    x = as_tensor("normalize", input)
    require_float("normalize", x)
    require_number("normalize", p=p, eps=eps)
    normalize_dims("normalize", dim, x.ndim)
    return x / vector_norm(x, p, dim, True).clamp(min=eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """y = Σ x1·x2 / (max(‖x1‖, eps) · max(‖x2‖, eps)) along dim, after broadcasting.

    The gradient is that of ‖x‖ even where eps takes its place, as in torch.
    Raises: RuntimeError where shapes do not broadcast, or for eps < 0.
    """
    name = "cosine_similarity"
    pair = promote(x1, x2, name=name)
    require_float(name, *pair)
    require_number(name, eps=eps)
    if eps < 0:
        raise RuntimeError(f"{name}: eps must not be negative; got {eps}")
    common = pair[0].shape
    if common != pair[1].shape:
        common = require_broadcast(f"{name}: shapes {common} and {pair[1].shape} do not broadcast",
                                   *(t.shape for t in pair))
    axis = normalize_dim(name, dim, len(common))

    def direction(x: Tensor) -> Tensor:
        x = x if x.shape == common else x.expand(common)
        return x / _at_least(vector_norm(x, 2, axis, True), least=eps)

    a, b = map(direction, pair)
    return (a * b).sum(axis)


@op
def _at_least(x: Tensor, *, least: float) -> Recorded:
    """y = max(x, least), but with the gradient of x everywhere"""
    return np.maximum(x.data, x.dtype.type(least)), lambda g: g
