"""Resampling: an image on a finer or coarser grid.

It is linear, and goes one dim after another: along each, y is a sum of a few taps,

    y[i] = Σ_k weight[k, i] · x[place[k, i]]

one tap for the nearest neighbour, two for the line between neighbours, more where antialiasing
averages over what a coarse grid would skip. That is a product with a matrix that is almost empty,
and the gradient is the product with its transpose.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels.resample import Taps, resample_along, taps_of, transposed
from minigrad.ops.arguments import Size, require_bool, require_float, require_number, to_int

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}       # and the number of dims of x
NEAREST = ("nearest", "nearest-exact")


def interpolate(input: Any, size: Size | None = None, scale_factor: Any = None,
                mode: str = "nearest", align_corners: bool | None = None,
                recompute_scale_factor: bool | None = None, antialias: bool = False) -> Tensor:
    """x resampled to `size`, or to its own size times scale_factor.

    mode: "nearest" (for index i of y, index ⌊i·scale⌋ of x), "nearest-exact" (⌊(i + ½)·scale⌋), or
    "linear", "bilinear", "trilinear": the line between the two neighbours of (i + ½)·scale - ½,
    held within x. scale is 1 / scale_factor as given; size of x / size of y if a size is given or
    with recompute_scale_factor. align_corners: the first and last places fall together, scale =
    (size of x - 1) / (size of y - 1). antialias ("bilinear"): where scale > 1, the triangle of
    weights is that much wider.

    Shapes: x (N, C, L), (N, C, H, W) or (N, C, D, H, W); "linear", "bilinear" and "trilinear" take
    one each of these. Size of y: ⌊size of x · scale_factor⌋.
    Raises: ValueError for arguments that do not go together, RuntimeError for sizes of 0.
    Source: torch.nn.functional.interpolate, without the modes "area" and "bicubic".
    """
    x = as_tensor("interpolate", input)
    _check("interpolate", x, mode, align_corners, antialias)
    before = x.shape[2:]
    after, scales = _grid("interpolate", before, size, scale_factor, recompute_scale_factor)
    if 0 in x.shape[1:] or min(after) < 1:
        raise RuntimeError(f"interpolate: no size may be 0 but the batch; got x {x.shape}, "
                           f"output size {tuple(after)}")
    for dim, grid in _grids(before, tuple(after), tuple(scales), mode, bool(align_corners),
                            bool(antialias), x.dtype.char):
        x = (x.index_select(dim, taps(grid).places) if x.dtype.kind == "u"
             else _resample(x, dim=dim, grid=grid))
    return x


def _check(name: str, x: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in (*LINEAR, *NEAREST):
        raise ValueError(f"{name}: mode must be one of {', '.join((*NEAREST, *LINEAR))}; "
                         f"got {mode!r}")
    if x.ndim != LINEAR.get(mode, x.ndim) or x.ndim not in (3, 4, 5):
        raise ValueError(f"{name}: mode {mode!r} needs x of {LINEAR.get(mode, '3, 4 or 5')} dims; "
                         f"got {x.shape}")
    if not (mode in NEAREST and x.dtype == np.uint8):
        require_float(name, x)
    if mode in NEAREST and align_corners is not None:
        raise ValueError(f"{name}: align_corners is for the linear modes; got mode {mode!r}")
    require_bool(name, align_corners=align_corners or False, antialias=antialias)
    if antialias and mode != "bilinear":
        raise ValueError(f"{name}: antialias is for mode 'bilinear'; got mode {mode!r}")


def _grid(name: str, before: tuple[int, ...], size: Any, scale_factor: Any,
          recompute_scale_factor: bool | None) -> tuple[list[int], list[float]]:
    """The output's size, and the step from one of its places to the next in places of x"""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: needs either size or scale_factor; got {size!r} and "
                         f"{scale_factor!r}")
    given = size if scale_factor is None else scale_factor
    each = list(given) if isinstance(given, tuple | list) else [given] * len(before)
    if len(each) != len(before):
        raise ValueError(f"{name}: needs one number or one for each of the {len(before)} dims of "
                         f"size {before}; got {given!r}")
    if scale_factor is None:
        if recompute_scale_factor:
            raise ValueError(f"{name}: recompute_scale_factor goes with scale_factor, not size")
        sizes = [to_int(name, "size", m) for m in each]
        return sizes, [n / m if m else 0.0 for n, m in zip(before, sizes, strict=True)]
    for factor in each:
        require_number(name, scale_factor=factor)
        if not 0 < factor < math.inf:
            raise ValueError(f"{name}: scale_factor must be positive; got {scale_factor!r}")
    sizes = [math.floor(n * factor) for n, factor in zip(before, each, strict=True)]
    if recompute_scale_factor:
        return sizes, [n / m if m else 0.0 for n, m in zip(before, sizes, strict=True)]
    return sizes, [1 / factor for factor in each]


# ---- taps ----------------------------------------------------------------------------------------

class Grid(NamedTuple):
    """n places, and m on the other grid. char: of x's dtype. turned: the gradient's way back."""

    n: int
    m: int
    scale: float
    mode: str
    align_corners: bool
    antialias: bool
    char: str
    turned: bool = False


@lru_cache(256)
def _grids(before: tuple[int, ...], after: tuple[int, ...], scales: tuple[float, ...], mode: str,
           align_corners: bool, antialias: bool, char: str) -> list[tuple[int, Grid]]:
    """The dims in the order in which there is least to do, each with its grid"""
    # torch takes some sizes for exact multiples, whatever scale_factor says
    exact = (1,) if mode in LINEAR else (1, 2) if (mode, len(before)) == ("nearest", 2) else ()
    grids = []
    for dim, (n, m, scale) in enumerate(zip(before, after, scales, strict=True), 2):
        if align_corners:
            scale = (n - 1) / (m - 1) if m > 1 else 0.0
        elif m / n in exact:
            scale = n / m
        grids.append((dim, Grid(n, m, scale, mode, align_corners, antialias, char)))

    def growth(entry: tuple[int, Grid]) -> tuple[float, int]:
        dim, grid = entry           # the longer the rows of what lies behind a dim, the faster
        return grid.m / grid.n, -dim if grid.m > grid.n else dim
    return sorted(grids, key=growth)


@lru_cache(256)
def taps(grid: Grid) -> Taps:
    """The matrix that takes n places to m; turned, its transpose."""
    n, m, scale, mode, align_corners, antialias, char, turned = grid
    if turned:
        return transposed(taps(grid._replace(turned=False)), n)
    number: Any = np.dtype(char).type if char in "fd" else np.float32   # as precise as x, as torch
    i, step = np.arange(m).astype(number), number(scale)
    if mode in NEAREST or (antialias and n == m):       # of as many places, each is kept as it is
        places, weights, kept = _nearest(n, i, step, mode)
    elif antialias:
        places, weights, kept = _triangles(n, i, step)
    else:
        places, weights, kept = _neighbours(n, i, step, align_corners)
    return taps_of(places, weights.astype(number), kept)


# Each of these gives places, weights and which of them count, all (number of taps, m).

def _nearest(n: int, i: Array, scale: Any, mode: str) -> tuple[Array, Array, Array]:
    place = (i + i.dtype.type(0.5)) * scale if mode == "nearest-exact" else i * scale
    # torch rounds to float32 before it rounds down: 2.9999999999 is 3
    places = np.minimum(np.floor(place.astype(np.float32)).astype(np.int64), n - 1)[None]
    return places, np.ones(places.shape, i.dtype), np.ones(places.shape, bool)


def _neighbours(n: int, i: Array, scale: Any, align_corners: bool) -> tuple[Array, Array, Array]:
    half = i.dtype.type(0.5)
    # torch rounds once, to x's dtype: a processor multiplies and subtracts in one instruction
    place = i * scale if align_corners else np.maximum(
        (np.multiply(i + half, scale, dtype=np.float64) - 0.5).astype(i.dtype), 0)
    low = np.minimum(place.astype(np.int64), n - 1)
    rest = place - low.astype(i.dtype)
    # a grid of as many places does not look at neighbours, which may be infinite: 0·∞ is NaN
    high = low if n == len(i) else np.minimum(low + 1, n - 1)
    places = np.stack([low, high])
    return places, np.stack([1 - rest, rest]), np.ones(places.shape, bool)


def _triangles(n: int, i: Array, scale: Any) -> tuple[Array, Array, Array]:
    """Weights that fall from a place's centre to 0 at one step of the coarser of the two grids"""
    half, reach = i.dtype.type(0.5), max(scale, i.dtype.type(1))
    centre = (i + half) * scale
    first = np.maximum((centre - reach + half).astype(np.int64), 0)
    places = first + np.arange(int(2 * reach) + 1)[:, None]
    inside = places < np.minimum((centre + reach + half).astype(np.int64), n)
    distance = np.abs((places - centre + half) / reach)
    weights = np.where(inside, 1 - distance, 0)
    return places, weights / weights.sum(0), inside


@op
def _resample(x: Tensor, *, dim: int, grid: Grid) -> Recorded:
    """x on another grid along one dim"""
    return resample_along(x.data, dim, taps(grid)), lambda g: _resample(
        g, dim=dim, grid=grid._replace(turned=not grid.turned))
