"""Losses of a choice among classes: how surprised the prediction is by the class that is true.

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels import class_loss as kernels, empty, empty_in_order, memory_order
from minigrad.kernels.softmax import along
from minigrad.ops.arguments import require_float, require_number, require_reduction, to_int
from minigrad.ops.elementwise import div, where

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


@op
def _cross_entropy(x: Tensor, *, target: Array, each: Array, total: float | None) -> Recorded:
    """y[n, …] = -each·log softmax(x)[n, target[n, …], …], 0 where target is -1; or their sum over
    total.   vjp: each·(softmax(x) - 1 at the target)·g / total"""
    order = memory_order(x.data)
    outer, n, inner = (columns := along(x.data, 1, order)).shape
    items = [d - (d > 1) for d in order if d != 1]

    def arranged(of_items: Array) -> Array:
        return of_items.transpose(items).reshape(outer, inner)

    losses, normalizer = empty((2, outer, inner), x.dtype)
    kernels.cross_entropy(columns, classes := arranged(target), arranged(each), normalizer, losses)
    if total is None:
        y = losses.reshape([target.shape[i] for i in items]).transpose(np.argsort(items))
    else:
        y = np.add.reduce(losses, None) / total

    def vjp(g: Tensor) -> Tensor:
        share = g.data * each if total is None else each * (g.data / x.dtype.type(total))
        if autograd.is_grad_enabled():
            chosen = (np.expand_dims(target, 1)
                      == np.arange(n).reshape(-1, *[1] * (x.ndim - 2)))
            factor = np.where(target < 0, 0, each / (total or 1)).astype(x.dtype)
            factors = autograd.Tensor(np.expand_dims(factor, 1))
            g = g.unsqueeze(1) if total is None else g
            return where(np.expand_dims(target < 0, 1), 0.0,
                         (x.softmax(1) - autograd.Tensor(chosen.astype(x.dtype))) * factors * g)
        dx = empty_in_order(x.shape, x.dtype, order)
        kernels.cross_entropy_grad(columns, classes, arranged(share), normalizer,
                                   along(dx, 1, order))
        return autograd.Tensor(dx)
    return y, vjp


@op
def _class_losses(x: Tensor, *, target: Array, each: Array, total: float | None) -> Recorded:
    """y[n, …] = -each·x[n, target[n, …], …], 0 where target is -1; or their sum over total"""
    shape, losses = x.shape, empty(target.shape, x.dtype)
    kernels.class_loss(_planes(x.data), _rows(target), _rows(each), _rows(losses))
    return (losses if total is None else np.add.reduce(losses, None) / total,
            lambda g: _class_losses_grad(g, shape=shape, target=target, each=each, total=total))


@op
def _class_losses_grad(g: Tensor, *, shape: tuple[int, ...], target: Array, each: Array,
                       total: float | None) -> Recorded:
    """dx = 0, but -each·g / total at each item's class; linear, as the losses are"""
    share = g.data * each if total is None else each * (g.data / g.dtype.type(total))
    dx = empty(shape, g.dtype)
    kernels.class_loss_grad(_rows(share), _rows(target), _planes(dx))
    return dx, lambda c: _class_losses(c, target=target, each=each, total=total)


def _planes(x: Array) -> Array:
    """(N, C, …) as (N, C, places)"""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _rows(of_items: Array) -> Array:
    """(N, …) as (N, places)"""
    return of_items.reshape(len(of_items), math.prod(of_items.shape[1:]))


def nll_loss(input: Any, target: Any, weight: Any = None, size_average: None = None,
             ignore_index: int = -100, reduce: None = None, reduction: str = "mean") -> Tensor:
    """-w_t · x_t for the true class t of each item: cross_entropy after log_softmax.

    Shapes, ignore_index, "mean" and errors as cross_entropy.
    """
    name = "nll_loss"
    require_reduction(name, reduction, size_average, reduce)
    x, t = as_tensor(name, input), as_tensor(name, target)
    require_float(name, x)
    to_int(name, "ignore_index", ignore_index)
    return _nll(name, x, t, weight, ignore_index, reduction)


def _nll(name: str, x: Tensor, given: Tensor, weight: Any, ignore_index: int, reduction: str
         ) -> Tensor:
    batch, target, each, total = _choice(name, x, given, weight, ignore_index, reduction)
    losses = _class_losses(batch, target=target, each=each, total=total)
    return losses if total is not None else losses.reshape(given.shape if x.ndim > 1 else ())


def _choice(name: str, x: Tensor, given: Tensor, weight: Any, ignore_index: int, reduction: str
            ) -> tuple[Tensor, Array, Array, float | None]:
    """x as (N, C, …), the class of each item (-1 where it does not count), its weight, and what the
    sum of the losses is divided by (None: they are not summed)."""
    batch, t = _by_item(name, x, given)
    target, classes = t.data, batch.shape[1]
    w = _class_weights(name, weight, batch)
    # a negative number is a very large one without its sign
    if w is None and ignore_index < 0 and target.dtype == np.int64 and target.size \
            and target.view(np.uint64).max() < classes:
        return (batch, target, np.ones(target.shape, batch.dtype),
                {"mean": float(target.size), "sum": 1.0}.get(reduction))
    counts = target != ignore_index
    chosen = np.where(counts, target, 0).astype(np.int64, copy=False)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= classes):
        raise IndexError(f"{name}: target must lie in [0, {classes - 1}] or be "
                         f"ignore_index {ignore_index}; got {chosen.min()} to {chosen.max()}")
    each = np.where(counts, 1 if w is None else w.data[chosen], 0).astype(batch.dtype)
    # a weight of 0 counts as little as ignore_index, also where the loss would be infinite
    return (batch, np.where(counts & (each != 0), chosen, -1), each,
            {"mean": np.add.reduce(each, None), "sum": 1.0}.get(reduction))


def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: None = None,
                  ignore_index: int = -100, reduce: None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """How surprised softmax(x) is by the true class t: -w_t · log softmax(x)_t.

    Items of class ignore_index do not count; "mean" divides by the weights of those that do. With
    label_smoothing ε, each of the C classes gets ε/C of the truth. A floating point target holds
    the probabilities of the classes.
    Shapes: x (C,), (N, C) or (N, C, d1, …); target the same without C, or x's if it holds
    probabilities; weight (C,).
    Raises: ValueError or RuntimeError where shapes do not fit, IndexError for a class out of range.
    """
    name = "cross_entropy"
    require_reduction(name, reduction, size_average, reduce)
    x, t = as_tensor(name, input), as_tensor(name, target)
    require_float(name, x)
    require_number(name, label_smoothing=label_smoothing)
    to_int(name, "ignore_index", ignore_index)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"{name}: label_smoothing must lie in [0, 1]; got {label_smoothing}")
    if x.ndim == 0:
        raise ValueError(f"{name}: x must be (C,), (N, C) or (N, C, d1, …); got ()")
    if t.dtype.kind != "f" and label_smoothing == 0 and x.numel():
        batch, chosen, each, total = _choice(name, x, t, weight, ignore_index, reduction)
        loss = _cross_entropy(batch, target=chosen, each=each, total=total)
        return loss if total is not None or x.ndim > 1 else loss.reshape(t.shape)
    if t.dtype.kind != "f" and (ignored := t.data == ignore_index).any():
        # items that do not count have no gradient either, not even where it would be NaN
        x = where(ignored if x.ndim == 1 else np.expand_dims(ignored, 1), 0.0, x)
    log_p = x.log_softmax(1 if x.ndim > 1 else 0)
    if t.dtype.kind == "f":
        if ignore_index >= 0:
            raise RuntimeError(f"{name}: ignore_index is for class numbers; got {ignore_index} and "
                               f"a target of {t.dtype}")
        return _soft_cross_entropy(log_p, t, weight, reduction, label_smoothing)
    loss = _nll(name, log_p, t, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return loss
    batch, classes = _by_item(name, log_p, t)
    counts = classes.data != ignore_index
    w = _class_weights(name, weight, batch)
    spread = -(batch if w is None else batch * w.reshape(-1, *[1] * (batch.ndim - 2))).sum(1)
    spread = where(counts, spread, 0.0)
    if reduction == "mean":
        own = counts if w is None else w.data[np.where(counts, classes.data, 0)]
        each = np.where(counts, own, 0)
        spread = div(spread.sum(), each.sum(dtype=batch.dtype))
    else:
        spread = (spread.sum() if reduction == "sum" else spread).reshape(loss.shape)
    return loss * (1 - label_smoothing) + spread * (label_smoothing / max(batch.shape[1], 1))


def _soft_cross_entropy(log_p: Tensor, t: Tensor, weight: Any, reduction: str, smoothing: float
                        ) -> Tensor:
    if t.shape != log_p.shape:
        raise RuntimeError(f"cross_entropy: target of probabilities must have x's shape; got x "
                           f"{log_p.shape}, target {t.shape}")
    axis = 1 if log_p.ndim > 1 else 0
    if smoothing:
        t = t * (1 - smoothing) + smoothing / max(log_p.shape[axis], 1)
    w = _class_weights("cross_entropy", weight, log_p)
    losses = -(log_p * t if w is None
               else log_p * t * w.reshape(-1, *[1] * max(log_p.ndim - 2, 0))).sum(axis)
    if reduction == "mean":
        return losses.sum() / losses.numel()
    return losses.sum() if reduction == "sum" else losses


# ---- what they share -----------------------------------------------------------------------------

def _by_item(name: str, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x as (N, C, …) and the classes as (N, …)"""
    if t.dtype not in (np.int64, np.uint8):
        raise RuntimeError(f"{name}: target must hold class numbers, int64 or uint8; got {t.dtype}")
    if x.ndim == 1:
        x, t = x.unsqueeze(0), t.unsqueeze(0) if t.ndim == 0 else t
    if x.ndim < 2 or t.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(f"{name}: target must have x's shape without the classes in dim 1; "
                         f"got x {x.shape}, target {t.shape}")
    return x, t


def _class_weights(name: str, weight: Any, x: Tensor) -> Tensor | None:
    classes = x.shape[1 if x.ndim > 1 else 0]
    if weight is None:
        return None
    w = as_tensor(name, weight)
    if w.shape != (classes,) or w.dtype != x.dtype:
        raise RuntimeError(f"{name}: weight must have one entry for each of {classes} classes and "
                           f"x's dtype {x.dtype}; got {w.shape}, {w.dtype}")
    return w
