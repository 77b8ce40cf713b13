"""Reductions: many numbers in, one out, along some or all dims.

The gradient of a sum is a broadcast: every summand gets g. `dim` may be None (all dims), an int or
a tuple, negative from the end; `keepdim` keeps the reduced dims with size 1.
Source: torch.sum and its kin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, op
from minigrad.ops import elementwise
from minigrad.ops.shape import normalize_dim, normalize_dims

if TYPE_CHECKING:
    from minigrad.tensor import Dims, Tensor


def _spread(g: Tensor, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    """A reduced tensor back over the dims it was reduced along (as a view)."""
    kept = tuple(1 if i in dims else n for i, n in enumerate(shape))
    return g.reshape(kept).expand(shape)


def _require_float(name: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise RuntimeError(f"{name}: needs floating point input; got {x.dtype}")


def _require_elements(name: str, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    if any(shape[d] == 0 for d in dims):
        raise IndexError(f"{name}: cannot reduce over a dim of size 0; got shape {shape}")


@op
def sum(x: Tensor, *, dim: Dims = None, keepdim: bool = False) -> Recorded:
    """y = Σ x; integers and bools are summed as int64"""
    dims, shape = normalize_dims("sum", dim, x.ndim), x.shape
    dtype = np.int64 if x.dtype.kind in "iub" else None
    return x.data.sum(dims, dtype=dtype, keepdims=keepdim), lambda g: _spread(g, shape, dims)


@op
def mean(x: Tensor, *, dim: Dims = None, keepdim: bool = False) -> Recorded:
    """y = Σ x / n; NaN over no elements"""
    _require_float("mean", x)
    dims, shape = normalize_dims("mean", dim, x.ndim), x.shape
    n = math.prod(shape[d] for d in dims)
    with np.errstate(all="ignore"):
        y = x.data.sum(dims, keepdims=keepdim) / x.dtype.type(n)
    return y, lambda g: _spread(g * (1 / n if n else math.nan), shape, dims)


@op
def prod(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Recorded:
    """y = Π x; integers and bools are multiplied as int64"""
    axes = None if dim is None else (normalize_dim("prod", dim, x.ndim),)
    dims, shape = normalize_dims("prod", axes, x.ndim), x.shape
    dtype = np.int64 if x.dtype.kind in "iub" else None

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        if not (x.data == 0).any():
            return _spread(g * y, shape, dims) / x
        whole = len(dims) == len(shape)
        rows = x.reshape(1, -1) if whole else x.transpose(dims[0], -1)
        n = rows.shape[-1]
        others = rows.unsqueeze(-2).expand((*rows.shape[:-1], n, n))
        others = elementwise.where(np.eye(n, dtype=bool), 1.0, others).prod(-1)     # all but x_i
        others = others.reshape(shape) if whole else others.transpose(dims[0], -1)
        return _spread(g, shape, dims) * others

    return x.data.prod(dims, dtype=dtype, keepdims=keepdim), vjp


@op
def var(x: Tensor, *, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Recorded:
    """y = Σ (x - mean)² / (n - correction)"""
    y, dims, freedom = _variance("var", x, dim, correction, keepdim)
    shape = x.shape

    def vjp(g: Tensor) -> Tensor:
        scale = 2 / freedom if freedom else math.nan
        return _spread(g, shape, dims) * (x - x.mean(dims, keepdim=True)) * scale
    return y, vjp


@op
def std(x: Tensor, *, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Recorded:
    """y = √var(x); gradient 0 where all x are equal"""
    y, dims, freedom = _variance("std", x, dim, correction, keepdim)
    shape = x.shape

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        scale = 1 / freedom if freedom else math.nan
        by_y = elementwise.where(y == 0, 0.0, g * scale) / elementwise.where(y == 0, 1.0, y)
        return _spread(by_y, shape, dims) * (x - x.mean(dims, keepdim=True))
    return np.sqrt(y), vjp


def _variance(name: str, x: Tensor, dim: Dims, correction: int,
              keepdim: bool) -> tuple[Array, tuple[int, ...], int]:
    """The variance, the dims it is over, and its degrees of freedom."""
    _require_float(name, x)
    dims = normalize_dims(name, dim, x.ndim)
    n = math.prod(x.shape[d] for d in dims)
    freedom = n - correction if n > correction else 0
    with np.errstate(all="ignore"):
        centred = x.data - x.data.sum(dims, keepdims=True) / x.dtype.type(n)
        return (np.square(centred).sum(dims, keepdims=keepdim) / x.dtype.type(freedom),
                dims, freedom)


# ---- extremes -----------------------------------------------------------------------------------

@op
def amax(x: Tensor, *, dim: Dims = (), keepdim: bool = False) -> Recorded:
    """y = the largest x; tied elements share the gradient evenly"""
    return _extreme("amax", np.max, x, dim, keepdim)


@op
def amin(x: Tensor, *, dim: Dims = (), keepdim: bool = False) -> Recorded:
    """y = the smallest x; tied elements share the gradient evenly"""
    return _extreme("amin", np.min, x, dim, keepdim)


def _extreme(name: str, find: Any, x: Tensor, dim: Dims, keepdim: bool) -> Recorded:
    dims, shape = normalize_dims(name, dim, x.ndim), x.shape
    _require_elements(name, shape, dims)

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        ties = x.data == _spread(y, shape, dims).data
        with np.errstate(all="ignore"):                     # none, and NaN, where y is NaN
            share = (ties / ties.sum(dims, keepdims=True)).astype(g.dtype)
        return _spread(g, shape, dims) * autograd.Tensor(share)
    return find(x.data, dims, keepdims=keepdim), vjp


class ValuesIndices(NamedTuple):
    """What `max` and `min` along a dim return."""

    values: Tensor
    indices: Tensor


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
    """The largest element; with `dim`, (values, indices), and those indices get the gradient."""
    return amax(x) if dim is None else _pick("max", np.argmax, x, dim, keepdim)


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
    """The smallest element; with `dim`, (values, indices), and those indices get the gradient."""
    return amin(x) if dim is None else _pick("min", np.argmin, x, dim, keepdim)


def _pick(name: str, find: Any, x: Tensor, dim: int, keepdim: bool) -> ValuesIndices:
    indices = _arg(name, find, x, dim, True)
    values = x.gather(dim, indices)
    return ValuesIndices(*(t if keepdim else t.squeeze(dim) for t in (values, indices)))


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the largest element (the first of several); over all without dim."""
    return _arg("argmax", np.argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the smallest element (the first of several); over all without dim."""
    return _arg("argmin", np.argmin, x, dim, keepdim)


def _arg(name: str, find: Any, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else normalize_dim(name, dim, x.ndim)
    _require_elements(name, x.shape, tuple(range(x.ndim)) if axis is None else (axis,)[:x.ndim])
    if x.ndim == 0:
        return autograd.Tensor(np.zeros((), np.int64))
    return autograd.Tensor(np.asarray(find(x.data, axis=axis, keepdims=keepdim)))


# ---- stable exponentials ------------------------------------------------------------------------

@op
def logsumexp(x: Tensor, *, dim: Dims, keepdim: bool = False) -> Recorded:
    """y = log Σ e^x, computed as m + log Σ e^(x-m) with m = max x; integers become float32 first"""
    x = x if x.dtype.kind == "f" else x.to(np.float32)
    dims, shape = normalize_dims("logsumexp", dim, x.ndim), x.shape
    m = x.data.max(dims, keepdims=True, initial=-np.inf)
    m = np.where(np.isfinite(m), m, 0).astype(x.dtype)
    with np.errstate(all="ignore"):
        y = np.log(np.exp(x.data - m).sum(dims, keepdims=True)) + m
    return (y if keepdim else y.squeeze(dims),
            lambda g, y: _spread(g, shape, dims) * (x - _spread(y, shape, dims)).exp())


@op
def softmax(x: Tensor, *, dim: int) -> Recorded:
    """y = e^x / Σ e^x.   vjp: y·(g - Σ g·y)"""
    axes, shifted = _below_max("softmax", x, dim)
    with np.errstate(all="ignore"):
        e = np.exp(shifted)
        y = e / e.sum(axes, keepdims=True)
    return y, lambda g, y: y * (g - (g * y).sum(axes, keepdim=True))


@op
def log_softmax(x: Tensor, *, dim: int) -> Recorded:
    """y = x - log Σ e^x.   vjp: g - softmax(x)·Σ g"""
    axes, shifted = _below_max("log_softmax", x, dim)
    with np.errstate(all="ignore"):
        y = shifted - np.log(np.exp(shifted).sum(axes, keepdims=True))
    return y, lambda g, y: g - y.exp() * g.sum(axes, keepdim=True)


def _below_max(name: str, x: Tensor, dim: int) -> tuple[tuple[int, ...], Array]:
    """The axes to sum over, and x - max x, whose exponential cannot overflow."""
    _require_float(name, x)
    axes = (normalize_dim(name, dim, x.ndim),)[:x.ndim]
    with np.errstate(all="ignore"):
        return axes, x.data - x.data.max(axes, keepdims=True, initial=-np.inf)


@op
def cumsum(x: Tensor, *, dim: int) -> Recorded:
    """y_i = x_0 + … + x_i.   The gradient is a cumsum from the other end."""
    axis = normalize_dim("cumsum", dim, x.ndim)
    dtype = np.int64 if x.dtype.kind in "iub" else None
    if x.ndim == 0:
        return x.data.astype(dtype or x.dtype), lambda g: g
    return x.data.cumsum(axis, dtype=dtype), lambda g: cumsum(g.flip(axis), dim=axis).flip(axis)
