"""Reductions: many numbers in, one out, along some or all dims.

The gradient of a sum is a broadcast: every summand gets g. `dim` may be None (all dims), an int or
a tuple, negative from the end; `keepdim` keeps the reduced dims with size 1. `dtype` is what x is
converted to first; without it integers and bools are summed and multiplied as int64.
Source: torch's functions of the same names; vector_norm is torch.linalg's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels import sums
from minigrad.modes import computed
from minigrad.ops import elementwise
from minigrad.ops.arguments import (
    Dims,
    normalize_dim,
    normalize_dims,
    refuse_bools,
    require_bool,
    require_elements,
    require_float,
    require_number,
    to_dtype,
    to_floats,
)
from minigrad.ops.shape import cat, stack

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def _over(name: str, x: Tensor, dim: Dims, keepdim: bool = False) -> tuple[int, ...]:
    """The dims to reduce, from the front."""
    if type(keepdim) is not bool:
        require_bool(name, keepdim=keepdim)     # sum(x, 0, 1) is meant to be sum(x, (0, 1))
    return normalize_dims(name, dim, x.ndim)


def _spread(g: Tensor, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    """A reduced tensor back over the dims it was reduced along (as a view)."""
    kept = tuple(1 if i in dims else n for i, n in enumerate(shape))
    return g.reshape(kept).expand(shape)


def _whole_as_int64(name: str, x: Tensor, dtype: DTypeLike | None) -> Tensor:
    if dtype is None:
        return x if x.dtype.kind == "f" else x.to(np.int64)
    return x.to(to_dtype(name, dtype))


@op
def sum(x: Tensor, *, dim: Dims = None, keepdim: bool = False,
        dtype: DTypeLike | None = None) -> Recorded:
    """y = Σ x"""
    dims, shape = _over("sum", x, dim, keepdim), x.shape
    x = _whole_as_int64("sum", x, dtype)
    return sums.total(x.data, dims, keepdim), lambda g: _spread(g, shape, dims)


@op
def mean(x: Tensor, *, dim: Dims = None, keepdim: bool = False,
         dtype: DTypeLike | None = None) -> Recorded:
    """y = Σ x / n; NaN over no elements"""
    x = to_floats("mean", x, dtype)
    dims, shape = _over("mean", x, dim, keepdim), x.shape
    n = math.prod(shape[d] for d in dims)
    return (sums.total(x.data, dims, keepdim, n),
            lambda g: _spread(g * (1 / (n or 1)), shape, dims))


@op
def prod(x: Tensor, *, dim: int | None = None, keepdim: bool = False,
         dtype: DTypeLike | None = None) -> Recorded:
    """y = Π x"""
    require_bool("prod", keepdim=keepdim)
    if dim is None and keepdim:
        raise TypeError("prod: keepdim needs a dim")
    axes = None if dim is None else (normalize_dim("prod", dim, x.ndim),)
    dims, shape = _over("prod", x, axes, keepdim), x.shape
    x = _whole_as_int64("prod", x, dtype)

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        if x.ndim == 0:
            return g
        if not (x.data == 0).any():
            return _spread(g * y, shape, dims) / x
        if dim is None:
            others = _product_of_others(x.reshape((-1,))).reshape(shape)
        else:
            others = _product_of_others(x.transpose(dim, -1)).transpose(dim, -1)
        return _spread(g, shape, dims) * others

    return sums.product(x.data, dims, keepdim), vjp


def _product_of_others(x: Tensor) -> Tensor:
    """The product of all elements along the last dim but the one in that place.

    A division would fail at 0. Instead neighbours are multiplied to pairs; the product of all other
    elements is that of all other pairs, times the neighbour. The recursion has depth log2 n.
    """
    lead, n = x.shape[:-1], x.shape[-1]
    if n < 2:
        return autograd.Tensor(np.ones(x.shape, x.dtype))
    if n % 2:
        x = cat([x, autograd.Tensor(np.ones((*lead, 1), x.dtype))], -1)
    even, odd = x[..., ::2], x[..., 1::2]
    pairs = _product_of_others(even * odd)
    return stack([pairs * odd, pairs * even], -1).reshape((*lead, n + n % 2))[..., :n]


@op
def cumsum(x: Tensor, *, dim: int, dtype: DTypeLike | None = None) -> Recorded:
    """y_i = x_0 + … + x_i.   The gradient is a cumsum from the other end."""
    axis = normalize_dim("cumsum", dim, x.ndim)
    x = _whole_as_int64("cumsum", x, dtype)
    if x.dtype.kind == "b":
        raise RuntimeError("cumsum: needs a dtype of numbers; got bool")
    if x.ndim == 0:
        return x.data.copy(), lambda g: g
    return sums.cumulative(x.data, axis), lambda g: _cumsum_grad(g, axis=axis)


@op
def _cumsum_grad(g: Tensor, *, axis: int) -> Recorded:
    """dx_i = g_i + … + g_n, the sums from the other end"""
    return sums.cumulative(g.data, axis, from_end=True), lambda c: cumsum(c, dim=axis)


# ---- spread -------------------------------------------------------------------------------------

def _unbiased_by_position(args: tuple[Any, ...], given: dict[str, Any]
                          ) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """torch's overload var(x, unbiased), which has no other arguments; by name, dim is no bool."""
    if len(args) == 2 and isinstance(args[1], bool) and not given:
        return args[:1], {"unbiased": args[1]}
    return args, given


moment_op = functools.partial(op, arrange=_unbiased_by_position)


@moment_op
def var(x: Tensor, *, dim: Dims = None, unbiased: bool | None = None,
        keepdim: bool = False, correction: float | None = None) -> Recorded:
    """y = Σ (x - mean)² / max(0, n - correction)

    correction: 1 unless given. unbiased: True means a correction of 1, False of 0; as the only
    argument it may also be given by position, as in var(x, False).
    Raises: TypeError where both are given.
    """
    return _variance("var", x, dim, unbiased, keepdim, correction)


@moment_op
def std(x: Tensor, *, dim: Dims = None, unbiased: bool | None = None,
        keepdim: bool = False, correction: float | None = None) -> Recorded:
    """y = √var(x); gradient 0 where all x are equal. Arguments as for `var`."""
    variance, variance_vjp = _variance("std", x, dim, unbiased, keepdim, correction)

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        # g / ∞ is 0, and so is its derivative by g, while that of a masked g / 0 would be NaN
        return variance_vjp(g / elementwise.where(y == 0, math.inf, y * 2))
    return np.sqrt(variance), vjp


def _variance(name: str, x: Tensor, dim: Dims, unbiased: bool | None, keepdim: bool,
              correction: float | None) -> tuple[Array, Callable[[Tensor], Tensor]]:
    x = to_floats(name, x)
    dims, shape = _over(name, x, dim, keepdim), x.shape
    n = math.prod(shape[d] for d in dims)
    freedom = n - _correction(name, unbiased, correction)
    divisor = freedom if n and freedom > 0 else 0
    variance = sums.squares(x.data, dims, keepdim, divisor)

    def vjp(g: Tensor) -> Tensor:
        middle = x.mean(dims, keepdim=True)
        if freedom <= 0 and (dim is None or not shape):     # as torch: over all dims, no signs
            return _spread(g, shape, dims) * elementwise.where(x == middle, math.nan, math.inf)
        factor = 2 / freedom if freedom else math.inf
        return _spread(g * factor, shape, dims) * (x - middle)
    return variance, vjp


def _correction(name: str, unbiased: bool | None, correction: float | None) -> float:
    """What is taken from n. Raises: TypeError where both are given."""
    if unbiased is not None:
        if correction is not None or not isinstance(unbiased, bool):
            raise TypeError(f"{name}: needs unbiased=True or False, or a correction; got "
                            f"unbiased={unbiased!r}, correction={correction!r}")
        return int(unbiased)
    if correction is None:
        return 1
    require_number(name, correction=correction)
    return correction


# ---- extremes -----------------------------------------------------------------------------------

@op
def amax(x: Tensor, *, dim: Dims = (), keepdim: bool = False) -> Recorded:
    """y = the largest x; tied elements share the gradient evenly"""
    return _extreme("amax", x, dim, keepdim)


@op
def amin(x: Tensor, *, dim: Dims = (), keepdim: bool = False) -> Recorded:
    """y = the smallest x; tied elements share the gradient evenly"""
    return _extreme("amin", x, dim, keepdim)


def _extreme(name: str, x: Tensor, dim: Dims, keepdim: bool) -> Recorded:
    dims, shape = _over(name, x, dim, keepdim), x.shape
    require_elements(name, shape, dims, IndexError if dim not in (None, (), []) else RuntimeError)

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        ties = autograd.Tensor((x.data == _spread(y, shape, dims).data).astype(g.dtype))
        share = ties / ties.sum(dims, keepdim=True)         # 0/0 where y is NaN: no tie, all NaN
        return _spread(g, shape, dims) * share
    return sums.extreme(x.data, dims, keepdim, name == "amax"), vjp


class ValuesIndices(NamedTuple):
    """What `max` and `min` along a dim return."""

    values: Tensor
    indices: Tensor


def max(input: Any, dim: Any = None, keepdim: bool = False, *,
        other: Any = None) -> Tensor | ValuesIndices:
    """The largest element. With `dim`, (values, indices): the gradient goes to those indices;
    with another tensor instead, max(x, other), the larger of the two elementwise (`maximum`).
    """
    return _max_or_min("max", input, dim, keepdim, other)


def min(input: Any, dim: Any = None, keepdim: bool = False, *,
        other: Any = None) -> Tensor | ValuesIndices:
    """The smallest element. With `dim`, (values, indices): the gradient goes to those indices;
    with another tensor instead, min(x, other), the smaller of the two elementwise (`minimum`).
    """
    return _max_or_min("min", input, dim, keepdim, other)


def _max_or_min(name: str, input: Any, dim: Any, keepdim: bool,
                other: Any) -> Tensor | ValuesIndices:
    require_bool(name, keepdim=keepdim)
    if isinstance(dim, autograd.Tensor | np.ndarray) and other is None:
        dim, other = None, dim
    if other is not None:
        if dim is not None or keepdim:
            raise TypeError(f"{name}: takes either dim and keepdim or other")
        return (elementwise.maximum if name == "max" else elementwise.minimum)(input, other)
    x = as_tensor(name, input)
    if dim is None:
        if keepdim:
            raise TypeError(f"{name}: keepdim needs a dim")
        require_elements(name, x.shape, tuple(range(x.ndim)), RuntimeError)
        return _of_all(x, largest=name == "max")
    indices = _position(name, x, dim, True)
    values = x.gather(dim, indices)
    return ValuesIndices(*(t if keepdim else t.squeeze(dim) for t in (values, indices)))


@op
def _of_all(x: Tensor, *, largest: bool) -> Recorded:
    """y = the largest or smallest x; tied elements, at NaN all NaNs, share the gradient evenly"""
    def vjp(g: Tensor, y: Tensor) -> Tensor:
        ties = np.isnan(x.data) if np.isnan(y.data) else x.data == y.data
        return g * autograd.Tensor((ties / ties.sum()).astype(g.dtype))
    return sums.extreme(x.data, tuple(range(x.ndim)), False, largest), vjp


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the largest element (the first of several); over all without dim."""
    return _position("argmax", as_tensor("argmax", input), dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the smallest element (the first of several); over all without dim."""
    return _position("argmin", as_tensor("argmin", input), dim, keepdim)


def _position(name: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if name in ("argmax", "argmin"):
        refuse_bools(name, x)
    axis = None if dim is None else normalize_dim(name, dim, x.ndim)
    require_elements(name, x.shape, _over(name, x, axis, keepdim))
    find = np.argmax if name.endswith("max") else np.argmin
    y = np.asarray(find(x.data, axis=axis, keepdims=keepdim) if x.ndim else 0)
    return computed(find.__name__, (x,), {"dim": axis, "keepdim": keepdim}, autograd.Tensor(y))


# ---- truth --------------------------------------------------------------------------------------

def any(input: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether some element is not 0; False over no elements. A dim of () leaves x as it is.

    Shapes and dtype: as `sum`; bool (uint8 for uint8).
    """
    return _truth("any", np.any, input, dim, keepdim)


def all(input: Any, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0; True over no elements. A dim of () leaves x as it is.

    Shapes and dtype: as `sum`; bool (uint8 for uint8).
    """
    return _truth("all", np.all, input, dim, keepdim)


def _truth(name: str, find: Any, input: Any, dim: Dims, keepdim: bool) -> Tensor:
    x = as_tensor(name, input)
    dims = _over(name, x, dim, keepdim)
    if isinstance(dim, tuple | list) and not dim:
        dims = ()
    y = np.asarray(find(x.data, axis=dims, keepdims=keepdim))
    y = y.astype(np.uint8 if x.dtype == np.uint8 else np.bool_)
    return computed(name, (x,), {"dim": dims, "keepdim": keepdim}, autograd.Tensor(y))


# ---- logsumexp and norms ------------------------------------------------------------------------

@op
def logsumexp(x: Tensor, *, dim: int | tuple[int, ...] | list[int],
              keepdim: bool = False) -> Recorded:
    """y = log Σ e^x, computed as m + log Σ e^(x-m) with m = max x; integers become float32 first"""
    if dim is None:
        raise TypeError("logsumexp: dim must be an int or a tuple of ints; got None")
    x = x if x.dtype.kind == "f" else x.to(np.float32)
    dims, shape = _over("logsumexp", x, dim, keepdim), x.shape
    return (sums.log_sum_exp(x.data, dims, keepdim),
            lambda g, y: _spread(g, shape, dims) * (x - _spread(y, shape, dims)).exp())


def vector_norm(input: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """y = (Σ |x|^p)^(1/p), where p is ord; elements that are 0 add nothing to the gradient.

    ord: any number; 0 counts the elements that are not 0, ±∞ gives the largest or smallest |x|.
    """
    x, p = as_tensor("vector_norm", input), ord
    require_float("vector_norm", x)
    require_number("vector_norm", ord=p)
    over = {"dim": _over("vector_norm", x, dim, keepdim), "keepdim": keepdim}
    if math.isinf(p):
        return amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over)
    if p == 0:
        return sum(x != 0, dtype=x.dtype, **over)
    if p == 1:
        return sum(x.abs(), **over)
    if p == 2:
        return _euclidean_norm(x, **over)
    zero = elementwise.compare(np.equal, x, 0)
    powers = elementwise.where(zero, 1.0, x.abs()) ** p
    total = sum(elementwise.where(zero, 0.0 if p > 0 else math.inf, powers), **over)
    zero = elementwise.compare(np.equal, total, 0)
    return elementwise.where(zero, 0.0, elementwise.where(zero, 1.0, total) ** (1 / p))


@op
def _euclidean_norm(x: Tensor, *, dim: tuple[int, ...], keepdim: bool) -> Recorded:
    """y = √(Σ x²); gradient 0 where y is"""
    shape = x.shape

    def vjp(g: Tensor, y: Tensor) -> Tensor:
        # g / ∞ is 0, and so is its derivative by g, while that of a masked g / 0 would be NaN
        return _spread(g / elementwise.where(y == 0, math.inf, y), shape, dim) * x
    return sums.euclidean_norm(x.data, dim, keepdim), vjp
