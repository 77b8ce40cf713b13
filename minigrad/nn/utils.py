"""Helpers that act on gradients. Source: torch.nn.utils."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minigrad.tensor import Tensor


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Scale all gradients by one number so that their common norm is at most max_norm.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6)); returns ‖g‖, the norm before.
    norm_type: the p of the p-norm, math.inf for the largest |g|. Raises RuntimeError for a norm
    that is not finite, if `error_if_nonfinite`.
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    gradients = [p.grad for p in tensors if p.grad is not None]
    if not gradients:
        return Tensor(np.float32(0))
    norms = np.stack([np.linalg.norm(g.data.ravel(), norm_type) for g in gradients])
    total = np.linalg.norm(norms, norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of order {norm_type} is {total}; "
                           "error_if_nonfinite=False scales by it all the same")
    scale = np.minimum(max_norm / (total + 1e-6), 1.0)
    for g in gradients:
        g.detach()[...] = g.data * g.dtype.type(scale)
    return Tensor(np.asarray(total))
