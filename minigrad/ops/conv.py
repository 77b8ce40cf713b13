"""Convolutions (cross-correlations, as in every framework) and the gradients that are convolutions.

    y[n, o, i, j] = b[o] + Σ_{c,p,q} w[o, c, p, q] · x[n, c, i·SH + p·DH - PH, j·SW + q·DW - PW]

y is linear in x and in w. So are the two gradients, and each of the three is made of the others:

    conv2d(x, w) → y       input_grad(g, w) → dx       weight_grad(x, g) → dw

Source: torch.nn.functional's functions of the same names.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Recorded, as_tensor, op
from minigrad.kernels import convolve as kernels
from minigrad.kernels.convolve import Geometry, Pair
from minigrad.ops.arguments import Size, paddings_of, require_float, sizes_of, to_size

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- the ops -------------------------------------------------------------------------------------

@op
def _conv2d(x: Tensor, w: Tensor, b: Tensor | None = None, *, geometry: Geometry) -> Recorded:
    """y = conv2d(x, w) + b, for sizes that have been checked; or conv1d, for a dim less"""
    x_shape, w_shape = x.shape, w.shape
    return (kernels.conv2d(x.data, w.data, None if b is None else b.data, geometry),
            lambda g: _conv2d_input_grad(g, w, None, shape=x_shape, geometry=geometry),
            lambda g: _conv2d_weight_grad(x, g, shape=w_shape, geometry=geometry),
            _bias_grad)


@op
def _conv2d_input_grad(g: Tensor, w: Tensor, b: Tensor | None = None, *,
                       shape: tuple[int, ...], geometry: Geometry) -> Recorded:
    """dx of y = conv2d(x, w), x of `shape`; with b on each channel: conv_transpose2d"""
    w_shape = w.shape
    return (kernels.conv2d_input_grad(g.data, w.data, None if b is None else b.data, shape,
                                      geometry),
            lambda gx: _conv2d(gx, w, None, geometry=geometry),
            lambda gx: _conv2d_weight_grad(gx, g, shape=w_shape, geometry=geometry),
            _bias_grad)


@op
def _conv2d_weight_grad(x: Tensor, g: Tensor, *, shape: tuple[int, ...], geometry: Geometry
                        ) -> Recorded:
    """dw of y = conv2d(x, w), w of `shape`"""
    x_shape = x.shape
    return (kernels.conv2d_weight_grad(x.data, g.data, shape, geometry),
            lambda gw: _conv2d_input_grad(g, gw, None, shape=x_shape, geometry=geometry),
            lambda gw: _conv2d(x, gw, None, geometry=geometry))


@op
def _bias_grad(g: Tensor) -> Recorded:
    """db of y = conv2d(x, w) + b: the sum over all but the channels, (N, C, …) → (C,)"""
    shape = g.shape
    return (kernels.channel_sums(g.data),
            lambda c: c.reshape(-1, *[1] * (len(shape) - 2)).expand(shape))


@op
def _unfold(x: Tensor, *, geometry: Geometry) -> Recorded:
    """Each window as a column: x (N, C, H, W) → y (N, C·KH·KW, OH·OW)"""
    return kernels.unfold(x.data, geometry), lambda g: _fold(g, geometry=geometry)


@op
def _fold(x: Tensor, *, geometry: Geometry) -> Recorded:
    """Each column's values added where its window lies in the image: the gradient of _unfold"""
    return kernels.fold(x.data, geometry), lambda g: _unfold(g, geometry=geometry)


# ---- torch's functions ---------------------------------------------------------------------------

def conv2d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size | str = 0,
           dilation: Size = 1, groups: int = 1) -> Tensor:
    """The sum of windows of x weighted by w, one weighting for each output channel.

    Shapes: x (N, C, H, W) or (C, H, W), w (O, C/groups, KH, KW), b (O,) → y (N, O, OH, OW) with
    OH = ⌊(H + 2·padding - dilation·(KH - 1) - 1) / stride⌋ + 1. padding may be "valid" (none) or
    "same" (OH = H, at stride 1; an odd rest goes behind). groups: the channels are split into so
    many parts, and each part is convolved by itself.
    Raises: RuntimeError where sizes do not fit, ValueError for arguments out of range.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size | str = 0,
           dilation: Size = 1, groups: int = 1) -> Tensor:
    """conv2d of one row: x (N, C, L) or (C, L), w (O, C/groups, K), b (O,) → y (N, O, OL)."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0,
                     output_padding: Size = 0, groups: int = 1, dilation: Size = 1) -> Tensor:
    """conv2d backwards: each x, times the window w, added where the window lies.

    Shapes: x (N, C, H, W) or (C, H, W), w (C, O/groups, KH, KW), b (O,) → y (N, O, OH, OW) with
    OH = (H - 1)·stride - 2·padding + dilation·(KH - 1) + output_padding + 1.
    Raises: RuntimeError where sizes do not fit, ValueError for arguments out of range.
    """
    return _transpose_convolve("conv_transpose2d", 2, input, weight, bias, stride, padding,
                               output_padding, groups, dilation)


def conv_transpose1d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0,
                     output_padding: Size = 0, groups: int = 1, dilation: Size = 1) -> Tensor:
    """conv_transpose2d of one row: x (N, C, L) or (C, L), w (C, O/groups, K) → y (N, O, OL)."""
    return _transpose_convolve("conv_transpose1d", 1, input, weight, bias, stride, padding,
                               output_padding, groups, dilation)


def unfold(input: Any, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
           ) -> Tensor:
    """The windows of x side by side, each as a column (known as im2col).

    Shapes: x (N, C, H, W) or (C, H, W) → y (N, C·KH·KW, L), L = OH·OW with OH as in conv2d. So
    conv2d is w.reshape(O, -1) @ unfold(x).
    Raises: RuntimeError where no window fits, ValueError for arguments out of range.
    """
    x, batched = _batched("unfold", input, 3)
    given = x.dtype
    x = x.float() if given == np.bool_ else x
    require_float("unfold", x)
    geometry = _windows("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    if 0 in x.shape[1:] or min(geometry.out_size) < 1:
        raise RuntimeError(f"unfold: no window fits; got x {x.shape}, kernel_size {kernel_size}, "
                           f"dilation {dilation}, padding {padding}, stride {stride}")
    y = _unfold(x, geometry=geometry).to(given)
    return y if batched else y.squeeze(0)


def fold(input: Any, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0,
         stride: Size = 1) -> Tensor:
    """Columns put back as the windows of an image of output_size, where overlaps are added up: the
    gradient of unfold.

    Shapes: x (N, C·KH·KW, L) or (C·KH·KW, L) → y (N, C, H, W), (H, W) = output_size, L as in
    unfold.
    Raises: RuntimeError where sizes do not fit, ValueError for arguments out of range.
    """
    x, batched = _batched("fold", input, 2)
    require_float("fold", x)
    size = sizes_of("fold", "output_size", output_size, 2, 1)
    geometry = _windows("fold", size, kernel_size, dilation, padding, stride)
    places, windows = math.prod(geometry.kernel), math.prod(geometry.out_size)
    if x.shape[1] % places or 0 in x.shape[1:] or min(geometry.out_size) < 1 \
            or x.shape[2] != windows:
        raise RuntimeError(f"fold: x must be (N, C·{places}, {geometry.out_size[0]}·"
                           f"{geometry.out_size[1]}) for output_size {size}; got {x.shape}")
    y = _fold(x, geometry=geometry)
    return y if batched else y.squeeze(0)


def _convolve(name: str, dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
              dilation: Any, groups: Any) -> Tensor:
    x, w, b = _checked(name, input, weight, bias)
    geometry = _convolution(
        name, dims, x.shape, w.shape, None if b is None else b.shape,
        sizes_of(name, "stride", stride, dims, 1),
        padding if isinstance(padding, str) else sizes_of(name, "padding", padding, dims, 0),
        sizes_of(name, "dilation", dilation, dims, 1), to_size(name, "groups", groups, 1))
    if x.ndim == dims + 2:
        return _conv2d(x, w, b, geometry=geometry)
    return _conv2d(x.unsqueeze(0), w, b, geometry=geometry).squeeze(0)


@lru_cache(maxsize=1024)
def _convolution(name: str, dims: int, x: tuple[int, ...], w: tuple[int, ...],
                 b: tuple[int, ...] | None, stride: tuple[int, ...],
                 padding: tuple[int, ...] | str, dilation: tuple[int, ...], groups: int
                 ) -> Geometry:
    """The geometry of a convolution of these shapes, once they are known to fit"""
    channels, *size = _image_shape(name, dims, x, w)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w[2:], strict=True)]
    paddings = paddings_of(name, padding, stride, spans)
    got = f"got x {x}, w {w}"
    if channels != w[1] * groups:
        raise RuntimeError(f"{name}: x has {channels} channels but w expects {w[1] * groups}; "
                           f"{got}")
    if w[0] % groups or w[0] == 0:
        raise RuntimeError(f"{name}: w has {w[0]} output channels, which groups {groups} must "
                           f"divide; {got}")
    if b is not None and b != (w[0],):
        raise RuntimeError(f"{name}: b must have shape ({w[0]},); got {b}")
    padded = [n + before + behind for n, (before, behind) in zip(size, paddings, strict=True)]
    out = [(n - span) // s + 1 for n, span, s in zip(padded, spans, stride, strict=True)]
    if any(n < span for n, span in zip(padded, spans, strict=True)):
        raise RuntimeError(f"{name}: the window {tuple(spans)} is larger than the padded x "
                           f"{tuple(padded)}; {got}")
    return _geometry(w[2:], stride, [n for n, _ in paddings], dilation, groups, size, out)


def _transpose_convolve(name: str, dims: int, input: Any, weight: Any, bias: Any, stride: Any,
                        padding: Any, output_padding: Any, groups: Any, dilation: Any) -> Tensor:
    x, w, b = _checked(name, input, weight, bias)
    steps = sizes_of(name, "stride", stride, dims, 1)
    holes = sizes_of(name, "dilation", dilation, dims, 1)
    extra = sizes_of(name, "output_padding", output_padding, dims, 0)
    for e, s, d in zip(extra, steps, holes, strict=True):
        if e >= max(s, d):
            raise RuntimeError(f"{name}: output_padding {output_padding} must be smaller than "
                               f"stride {stride} or dilation {dilation}")
    geometry = _transposed_convolution(
        name, dims, x.shape, w.shape, None if b is None else b.shape, steps,
        sizes_of(name, "padding", padding, dims, 0), extra, holes,
        to_size(name, "groups", groups, 1))
    batch = x if x.ndim == dims + 2 else x.unsqueeze(0)
    y = _conv2d_input_grad(batch, w, b, geometry=geometry, shape=(
        batch.shape[0], w.shape[1] * geometry.groups, *geometry.in_size[-dims:]))
    return y if batch is x else y.squeeze(0)


@lru_cache(maxsize=1024)
def _transposed_convolution(name: str, dims: int, x: tuple[int, ...], w: tuple[int, ...],
                            b: tuple[int, ...] | None, stride: tuple[int, ...],
                            padding: tuple[int, ...], output_padding: tuple[int, ...],
                            dilation: tuple[int, ...], groups: int) -> Geometry:
    """The geometry of the convolution whose gradient this is, once the shapes are known to fit"""
    channels, *size = _image_shape(name, dims, x, w)
    got = f"got x {x}, w {w}"
    if channels != w[0] or w[0] % groups or 0 in w:
        raise RuntimeError(f"{name}: x has {channels} channels but w expects {w[0]}, which groups "
                           f"{groups} must divide, and none may be 0; {got}")
    if b is not None and b != (w[1] * groups,):
        raise RuntimeError(f"{name}: b must have shape ({w[1] * groups},); got {b}")
    out = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, p, d, k, e in zip(
        size, stride, padding, dilation, w[2:], output_padding, strict=True)]
    if any(n < 1 for n in out):
        raise RuntimeError(f"{name}: the output would have size {tuple(out)}; {got}")
    return _geometry(w[2:], stride, padding, dilation, groups, out, size)


# ---- checks --------------------------------------------------------------------------------------

def _checked(name: str, input: Any, weight: Any, bias: Any
             ) -> tuple[Tensor, Tensor, Tensor | None]:
    x, w = as_tensor(name, input), as_tensor(name, weight)
    b = None if bias is None else as_tensor(name, bias)
    dtype = x.dtype
    if w.dtype != dtype or (b is not None and b.dtype != dtype) or dtype.char in "?e":   # float16
        raise RuntimeError(f"{name}: x, w and b must be numbers of one dtype, float32 or float64; "
                           "got " + ", ".join(str(t.dtype) for t in (x, w, b) if t is not None))
    return x, w, b


def _image_shape(name: str, dims: int, x: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x without a batch dim, once it is known that x and w have the dims they need"""
    if len(x) not in (dims + 1, dims + 2) or len(w) != dims + 2:
        raise RuntimeError(f"{name}: x must have {dims + 1} or {dims + 2} dims and w {dims + 2}; "
                           f"got x {x}, w {w}")
    if 0 in x[-dims:] or 0 in w[2:]:
        raise RuntimeError(f"{name}: no size may be 0 but the batch; got x {x}, w {w}")
    return x[-dims - 1:]


def _batched(name: str, input: Any, dims: int) -> tuple[Tensor, bool]:
    """x with a batch dim, and whether it had one"""
    x = as_tensor(name, input)
    if x.ndim not in (dims, dims + 1):
        raise RuntimeError(f"{name}: x must have {dims} or {dims + 1} dims; got {x.shape}")
    return (x, True) if x.ndim == dims + 1 else (x.unsqueeze(0), False)


def _windows(name: str, size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
             ) -> Geometry:
    """The geometry of windows over an image of `size`; how many there are is not yet checked"""
    kernel = sizes_of(name, "kernel_size", kernel_size, 2, 1)
    holes = sizes_of(name, "dilation", dilation, 2, 1)
    before = sizes_of(name, "padding", padding, 2, 0)
    steps = sizes_of(name, "stride", stride, 2, 1)
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1
           for n, p, d, k, s in zip(size, before, holes, kernel, steps, strict=True)]
    return _geometry(kernel, steps, before, holes, 1, size, out)


def _geometry(kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, in_size: Any,
              out_size: Any) -> Geometry:
    def pair(sizes: Any, one_row: int) -> Pair:
        return (one_row, *sizes) if len(sizes) == 1 else tuple(sizes)
    return Geometry(pair(kernel, 1), pair(stride, 1), pair(padding, 0), pair(dilation, 1), groups,
                    pair(in_size, 1), pair(out_size, 1))
