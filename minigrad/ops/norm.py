"""Normalisation: bring values to mean 0 and variance 1, or divide them by what neighbours do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, op
from minigrad.kernels import norm as kernels
from minigrad.ops.linalg import matmul

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- the ops -------------------------------------------------------------------------------------

@op
def _standardize(x: Tensor, *, dims: tuple[int, ...], eps: float) -> Recorded:
    """y = (x - mean) / √(variance + eps), each over dims.

    vjp: (g - mean(g) - y·mean(g·y)) / √(variance + eps)
    """
    n = math.prod(x.shape[d] for d in dims)
    centred = x.data - x.data.sum(dims, keepdims=True) / x.dtype.type(n)
    variance = np.square(centred).sum(dims, keepdims=True) / x.dtype.type(n)
    centred /= np.sqrt(variance + x.dtype.type(eps))

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        scale = (x.var(dims, correction=0, keepdim=True) + eps).rsqrt()
        return (g - g.mean(dims, keepdim=True) - y * (g * y).mean(dims, keepdim=True)) * scale
    return centred, vjp


@op
def _response_norm(x: Tensor, *, size: int, alpha: float, beta: float, k: float) -> Recorded:
    """y_i = x_i · (k + α/size · Σ_j x_j²)^-β over the channels j in the window of channel i"""
    y = np.empty(x.shape, x.dtype)
    kernels.lrn(_lines(x.data), size, alpha, beta, k, _lines(y))
    return y, lambda g: _response_norm_grad(g, x, size=size, alpha=alpha, beta=beta, k=k)


@op
def _response_norm_grad(g: Tensor, x: Tensor, *, size: int, alpha: float, beta: float, k: float
                       ) -> Recorded:
    """dx of y = _response_norm(x).

    dx_j = g_j·s_j^-β - 2αβ/size · x_j · Σ_i g_i·x_i·s_i^(-β-1) over the i whose window holds j
    """
    dx = np.empty(x.shape, x.dtype)
    kernels.lrn_grad(_lines(g.data), _lines(x.data), size, alpha, beta, k, _lines(dx))
    shape, lines = x.shape, (*x.shape[:2], math.prod(x.shape[2:]))

    def through(cotangent: Tensor, i: int) -> Tensor:
        """A gradient of the formula above, written in ops"""
        with autograd.enable_grad():
            # vertices of their own, so that no path from g to x is followed
            gs, xs = sources = [t.reshape(lines) if t.requires_grad
                                else autograd.Tensor(t.data.reshape(lines), requires_grad=True)
                                for t in (g, x)]
            distance = np.subtract.outer(*[np.arange(xs.shape[1])] * 2)         # [i, j] = i - j
            window = autograd.Tensor(((distance <= size // 2) & (-distance <= (size - 1) // 2))
                                     .astype(x.dtype))
            s = matmul(window, xs * xs) * (alpha / size) + k
            shared = matmul(window.t(), gs * xs * s ** (-beta - 1))
            formula = gs * s ** -beta - xs * shared * (2 * alpha * beta / size)
        again = autograd.is_grad_enabled()
        result = autograd.grad(formula, sources[i], cotangent.reshape(formula.shape),
                               create_graph=again)[0]
        assert result is not None
        return result.reshape(shape)

    return dx, lambda c: through(c, 0), lambda c: through(c, 1)


def _lines(x: Array) -> Array:
    return x.reshape(*x.shape[:2], -1) if x.size else np.empty((0, 1, 1), x.dtype)


# ---- torch's functions ---------------------------------------------------------------------------

def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:
    """Divide each x by what `size` channels around it do: y = x / (k + α/size · Σ x²)^β.

    The window of channel i is i - size//2 … i + (size-1)//2; what lies outside counts as 0, and the
    sum is divided by size all the same. Shapes: (N, C, …) → the same. Raises ValueError for fewer
    than 3 dims or size < 1. Source: Krizhevsky et al. 2012, §3.3; torch's function of this name.
    """
    x = _float("local_response_norm", input)
    if x.ndim < 3:
        raise ValueError(f"local_response_norm: x must have at least 3 dims; got {x.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1; got {size}")
    return _response_norm(x, size=size, alpha=alpha, beta=beta, k=k)


def batch_norm(input: Any, running_mean: Tensor | None, running_var: Tensor | None,
               weight: Any = None, bias: Any = None, training: bool = False, momentum: float = 0.1,
               eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each channel by itself.

    Training: mean and var are the batch's, and the running ones move: running ← (1 - momentum) ·
    running + momentum · batch's (with the variance over n - 1). Otherwise: the running ones.
    Shapes: x (N, C, …), all others (C,). Raises ValueError for one value a channel in training,
    RuntimeError where shapes do not fit. Source: torch.nn.functional.batch_norm.
    """
    x = _float("batch_norm", input)
    if x.ndim < 2:
        raise RuntimeError(f"batch_norm: x must be (N, C, …); got {x.shape}")
    for name, t in (("running_mean", running_mean), ("running_var", running_var),
                    ("weight", weight), ("bias", bias)):
        if t is not None and tuple(np.shape(t.data)) != (x.shape[1],):
            raise RuntimeError(f"batch_norm: {name} must have shape ({x.shape[1]},); got "
                               f"{tuple(t.shape)}, x {x.shape}")
    dims = (0, *range(2, x.ndim))
    n = math.prod(x.shape[d] for d in dims)
    if training:
        if n <= 1:
            raise ValueError(f"batch_norm: needs more than one value a channel in training; "
                             f"got x {x.shape}")
        if running_mean is not None:
            _move(running_mean, x.data.mean(dims), momentum)
        if running_var is not None:
            _move(running_var, x.data.var(dims, ddof=1), momentum)
        return _affine(_standardize(x, dims=dims, eps=eps), weight, bias, 1)
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: without training, running_mean and running_var are needed")
    mean, var = (_along_channels(t, x.ndim) for t in (running_mean, running_var))
    return _affine((x - mean) * (var + eps).rsqrt(), weight, bias, 1)


def layer_norm(input: Any, normalized_shape: int | tuple[int, ...], weight: Any = None,
               bias: Any = None, eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias over the last dims, those of normalized_shape.

    Shapes: x (…, *normalized_shape), weight and bias normalized_shape. Raises RuntimeError where
    they do not fit. Source: torch.nn.functional.layer_norm.
    """
    x = _float("layer_norm", input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise RuntimeError(f"layer_norm: x must end in normalized_shape {shape}; got x {x.shape}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(f"layer_norm: {name} must have shape {shape}; got {tuple(t.shape)}")
    y = _standardize(x, dims=tuple(range(x.ndim - len(shape), x.ndim)), eps=eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None,
               eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each item's channels in num_groups groups.

    Shapes: x (N, C, …), weight and bias (C,). Raises RuntimeError unless num_groups divides C.
    Source: torch.nn.functional.group_norm.
    """
    x = _float("group_norm", input)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise RuntimeError(f"group_norm: num_groups {num_groups} must divide the channels of x; "
                           f"got x {x.shape}")
    groups = x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _affine(_standardize(groups, dims=(2,), eps=eps).reshape(x.shape), weight, bias, 1)


def instance_norm(input: Any, running_mean: Tensor | None = None,
                  running_var: Tensor | None = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(var + eps) · weight + bias, each channel of each item by itself.

    Running statistics move by the mean of the items' own, and are used without use_input_stats.
    Shapes: x (N, C, …), all others (C,). Raises ValueError for one value a channel.
    Source: torch.nn.functional.instance_norm.
    """
    x = _float("instance_norm", input)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    if x.ndim < 3 or math.prod(x.shape[2:]) <= 1:
        raise ValueError(f"instance_norm: needs more than one value a channel; got x {x.shape}")
    dims = tuple(range(2, x.ndim))
    if running_mean is not None:
        _move(running_mean, x.data.mean(dims).mean(0), momentum)
    if running_var is not None:
        _move(running_var, x.data.var(dims, ddof=1).mean(0), momentum)
    return _affine(_standardize(x, dims=dims, eps=eps), weight, bias, 1)


def _float(name: str, input: Any) -> Tensor:
    x = input if isinstance(input, autograd.Tensor) else autograd.Tensor(input)
    if x.dtype.kind != "f":
        raise RuntimeError(f"{name}: needs floating point input; got {x.dtype}")
    return x


def _along_channels(t: Any, ndim: int) -> Tensor:
    tensor: Tensor = t if isinstance(t, autograd.Tensor) else autograd.Tensor(t)
    return tensor.reshape(-1, *[1] * (ndim - 2))


def _affine(y: Tensor, weight: Any, bias: Any, dim: int) -> Tensor:
    y = y if weight is None else y * _along_channels(weight, y.ndim)
    return y if bias is None else y + _along_channels(bias, y.ndim)


def _move(running: Tensor, value: Array, momentum: float) -> None:
    running[...] = running.data * (1 - momentum) + value * momentum
