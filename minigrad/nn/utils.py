"""Helpers that act on gradients. Source: torch.nn.utils."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.kernels.sums import norm
from minigrad.tensor import Tensor


@np.errstate(all="ignore")       # infinities and NaNs are values here, as in the ops
def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Scale all gradients by one number so that their common norm is at most max_norm.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6)); returns ‖g‖, the norm before.
    norm_type: the p of the p-norm, math.inf for the largest |g|.
    Raises: RuntimeError for a norm that is not finite, if `error_if_nonfinite`.
    """
    gradients = _gradients("clip_grad_norm_", parameters)
    max_norm = _number("clip_grad_norm_", "max_norm", max_norm)
    norm_type = _number("clip_grad_norm_", "norm_type", norm_type)
    if not gradients:
        return Tensor(np.float32(0))
    norms = np.stack([norm(g.data, norm_type) for g in gradients])
    dtype = np.result_type(*(g.dtype for g in gradients))
    total = np.linalg.norm(norms, norm_type).astype(dtype)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of order {norm_type} is {total}; "
                           "error_if_nonfinite=False scales by it all the same")
    scale = np.minimum(max_norm / (total + 1e-6), 1.0)
    for g in gradients:
        g.detach()[...] = g.data * g.dtype.type(scale)
    return Tensor(np.asarray(total))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Hold every value of every gradient between -clip_value and clip_value."""
    limit = _number("clip_grad_value_", "clip_value", clip_value)
    for g in _gradients("clip_grad_value_", parameters):
        g.detach()[...] = np.clip(g.data, -limit, limit)


def _gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    if not isinstance(tensors, Iterable):
        raise TypeError(f"{name}: parameters must be Tensors; got {type(tensors).__name__}")
    tensors = list(tensors)
    for p in tensors:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: parameters must be Tensors; got {type(p).__name__}")
    return [p.grad for p in tensors if p.grad is not None]


def _number(name: str, argument: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {argument} must be a number; got {value!r}") from None
