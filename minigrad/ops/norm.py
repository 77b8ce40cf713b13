"""Normalisation: values of mean 0 and variance 1.

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op, together
from minigrad.kernels import (
    batch_first,
    batch_last,
    contiguous,
    empty,
    group_norm as grouped,
    norm as kernels,
)
from minigrad.ops.arguments import require_bool, require_float, require_number, to_int, to_ints

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- the ops -------------------------------------------------------------------------------------

def _standard(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """x̂ = (x - mean) / √(variance + eps), and 1 / √(variance + eps), in float64."""
    centred = x.to(np.float64)
    centred = centred - centred.mean(dims, keepdim=True)
    inverse = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inverse, inverse


def _slope(g: Tensor, normal: Tensor, inverse: Tensor, dims: tuple[int, ...]) -> Tensor:
    """dx = (g - mean(g) - x̂·mean(g·x̂)) / √(variance + eps).

    In float64, for nearly all of g may cancel: if a mean is over two values only, x̂ is close to ±1,
    and any g is close to a mean plus a multiple of x̂.
    """
    g = g.to(np.float64)
    g = g - g.mean(dims, keepdim=True)
    return (g - normal * (g * normal).mean(dims, keepdim=True)) * inverse


@op
def _batch_norm(x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *, eps: float,
                training: bool, statistics: Array) -> Recorded:
    """y = (x - mean) / √(var + eps) · w + b; each channel's mean and var are x's own in training,
    and left in `statistics`; otherwise those found there

    vjp: dx = w/σ · (g - mean(g) - x̂·mean(g·x̂)), or w/σ · g;  dw = Σ g·x̂,  db = Σ g
    """
    planes, dtype = batch_last(x.data), x.dtype
    channels = len(planes)
    scale = np.ones(channels, dtype) if w is None else w.data
    shift = np.zeros(channels, dtype) if b is None else b.data
    y = empty(planes.shape, dtype)
    kernels.batch_norm(_rows(planes), scale, shift, eps, training, statistics, _rows(y))

    def gradients(g: Tensor) -> tuple[Tensor, ...]:
        """dx, dw and db"""
        if autograd.is_grad_enabled():
            return recorded(g)
        sums, dx = empty((2, channels), dtype), empty(planes.shape, dtype)
        kernels.batch_norm_grad(_rows(batch_last(g.data)), _rows(planes), scale, eps, training,
                                statistics, sums, _rows(dx))
        return tuple(map(autograd.Tensor, (batch_first(dx), *sums)))

    def recorded(g: Tensor) -> tuple[Tensor, ...]:
        """The same, made of ops"""
        slope, dims = _affine(g, w, None), (0, *range(2, x.ndim))
        if training:
            normal, inverse = _standard(x, dims, eps)
            dx = _slope(slope, normal, inverse, dims)
        else:
            mean, var = (_along_channels(autograd.Tensor(s), x.ndim) for s in statistics)
            inverse = (var + eps).rsqrt()
            normal, dx = (x - mean) * inverse, slope * inverse
        return tuple(t.to(x.dtype) for t in (dx, (g * normal).sum(dims), g.sum(dims)))

    return batch_first(y), *together(gradients, 3)


@op
def _layer_norm(x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *,
                count: int, eps: float) -> Recorded:
    """y = (x - mean) / √(var + eps) · w + b over the last `count` dims

    vjp: dx = (g·w - mean(g·w) - x̂·mean(g·w·x̂))/σ;  dw = Σ g·x̂,  db = Σ g
    """
    over, dims = x.shape[x.ndim - count:], tuple(range(x.ndim - count, x.ndim))
    rows = contiguous(x.data).reshape(-1, n := math.prod(over))
    scale = np.ones(n, x.dtype) if w is None else w.data.reshape(-1)
    shift = np.zeros(n, x.dtype) if b is None else b.data.reshape(-1)
    statistics, y = empty((2, len(rows)), np.float64), empty(rows.shape, x.dtype)
    grouped.layer_norm(rows, scale, shift, eps, statistics, y)

    def gradients(g: Tensor) -> tuple[Tensor, ...]:
        """dx, dw and db"""
        if autograd.is_grad_enabled():
            slope = g if w is None else g * w
            normal, inverse = _standard(x, dims, eps)
            by_weight, by_bias = (autograd.unbroadcast(t, over) for t in (g * normal, g))
            return tuple(t.to(x.dtype) for t in (_slope(slope, normal, inverse, dims), by_weight,
                                                 by_bias))
        # as many partial sums of dw and db as there are blocks of rows, at most 16
        partials = empty((min(16, max(1, rows.size // 2**12)), 2, n), np.float64)
        dx = empty(rows.shape, x.dtype)
        slopes = contiguous(g.data).reshape(-1, n)
        grouped.layer_norm_grad(slopes, rows, scale, statistics, partials, dx)
        sums = np.add.reduce(partials, 0).astype(x.dtype)
        return tuple(map(autograd.Tensor, (dx.reshape(x.shape), *(s.reshape(over) for s in sums))))

    return y.reshape(x.shape), *together(gradients, 3)


@op
def _group_norm(x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *, groups: int,
                eps: float) -> Recorded:
    """y = (x - mean) / √(var + eps) · w + b, with mean and var of each group of an item's channels

    vjp: dx = (g·w - mean(g·w) - x̂·mean(g·w·x̂))/σ;  dw = Σ g·x̂,  db = Σ g
    """
    items, channels = x.shape[:2]
    size = math.prod(x.shape[2:])
    images_last = not x.data.flags.c_contiguous and items > 1

    def sets(values: Array) -> Array:
        """(S, V, I), as the kernels want it"""
        planes = batch_last(values) if images_last else values
        shape = (groups, -1, items) if images_last else (items * groups, -1, 1)
        return contiguous(planes).reshape(shape)

    def as_x(y: Array) -> Array:
        return batch_first(y.reshape(*x.shape[1:], items)) if images_last else y.reshape(x.shape)

    values = sets(x.data)
    scale = np.ones(channels, x.dtype) if w is None else w.data
    shift = np.zeros(channels, x.dtype) if b is None else b.data
    y, statistics = empty(values.shape, x.dtype), empty((2, len(values), values.shape[2]), float)
    grouped.group_norm(values, scale, shift, groups, size, eps, statistics, y)

    def gradients(g: Tensor) -> tuple[Tensor, ...]:
        """dx, dw and db"""
        if autograd.is_grad_enabled():
            shape, dims = (items, groups, -1), (0, *range(2, x.ndim))
            normal, inverse = _standard(x.reshape(shape), (2,), eps)
            slope = _slope(_affine(g, w, None).reshape(shape), normal, inverse, (2,))
            by_weight = (g * normal.reshape(x.shape)).sum(dims)
            return tuple(t.to(x.dtype) for t in (slope.reshape(x.shape), by_weight, g.sum(dims)))
        sums = empty((2, len(values), channels // groups, values.shape[2]), np.float64)
        dx = empty(values.shape, x.dtype)
        grouped.group_norm_grad(sets(g.data), values, scale, groups, size, statistics, sums, dx)
        sums = sums.reshape(2, -1, channels, values.shape[2]).sum((1, 3)).astype(x.dtype)
        return tuple(map(autograd.Tensor, (as_x(dx), *sums)))

    return as_x(y), *together(gradients, 3)


def _rows(planes: Array) -> Array:
    """(C, …) → (C, M)"""
    return planes.reshape(len(planes), -1)


# ---- torch's functions ---------------------------------------------------------------------------

def batch_norm(input: Any, running_mean: Tensor | None, running_var: Tensor | None,
               weight: Any = None, bias: Any = None, training: bool = False, momentum: float = 0.1,
               eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each channel by itself.

    In training, mean and var are the batch's, and the running ones move towards them: running ←
    (1 - momentum)·running + momentum·batch's (with the variance over n - 1). Otherwise they are the
    running ones.
    Shapes: x (N, C, …), all others (C,).
    Raises: ValueError for a single value a channel in training; RuntimeError for other shapes.
    """
    name, x = "batch_norm", as_tensor("batch_norm", input)
    require_float(name, x)
    require_bool(name, training=training)
    require_number(name, momentum=momentum, eps=eps)
    if training and x.ndim > 1 and x.shape[0] * math.prod(x.shape[2:]) == 1:
        raise ValueError(f"{name}: needs more than one value a channel in training; "
                         f"got x {x.shape}")
    if x.numel() == 0:
        return _nothing(x, weight, bias)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: x must be (N, C, …); got {x.shape}")
    mean, var, weight, bias = _of_channels(name, x, running_mean, running_var, weight, bias,
                                           needed=not training)
    if eps < 0 or (training and eps == 0):
        raise ValueError(f"{name}: eps must be positive, in evaluation at least 0; got {eps}")
    statistics = empty((2, x.shape[1]), np.float64)
    if not training and mean is not None and var is not None:
        statistics[0], statistics[1] = mean.data, var.data
    y = _batch_norm(x, weight, bias, eps=float(eps), training=training, statistics=statistics)
    if training:
        n = x.numel() // x.shape[1]
        _move(mean, statistics[0], momentum)
        _move(var, statistics[1] * (n / (n - 1)), momentum)
    return y


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None,
               bias: Any = None, eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias over the last dims, those of normalized_shape.

    Shapes: x (…, *normalized_shape), weight and bias normalized_shape.
    Raises: RuntimeError where they do not fit.
    """
    name, x = "layer_norm", as_tensor("layer_norm", input)
    require_float(name, x)
    require_number(name, eps=eps)
    shape = to_ints(name, "normalized_shape", normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise RuntimeError(f"{name}: x must end in normalized_shape {shape}; got x {x.shape}")
    weight, bias = _parameters(name, x, shape, weight=weight, bias=bias)
    if x.numel() == 0:
        y = x.clone() if weight is None else x * weight
        return y if bias is None else y + bias
    return _layer_norm(x, weight, bias, count=len(shape), eps=float(eps))


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None,
               eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each item's channels in num_groups groups.

    Shapes: x (N, C, …), weight and bias (C,).
    Raises: RuntimeError unless num_groups divides C.
    """
    name, x = "group_norm", as_tensor("group_norm", input)
    require_float(name, x)
    require_number(name, eps=eps)
    if x.ndim < 2 or to_int(name, "num_groups", num_groups) < 1 or x.shape[1] % num_groups \
            or 0 in x.shape[1:]:
        raise RuntimeError(f"{name}: num_groups {num_groups} must divide the channels of x, and "
                           f"only N can be 0; got x {x.shape}")
    if x.numel() == num_groups:
        raise ValueError(f"{name}: needs more than one value a group; got x {x.shape}")
    weight, bias = _parameters(name, x, x.shape[1:2], weight=weight, bias=bias)
    if x.numel() == 0:
        return _affine(x.clone(), weight, bias)
    return _group_norm(x, weight, bias, groups=num_groups, eps=float(eps))


def instance_norm(input: Any, running_mean: Tensor | None = None,
                  running_var: Tensor | None = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each channel of each item by itself.

    Running statistics move by the mean of the items' own, and are used without use_input_stats.
    Shapes: x (N, C, …), all others (C,).  Raises: ValueError for a single value in a channel.
    """
    name, x = "instance_norm", as_tensor("instance_norm", input)
    require_float(name, x)
    require_bool(name, use_input_stats=use_input_stats)
    require_number(name, momentum=momentum, eps=eps)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: x must be (N, C, …); got {x.shape}")
    mean, var, weight, bias = _of_channels(name, x, running_mean, running_var, weight, bias,
                                           needed=not use_input_stats)
    if not use_input_stats:
        return batch_norm(x, mean, var, weight, bias, False, momentum, eps)
    if math.prod(x.shape[2:]) == 1:
        raise ValueError(f"{name}: needs more than one value a channel; got x {x.shape}")
    if x.numel() == 0:
        return _nothing(x, weight, bias)
    dims = tuple(range(2, x.ndim))
    if mean is not None:
        _move(mean, x.detach().mean(dims).mean(0).data, momentum)
        _move(var, x.detach().var(dims).mean(0).data, momentum)
    return _group_norm(x, weight, bias, groups=x.shape[1], eps=float(eps))


# ---- what they share -----------------------------------------------------------------------------

def _parameters(name: str, x: Tensor, shape: tuple[int, ...], **given: Any
                ) -> tuple[Tensor | None, ...]:
    """Those given, each as a Tensor, once it is known to fit."""
    dtype = x.dtype
    for argument, value in given.items():
        if value is None:
            continue
        given[argument] = t = as_tensor(name, value)
        if t.shape != shape:
            raise RuntimeError(f"{name}: {argument} must have shape {shape}; got {t.shape}, "
                               f"x {x.shape}")
        if t.dtype is not dtype and t.dtype != dtype:       # `is` takes a tenth of the time
            raise RuntimeError(f"{name}: {argument} must have x's dtype {dtype}; got {t.dtype}")
    return tuple(given.values())


def _of_channels(name: str, x: Tensor, mean: Any, var: Any, weight: Any, bias: Any, *, needed: bool
                 ) -> tuple[Tensor | None, ...]:
    if (mean is None) != (var is None) or (needed and mean is None):
        raise ValueError(f"{name}: running_mean and running_var go together, and are needed where "
                         "x's own statistics are not used")
    return _parameters(name, x, x.shape[1:2], running_mean=mean, running_var=var, weight=weight,
                       bias=bias)


def _nothing(x: Tensor, weight: Any, bias: Any) -> Tensor:
    """x without elements, still depending on weight and bias; running statistics stay"""
    y = x.clone() if weight is None else x * as_tensor("batch_norm", weight)[0]
    return y if bias is None else y + as_tensor("batch_norm", bias)[0]


def _along_channels(t: Tensor, ndim: int) -> Tensor:
    return t.reshape(-1, *[1] * (ndim - 2))


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * _along_channels(weight, y.ndim)
    return y if bias is None else y + _along_channels(bias, y.ndim)


def _move(running: Tensor | None, value: Array, momentum: float) -> None:
    if running is not None:
        running[...] = _moved(running, value=value, momentum=float(momentum))


@op
def _moved(running: Tensor, *, value: Array, momentum: float) -> Recorded:
    """(1 - momentum)·running + momentum·value, which has no gradient"""
    return running.data * (1 - momentum) + value.astype(running.dtype) * momentum, None
