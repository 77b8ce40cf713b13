"""Pooling: one number for each window. Max pooling remembers where each maximum was; its gradient
goes there. Average pooling is linear; its gradient spreads each g over the window.

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels import batch_first, batch_last, empty, pool as kernels
from minigrad.kernels.pool import Pair
from minigrad.modes import computed
from minigrad.ops.arguments import INT64_MAX, Size, require_bool, require_float, sizes_of, to_int

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


LARGEST_PLACE = 2**31 - 1           # that an int32 can hold


class Windows(NamedTuple):
    """Where the windows lie within the input: along an axis, window i covers start[i] … stop[i].

    size: how many there are, down and across.
    empty: whether they hold no place at all. With room for two windows, each holds one, as padding
    is at most half a window.
    """

    h_start: Array
    h_stop: Array
    w_start: Array
    w_stop: Array
    size: Pair
    empty: bool = False


# ---- the ops -------------------------------------------------------------------------------------

@op
def _window_max(x: Tensor, *, windows: Windows, step: Pair, indices: Array) -> Recorded:
    """y = the maximum of each window; its places are written to `indices` (C, OH, OW, N)"""
    planes = _planes(x.data)
    y = empty((len(planes), *windows.size, planes.shape[-1]), x.dtype)
    kernels.max_pool(planes, *windows[:4], step, y, indices)
    if windows.empty:
        y.fill(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    size = planes.shape[1:3]
    return _like(x, y), lambda g: _put_back(g, windows=windows, step=step, indices=indices,
                                            size=size)


@op
def _put_back(x: Tensor, *, windows: Windows, step: Pair, indices: Array, size: Pair) -> Recorded:
    """Zeros, to which each x is added at its place in the plane: the gradient of a max pool"""
    g = _planes(x.data)
    y = empty((len(g), *size, g.shape[-1]), x.dtype)
    kernels.max_pool_grad(g, *windows[:4], step, indices, y)
    return _like(x, y), lambda c: _pick(c, windows=windows, step=step, indices=indices,
                                         size=size)


@op
def _pick(x: Tensor, *, windows: Windows, step: Pair, indices: Array, size: Pair) -> Recorded:
    """What each window holds at its place: the gradient of _put_back"""
    y = empty(indices.shape, x.dtype)
    kernels.gather(_planes(x.data), indices, y)
    return _like(x, y), lambda g: _put_back(g, windows=windows, step=step, indices=indices,
                                            size=size)


@op
def _window_mean(x: Tensor, *, windows: Windows, divisor: Array) -> Recorded:
    """y = Σ x over each window / divisor"""
    planes = _planes(x.data)
    y, size = empty((len(planes), *windows.size, planes.shape[-1]), x.dtype), planes.shape[1:3]
    kernels.avg_pool(planes, *windows[:4], divisor, y)
    return _like(x, y), lambda g: _window_spread(g, windows=windows, divisor=divisor, size=size)


@op
def _window_spread(x: Tensor, *, windows: Windows, divisor: Array, size: Pair) -> Recorded:
    """y = Σ x / divisor over the windows that hold it: the gradient of an average pool"""
    g = _planes(x.data)
    y = empty((len(g), *size, g.shape[-1]), x.dtype)
    kernels.avg_pool_grad(g, *windows[:4], divisor, y)
    return _like(x, y), lambda c: _window_mean(c, windows=windows, divisor=divisor)


def _planes(x: Array) -> Array:
    """x (N, C, H, W), or (N, C, L) as one row, as planes that lie batch last."""
    return batch_last(x if x.ndim == 4 else x[:, :, None])


def _like(x: Tensor, y: Array) -> Array:
    """Planes that lie batch last with as many dims as x."""
    return batch_first(y if x.ndim == 4 else y[:, 0])


# ---- torch's functions ---------------------------------------------------------------------------

def max_pool2d(input: Any, kernel_size: Size, stride: Size | None = None,
               padding: Size = 0, dilation: Size = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """The largest x of each window; of equal ones the first gets the gradient; a NaN wins.

    Shapes: x (N, C, H, W) or (C, H, W) → y (N, C, OH, OW) with
    OH = ⌊(H + 2·padding - dilation·(K - 1) - 1) / stride⌋ + 1, rounded up with ceil_mode unless the
    last window would then start behind x and its padding. stride: the window's size unless given.
    With return_indices the result is (values, indices), an index being the place h·W + w.
    Raises: RuntimeError where sizes do not fit, ValueError for arguments out of range.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode,
                     return_indices)


def max_pool1d(input: Any, kernel_size: Size, stride: Size | None = None,
               padding: Size = 0, dilation: Size = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """max_pool2d of one row: x (N, C, L) or (C, L) → y (N, C, OL)."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode,
                     return_indices)


def avg_pool2d(input: Any, kernel_size: Size, stride: Size | None = None,
               padding: Size = 0, ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The mean of each window: over all places, padding included (count_include_pad), or over those
    of x alone; or the sum, divided by divisor_override.

    Shapes, stride, ceil_mode and errors as max_pool2d.
    """
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode,
                     count_include_pad, divisor_override)


def avg_pool1d(input: Any, kernel_size: Size, stride: Size | None = None,
               padding: Size = 0, ceil_mode: bool = False, count_include_pad: bool = True
               ) -> Tensor:
    """avg_pool2d of one row: x (N, C, L) or (C, L) → y (N, C, OL)."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode,
                     count_include_pad, None)


def _max_pool(name: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any,
              dilation: Any, ceil_mode: bool, return_indices: bool) -> Any:
    x, batched = _images(name, dims, input)
    require_bool(name, ceil_mode=ceil_mode, return_indices=return_indices)
    kernel, steps, before, holes = _arguments(name, dims, kernel_size, stride, padding, dilation)
    windows = _max_windows(name, _plane_size(x), kernel, steps, before, holes, ceil_mode)
    return _max(x, windows, holes, return_indices, batched)


def _avg_pool(name: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any,
              ceil_mode: bool, count_include_pad: bool, divisor_override: int | None) -> Tensor:
    x, batched = _images(name, dims, input)
    if x.dtype != np.int64:
        require_float(name, x)
    require_bool(name, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    if divisor_override is not None and to_int(name, "divisor_override", divisor_override) == 0:
        raise RuntimeError(f"{name}: divisor_override must not be 0")
    kernel, steps, before, _ = _arguments(name, dims, kernel_size, stride, padding, 1)
    windows, divisor = _mean_windows(name, _plane_size(x), kernel, steps, before, ceil_mode,
                                     count_include_pad)
    if divisor_override is not None:
        divisor = np.full(divisor.shape, divisor_override, np.float64)
    return _as_given(_window_mean(x, windows=windows, divisor=divisor), batched)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest x of each of OH × OW windows that cover x evenly: window i is
    ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉.

    Shapes: x (N, C, H, W) or (C, H, W) → y (N, C, OH, OW); output_size an int or two (None: as in
    x).
    Raises: ValueError for other sizes.
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """adaptive_max_pool2d of one row: x (N, C, L) or (C, L) → y (N, C, OL); output_size an int."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """The mean of each of OH × OW windows that cover x evenly; see adaptive_max_pool2d."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """adaptive_avg_pool2d of one row: x (N, C, L) or (C, L) → y (N, C, OL); output_size an int."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def _adaptive_max_pool(name: str, dims: int, input: Any, output_size: Any, return_indices: bool
                       ) -> Any:
    x, batched = _images(name, dims, input)
    require_float(name, x)
    require_bool(name, return_indices=return_indices)
    windows, _ = _even_windows(name, dims, x, output_size)
    return _max(x, windows, (1, 1), return_indices, batched)


def _adaptive_avg_pool(name: str, dims: int, input: Any, output_size: Any) -> Tensor:
    x, batched = _images(name, dims, input, no_channels=True)
    require_float(name, x)
    windows, divisor = _even_windows(name, dims, x, output_size)
    return _as_given(_window_mean(x, windows=windows, divisor=divisor), batched)


# ---- windows -------------------------------------------------------------------------------------

def _images(name: str, dims: int, input: Any, *, no_channels: bool = False) -> tuple[Tensor, bool]:
    """x with a batch dim, and whether it had one; N may be 0, and C with `no_channels`"""
    x = as_tensor(name, input)
    batched = x.ndim == dims + 2
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[-dims - (not no_channels):]:
        one = "C, H, W" if dims == 2 else "C, L"
        raise RuntimeError(f"{name}: x must be (N, {one}) or ({one}), no size but N being 0; "
                           f"got {x.shape}")
    if x.dtype.char in "?e":
        raise RuntimeError(f"{name}: needs numbers, float32 or float64; got {x.dtype}")
    return x if batched else x.unsqueeze(0), batched


def _plane_size(x: Tensor) -> Pair:
    """The height and width of a plane of x, whose lines are planes of one row."""
    return (x.shape[2], x.shape[3]) if x.ndim == 4 else (1, x.shape[2])


def _arguments(name: str, dims: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any
               ) -> tuple[Pair, Pair, Pair, Pair]:
    kernel: Any = sizes_of(name, "kernel_size", kernel_size, dims, 1)
    steps: Any = kernel if stride in (None, (), []) else sizes_of(name, "stride", stride, dims, 1)
    before: Any = sizes_of(name, "padding", padding, dims, 0)
    holes: Any = sizes_of(name, "dilation", dilation, dims, 1)
    if 2 * before[0] > kernel[0] or 2 * before[-1] > kernel[-1]:
        raise RuntimeError(f"{name}: padding must be at most half the window; got padding "
                           f"{padding}, kernel_size {kernel_size}")
    if dims == 1:                                       # one row, which the window covers
        kernel, steps, before, holes = (1, *kernel), (1, *steps), (0, *before), (1, *holes)
    return kernel, steps, before, holes


@lru_cache(maxsize=1024)
def _max_windows(name: str, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair,
                 ceil_mode: bool) -> Windows:
    bounds = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        start, stop = _windows(name, n, k, s, p, d, ceil_mode)
        bounds += [np.where(start < 0, start % d, start), np.minimum(stop, n)]
    empty = bounds[0][0] >= bounds[1][0] or bounds[2][0] >= bounds[3][0]
    return _windows_within(bounds, bool(empty))


@lru_cache(maxsize=1024)
def _mean_windows(name: str, size: Pair, kernel: Pair, stride: Pair, padding: Pair,
                  ceil_mode: bool, count_include_pad: bool) -> tuple[Windows, Array]:
    """The windows, and by what the sum over each is divided"""
    bounds, counts = [], []
    for n, k, s, p in zip(size, kernel, stride, padding, strict=True):
        start, stop = _windows(name, n, k, s, p, 1, ceil_mode)
        low, high = np.maximum(start, 0), np.minimum(stop, n)
        bounds += [low, high]
        counts.append(np.minimum(stop, n + p) - start if count_include_pad else high - low)
    return _windows_within(bounds), np.multiply.outer(*counts).astype(np.float64)


def _windows(name: str, n: int, kernel: int, stride: int, padding: int, dilation: int,
             ceil_mode: bool) -> tuple[Array, Array]:
    """start and stop of each window along an axis of n, before they are cut to it"""
    span = dilation * (kernel - 1) + 1
    room = n + 2 * padding - span
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1              # this window would start behind x and the padding before it
    if count < 1:
        raise RuntimeError(f"{name}: a window of {span} does not fit into {n} padded by {padding}")
    start = np.arange(count) * stride - padding
    return start, start + span


def _even_windows(name: str, dims: int, x: Tensor, output_size: Any) -> tuple[Windows, Array]:
    """Windows that cover x evenly, and how many places each has"""
    if type(output_size) is int and 0 <= output_size <= INT64_MAX:      # the usual case
        return _even_parts(_plane_size(x), (output_size if dims > 1 else 1, output_size))
    wanted = output_size if isinstance(output_size, tuple | list) else [output_size] * dims
    if output_size is None or len(wanted) != dims:
        raise TypeError(f"{name}: output_size must be an int{' or two' * (dims > 1)}; "
                        f"got {output_size!r}")
    wanted = [n if m is None else m for m, n in zip(wanted, x.shape[-dims:], strict=True)]
    out = sizes_of(name, "output_size", wanted, dims, 0)
    return _even_parts(_plane_size(x), (*[1] * (2 - dims), *out))


@lru_cache(maxsize=1024)
def _even_parts(size: Pair, out: Pair) -> tuple[Windows, Array]:
    bounds = []
    for n, m in zip(size, out, strict=True):
        i = np.arange(m)
        bounds += [i * n // max(m, 1), -((i + 1) * -n // max(m, 1))]
    counts = np.multiply.outer(bounds[1] - bounds[0], bounds[3] - bounds[2])
    return _windows_within(bounds), counts.astype(np.float64)


def _windows_within(bounds: list[Array], empty: bool = False) -> Windows:
    h_start, h_stop, w_start, w_stop = bounds
    return Windows(h_start, h_stop, w_start, w_stop, (len(h_start), len(w_start)), empty)


def _max(x: Tensor, windows: Windows, step: Pair, return_indices: bool, batched: bool) -> Any:
    if x.data.size > LARGEST_PLACE and math.prod(x.shape[2:]) > LARGEST_PLACE:
        raise ValueError(f"max pool: a plane of {x.shape[2:]} has too many places to number")
    indices = empty((x.shape[1], *windows.size, x.shape[0]), np.int32)
    y = _as_given(_window_max(x, windows=windows, step=step, indices=indices), batched)
    if not return_indices:
        return y
    places = autograd.Tensor(_like(x, indices).astype(np.int64))
    computed("window_places", (x,), {"windows": windows, "step": step}, places)
    return y, _as_given(places, batched)


def _as_given(y: Tensor, batched: bool) -> Tensor:
    return y if batched else y.squeeze(0)
