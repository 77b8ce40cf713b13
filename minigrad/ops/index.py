"""Picking elements by position. The gradient puts each g back where its element came from, and adds
up where one element was picked several times.

Source: torch's functions of the same names.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, in_place, op, quietly
from minigrad.kernels import empty, scatter as kernels
from minigrad.ops.arguments import (
    normalize_dim,
    require_broadcast,
    require_float,
    require_number,
    to_int,
    to_integers,
    without_tensors,
)
from minigrad.ops.elementwise import clone, where
from minigrad.ops.reduce import vector_norm

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- x[key] -------------------------------------------------------------------------------------

def getitem(input: Any, key: Any) -> Tensor:
    """y = x[key]: ints, slices, None, ..., integer arrays and boolean masks, as torch reads them.

    Without arrays and masks y is a view of x's memory. A uint8 array is a mask. A list that holds
    lists, slices, None or ... is read as a tuple.
    Raises: IndexError for a place out of range, a mask that does not fit or too many indices,
    ValueError for a slice that steps back.
    Source: torch's indexing.
    """
    x = as_tensor("indexing", input)
    entries = key if type(key) is tuple else (key,)
    if _are_plain(entries, x.shape):
        return _getitem(x, key=(*entries, ...))
    for step in steps(key, x.shape):
        x = _getitem(x, key=step)
    return x


def _are_plain(entries: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether these are ints within range and slices of ints, which need no further look."""
    if len(entries) > len(shape):
        return False
    for k, n in zip(entries, shape, strict=False):
        if type(k) is slice:
            for bound in (k.start, k.stop):
                if bound is not None and type(bound) is not int:
                    return False
            if k.step is not None and (type(k.step) is not int or k.step < 1):
                return False
        elif type(k) is not int or not -n <= k < n:
            return False
    return True


def steps(key: Any, shape: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """A checked index as NumPy wants it, in one or two steps: ints and slices, then arrays.

    To NumPy an int beside an array is an array as well, so that x[0, :, [1, 2]] puts the dim of
    the array first; torch picks by ints first.
    """
    if key is ...:                      # a shortcut: all of it, as optimisers and averages write
        return [(...,)]
    if isinstance(key, list) and any(map(_is_part, key)):
        key = tuple(key)
    entries = [_entry(k) for k in (key if isinstance(key, tuple) else (key,))]
    taken = sum(map(_dims_taken, entries))
    if taken > len(shape):
        raise IndexError(f"indexing: {taken} indices are too many for shape {shape}")
    at = next((i for i, k in enumerate(entries) if k is ...), len(entries))
    entries = [*entries[:at], *[slice(None)] * (len(shape) - taken),
               *(k for k in entries[at:] if k is not ...)]
    _check(entries, shape)
    if not (any(isinstance(k, int) for k in entries)
            and any(isinstance(k, np.ndarray) for k in entries)):
        return [(*entries, ...)]        # the ... gives a view even of a single element
    first: list[Any] = []
    then: list[Any] = []
    for k in entries:
        if isinstance(k, np.ndarray):
            first += [slice(None)] * _dims_taken(k)
            then.append(k)
        else:
            first.append(k)
            then += [] if isinstance(k, int) else [slice(None)]
    return [(*first, ...), tuple(then)]


def assign(memory: Array, key: Any, value: Any) -> None:
    """memory[key] = value, the key read as by `getitem`; value: a Tensor, an array or numbers."""
    array = np.asarray(without_tensors(value))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"item assignment: needs a Tensor, an array or numbers; got {value!r}")
    *before, last = steps(key, memory.shape)
    for step in before:
        memory = memory[step]
    try:
        quietly(memory.__setitem__, last, array)
    except ValueError:
        raise RuntimeError(f"item assignment: a value of shape {array.shape} does not fit the "
                           f"place of shape {memory[last].shape}") from None


def _is_part(k: Any) -> bool:
    """Whether a list that holds k is read as a tuple of indices, not as an array."""
    return isinstance(k, list | tuple | slice | np.ndarray | autograd.Tensor) or k in (None, ...)


def _entry(k: Any) -> Any:
    """One part of an index as an int, a slice of ints, None, ... or an array of ints or bools."""
    if k is None or k is ...:
        return k
    if isinstance(k, slice):
        return slice(*map(_bound, (k.start, k.stop, k.step)))
    if isinstance(k, int | np.integer) and not isinstance(k, bool):
        return int(k)
    if isinstance(k, list | tuple | range):
        try:
            k = np.asarray([place.data if isinstance(place, autograd.Tensor) else place
                            for place in k], None if len(k) else np.int64)
        except ValueError:
            raise IndexError("indexing: the lists of an index are ragged") from None
    if not isinstance(k, autograd.Tensor | np.ndarray | bool | np.bool_):
        raise IndexError("indexing: needs ints, slices, None, ... or arrays of integers or "
                         f"booleans; got {k!r}")
    array = k.data if isinstance(k, autograd.Tensor) else np.asarray(k)
    if array.dtype == np.uint8:
        array = array.astype(np.bool_)
    if array.dtype.kind not in "ib":
        raise IndexError(f"indexing: an index must hold integers or booleans; got {array.dtype}")
    return int(array) if array.ndim == 0 and array.dtype.kind == "i" else array


def _bound(value: Any) -> int | None:
    try:
        return None if value is None else operator.index(value)
    except (TypeError, RuntimeError):
        raise TypeError(f"indexing: a slice needs ints or None; got {value!r}") from None


def _dims_taken(k: Any) -> int:
    if isinstance(k, np.ndarray) and k.dtype == np.bool_:
        return k.ndim
    return 0 if k is None or k is ... else 1


def _check(entries: list[Any], shape: tuple[int, ...]) -> None:
    d = 0
    for k in entries:
        dims = _dims_taken(k)
        if isinstance(k, slice) and k.step is not None and k.step < 1:
            raise ValueError(f"indexing: a slice's step must be positive; got {k.step}; "
                             "flip() reverses")
        if isinstance(k, np.ndarray) and k.dtype == np.bool_:
            if k.shape != shape[d:d + dims]:
                raise IndexError(f"indexing: a mask of shape {k.shape} does not fit dims "
                                 f"{shape[d:d + dims]}; got shape {shape}")
        elif isinstance(k, int) or (isinstance(k, np.ndarray) and k.size):
            low, high = (k, k) if isinstance(k, int) else (int(k.min()), int(k.max()))
            if not -shape[d] <= low <= high < shape[d]:
                raise IndexError(f"indexing: index {high if high >= shape[d] else low} is out of "
                                 f"range for dim {d} of size {shape[d]}; got shape {shape}")
        d += dims
    arrays = [k if k.dtype != np.bool_ else k[k] for k in entries if isinstance(k, np.ndarray)]
    try:
        np.broadcast_shapes(*(k.shape for k in arrays))
    except ValueError:
        raise IndexError("indexing: index arrays must broadcast; got shapes "
                         + ", ".join(str(k.shape) for k in arrays)) from None


@op
def _getitem(x: Tensor, *, key: tuple[Any, ...]) -> Recorded:
    shape = x.shape

    def put_back(g: Tensor) -> Tensor:
        if autograd.is_grad_enabled() or any(isinstance(k, np.ndarray) for k in key):
            return _put(g, shape=shape, key=key)

        def add(dx: Tensor) -> None:
            part = dx.data[key]
            np.add(part, g.data, out=part)

        dx: Tensor = in_place(lambda: _put(g, shape=shape, key=key), add)
        return dx

    return x.data[key], put_back


@op
def _put(x: Tensor, *, shape: tuple[int, ...], key: tuple[Any, ...]) -> Recorded:
    """Zeros of `shape`, to which x is added at [key], again for each time key names a place"""
    rows, *others = key or (None,)
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "i" and x.numel() \
            and all(k is ... or (type(k) is slice and k == slice(None)) for k in others):
        y = empty(shape, x.dtype)
        places = (rows % shape[0]).astype(np.int64, copy=False).reshape(-1)
        kernels.scatter_rows(x.data.reshape(len(places), -1), places, y.reshape(shape[0], -1))
        return y, lambda g: _getitem(g, key=key)
    if any(isinstance(k, np.ndarray) and k.dtype != np.bool_ for k in key):
        y = kernels.added_at(key, x.data, shape)
    else:
        y = empty(shape, x.dtype)
        y.fill(0)
        y[key] = x.data                 # slices and masks never name a place twice
    return y, lambda g: _getitem(g, key=key)


@op
def _rows(x: Tensor, *, rows: Array) -> Recorded:
    """y = x[rows], where all rows are known to lie within x"""
    shape = x.shape
    return kernels.rows_of(x.data, rows), lambda g: _put(g, shape=shape, key=(rows,))


# ---- by an index tensor -------------------------------------------------------------------------

def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """y = the slices of x along `dim` at the positions in the 1-d `index`.

    A 0-d index counts as one position.
    """
    x = as_tensor("index_select", input)
    axis = normalize_dim("index_select", dim, x.ndim)
    places = to_integers("index_select", index)
    if places.ndim > 1:
        raise IndexError(f"index_select: index must be 1-d; got {places.shape}")
    n = x.shape[axis] if x.ndim else 1
    if not kernels.are_places(places, n):
        raise IndexError(_out_of_range("index_select", places, dim, n))
    if x.ndim == 0:
        if places.size != 1:
            raise RuntimeError("index_select: a 0-d tensor has one position to select; "
                               f"got {places.size}")
        return clone(x)
    if axis == 0:
        return _rows(x, rows=places.reshape(-1))
    return _getitem(x, key=(slice(None),) * axis + (places.reshape(-1),))


@op
def gather(x: Tensor, *, dim: int, index: Any) -> Recorded:
    """y[i, j, …] = x[…, index[i, j, …], …]: index takes the place of `dim`'s coordinate.

    Shapes: index has as many dims as x (0-d and 1-d are alike) and is no larger in any but `dim`,
    or is empty; y has index's shape.
    Raises: RuntimeError for other shapes, and for an index out of range.
    """
    axis = normalize_dim("gather", dim, x.ndim)
    places, shape = to_integers("gather", index), x.shape
    full = shape or (1,)
    sizes = places.shape or (1,)
    fits = len(sizes) == len(full) and all(m <= n for i, (m, n) in enumerate(
        zip(sizes, full, strict=True)) if i != axis)
    if places.size and not fits:
        raise RuntimeError(f"gather: index must have x's number of dims and fit within x except "
                           f"along dim {dim}; got x {shape}, index {places.shape}")
    if not kernels.are_places(places, full[axis]):
        raise RuntimeError(_out_of_range("gather", places, dim, full[axis]))
    if not places.size:
        return np.zeros(places.shape, x.dtype), lambda g: autograd.Tensor(np.zeros(shape, g.dtype))
    if sizes[:axis] == full[:axis] and sizes[axis + 1:] == full[axis + 1:]:
        return _gather_along(x.data.reshape(full), axis, places), lambda g: _add_along(
            g, shape=full, axis=axis, places=places).reshape(shape)
    grids = np.ogrid[tuple(slice(n) for n in sizes)]
    key = tuple(places.reshape(sizes) if i == axis else grid for i, grid in enumerate(grids))
    y = x.data.reshape(full)[key].reshape(places.shape)
    return y, lambda g: _put(g.reshape(sizes), shape=full, key=key).reshape(shape)


def _gather_along(x: Array, axis: int, places: Array) -> Array:
    y = empty(places.shape, x.dtype)
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1:])
    kernels.pick_along(x.reshape(before, -1, after), _flat(places), y.reshape(before, -1, after))
    return y


@op
def _add_along(x: Tensor, *, shape: tuple[int, ...], axis: int, places: Array) -> Recorded:
    """Zeros of `shape`, to which each x is added at its place along one dim"""
    y = empty(shape, x.dtype)
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1:])
    kernels.add_along(x.data.reshape(before, -1, after), _flat(places),
                      y.reshape(before, -1, after))
    return y, lambda g: gather(g, dim=axis, index=places).reshape(x.shape)


def _flat(places: Array) -> Array:
    return places.astype(np.int64, copy=False).reshape(-1)


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """y = `value` (a number or 0-d tensor) where the boolean mask holds, x elsewhere, in x's dtype.

    Raises: RuntimeError for another mask or value.
    """
    x, holds, filler = (as_tensor("masked_fill", part) for part in (input, mask, value))
    if holds.dtype != np.bool_:
        raise RuntimeError(f"masked_fill: mask must be boolean; got {holds.dtype}")
    if filler.ndim:
        raise RuntimeError(f"masked_fill: value must be a number or 0-d; got {filler.shape}")
    if x.dtype.kind != "f" and not np.isfinite(filler.data):
        raise RuntimeError(f"masked_fill: {x.dtype} has no {value!r}")
    if holds.shape != x.shape:
        require_broadcast(f"masked_fill: a mask of shape {holds.shape} does not broadcast with x "
                          f"{x.shape}", x.shape, holds.shape)
    if not isinstance(value, autograd.Tensor):          # not by way of float32
        filler = autograd.Tensor(quietly(np.asarray(value).astype, x.dtype))
    return where(holds, filler.to(x.dtype), x)


def _out_of_range(name: str, places: Array, dim: int, n: int) -> str:
    return (f"{name}: index must lie in [0, {n - 1}] for dim {dim}; "
            f"got {places.min()} to {places.max()}")


# ---- lookup tables ------------------------------------------------------------------------------

def embedding(input: Any, weight: Any, padding_idx: int | None = None,
              max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """y[…] = weight[input[…]].

    padding_idx: a row that gets no gradient.
    max_norm: rows that are looked up are first scaled to this norm (with p = norm_type) where
    theirs is greater, in weight itself.
    scale_grad_by_freq: each row's gradient is divided by how often the row was looked up.

    Shapes: input (…) of integers, weight (V, D) → (…, D).
    Raises: IndexError for a row out of range; RuntimeError for sparse=True: gradients are dense.
    """
    table, rows = as_tensor("embedding", weight), as_tensor("embedding", input).data
    if rows.dtype not in kernels.INDICES or table.ndim != 2:
        raise RuntimeError("embedding: needs int64 or int32 and a weight (V, D); got "
                           f"{rows.dtype}, weight {table.shape}")
    if sparse:
        raise RuntimeError("embedding: sparse=True is not supported: gradients are dense")
    if padding_idx is not None and not (
            -len(table) <= to_int("embedding", "padding_idx", padding_idx) < len(table)):
        raise ValueError(f"embedding: padding_idx must lie in [-{len(table)}, {len(table) - 1}]; "
                         f"got {padding_idx}")
    if not kernels.are_places(rows, len(table)):
        raise IndexError(f"embedding: input must lie in [0, {len(table) - 1}]; "
                         f"got {rows.min()} to {rows.max()}")
    if max_norm is not None:
        _shorten_rows(table.detach(), np.unique(rows), max_norm, norm_type)
    y = _rows(table, rows=rows)
    if scale_grad_by_freq:
        _, position, counts = np.unique(rows, return_inverse=True, return_counts=True)
        y = _scale_gradient(y, factor=1 / counts[position].reshape(*rows.shape, 1).astype(y.dtype))
    if padding_idx is None:
        return y
    frozen = (rows == padding_idx % len(table))[..., None]
    return where(frozen, y.detach(), y)


@op
def _scale_gradient(x: Tensor, *, factor: Array) -> Recorded:
    """y = x, but its gradient is g·factor"""
    return x.data, lambda g: g * autograd.Tensor(factor)


def _shorten_rows(table: Tensor, rows: Array, max_norm: float, norm_type: float) -> None:
    require_float("embedding", table)
    require_number("embedding", max_norm=max_norm, norm_type=norm_type)
    norms = vector_norm(table[rows], norm_type, 1, True)
    table[rows] = table[rows] * where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
