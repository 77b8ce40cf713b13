"""Losses of numbers. Each gives one value for an element; `reduction` then says what becomes of
them: "none", "mean" or "sum".

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.ops.activation import softplus
from minigrad.ops.arguments import (
    require_bool,
    require_broadcast,
    require_float,
    require_number,
    require_reduction,
)
from minigrad.ops.elementwise import where
from minigrad.ops.promotion import promote

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- distances -----------------------------------------------------------------------------------

@op
def _squared_error(x: Tensor, t: Tensor, *, reduction: str) -> Recorded:
    """y = (x - t)², all of them, or their sum or mean"""
    d = x.data - t.data
    y, share = _reduced(d * d, reduction)
    return (y, lambda g: _squared_error_grad(g, x, t, factor=2 * share),
            lambda g: _squared_error_grad(g, t, x, factor=2 * share))


@op
def _squared_error_grad(g: Tensor, x: Tensor, t: Tensor, *, factor: float) -> Recorded:
    """dx = factor·g·(x - t)"""
    return ((x.data - t.data) * (g.data * g.dtype.type(factor)),
            lambda c: c * (x - t) * factor, lambda c: c * g * factor, lambda c: c * g * -factor)


def mse_loss(input: Any, target: Any, size_average: None = None, reduce: None = None,
             reduction: str = "mean", weight: Any = None) -> Tensor:
    """(x - t)², times `weight`; with weights, "mean" divides by their sum."""
    name = "mse_loss"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _pair(name, input, target)
    require_float(name, x)
    if weight is None:
        return _squared_error(x, t, reduction=reduction)
    return _averaged((x - t).square(), _like(name, input, weight), reduction)


def l1_loss(input: Any, target: Any, size_average: None = None, reduce: None = None,
            reduction: str = "mean", weight: Any = None) -> Tensor:
    """|x - t|, times `weight`; with weights, "mean" divides by their sum. Gradient 0 at 0."""
    name = "l1_loss"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _pair(name, input, target)
    if "b" in (as_tensor(name, input).dtype.kind, as_tensor(name, target).dtype.kind):
        raise RuntimeError(f"{name}: needs numbers, not bools")
    if reduction == "mean":
        require_float(name, x)
    return _averaged((x - t).abs(), _like(name, input, weight), reduction)


def smooth_l1_loss(input: Any, target: Any, size_average: None = None, reduce: None = None,
                   reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d²/(2β) where d = |x - t| < β, d - β/2 elsewhere.

    Raises: RuntimeError for β < 0.
    """
    name = "smooth_l1_loss"
    require_reduction(name, reduction, size_average, reduce)
    require_number(name, beta=beta)
    if not beta >= 0:
        raise RuntimeError(f"{name}: beta must not be negative; got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    x, t = _pair(name, input, target)
    require_float(name, x)
    d = x - t
    near = (np.abs(d.data) < beta) | np.isnan(d.data)       # of NaN the gradient is NaN
    square = where(near, d, 0.0).square() * (0.5 / beta)
    return _reduce(where(near, square, d.abs() - beta / 2), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0,
               weight: Any = None) -> Tensor:
    """d²/2 where d = |x - t| ≤ δ, δ·(d - δ/2) elsewhere, times `weight`.

    Raises: RuntimeError for δ ≤ 0.
    """
    name = "huber_loss"
    require_reduction(name, reduction)
    require_number(name, delta=delta)
    if not delta > 0:
        raise RuntimeError(f"{name}: delta must be positive; got {delta}")
    own = as_tensor(name, input)                # of mixed dtypes torch takes x's
    require_float(name, own)
    x, t = _pair(name, own, target)
    d = x - t
    near = (np.abs(d.data) < delta) | np.isnan(d.data)
    far = (where(near, 0.0, d.abs()) - delta / 2) * delta    # 0: δ may be infinite
    losses = where(near, where(near, d, 0.0).square() * 0.5, far)
    return _weighted(losses.to(own.dtype), _like(name, own, weight), reduction)


# ---- of probabilities ----------------------------------------------------------------------------

@op
def _clamped_cross_entropy(x: Tensor, target: Tensor) -> Recorded:
    """y = -(t·log x + (1 - t)·log(1 - x)), the logarithms no less than -100.

    ∂y/∂x = (x - t) / max(x·(1 - x), 1e-12),   ∂y/∂t = log(1 - x) - log x
    """
    least = float(np.float32(1e-12))            # as in torch, whatever the dtype
    log, log_rest = np.maximum(np.log(x.data), -100), np.maximum(np.log1p(-x.data), -100)
    return (target.data * (log_rest - log) - log_rest,
            lambda g: g * (x - target) / (x * (1 - x)).clamp(min=least),
            lambda g: g * ((1 - x).log() - x.log()))


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, size_average: None = None,
                         reduce: None = None, reduction: str = "mean") -> Tensor:
    """-(t·log x + (1 - t)·log(1 - x)), logarithms no less than -100, times `weight`.

    Shapes: x and target the same; x in [0, 1].
    Raises: ValueError where shapes differ, RuntimeError for x out of range.
    """
    name = "binary_cross_entropy"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _equal_shapes(name, input, target)
    if t.dtype != x.dtype:
        raise RuntimeError(f"{name}: x and target must have one dtype; got {x.dtype}, {t.dtype}")
    for argument, values in (("x", x.data), ("target", t.data)):
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise RuntimeError(f"{name}: {argument} must lie in [0, 1]; got {values.min()} to "
                               f"{values.max()}")
    return _weighted(_clamped_cross_entropy(x, t), _broadcast(name, "weight", weight, x), reduction)


@op
def _logit_cross_entropy(x: Tensor, t: Tensor, *, reduction: str) -> Recorded:
    """y = -(t·log σ(x) + (1 - t)·log(1 - σ(x))) = (1 - t)·x - log σ(x), or their sum or mean"""
    minus_log_sigmoid = np.log1p(np.exp(-np.abs(x.data))) - np.minimum(x.data, 0)
    y, share = _reduced((1 - t.data) * x.data + minus_log_sigmoid, reduction)
    return (y, lambda g: _logit_cross_entropy_grad(g, x, t, factor=share),
            lambda g: g * x * -share)


@op
def _logit_cross_entropy_grad(g: Tensor, x: Tensor, t: Tensor, *, factor: float) -> Recorded:
    """dx = factor·g·(σ(x) - t)"""
    return ((1 / (1 + np.exp(-x.data)) - t.data) * (g.data * g.dtype.type(factor)),
            lambda c: c * (x.sigmoid() - t) * factor,
            lambda c: c * g * x.sigmoid() * (1 - x.sigmoid()) * factor,
            lambda c: c * g * -factor)


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None,
                                     size_average: None = None, reduce: None = None,
                                     reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """-(p·t·log σ(x) + (1 - t)·log(1 - σ(x))), times `weight`; p is pos_weight, 1 unless given.

    Shapes: x and target the same, weight and pos_weight such that they broadcast.
    Raises: ValueError where shapes differ.
    """
    name = "binary_cross_entropy_with_logits"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _equal_shapes(name, input, target)
    require_float(name, t)
    w, p = _broadcast(name, "weight", weight, x), _broadcast(name, "pos_weight", pos_weight, x)
    if w is p is None and x.dtype == t.dtype:
        return _logit_cross_entropy(x, t, reduction=reduction)
    minus_log_sigmoid = softplus(-x, threshold=np.inf)
    if p is not None:
        minus_log_sigmoid = minus_log_sigmoid * ((p - 1) * t + 1)
    losses = (1 - t) * x + minus_log_sigmoid
    return _weighted(losses.to(t.dtype), w, reduction)          # of mixed dtypes torch takes t's


@op
def _t_log_t(t: Tensor) -> Recorded:
    """y = t·log t, 0 at 0.   ∂y/∂t = log t + t/t, with log 0 taken as 0 but 0/0 as NaN"""
    y = np.where(t.data == 0, 0, t.data * np.log(t.data)).astype(t.dtype)
    return y, lambda g: g * where(t == 0, 0.0, t.log()) + g * t / t


def kl_div(input: Any, target: Any, size_average: None = None, reduce: None = None,
           reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t·(log t - x), x a logarithm of probabilities; 0 where t is 0, but there the gradient to t is
    NaN, as in torch. log_target: t is a logarithm as well.

    reduction may also be "batchmean": the sum divided by the number of items.
    """
    name = "kl_div"
    if reduction != "batchmean":
        require_reduction(name, reduction, size_average, reduce)
    require_bool(name, log_target=log_target)
    require_float(name, as_tensor(name, input), as_tensor(name, target))
    x, t = _promoted(name, input, target)
    losses = t.exp() * (t - x) if log_target else _t_log_t(t) - t * x
    if reduction != "batchmean":
        return _reduce(losses, reduction)
    return losses.sum() / x.shape[0] if x.ndim else losses.sum()


# ---- what they share -----------------------------------------------------------------------------

def _reduced(losses: Array, reduction: str) -> tuple[Array, float]:
    """The losses reduced, and the share that each has in the result."""
    if reduction == "none":
        return losses, 1.0
    total = np.add.reduce(losses, None)
    if reduction == "sum":
        return total, 1.0
    return total / losses.dtype.type(losses.size), 1 / (losses.size or 1)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    return _reduce(losses if weight is None else losses * weight, reduction)


def _averaged(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """As _weighted, but "mean" is the weighted average."""
    if weight is None or reduction != "mean":
        return _weighted(losses, weight, reduction)
    return (losses * weight).sum() / weight.sum()


def _like(name: str, input: Any, weight: Any) -> Tensor | None:
    if weight is None:
        return None
    x, w = as_tensor(name, input), as_tensor(name, weight)
    if w.shape != x.shape:
        raise ValueError(f"{name}: weight must have x's shape; got x {x.shape}, weight {w.shape}")
    return w


def _broadcast(name: str, argument: str, weight: Any, x: Tensor) -> Tensor | None:
    if weight is None:
        return None
    w = as_tensor(name, weight)
    if w.ndim > x.ndim or any(n not in (1, m) for n, m in zip(w.shape[::-1], x.shape[::-1],
                                                              strict=False)):
        raise RuntimeError(f"{name}: {argument} {w.shape} does not broadcast to x {x.shape}")
    return w


def _pair(name: str, input: Any, target: Any) -> list[Tensor]:
    x, t = _promoted(name, input, target)
    if x.shape != t.shape:
        warnings.warn(f"{name}: target {t.shape} and x {x.shape} differ in shape and are broadcast,"
                      " which is seldom meant", stacklevel=3)
    return [x, t]


def _promoted(name: str, input: Any, target: Any) -> list[Tensor]:
    """x and target in one dtype, once they are known to broadcast"""
    x, t = as_tensor(name, input), as_tensor(name, target)
    if x.shape != t.shape:
        require_broadcast(f"{name}: x {x.shape} and target {t.shape} do not broadcast",
                          x.shape, t.shape)
    return [x, t] if x.dtype == t.dtype else promote(x, t, name=name)


def _equal_shapes(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    x, t = as_tensor(name, input), as_tensor(name, target)
    require_float(name, x)
    if x.shape != t.shape:
        raise ValueError(f"{name}: target must have x's shape; got x {x.shape}, target {t.shape}")
    return x, t
