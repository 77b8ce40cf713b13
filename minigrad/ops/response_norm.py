"""Local response normalisation: each value divided by a measure of the channels around it.

Source: Krizhevsky et al. 2012, §3.3; torch.nn.functional.local_response_norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op, together
from minigrad.kernels import batch_first, batch_last, empty, norm as kernels
from minigrad.ops.arguments import require_float, require_number, to_int
from minigrad.ops.linalg import matmul
from minigrad.ops.pool import avg_pool2d
from minigrad.ops.shape import cat

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


@op
def _response_norm(x: Tensor, *, size: int, alpha: float, beta: float, k: float) -> Recorded:
    """y_i = x_i · s_i^-β,  s_i = k + α/size · Σ_j x_j² over the channels j in the window of i"""
    planes = batch_last(x.data)
    y = empty(planes.shape, x.dtype)
    kernels.lrn(_rows(planes), size, alpha, beta, k, _rows(y))
    return batch_first(y), lambda g: _response_norm_grad(g, x, size=size, alpha=alpha, beta=beta,
                                                         k=k)


@op
def _response_norm_grad(g: Tensor, x: Tensor, *, size: int, alpha: float, beta: float, k: float
                       ) -> Recorded:
    """dx of y = _response_norm(x).

    dx_j = g_j·s_j^-β - 2αβ/size · x_j · Σ_i g_i·x_i·s_i^(-β-1) over the i whose window holds j
    """
    planes = batch_last(x.data)
    dx = empty(planes.shape, x.dtype)
    kernels.lrn_grad(_rows(batch_last(g.data)), _rows(planes), size, alpha, beta, k, _rows(dx))
    shape, lines = x.shape, (*x.shape[:2], -1)

    def gradients(c: Tensor) -> list[Tensor | None]:
        """Gradients of the formula above, written in ops"""
        with autograd.enable_grad():
            # vertices of their own, so that no path from g to x is followed
            gs, xs = [t.reshape(lines) if t.requires_grad
                      else autograd.Tensor(t.data.reshape(lines), requires_grad=True)
                      for t in (g, x)]
            distance = np.subtract.outer(*[np.arange(xs.shape[1])] * 2)         # [i, j] = i - j
            window = autograd.Tensor(((distance <= size // 2) & (-distance <= (size - 1) // 2))
                                     .astype(x.dtype))
            s = matmul(window, xs * xs) * (alpha / size) + k
            shared = matmul(window.t(), gs * xs * s ** (-beta - 1))
            formula = gs * s ** -beta - xs * shared * (2 * alpha * beta / size)
        found = autograd.grad(formula, [gs, xs], c.reshape(formula.shape),
                              create_graph=autograd.is_grad_enabled())
        return [None if t is None else t.reshape(shape) for t in found]

    return batch_first(dx), *together(gradients, 2)


def _rows(planes: Array) -> Array:
    """(C, …) → (C, M)"""
    return planes.reshape(len(planes), -1)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:
    """y = x / (k + α/size · Σ x²)^β: each x is divided by the strength of the channels around it.

    The window of channel i is i - size//2 … i + (size-1)//2; what lies outside counts as 0, and the
    sum is divided by size all the same.
    Shapes: (N, C, …) → the same.
    Raises: ValueError for fewer than 3 dims or size < 1.
    Source: Krizhevsky et al. 2012, §3.3; torch's function of this name.
    """
    name, x = "local_response_norm", as_tensor("local_response_norm", input)
    require_number(name, alpha=alpha, beta=beta, k=k)
    if x.ndim < 3:
        raise ValueError(f"{name}: x must have at least 3 dims; got {x.shape}")
    if x.numel() == 0:
        return x
    if to_int(name, "size", size) < 1:
        raise ValueError(f"{name}: size must be at least 1; got {size}")
    if x.dtype == np.int64:
        return _integer_response_norm(x, size, alpha, beta, k)
    require_float(name, x)
    return _response_norm(x, size=size, alpha=float(alpha), beta=float(beta), k=float(k))


def _integer_response_norm(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """As in torch, where the mean square is an integer as well."""
    squares = (x * x).reshape(x.shape[0], 1, x.shape[1], -1)
    around = [autograd.Tensor(np.zeros((*squares.shape[:2], n, squares.shape[3]), np.int64))
              for n in (size // 2, (size - 1) // 2)]
    padded = cat([around[0], squares, around[1]], 2)
    mean = avg_pool2d(padded, (size, 1), 1).reshape(x.shape)
    return x / (mean * alpha + k) ** beta
