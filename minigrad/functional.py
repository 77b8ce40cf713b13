"""torch.nn.functional's names, arguments and defaults: primitives from `ops`, the rest composed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import random
from minigrad.ops import elementwise as el, linalg, reduce, shape
from minigrad.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from minigrad.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from minigrad.ops.norm import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
)
from minigrad.ops.pool import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d
from minigrad.tensor import Tensor

__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "conv1d", "conv2d",
    "conv_transpose1d", "conv_transpose2d", "cosine_similarity", "cross_entropy", "dropout", "elu",
    "embedding", "gelu", "group_norm", "hardtanh", "huber_loss", "instance_norm", "kl_div",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax",
    "logsigmoid", "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "relu",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """y = x @ wᵀ + b.  Shapes: x (…, I), w (O, I), b (O,) → y (…, O)"""
    return linalg.linear(input, weight, bias)


# ---- activations ---------------------------------------------------------------------------------

def relu(input: Any) -> Tensor:
    """y = max(x, 0)"""
    return el.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """y = x for x > 0, negative_slope · x elsewhere"""
    return el.leaky_relu(input, negative_slope=negative_slope)


def sigmoid(input: Any) -> Tensor:
    """y = 1 / (1 + e^-x)"""
    return el.sigmoid(input)


def tanh(input: Any) -> Tensor:
    """y = tanh x"""
    return el.tanh(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = log(1 + e^(β·x)) / β, and x itself where β·x > threshold"""
    return el.softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Any) -> Tensor:
    """y = log σ(x) = -log(1 + e^-x)"""
    return -el.softplus(el.neg(input), threshold=math.inf)


def silu(input: Any) -> Tensor:
    """y = x · σ(x)"""
    return el.mul(input, el.sigmoid(input))


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """y = x for x > 0, α·(e^x - 1) elsewhere"""
    x = _tensor(input)
    return el.where(x > 0, x, el.expm1(el.where(x > 0, 0.0, x)) * alpha)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """y = x held between min_val and max_val; gradient 0 on the boundary"""
    x = _tensor(input)
    if min_val >= max_val:
        raise ValueError(f"hardtanh: min_val must be less than max_val; got {min_val}, {max_val}")
    inside = (x > min_val) & (x < max_val)
    return el.where(inside, x, x.detach().clamp(min_val, max_val).to(x.dtype))


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """y = x · Φ(x), Φ the normal distribution; approximate="tanh": Hendrycks & Gimpel's formula.

    Raises RuntimeError for another `approximate`. Source: arXiv 1606.08415.
    """
    x = _tensor(input)
    if approximate == "none":
        return x * 0.5 * (el.erf(x * math.sqrt(0.5)) + 1)
    if approximate == "tanh":
        return x * 0.5 * (el.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")


def softmax(input: Any, dim: int) -> Tensor:
    """y = e^x / Σ e^x along dim"""
    return reduce.softmax(input, dim=dim)


def log_softmax(input: Any, dim: int) -> Tensor:
    """y = x - log Σ e^x along dim"""
    return reduce.log_softmax(input, dim=dim)


# ---- randomness ----------------------------------------------------------------------------------

def dropout(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, each x is 0 with probability p and x / (1 - p) otherwise.

    Draws from `minigrad.random.default_generator`. Raises ValueError unless 0 ≤ p ≤ 1.
    Source: Srivastava et al. 2014; torch draws other numbers for the same seed.
    """
    x = _tensor(input)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must lie in [0, 1]; got {p}")
    if not training or p == 0:
        return x
    kept = random.default_generator.uniform(x.shape) >= p
    return x * (kept / np.float64(max(1 - p, np.finfo(np.float64).tiny))).astype(x.dtype)


# ---- shape ---------------------------------------------------------------------------------------

def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """x with places added around it: pad = (before, after) of the last dim, of the one before, …

    mode: "constant" (filled with value, 0 unless given; negative sizes cut), "reflect" (mirrored,
    without the edge), "replicate" (the edge again), "circular" (from the other end); these three
    for the last dims of x only. Raises ValueError or RuntimeError where sizes do not fit.
    Source: torch.nn.functional.pad.
    """
    x, sizes = _tensor(input), [int(n) for n in pad]
    if len(sizes) % 2 or len(sizes) > 2 * x.ndim:
        raise RuntimeError(f"pad: needs two sizes a dim, for at most {x.ndim} dims; got {sizes}")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular'; "
                         f"got {mode!r}")
    if mode != "constant" and value is not None:
        raise ValueError(f"pad: mode {mode!r} takes no value; got {value}")
    for i in range(0, len(sizes), 2):
        before, after = sizes[i:i + 2]
        if before or after:
            x = _pad_dim(x, x.ndim - 1 - i // 2, before, after, mode, value or 0)
    return x


def _pad_dim(x: Tensor, dim: int, before: int, after: int, mode: str, value: float) -> Tensor:
    n = x.shape[dim]
    most = {"constant": math.inf, "replicate": math.inf, "reflect": n - 1, "circular": n}[mode]
    if n + before + after < 0 or max(before, after) > most or (n == 0 and mode != "constant"):
        raise RuntimeError(f"pad: {before} and {after} do not fit dim {dim} of x {x.shape} in mode "
                           f"{mode!r}")
    place = np.arange(-before, n + after)
    if mode == "constant":
        x = x[(slice(None),) * dim + (slice(max(-before, 0), n - max(-after, 0)),)]
        ends = [np.full((*x.shape[:dim], max(m, 0), *x.shape[dim + 1:]), value, x.dtype)
                for m in (before, after)]
        return shape.cat([Tensor(ends[0]), x, Tensor(ends[1])], dim)
    if mode == "reflect":
        place = np.abs(place)
        place = np.where(place >= n, 2 * (n - 1) - place, place)
    place = place % n if mode == "circular" else place.clip(0, n - 1)
    return x[(slice(None),) * dim + (place,)]


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """y[…] = weight[input[…]]; the row padding_idx gets no gradient.

    Shapes: input (…) of integers, weight (V, D) → (…, D). Raises IndexError for a row out of range.
    Source: torch.nn.functional.embedding.
    """
    table, rows = _tensor(weight), _tensor(input).data
    if rows.dtype.kind not in "iu" or table.ndim != 2:
        raise RuntimeError(f"embedding: needs integers and a weight (V, D); got {rows.dtype}, "
                           f"weight {table.shape}")
    if rows.size and not (rows.min() >= 0 and rows.max() < len(table)):
        raise IndexError(f"embedding: input must lie in [0, {len(table) - 1}]; "
                         f"got {rows.min()} to {rows.max()}")
    y = table[rows]
    if padding_idx is None:
        return y
    frozen = (rows == padding_idx % len(table))[..., None]
    return el.where(frozen, y.detach(), y)


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Zeros, and a 1 at each class number, in a new last dim. Source: torch's function."""
    classes = _tensor(tensor).data
    n = int(classes.max()) + 1 if num_classes == -1 else num_classes
    if classes.size and not (classes.min() >= 0 and classes.max() < n):
        raise RuntimeError(f"one_hot: classes must lie in [0, {n - 1}]; "
                           f"got {classes.min()} to {classes.max()}")
    return Tensor((classes[..., None] == np.arange(n)).astype(np.int64))


# ---- distances -----------------------------------------------------------------------------------

def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(‖x‖_p, eps) along dim. Source: torch.nn.functional.normalize."""
    x = _tensor(input)
    return x / _norm(x, p, dim).clamp(min=eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """y = Σ x1·x2 / (max(‖x1‖, eps) · max(‖x2‖, eps)) along dim, after broadcasting.

    Source: torch.nn.functional.cosine_similarity.
    """
    pair = el.promote(_tensor(x1), _tensor(x2))
    common = np.broadcast_shapes(*(t.shape for t in pair))
    a, b = (t / _norm(t, 2, dim).clamp(min=eps) for t in (t.expand(common) for t in pair))
    return (a * b).sum(dim)


def _norm(x: Tensor, p: float, dim: int) -> Tensor:
    """(Σ |x|^p)^(1/p), kept as a dim of size 1; the gradient is 0 where it is 0"""
    if p == math.inf:
        return x.abs().amax(dim, keepdim=True)
    powers = x.square() if p == 2 else x.abs() if p == 1 else x.abs() ** p
    total = powers.sum(dim, keepdim=True)
    zero = total.data == 0
    root = el.where(zero, 1.0, total)
    return el.where(zero, 0.0, root.sqrt() if p == 2 else root if p == 1 else root ** (1 / p))


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)
