"""Losses of numbers. Each gives one value for an element; `reduction` then says what becomes of
them: "none", "mean" or "sum".

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, as_tensor, is_grad_enabled, op
from minigrad.kernels import loss as kernels
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


# ---- one op for all ------------------------------------------------------------------------------

@op
def _loss(x: Tensor, t: Tensor, *, kind: int, options: kernels.Options, reduction: str) -> Recorded:
    """y = the losses, or their sum or mean"""
    share = 1 / (np.broadcast(x.data, t.data).size or 1) if reduction == "mean" else 1.0
    how: Any = {"kind": kind, "options": options, "factor": share}
    return (kernels.value(x.data, t.data, kind, options, reduction),
            lambda g: _loss_grad(g, x, t, by_target=False, **how),
            lambda g: _loss_grad(g, x, t, by_target=True, **how))


def _loss_grad(g: Tensor, x: Tensor, t: Tensor, *, kind: int, by_target: bool, factor: float,
               options: kernels.Options) -> Tensor:
    """factor·g times the derivative of the losses by x, or by t; made of ops if it is recorded"""
    if is_grad_enabled():
        slope = _DERIVATIVES[kind][by_target](x, t, options)
        return g * slope.expand(np.broadcast_shapes(x.shape, t.shape)) * factor
    return _loss_slope(g, x, t, kind=kind, by_target=by_target, factor=factor, options=options)


@op
def _loss_slope(g: Tensor, x: Tensor, t: Tensor, *, kind: int, by_target: bool, factor: float,
                options: kernels.Options) -> Recorded:
    """As `_loss_grad`, in one pass over memory and without a gradient of its own"""
    return (kernels.gradient(x.data, t.data, g.data, kind, by_target, factor, options),
            None, None, None)


def _distance_slope(x: Tensor, t: Tensor, options: kernels.Options) -> Tensor:
    limit, curve, slope, _ = options
    d = x - t
    if limit <= 0:
        return d.sign() * slope
    lines = np.abs(d.data) >= limit
    return where(lines, d.sign() * slope if np.isfinite(slope) else d, d * (2 * curve))


_DERIVATIVES: dict[int, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    kernels.SQUARE: (lambda x, t, _: (x - t) * 2, lambda x, t, _: (t - x) * 2),
    kernels.DISTANCE: (_distance_slope, lambda x, t, options: _distance_slope(t, x, options)),
    kernels.PROBABILITY: (
        lambda x, t, options: (x - t) / (x * (1 - x)).clamp(min=options[1]),
        lambda x, t, _: (1 - x).log() - x.log()),
    kernels.LOGIT: (lambda x, t, _: x.sigmoid() - t, lambda x, t, _: -x),
    kernels.DIVERGENCE: (lambda x, t, _: -t,
                         lambda x, t, _: where(t == 0, 0.0, t.log()) + t / t - x)}


# ---- distances -----------------------------------------------------------------------------------

NO_OPTIONS = (0.0, 0.0, 0.0, 0.0)


def mse_loss(input: Any, target: Any, size_average: None = None, reduce: None = None,
             reduction: str = "mean", weight: Any = None) -> Tensor:
    """(x - t)², times `weight`; with weights, "mean" divides by their sum."""
    name = "mse_loss"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _pair(name, input, target)
    require_float(name, x)
    return _averaged(kernels.SQUARE, NO_OPTIONS, x, t, _like(name, input, weight), reduction)


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
    w = _like(name, input, weight)
    if x.dtype.kind != "f":
        return _reduce(_times((x - t).abs(), w), reduction)
    return _averaged(kernels.DISTANCE, (0.0, 0.0, 1.0, 0.0), x, t, w, reduction)


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
    return _loss(x, t, kind=kernels.DISTANCE, options=(beta, 0.5 / beta, 1.0, beta / 2),
                 reduction=reduction)


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
    options = (delta, 0.5, delta, delta * delta / 2)
    return _weighted(kernels.DISTANCE, options, x, t, _like(name, own, weight), reduction,
                     own.dtype)


# ---- of probabilities ----------------------------------------------------------------------------

LEAST_LOG, LEAST_VARIANCE = -100.0, float(np.float32(1e-12))    # as in torch, whatever the dtype


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, size_average: None = None,
                         reduce: None = None, reduction: str = "mean") -> Tensor:
    """-(t·log x + (1 - t)·log(1 - x)), logarithms no less than -100, times `weight`.

    ∂y/∂x = (x - t) / max(x·(1 - x), 1e-12),   ∂y/∂t = log(1 - x) - log x

    Shapes: x and target the same; x in [0, 1].
    Raises: ValueError where shapes differ, RuntimeError for x out of range.
    """
    name = "binary_cross_entropy"
    require_reduction(name, reduction, size_average, reduce)
    x, t = _equal_shapes(name, input, target)
    if t.dtype != x.dtype:
        raise RuntimeError(f"{name}: x and target must have one dtype; got {x.dtype}, {t.dtype}")
    for argument, values in (("x", x.data), ("target", t.data)):
        if not kernels.all_within(values, 0, 1):
            raise RuntimeError(f"{name}: {argument} must lie in [0, 1]; got {values.min()} to "
                               f"{values.max()}")
    return _weighted(kernels.PROBABILITY, (LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0), x, t,
                     _broadcast(name, "weight", weight, x), reduction, x.dtype)


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None,
                                     size_average: None = None, reduce: None = None,
                                     reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """-(p·t·log σ(x) + (1 - t)·log(1 - σ(x))), times `weight`; p is pos_weight, 1 unless given.

    Shapes: x and target the same, weight and pos_weight such that they broadcast.
    Raises: ValueError where shapes differ.
    """
    name = "binary_cross_entropy_with_logits"
    require_reduction(name, reduction, size_average, reduce)
    x, target = _equal_shapes(name, input, target)
    require_float(name, target)
    w, p = _broadcast(name, "weight", weight, x), _broadcast(name, "pos_weight", pos_weight, x)
    x, t = promote(x, target, name=name)
    if p is None:                                       # of mixed dtypes torch takes target's
        return _weighted(kernels.LOGIT, NO_OPTIONS, x, t, w, reduction, target.dtype)
    x, t = _that_count(w, x, t)
    minus_log_sigmoid = softplus(-x, threshold=np.inf) * ((p - 1) * t + 1)
    losses = (1 - t) * x + minus_log_sigmoid
    return _reduce(_times(losses.to(target.dtype), w), reduction)


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
    how = "sum" if reduction == "batchmean" else reduction
    y = (_reduce(t.exp() * (t - x), how) if log_target else
         _loss(x, t, kind=kernels.DIVERGENCE, options=NO_OPTIONS, reduction=how))
    return y / x.shape[0] if reduction == "batchmean" and x.ndim else y


# ---- what they share -----------------------------------------------------------------------------

def _reduce(losses: Tensor, reduction: str) -> Tensor:
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _times(losses: Tensor, weight: Tensor | None) -> Tensor:
    return losses if weight is None else losses * weight


def _weighted(kind: int, options: kernels.Options, x: Tensor, t: Tensor, weight: Tensor | None,
              reduction: str, dtype: np.dtype[Any]) -> Tensor:
    """The losses in this dtype, times the weights, reduced."""
    if weight is None:
        return _loss(x, t, kind=kind, options=options, reduction=reduction).to(dtype)
    x, t = _that_count(weight, x, t)
    losses = _loss(x, t, kind=kind, options=options, reduction="none")
    return _reduce(losses.to(dtype) * weight, reduction)


def _that_count(weight: Tensor | None, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x and t, 0 where the weight is: what does not count gives no NaN, and has no gradient."""
    if weight is None or weight.requires_grad or weight.data.all():
        return x, t
    zero = weight.data == 0
    return where(zero, 0.0, x), where(zero, 0.0, t)


def _averaged(kind: int, options: kernels.Options, x: Tensor, t: Tensor, weight: Tensor | None,
              reduction: str) -> Tensor:
    """As _weighted, but "mean" is the weighted average."""
    if weight is None or reduction != "mean":
        return _weighted(kind, options, x, t, weight, reduction, x.dtype)
    return _weighted(kind, options, x, t, weight, "sum", x.dtype) / weight.sum()


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
