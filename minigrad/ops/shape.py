"""Ops that move elements and change none: reshape, permute, expand, cat, flip, …

Most give a view of the same memory, as NumPy does. Each gradient is the move backwards; where an
element was copied (expand), its gradients are summed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, op
from minigrad.ops import elementwise

if TYPE_CHECKING:
    from minigrad.tensor import Dims, Tensor


# ---- dims ---------------------------------------------------------------------------------------

def normalize_dim(name: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front. Raises IndexError out of range; 0-d tensors accept 0 and -1."""
    n = ndim or 1
    if not isinstance(dim, int | np.integer) or isinstance(dim, bool):
        raise TypeError(f"{name}: dim must be an int; got {dim!r}")
    if not -n <= dim < n:
        raise IndexError(f"{name}: dim {dim} is out of range [-{n}, {n - 1}] for {ndim} dims")
    return int(dim) % n


def normalize_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """`dim` as a tuple from the front; None and () mean all. Raises RuntimeError on duplicates."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    dims = tuple(normalize_dim(name, d, ndim) for d in (dim if isinstance(dim, tuple | list)
                                                        else (dim,)))
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"{name}: dim {dim} names a dim twice")
    return dims if ndim else ()


def one_tuple(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args


# ---- one tensor ---------------------------------------------------------------------------------

@op
def reshape(x: Tensor, *, shape: tuple[int, ...]) -> Recorded:
    """The same elements in the same order in another shape; one size may be -1"""
    before = x.shape
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    known = math.prod(n for n in shape if n != -1)
    fits = (x.data.size == known if -1 not in shape
            else shape.count(-1) == 1 and known > 0 and x.data.size % known == 0)
    if not fits or any(n < -1 for n in shape):
        raise RuntimeError(f"reshape: shape {shape} is invalid for {x.data.size} elements; "
                           f"got x {before}")
    return x.data.reshape(shape), lambda g: g.reshape(before)


def view(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`reshape` that refuses to copy: RuntimeError where x's strides do not allow a view"""
    y = reshape(x, shape=shape)
    if x.data.size and not np.shares_memory(x.data, y.data):
        raise RuntimeError(f"view: x {x.shape} is not contiguous enough to be seen as {y.shape}; "
                           "use reshape()")
    return y


@op
def permute(x: Tensor, *, dims: tuple[int, ...]) -> Recorded:
    """y's dim i is x's dim dims[i]"""
    order = normalize_dims("permute", dims, x.ndim)
    if len(dims) != x.ndim:
        raise RuntimeError(f"permute: dims {dims} must name each of the {x.ndim} dims once")
    back = tuple(int(i) for i in np.argsort(order))
    return x.data.transpose(order), lambda g: g.permute(back)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """x with two dims exchanged"""
    i, j = normalize_dim("transpose", dim0, x.ndim), normalize_dim("transpose", dim1, x.ndim)
    order = list(range(x.ndim))
    if x.ndim:
        order[i], order[j] = order[j], order[i]
    return permute(x, dims=tuple(order))


def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors as they are"""
    if x.ndim > 2:
        raise RuntimeError(f"t: needs at most 2 dims; got x {x.shape}")
    return permute(x, dims=tuple(range(x.ndim))[::-1])


@op
def expand(x: Tensor, *, shape: tuple[int, ...]) -> Recorded:
    """Dims of size 1 repeated to `shape` (-1: as it is), new ones in front; a read-only view"""
    lead = len(shape) - x.ndim
    sizes = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    if lead < 0 or any(m not in (1, n) for m, n in zip(x.shape, sizes[lead:], strict=True)) \
            or any(n < 0 for n in sizes):
        raise RuntimeError(f"expand: x {x.shape} cannot be expanded to {tuple(shape)}")
    return np.broadcast_to(x.data, sizes), lambda g: g      # the engine sums over broadcast dims


def squeeze(x: Tensor, dim: Dims = None) -> Tensor:
    """x without its dims of size 1, or without those of `dim` that have size 1"""
    dims = normalize_dims("squeeze", dim, x.ndim)
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """x with a new dim of size 1 at position `dim`"""
    at = normalize_dim("unsqueeze", dim, x.ndim + 1)
    return reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:]))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with dims start_dim … end_dim as one"""
    i, j = normalize_dim("flatten", start_dim, x.ndim), normalize_dim("flatten", end_dim, x.ndim)
    if i > j:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, shape=(*x.shape[:i], math.prod(x.shape[i:j + 1]), *x.shape[j + 1:]))


@op
def flip(x: Tensor, *, dims: tuple[int, ...]) -> Recorded:
    """The order of the elements reversed along dims"""
    axes = normalize_dims("flip", dims, x.ndim) if dims not in ((), []) else ()
    return np.flip(x.data, axes), lambda g: flip(g, dims=axes)


@op
def roll(x: Tensor, *, shifts: Dims, dims: Dims = None) -> Recorded:
    """Elements moved by `shifts` places along `dims`, round the end; over flat x without dims"""
    by = tuple(shifts) if isinstance(shifts, tuple | list) else (shifts,)
    over = dims if dims is None or isinstance(dims, tuple | list) else (dims,)
    axes = None if over is None else tuple(normalize_dim("roll", d, x.ndim) for d in over)
    if len(by) != len(axes or by[:1]):
        raise RuntimeError(f"roll: shifts {shifts} and dims {dims} must go together")
    # Dims allows None, which means nothing for shifts: the minus sign raises TypeError on it
    back = tuple(-s for s in by)        # type: ignore[operator]
    rolled = np.roll(x.data, by if axes else by[0], axes)       # type: ignore[arg-type]
    return rolled, lambda g: roll(g, shifts=back, dims=axes)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above; diagonal > 0 keeps some above the main one"""
    return _triangle("tril", x, lambda mask: np.tril(mask, diagonal))


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below; diagonal > 0 drops some above the main one"""
    return _triangle("triu", x, lambda mask: np.triu(mask, diagonal))


def _require_dims(name: str, n: int, x: Tensor) -> None:
    if x.ndim < n:
        raise RuntimeError(f"{name}: needs at least {n} dim{'s'[:n > 1]}; got x {x.shape}")


def _triangle(name: str, x: Tensor, cut: Any) -> Tensor:
    _require_dims(name, 2, x)
    return elementwise.where(cut(np.ones(x.shape[-2:], bool)), x, False)


# ---- several tensors ----------------------------------------------------------------------------

def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along `dim`; all other sizes must agree. One of shape (0,) fits to any."""
    if not tensors:
        raise RuntimeError("cat: needs at least one tensor")
    promoted = elementwise.promote(*tensors)
    promoted = [x for x in promoted if x.shape != (0,)] or promoted[:1]
    shapes = [x.shape for x in promoted]
    axis = normalize_dim("cat", dim, promoted[0].ndim)
    others = {(len(s), s[:axis], s[axis + 1:]) for s in shapes}
    if len(others) != 1 or promoted[0].ndim == 0:
        raise RuntimeError(f"cat: sizes must agree except along dim {dim}; got {shapes}")
    return _cat(*promoted, dim=axis)


@op
def _cat(*tensors: Tensor, dim: int) -> Recorded:
    def piece(start: int, stop: int) -> Any:
        return lambda g: _slice(g, dim, start, stop)

    stops = np.cumsum([0] + [x.shape[dim] for x in tensors]).tolist()
    return np.concatenate([x.data for x in tensors], dim), *map(piece, stops, stops[1:])


def _slice(x: Tensor, dim: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, stop),)]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new dim"""
    shapes = [tuple(x.shape) for x in tensors]
    if len(set(shapes)) != 1:
        raise RuntimeError(f"stack: needs one or more tensors of one shape; got {shapes}")
    at = normalize_dim("stack", dim, len(shapes[0]) + 1)
    return cat([unsqueeze(x, at) for x in tensors], at)


def split(x: Tensor, split_size_or_sections: int | Sequence[int],
          dim: int = 0) -> tuple[Tensor, ...]:
    """x in pieces of a size (the last may be smaller), or of the sizes listed"""
    axis = normalize_dim("split", dim, x.ndim)
    _require_dims("split", 1, x)
    n = x.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split: the size of a piece must be positive; got {size}")
        sizes = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != n or any(s < 0 for s in sizes):
            raise RuntimeError(f"split: sizes {sizes} must add up to {n}, the size of dim {dim}; "
                               f"got x {x.shape}")
    stops = np.cumsum(sizes).tolist()
    return tuple(_slice(x, axis, stop - size, stop)
                 for size, stop in zip(sizes, stops, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x in at most `chunks` pieces of equal size (the last may be smaller)"""
    if chunks < 1:
        raise RuntimeError(f"chunk: needs at least 1 chunk; got {chunks}")
    _require_dims("chunk", 1, x)
    axis = normalize_dim("chunk", dim, x.ndim)
    n = x.shape[axis]
    return split(x, [0] * chunks if n == 0 else -(-n // chunks), axis)
