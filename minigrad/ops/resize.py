"""Resampling: an image on a finer or coarser grid.

It is linear, and goes one dim after another: along each, y is a sum of a few taps,

    y[i] = Σ_k weight[k, i] · x[place[k, i]]

one tap for the nearest neighbour, two for the line between neighbours, more where antialiasing
averages over what a coarse grid would skip.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Array, as_tensor
from minigrad.ops.arguments import Size, require_bool, require_float, require_number, to_int

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Taps = tuple[Array, Array | None]       # places and weights, each (number of taps, output size)

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
    # torch takes some sizes for exact multiples, whatever scale_factor says
    exact = (1,) if mode in LINEAR else (1, 2) if (mode, x.ndim) == ("nearest", 4) else ()
    for dim, (n, m, scale) in enumerate(zip(before, after, scales, strict=True), 2):
        if align_corners:
            scale = (n - 1) / (m - 1) if m > 1 else 0.0
        elif m / n in exact:
            scale = n / m
        x = _resample(x, dim, _taps(n, m, scale, mode, bool(align_corners), antialias, x.dtype))
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

def _taps(n: int, m: int, scale: float, mode: str, align_corners: bool, antialias: bool,
          dtype: np.dtype[Any]) -> Taps:
    number = dtype.type if dtype.kind == "f" else np.float32    # as precise as x, as in torch
    i, step = np.arange(m).astype(number), number(scale)
    if mode in NEAREST:
        return _nearest(n, i, step, mode)
    return _triangles(n, i, step) if antialias else _neighbours(n, i, step, align_corners)


def _nearest(n: int, i: Array, scale: Any, mode: str) -> Taps:
    place = (i + i.dtype.type(0.5)) * scale if mode == "nearest-exact" else i * scale
    # torch rounds to float32 before it rounds down: 2.9999999999 is 3
    return np.minimum(np.floor(place.astype(np.float32)).astype(np.int64), n - 1)[None], None


def _neighbours(n: int, i: Array, scale: Any, align_corners: bool) -> Taps:
    half = i.dtype.type(0.5)
    place = i * scale if align_corners else np.maximum((i + half) * scale - half, 0)
    low = np.minimum(place.astype(np.int64), n - 1)
    rest = place - low.astype(i.dtype)
    return np.stack([low, np.minimum(low + 1, n - 1)]), np.stack([1 - rest, rest])


def _triangles(n: int, i: Array, scale: Any) -> Taps:
    """Weights that fall from a place's centre to 0 at one step of the coarser of the two grids"""
    half, reach = i.dtype.type(0.5), max(scale, i.dtype.type(1))
    centre = (i + half) * scale
    first = np.maximum((centre - reach + half).astype(np.int64), 0)
    places = first + np.arange(int(2 * reach) + 1)[:, None]
    inside = places < np.minimum((centre + reach + half).astype(np.int64), n)
    distance = np.abs((places - centre + half) / reach)
    weights = np.where(inside, 1 - distance, 0)
    return np.minimum(places, n - 1), weights / weights.sum(0)


def _resample(x: Tensor, dim: int, taps: Taps) -> Tensor:
    places, weights = taps
    if weights is None:
        return x.index_select(dim, places[0])
    y: Tensor
    y, *others = (x.index_select(dim, place)
                  * weight.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1 - dim))
                  for place, weight in zip(places, weights, strict=True))
    for term in others:
        y = y + term
    return y
