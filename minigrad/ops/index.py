"""Picking elements by position. The gradient puts each g back where its element came from, adding
up where one element was picked several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, op
from minigrad.ops.shape import normalize_dim

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def steps(key: Any) -> list[Any]:
    """An index as NumPy wants it, in one or two steps: ints and slices, then arrays.

    Tensors and lists inside become arrays. To NumPy an int beside an array is an array as well, so
    that x[0, :, [1, 2]] puts the dim of the array first; torch picks by ints first.
    """
    key = tuple(_plain(k) for k in key) if isinstance(key, tuple) else _plain(key)
    if not (isinstance(key, tuple) and any(_is_int(k) for k in key)
            and any(isinstance(k, np.ndarray) for k in key)):
        return [key]
    first: list[Any] = []
    then: list[Any] = []
    for k in key:
        if isinstance(k, np.ndarray):
            first += [slice(None)] * (k.ndim if k.dtype == np.bool_ else 1)
            then.append(k)
        else:
            first.append(k)
            then += [] if _is_int(k) else [k if k is ... else slice(None)]
    return [tuple(first), tuple(then)]


def _plain(key: Any) -> Any:
    if isinstance(key, autograd.Tensor):
        key = key.data
    elif isinstance(key, list):
        key = np.asarray(key)
        key = key.astype(np.int64) if key.size == 0 else key
    if isinstance(key, np.ndarray) and key.dtype.kind not in "iub":
        raise IndexError(f"an index must hold integers or booleans; got {key.dtype}")
    scalar = isinstance(key, np.ndarray) and key.ndim == 0 and key.dtype.kind in "iu"
    return int(key) if scalar else key


def _is_int(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def getitem(x: Tensor, key: Any) -> Tensor:
    """y = x[key]: ints, slices, None, ..., integer arrays and boolean masks"""
    for step in steps(key):
        x = _getitem(x, key=step)
    return x


@op
def _getitem(x: Tensor, *, key: Any) -> Recorded:
    shape = x.shape
    return x.data[key], lambda g: _put(g, shape=shape, key=key)


@op
def _put(x: Tensor, *, shape: tuple[int, ...], key: Any) -> Recorded:
    """Zeros of `shape`, to which x is added at [key]; where key repeats a place, all is summed"""
    y = np.zeros(shape, x.dtype)
    if any(isinstance(k, np.ndarray) for k in (key if isinstance(key, tuple) else (key,))):
        np.add.at(y, key, x.data)
    else:
        y[key] = x.data                 # slices never name a place twice
    return y, lambda g: _getitem(g, key=key)


def index_select(x: Tensor, dim: int, index: Any) -> Tensor:
    """y = the slices of x along `dim` at the positions in the 1-d `index`"""
    axis = normalize_dim("index_select", dim, x.ndim)
    places = _integers("index_select", index)
    if places.ndim > 1:
        raise IndexError(f"index_select: index must be 1-d; got {places.shape}")
    _check_range("index_select", places, x.shape[axis] if x.ndim else 1, dim)
    if x.ndim == 0:
        return x
    return _getitem(x, key=(slice(None),) * axis + (places.reshape(-1),))


@op
def gather(x: Tensor, *, dim: int, index: Any) -> Recorded:
    """y[i, j, …] = x[…, index[i, j, …], …]: index takes the place of `dim`'s coordinate.

    Shapes: index has as many dims as x and is no larger in any but `dim`; y has index's shape.
    """
    axis = normalize_dim("gather", dim, x.ndim)
    places = _integers("gather", index)
    if places.ndim != x.ndim or any(m > n for i, (m, n) in enumerate(
            zip(places.shape, x.shape, strict=True)) if i != axis):
        raise RuntimeError(f"gather: index must have x's number of dims and fit within x except "
                           f"along dim {dim}; got x {x.shape}, index {places.shape}")
    _check_range("gather", places, x.shape[axis] if x.ndim else 1, dim)
    shape = x.shape
    grids = np.ogrid[tuple(slice(n) for n in places.shape)]
    key = tuple(places if i == axis else grid for i, grid in enumerate(grids))
    return x.data[key], lambda g: _put(g, shape=shape, key=key)


def _integers(name: str, index: Any) -> Array:
    places = index.data if isinstance(index, autograd.Tensor) else np.asarray(index)
    if places.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: index must hold integers; got {places.dtype}")
    return places


def _check_range(name: str, places: Array, n: int, dim: int) -> None:
    if places.size and not (places.min() >= 0 and places.max() < n):
        raise IndexError(f"{name}: index must lie in [0, {n - 1}] for dim {dim}; "
                         f"got {places.min()} to {places.max()}")
