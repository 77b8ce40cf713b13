"""Ops that move elements and change none: reshape, permute, expand, cat, flip, …

Most give a view of the same memory, as NumPy does. Each gradient is the move backwards; where an
element was copied (expand), its gradients are summed.
Source: torch's functions of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, as_tensor, op
from minigrad.kernels import concatenate, empty_like, moves, reshaped
from minigrad.ops.arguments import (
    Dims,
    normalize_dim,
    normalize_dims,
    require_dims,
    to_int,
    to_ints,
)
from minigrad.ops.promotion import promote

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

# ---- one tensor ---------------------------------------------------------------------------------

@op
def reshape(x: Tensor, *, shape: tuple[int, ...]) -> Recorded:
    """The same elements in the same order in another shape; one size may be -1.

    Raises: RuntimeError where the number of elements differs.
    """
    array = x.data
    before, shape = array.shape, to_ints("reshape", "shape", shape)
    size, unknown = math.prod(shape), shape.count(-1)
    fits = (array.size == size if unknown == 0
            else unknown == 1 and size < 0 and array.size % size == 0)
    if not fits or min(shape, default=0) < -1:
        raise RuntimeError(f"reshape: shape {shape} is invalid for {array.size} elements; "
                           f"got x {before}")
    if unknown:
        shape = tuple(array.size // -size if n == -1 else n for n in shape)
    return reshaped(array, shape), lambda g: reshape(g, shape=before)


def view(input: Any, size: tuple[int, ...]) -> Tensor:
    """`reshape` that refuses to copy: RuntimeError where x's strides do not allow a view.

    Source: torch.Tensor.view; seeing the same bytes as another dtype is not supported.
    """
    x = as_tensor("view", input)
    y = reshape(x, shape=to_ints("view", "size", size))
    if x.data.size and not np.shares_memory(x.data, y.data):
        raise RuntimeError(f"view: x {x.shape} is not contiguous enough to be seen as {y.shape}; "
                           "use reshape()")
    return y


@op
def permute(x: Tensor, *, dims: tuple[int, ...]) -> Recorded:
    """y's dim i is x's dim dims[i]."""
    order = to_ints("permute", "dims", dims)
    if sorted(order) != list(range(x.ndim)):    # a shortcut for the usual case
        if len(order) != x.ndim:
            raise RuntimeError(f"permute: dims {dims} must name each of the {x.ndim} dims once")
        order = normalize_dims("permute", order, x.ndim)
    return x.data.transpose(order), lambda g: permute(
        g, dims=tuple(sorted(range(len(order)), key=order.__getitem__)))


@op
def transpose(x: Tensor, *, dim0: int, dim1: int) -> Recorded:
    """y is x with two dims exchanged."""
    ndim = x.ndim
    i, j = normalize_dim("transpose", dim0, ndim), normalize_dim("transpose", dim1, ndim)
    return x.data.swapaxes(i, j) if ndim else x.data, lambda g: transpose(g, dim0=i, dim1=j)


def t(input: Any) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors as they are."""
    x = as_tensor("t", input)
    if x.ndim > 2:
        raise RuntimeError(f"t: needs at most 2 dims; got x {x.shape}")
    return permute(x, dims=tuple(range(x.ndim))[::-1])


@op
def expand(x: Tensor, *, size: tuple[int, ...]) -> Recorded:
    """Dims of size 1 repeated to `size` (-1: as it is), new ones in front; a read-only view.

    Source: torch.broadcast_to and torch.Tensor.expand.
    """
    size = to_ints("expand", "size", size)
    lead = len(size) - x.ndim
    sizes = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(size))
    if lead < 0 or any(m not in (1, n) for m, n in zip(x.shape, sizes[lead:], strict=True)) \
            or any(n < 0 for n in sizes):
        raise RuntimeError(f"expand: x {x.shape} cannot be expanded to {size}")
    return np.broadcast_to(x.data, sizes), lambda g: g      # the engine sums over broadcast dims


def squeeze(input: Any, dim: Dims = None) -> Tensor:
    """x without its dims of size 1, or without those of `dim` that have size 1; () names none."""
    x = as_tensor("squeeze", input)
    none = isinstance(dim, tuple | list) and not dim
    dims = () if none else normalize_dims("squeeze", dim, x.ndim)
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


def unsqueeze(input: Any, dim: int) -> Tensor:
    """x with a new dim of size 1 at position `dim`."""
    x = as_tensor("unsqueeze", input)
    at = normalize_dim("unsqueeze", dim, x.ndim + 1)
    return reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:]))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with dims start_dim … end_dim as one; 0-d becomes 1-d."""
    x = as_tensor("flatten", input)
    i, j = normalize_dim("flatten", start_dim, x.ndim), normalize_dim("flatten", end_dim, x.ndim)
    if i > j:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, shape=(*x.shape[:i], math.prod(x.shape[i:j + 1]), *x.shape[j + 1:]))


@op
def flip(x: Tensor, *, dims: tuple[int, ...]) -> Recorded:
    """A copy with the order of the elements reversed along dims; () names none."""
    dims = to_ints("flip", "dims", dims)
    axes = normalize_dims("flip", dims, x.ndim) if dims else ()
    y = empty_like(x.data)
    y[...] = np.flip(x.data, axes)
    return y, lambda g: flip(g, dims=axes)


@op
def roll(x: Tensor, *, shifts: int | tuple[int, ...], dims: Dims = None) -> Recorded:
    """Elements moved by `shifts` places along `dims`, or along the flattened x; those that leave at
    one end come in at the other.

    Raises: RuntimeError where there are not as many shifts as dims.
    """
    by = to_ints("roll", "shifts", shifts if isinstance(shifts, tuple | list) else (shifts,))
    over = dims if isinstance(dims, tuple | list) else () if dims is None else (dims,)
    if len(by) != max(len(over), 1):
        raise RuntimeError(f"roll: shifts {shifts} and dims {dims} must go together")
    if over and not x.ndim:
        raise IndexError(f"roll: dims {dims} are out of range for 0 dims")
    axes = tuple(normalize_dim("roll", d, x.ndim) for d in over)
    back = tuple(-s for s in by)
    rolled = np.roll(x.data, by, axes) if axes else np.roll(x.data, by[0])
    return rolled, lambda g: roll(g, shifts=back, dims=axes)


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above; diagonal > 0 keeps some of those above."""
    return _triangle_of("tril", True, input, diagonal)


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below; diagonal > 0 drops more."""
    return _triangle_of("triu", False, input, diagonal)


def _triangle_of(name: str, lower: bool, input: Any, diagonal: int) -> Tensor:
    x, k = as_tensor(name, input), to_int(name, "diagonal", diagonal)
    require_dims(name, 2, x)
    rows, columns = x.shape[-2:]
    # beyond, all or nothing; NumPy overflows
    return _triangle(x, lower=lower, diagonal=max(-rows, min(k, columns)))


@op
def _triangle(x: Tensor, *, lower: bool, diagonal: int) -> Recorded:
    """The lower or the upper triangle of each matrix, 0 elsewhere"""
    return moves.triangle_of(x.data, lower, diagonal), lambda g: _triangle(
        g, lower=lower, diagonal=diagonal)


@op
def _framed(x: Tensor, value: Tensor, *, sides: tuple[tuple[int, int], ...]) -> Recorded:
    """x with a value around it: before and behind each dim, so many places"""
    inside = tuple([slice(b, b + n) for n, (b, _) in zip(x.shape, sides, strict=True)])
    return moves.framed(x.data, sides, value.data), lambda g: g[inside], None


# ---- several tensors ----------------------------------------------------------------------------

def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors joined along `dim`, in the dtype they are promoted to. All other sizes must agree,
    but a tensor of shape (0,) fits any other."""
    xs = [as_tensor("cat", x) for x in _sequence("cat", tensors)]
    if any(x.dtype != xs[0].dtype for x in xs):
        xs = promote(*xs)
    if not all(x.ndim for x in xs):
        raise RuntimeError("cat: 0-d tensors cannot be joined; use stack()")
    like = next((x.shape for x in xs if x.shape != (0,)), (0,))
    axis = normalize_dim("cat", dim, len(like))
    xs = [x.reshape((*like[:axis], 0, *like[axis + 1:])) if x.shape == (0,) else x for x in xs]
    others = like[:axis], like[axis + 1:]
    if any(x.ndim != len(like) or (x.shape[:axis], x.shape[axis + 1:]) != others for x in xs):
        raise RuntimeError(f"cat: sizes must agree except along dim {dim}; "
                           f"got {[x.shape for x in xs]}")
    return _cat(*xs, dim=axis)


def _sequence(name: str, tensors: Any) -> Sequence[Any]:
    if not isinstance(tensors, tuple | list):
        raise TypeError(f"{name}: tensors must be a tuple or list; got {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"{name}: needs at least one tensor")
    return tensors


@op
def _cat(*tensors: Tensor, dim: int) -> Recorded:
    def piece(start: int, stop: int) -> Any:
        return lambda g: _slice(g, dim, start, stop)

    stops = [0, *accumulate([x.shape[dim] for x in tensors])]
    return concatenate([x.data for x in tensors], dim), *map(piece, stops, stops[1:])


def _slice(x: Tensor, dim: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, stop),)]


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new dim."""
    xs = [as_tensor("stack", x) for x in _sequence("stack", tensors)]
    if len({x.shape for x in xs}) != 1:
        raise RuntimeError(f"stack: needs tensors of one shape; got {[x.shape for x in xs]}")
    if any(x.dtype != xs[0].dtype for x in xs):
        xs = promote(*xs)
    return _stack(*xs, dim=normalize_dim("stack", dim, xs[0].ndim + 1))


@op
def _stack(*tensors: Tensor, dim: int) -> Recorded:
    before = (slice(None),) * dim
    new = (*before, None)

    def layer(i: int) -> Any:
        return lambda g: g[(*before, i)]

    return concatenate([x.data[new] for x in tensors], dim), *map(layer, range(len(tensors)))


def split(tensor: Any, split_size_or_sections: int | Sequence[int],
          dim: int = 0) -> tuple[Tensor, ...]:
    """x in pieces of a size (the last may be smaller), or of the sizes listed."""
    x, given = as_tensor("split", tensor), split_size_or_sections
    require_dims("split", 1, x)
    axis = normalize_dim("split", dim, x.ndim)
    n = x.shape[axis]
    if isinstance(given, tuple | list):
        sizes = to_ints("split", "split_size_or_sections", given)
        if sum(sizes) != n or any(size < 0 for size in sizes):
            raise RuntimeError(f"split: sizes {given} must add up to {n}, the size of dim {dim}; "
                               f"got x {x.shape}")
    else:
        size = to_int("split", "split_size_or_sections", given)
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split: the size of a piece must be positive; got {size}")
        sizes = tuple(min(size, n - i) for i in range(0, n, size)) if n else (0,)
    stops = np.cumsum(sizes, dtype=np.int64).tolist()
    return tuple(_slice(x, axis, stop - size, stop)
                 for size, stop in zip(sizes, stops, strict=True))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x in at most `chunks` pieces of equal size (the last may be smaller)."""
    x, chunks = as_tensor("chunk", input), to_int("chunk", "chunks", chunks)
    if chunks < 1:
        raise RuntimeError(f"chunk: needs at least 1 chunk; got {chunks}")
    require_dims("chunk", 1, x)
    axis = normalize_dim("chunk", dim, x.ndim)
    n = x.shape[axis]
    return split(x, [0] * chunks if n == 0 else -(-n // chunks), axis)
