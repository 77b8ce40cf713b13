"""Which kernel computes a convolution, in pieces of what size, with how much scratch memory.

There are three: matrix products (conv.py, which explains pieces, scratch and partial sums),
Winograd's way (winograd.py) and the direct sum (conv_direct.py).
"""

from __future__ import annotations

from math import prod

import numpy as np

from minigrad.kernels import Array, Pair as Pair, batch_first, batch_last, empty, norm, thread_count
from minigrad.kernels.conv import (
    Geometry as Geometry,
    Sizes,
    conv,
    conv_input_grad,
    conv_weight_grad,
    fold_places,
    padded,
    places,
)
from minigrad.kernels.conv_direct import conv_direct, conv_direct_weight_grad
from minigrad.kernels.winograd import scratch_size, winograd, winograd_weight_grad

CACHED_BYTES = 2**20        # of a piece's matrices: a core's second-level cache holds about that
PARTIAL_SUMS = 4            # at most, for a gradient of weights
CHANNELS = 8                # that the gradient of a strided convolution's input takes at a time
WINOGRAD_POSITIONS = 32     # tiles · images; with fewer, Winograd's way is slower


def conv2d(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) → y (N, O, OH, OW)."""
    b = np.zeros(len(w), x.dtype) if b is None else b
    return batch_first(_conv(batch_last(x), w, b, geometry))


def _conv(x: Array, w: Array, b: Array, geometry: Geometry) -> Array:
    """conv2d with x and y batch last."""
    y = empty((len(w), *geometry.out_size, x.shape[-1]), x.dtype)
    if _winograd_pays(x, len(w), geometry):
        count = _tiles_at_a_time(CACHED_BYTES, x, len(w), geometry)
        size = scratch_size(len(x), len(w), count, x.shape[-1])
        u = empty((36, *w.shape[:2]), w.dtype)
        winograd(x, w, b, geometry.padding, count, u, _scratch(size, x), y)
    elif _is_thin(w.shape, geometry):
        conv_direct(x, w, b, geometry.sizes, y)
    elif y.size:
        k, o = prod(w.shape[1:]), len(w) // geometry.groups
        block = _block(k + o, x, geometry)
        conv(x, w, b, geometry.sizes, block, _scratch((k + o) * prod(block) * x.shape[-1], x), y)
    return y


def conv2d_weight_grad(x: Array, g: Array, w_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dw of y = conv2d(x, w): x (N, C, H, W), g (N, O, OH, OW) → (O, C/groups, KH, KW)."""
    x, g, dw = batch_last(x), batch_last(g), np.zeros(w_shape, x.dtype)
    if _winograd_pays(x, len(g), geometry):
        # larger blocks than for y, because after each all of dw is added to a partial sum
        count = _tiles_at_a_time(3 * CACHED_BYTES, x, len(g), geometry)
        blocks = -(-_tiles(geometry) // count)
        size = scratch_size(len(x), len(g), count, x.shape[-1]) + len(g) * len(x)
        winograd_weight_grad(x, g, geometry.padding, count, _scratch(size, x),
                             empty((min(PARTIAL_SUMS, blocks), 36, len(g), len(x)), x.dtype), dw)
    elif _is_thin(w_shape, geometry):
        conv_direct_weight_grad(x, g, geometry.sizes, dw)
    elif g.size:
        k, o, groups = prod(w_shape[1:]), w_shape[0] // geometry.groups, geometry.groups
        block = _block(k + o, x, geometry)
        pieces = groups * prod(-(-n // b) for n, b in zip(geometry.out_size, block, strict=True))
        size = (k + o) * prod(block) * x.shape[-1] + k * o
        conv_weight_grad(x, g, geometry.sizes, block, _scratch(size, x),
                         empty((min(PARTIAL_SUMS, pieces), groups, k, o), x.dtype), dw)
    return dw


def conv2d_input_grad(g: Array, w: Array, x_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dx of y = conv2d(x, w): g (N, O, OH, OW), w (O, C/groups, KH, KW) → (N, C, H, W)."""
    g, groups = batch_last(g), geometry.groups
    if geometry.stride == (1, 1):
        by_group = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)[..., ::-1, ::-1]
        flipped = np.ascontiguousarray(by_group).reshape(x_shape[1], -1, *w.shape[2:])
        return batch_first(_conv(g, flipped, np.zeros(x_shape[1], g.dtype), geometry.transposed()))
    dx = empty((*x_shape[1:], x_shape[0]), g.dtype)
    if g.size == 0 or dx.size == 0:
        dx[:] = 0
        return batch_first(dx)
    o, span = len(w) // groups, min(CHANNELS, w.shape[1])
    k = span * prod(w.shape[2:])
    across = min(max(1, CACHED_BYTES // ((k + o) * g.shape[-1] * g.itemsize)), g.shape[2])
    size = k * o + (k + o) * across * g.shape[-1]
    conv_input_grad(g, w, geometry.sizes, (span, across), _scratch(size, g), dx)
    return batch_first(dx)


def channel_sums(g: Array) -> Array:
    """db of y = conv2d(x, w) + b: g (N, O, OH, OW) → (O,)."""
    g = batch_last(g)
    db = np.empty(len(g), g.dtype)
    norm.channel_sums(g.reshape(len(g), -1), db)
    return db


def unfold(x: Array, geometry: Geometry) -> Array:
    """x (N, C, H, W) → its windows (N, C·KH·KW, OH·OW)."""
    x, (kernel, sizes, out_size) = x.transpose(1, 2, 3, 0), _of(geometry)
    y = np.empty((len(x), *kernel, *out_size, x.shape[-1]), x.dtype)
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        y[:, i, j] = seen
    return y.reshape(len(x) * prod(kernel), prod(out_size), x.shape[-1]).transpose(2, 0, 1)


def fold(y: Array, x_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Windows (N, C·KH·KW, OH·OW) → (N, C, H, W), each value added where `unfold` takes it from."""
    kernel, sizes, out_size = _of(geometry)
    windows = y.transpose(1, 2, 0).reshape(x_shape[1], *kernel, *out_size, len(y))
    dx = np.empty((*x_shape[1:], len(y)), y.dtype)
    fold_places(lambda i, j: windows[:, i, j], kernel, sizes, out_size, dx)
    return batch_first(dx)


# ---- how much at a time --------------------------------------------------------------------------

def _of(geometry: Geometry) -> tuple[Pair, Sizes, Pair]:
    return geometry.kernel, geometry.sizes, geometry.out_size


def _scratch(size: int, x: Array) -> Array:
    return empty((thread_count(), size), x.dtype)


def _block(lines: int, x: Array, geometry: Geometry) -> Pair:
    """The largest piece, (output rows, places in each), of which `lines` rows stay in cache."""
    height, width = geometry.out_size
    at_once = max(1, CACHED_BYTES // (lines * x.shape[-1] * x.itemsize))        # places
    if at_once < width:
        return 1, -(-width // -(-width // at_once))         # no more pieces, but of equal size
    return min(at_once // width, height), width


def _is_thin(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether a group has only one channel in or out, so that conv would multiply by a vector."""
    return geometry.groups > 1 and min(w_shape[1], w_shape[0] // geometry.groups) == 1


def _winograd_pays(x: Array, outs: int, geometry: Geometry) -> bool:
    """Whether Winograd's way is fast, and exact enough: whoever uses float64 wants all digits.

    With few channels transforming the tiles costs more than it saves, with few tiles transforming
    the weights does.
    """
    return (geometry.kernel == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
            and geometry.groups == 1 and x.dtype == np.float32 and min(len(x), outs) >= 16
            and x.shape[-1] >= 8 and _tiles(geometry) * x.shape[-1] >= WINOGRAD_POSITIONS)


def _tiles_at_a_time(size: int, x: Array, outs: int, geometry: Geometry) -> int:
    """The number of tiles whose transforms, v and m, have about this size in bytes."""
    of_one = 36 * (len(x) + outs) * x.shape[-1] * x.itemsize
    return min(max(1, int(size // of_one)), _tiles(geometry))


def _tiles(geometry: Geometry) -> int:
    return prod(-(-n // 4) for n in geometry.out_size)
