"""Which kernel computes a convolution, with how much scratch memory.

There are two: sums of shifted lines (conv.py) and Winograd's way (winograd.py). The functions of
this file also take images of one row without its dim: (N, C, L) for (N, C, 1, L).
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from minigrad.kernels import Array, Pair as Pair, batch_first, batch_last, empty, norm, thread_count
from minigrad.kernels.conv import conv, conv_weight_grad
from minigrad.kernels.conv_plan import (
    LANES,
    Geometry as Geometry,
    Plan,
    Sizes,
    fold_places,
    input_grad_plan,
    output_plan,
    padded,
    places,
)
from minigrad.kernels.tile import PANEL_BYTES, VECTORS
from minigrad.kernels.winograd import gap_between, scratch_size, winograd, winograd_weight_grad

CACHED_BYTES = 3 * 2**20    # of v and m of vectors that are added to a partial sum together
PANELS_BYTES = 2**15        # of the panels that a thread uses in turn, of which there are
MOST_PANELS = 8             # at most
PARTIAL_SUMS = 4            # at most, for a gradient of weights by Winograd's way
SMALL_PRODUCT = 2**21       # with fewer multiplications, one thread is done before others are awake
WINOGRAD_VECTORS = 4        # with fewer vectors for each channel, Winograd's way is slower,
WINOGRAD_CHANNELS = 8       # with fewer channels (this is for C·O / (C + O)),
WINOGRAD_LANES = 0.6        # and where less of the vectors' lanes have an image


def conv2d(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) → y (N, O, OH, OW)."""
    ndim, images = x.ndim, len(x)
    x, w = batch_last(_planes(x, geometry.in_size)), _planes(w, geometry.kernel)
    y = empty((len(w), *geometry.out_size, images), x.dtype)
    if _winograd_pays(geometry, len(x), len(w), images, x.dtype):
        in_tiles(x, w, b, geometry, y)
    elif y.size:
        in_lines(x, w, b, geometry, y)
    return _as_given(batch_first(y), ndim)


def in_lines(x: Array, w: Array, b: Array | None, geometry: Geometry, y: Array) -> None:
    """y = conv2d(x, w, b) as a sum of shifted lines, for x and y batch last."""
    outs, images = len(w) // geometry.groups, x.shape[-1]
    plan = output_plan(geometry, w.shape[1], outs, images, x.itemsize)
    conv(x, w, np.empty(0, x.dtype) if b is None else b, plan.numbers, plan.taps, plan.phases,
         _panels(plan, y, w), empty((plan.scratch,), x.dtype), y)


def in_tiles(x: Array, w: Array, b: Array | None, geometry: Geometry, y: Array) -> None:
    """y = conv2d(x, w, b) by Winograd's way, for x and y batch last."""
    size = scratch_size(len(x), len(w), VECTORS, LANES // x.itemsize)
    winograd(x, w, np.zeros(len(w), x.dtype) if b is None else b, geometry.padding,
             empty((36, _weights_gap(x, len(w))), w.dtype),
             empty((thread_count(), size), x.dtype), y)


def conv2d_input_grad(g: Array, w: Array, b: Array | None, x_shape: tuple[int, ...],
                      geometry: Geometry) -> Array:
    """dx of y = conv2d(x, w), plus b (C,): g (N, O, OH, OW), w (O, C/groups, KH, KW) →
    (N, C, H, W)."""
    g, w = batch_last(_planes(g, geometry.out_size)), _planes(w, geometry.kernel)
    groups, channels = geometry.groups, w.shape[1]
    dx = empty((x_shape[1], *geometry.in_size, x_shape[0]), g.dtype)
    if geometry.stride == (1, 1) and _winograd_pays(geometry, len(g), len(dx), x_shape[0], g.dtype):
        flipped = w.swapaxes(0, 1)[..., ::-1, ::-1].copy()
        in_tiles(g, flipped, b, geometry.transposed(), dx)
    elif dx.size:
        plan = input_grad_plan(geometry, channels, len(w) // groups, x_shape[0], g.itemsize)
        conv(g, w, np.empty(0, g.dtype) if b is None else b, plan.numbers, plan.taps, plan.phases,
             _panels(plan, g, w), empty((plan.scratch,), g.dtype), dx)
    return _as_given(batch_first(dx), len(x_shape))


def conv2d_weight_grad(x: Array, g: Array, w_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dw of y = conv2d(x, w): x (N, C, H, W), g (N, O, OH, OW) → (O, C/groups, KH, KW)."""
    images, dw = len(x), np.zeros((*w_shape[:2], *geometry.kernel), x.dtype)
    x = batch_last(_planes(x, geometry.in_size))
    g = batch_last(_planes(g, geometry.out_size))
    if _winograd_pays(geometry, len(x), len(g), images, x.dtype):
        lanes, channels, outs = LANES // x.itemsize, len(x), len(g)
        vectors = _vectors(geometry, images, lanes)
        # all of dw is added to a partial sum for each `count` vectors, so these should not be few
        parts = min(max(2, vectors // WINOGRAD_VECTORS), PARTIAL_SUMS)
        count = min(max(1, CACHED_BYTES // (36 * (channels + outs) * LANES)), -(-vectors // parts))
        winograd_weight_grad(x, g, geometry.padding, count, empty(
            (thread_count(), scratch_size(channels, outs, count, lanes)), x.dtype), empty(
            (min(parts, -(-vectors // count)), 36, _weights_gap(x, outs)), x.dtype), dw)
    elif g.size:
        outs = len(g) // geometry.groups
        plan = output_plan(geometry, w_shape[1], outs, images, x.itemsize, True)
        conv_weight_grad(x, g, plan.numbers, plan.taps, plan.phases,
                         (4, 6) if outs > 1 else (1, 12), _threads_for(g, dw),
                         empty((plan.scratch,), x.dtype), dw)
    return _as_given(dw, len(w_shape))


def channel_sums(g: Array) -> Array:
    """db of y = conv2d(x, w) + b: g (N, O, OH, OW) → (O,)."""
    g = batch_last(g)
    db = np.empty(len(g), g.dtype)
    norm.channel_sums(g.reshape(len(g), -1), db)
    return db


def unfold(x: Array, geometry: Geometry) -> Array:
    """x (N, C, H, W) → its windows (N, C·KH·KW, OH·OW), in x's memory order."""
    (n, channels), (kernel, sizes, out_size) = x.shape[:2], _of(geometry)
    last = not x.flags.c_contiguous
    # images that lie one after the other are the channels of a single one
    x = x.transpose(1, 2, 3, 0) if last else x.reshape(n * channels, *geometry.in_size, 1)
    y = empty((len(x), *kernel, *out_size, x.shape[-1]), x.dtype)
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        y[:, i, j] = seen
    shape = channels * prod(kernel), prod(out_size)
    return batch_first(y.reshape(*shape, n)) if last else y.reshape(n, *shape)


def fold(y: Array, geometry: Geometry) -> Array:
    """Windows (N, C·KH·KW, OH·OW) → (N, C, H, W), each value added where `unfold` takes it from."""
    kernel, sizes, out_size = _of(geometry)
    n, channels, last = len(y), y.shape[1] // prod(kernel), not y.flags.c_contiguous
    windows = (y.transpose(1, 2, 0).reshape(channels, *kernel, *out_size, n) if last
               else y.reshape(n * channels, *kernel, *out_size, 1))
    dx = empty((len(windows), *geometry.in_size, windows.shape[-1]), y.dtype)
    fold_places(lambda i, j: windows[:, i, j], kernel, sizes, out_size, dx)
    return batch_first(dx) if last else dx.reshape(n, channels, *geometry.in_size)


def _planes(x: Array, size: Pair) -> Array:
    """x with its dim of rows, also if there is only one row."""
    return x if x.ndim == 4 else x.reshape(*x.shape[:2], *size)


def _as_given(y: Array, ndim: int) -> Array:
    return y if ndim == 4 else y[:, :, 0]


# ---- how much at a time --------------------------------------------------------------------------

def _of(geometry: Geometry) -> tuple[Pair, Sizes, Pair]:
    return geometry.kernel, geometry.sizes, geometry.out_size


def _threads_for(y: Array, w: Array) -> int:
    """How many threads share the work of y = conv2d(x, w), or of one of its gradients."""
    return 1 if y.size * (w.size // len(w)) < SMALL_PRODUCT else thread_count()


def _panels(plan: Plan, y: Array, w: Array) -> Array:
    """For each thread that shares the work of y = conv2d(x, w), panels that are used in turn."""
    panels: Array = empty(_panels_shape(plan.longest, len(y), y.size, _threads_for(y, w),
                                        PANEL_BYTES // y.itemsize), y.dtype)
    return panels


@lru_cache(1024)
def _panels_shape(longest: int, channels: int, values: int, threads: int, width: int
                  ) -> tuple[int, int, int, int]:
    """Where panels are small, there are several: a channel of x or y is in longer pieces then."""
    rows, tiles = max(1, longest), -(-values // (channels * width * threads))
    in_turn = max(1, min(PANELS_BYTES // (rows * PANEL_BYTES), MOST_PANELS, tiles))
    return threads, in_turn, rows, width


@lru_cache(1024)
def _winograd_pays(geometry: Geometry, channels: int, outs: int, images: int,
                   dtype: np.dtype[Any]) -> bool:
    """Whether Winograd's way is fast, and exact enough: whoever uses float64 wants all digits.

    With few channels transforming the tiles costs more than it saves, with few tiles transforming
    the weights does.
    """
    if (geometry.kernel != (3, 3) or geometry.stride != (1, 1) or geometry.dilation != (1, 1)
            or geometry.groups > 1 or dtype != np.float32):
        return False
    lanes = LANES // dtype.itemsize
    return (_vectors(geometry, images, lanes) >= WINOGRAD_VECTORS
            and channels * outs >= WINOGRAD_CHANNELS * (channels + outs)
            and images >= WINOGRAD_LANES * lanes * -(-images // lanes))


def _weights_gap(x: Array, outs: int) -> int:
    """How far apart the 36 values of transformed weights lie."""
    lanes = LANES // x.itemsize
    return gap_between(outs * -(-len(x) // lanes), lanes)


def _vectors(geometry: Geometry, images: int, lanes: int) -> int:
    """The number of vectors of a channel: for each tile of 4×4 outputs, those of its images."""
    return prod(-(-n // 4) for n in geometry.out_size) * -(-images // lanes)
