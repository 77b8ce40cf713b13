"""Convolution as matrix products (Chellapilla et al. 2006), over as few output rows at a time as
keep the unfolded input in cache.

With `columns[c·kh·kw, position]` the input values under each place of the window (im2col):

    y  = w @ columns            w as a matrix (O, C·KH·KW)
    dw = g @ columnsᵀ
    dx = fold(wᵀ @ g)           each value added back to where it was unfolded from (col2im)

An output row is numbered n·OH + oh, image by image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from minigrad.kernels import Array, Float1, Float3, Float4, Workspace, in_lanes, kernel

Pair = tuple[int, int]
Sizes = tuple[int, int, int, int, int, int, int, int, int]
workspace = Workspace()

CACHED_BYTES = 2**22        # of unfolded input at a time; from 2**20 on measured equally fast, and
                            # large pieces start the fewest parallel loops


class Geometry(NamedTuple):
    """A convolution's sizes. `padding` is what precedes the input; behind it, windows that reach
    past the end read zeros, so `out_size` alone says where they stop."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    in_size: Pair
    out_size: Pair

    @property
    def sizes(self) -> Sizes:
        return (*self.kernel, *self.stride, *self.padding, *self.dilation, self.out_size[0])

    @property
    def is_matrix_product(self) -> bool:
        """Whether each output position sees just the input at the same position."""
        return (self.kernel, self.stride, self.padding) == ((1, 1), (1, 1), (0, 0)) \
            and self.in_size == self.out_size


# ---- the kernels ---------------------------------------------------------------------------------

def im2col_numpy(x: Float4, sizes: Sizes, first: int, columns: Float3) -> None:
    """columns[(c,i,j), r, ow] = x[n, c, oh·SH + i·DH - PH, ow·SW + j·DW - PW]; zeros around x"""
    kh, kw, sh, sw, ph, pw, dh, dw, out_height = sizes
    _, rows, ow = columns.shape
    begin, end = first // out_height, -(-(first + rows) // out_height)      # the images concerned
    height, width = (out_height - 1) * sh + (kh - 1) * dh + 1, (ow - 1) * sw + (kw - 1) * dw + 1
    padded = np.zeros((end - begin, x.shape[1], height, width), x.dtype)
    part = x[begin:end, :, :max(height - ph, 0), :max(width - pw, 0)]
    padded[:, :, ph:ph + part.shape[2], pw:pw + part.shape[3]] = part
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), (2, 3))[:, :, ::sh, ::sw, ::dh, ::dw]
    flat = windows.transpose(1, 4, 5, 0, 2, 3).reshape(len(columns), -1, ow)
    start = first - begin * out_height
    columns[:] = flat[:, start:start + rows]


@kernel(im2col_numpy, writes=("columns",), parallel=False)
def im2col(x: Float4, sizes: Sizes, first: int, columns: Float3) -> None:
    _, _, height, width = x.shape
    kh, kw, sh, sw, ph, pw, dh, dw, out_height = sizes
    n_rows, rows, ow = columns.shape
    for k in range(n_rows):
        c, i, j = k // (kh * kw), k // kw % kh, k % kw
        left = j * dw - pw
        low = min(max(-(left // sw), 0), ow)                # ow in low … high reads within x
        high = max(min((width - 1 - left) // sw + 1, ow), low)
        for r in range(rows):
            n, oh = (first + r) // out_height, (first + r) % out_height
            ih = oh * sh + i * dh - ph
            if ih < 0 or ih >= height:
                columns[k, r, :] = 0
            else:
                columns[k, r, :low] = 0
                if sw == 1:
                    columns[k, r, low:high] = x[n, c, ih, left + low:left + high]
                else:
                    for o in range(low, high):
                        columns[k, r, o] = x[n, c, ih, o * sw + left]
                columns[k, r, high:] = 0


def col2im_numpy(columns: Float3, sizes: Sizes, first: int, x: Float4) -> None:
    """x[n, c, oh·SH + i·DH - PH, ow·SW + j·DW - PW] += columns[(c,i,j), r, ow], where in x"""
    kh, kw, sh, sw, ph, pw, dh, dw, out_height = sizes
    _, channels, height, width = x.shape
    _, rows, ow = columns.shape
    iw = np.arange(ow) * sw - pw
    for r in range(rows):
        n, oh = divmod(first + r, out_height)
        for i in range(kh):
            ih = oh * sh + i * dh - ph
            for j in range(kw if 0 <= ih < height else 0):
                inside = (iw + j * dw >= 0) & (iw + j * dw < width)
                x[n, :, ih, (iw + j * dw)[inside]] += \
                    columns.reshape(channels, kh, kw, rows, ow)[:, i, j, r, inside].T


@kernel(col2im_numpy, writes=("x",), parallel=False)
def col2im(columns: Float3, sizes: Sizes, first: int, x: Float4) -> None:
    _, channels, height, width = x.shape
    kh, kw, sh, sw, ph, pw, dh, dw, out_height = sizes
    _, rows, ow = columns.shape
    for c in range(channels):
        for r in range(rows):
            n, oh = (first + r) // out_height, (first + r) % out_height
            for i in range(kh):
                ih = oh * sh + i * dh - ph
                if 0 <= ih < height:
                    for j in range(kw):
                        k = (c * kh + i) * kw + j
                        left = j * dw - pw
                        low = max(-(left // sw), 0)
                        high = min((width - 1 - left) // sw + 1, ow)
                        if sw == 1:
                            for o in range(low, high):
                                x[n, c, ih, left + o] += columns[k, r, o]
                        else:
                            for o in range(low, high):
                                x[n, c, ih, o * sw + left] += columns[k, r, o]


def rows_from_images_numpy(images: Float4, first: int, rows: Float3) -> None:
    """rows[c, r] = images[n, c, h], the rows of all images in one line, channel by channel"""
    channels, count, width = rows.shape
    rows[:] = images.transpose(1, 0, 2, 3).reshape(channels, -1, width)[:, first:first + count]


@kernel(rows_from_images_numpy, writes=("rows",), parallel=False)
def rows_from_images(images: Float4, first: int, rows: Float3) -> None:
    height = images.shape[2]
    for c in range(rows.shape[0]):
        for r in range(rows.shape[1]):
            rows[c, r, :] = images[(first + r) // height, c, (first + r) % height, :]


def images_from_rows_numpy(rows: Float3, bias: Float1, first: int, images: Float4) -> None:
    """images[n, c, h] = rows[c, r] + bias[c]"""
    for r in range(rows.shape[1]):
        n, h = divmod(first + r, images.shape[2])
        images[n, :, h] = rows[:, r] + bias[:, None]


@kernel(images_from_rows_numpy, writes=("images",), parallel=False)
def images_from_rows(rows: Float3, bias: Float1, first: int, images: Float4) -> None:
    height = images.shape[2]
    for c in range(rows.shape[0]):
        for r in range(rows.shape[1]):
            n, h = (first + r) // height, (first + r) % height
            for w in range(rows.shape[2]):
                images[n, c, h, w] = rows[c, r, w] + bias[c]


# ---- what the ops call ---------------------------------------------------------------------------

def conv2d(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) → y (N, O, OH, OW)"""
    x, matrices = np.ascontiguousarray(x), _matrices(w, geometry)
    y = np.empty((len(x), len(w), *geometry.out_size), x.dtype)
    bias = np.zeros(len(w), x.dtype) if b is None else b

    def images(s: slice) -> None:
        if geometry.is_matrix_product:
            np.matmul(matrices, _grouped(x[s], geometry), out=_grouped(y[s], geometry))
            y[s] += bias[:, None, None]
            return
        for first, rows in _pieces(x[s], w, geometry):
            columns = _unfold(x[s], first, rows, geometry)                      # (G, K, R·OW)
            product = workspace("rows", (len(w), rows, geometry.out_size[1]), x.dtype)
            np.matmul(matrices, columns, out=product.reshape(*matrices.shape[:2], -1))
            images_from_rows(product, bias, first, y[s])

    in_lanes(images, len(x))
    return y


def conv2d_weight_grad(x: Array, g: Array, w_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dw of y = conv2d(x, w): x (N, C, H, W), g (N, O, OH, OW) → (O, C/groups, KH, KW)"""
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)

    def images(s: slice) -> Array:
        dw = np.zeros(w_shape, x.dtype)
        total, part = _matrices(dw, geometry), _matrices(np.empty_like(dw), geometry)
        pairs: Iterable[tuple[Array, Array]]
        if geometry.is_matrix_product:
            pairs = zip(_grouped(x[s], geometry), _grouped(g[s], geometry), strict=True)
        else:
            pairs = ((_unfold(x[s], first, rows, geometry), _rows_of(g[s], first, rows, geometry))
                     for first, rows in _pieces(x[s], dw, geometry))
        for columns, rows_of_g in pairs:                            # (G, K, R·OW), (G, O/G, R·OW)
            total += np.matmul(rows_of_g, columns.swapaxes(1, 2), out=part)
        return dw

    return sum(in_lanes(images, len(x)), np.zeros(w_shape, x.dtype))


def conv2d_input_grad(g: Array, w: Array, x_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dx of y = conv2d(x, w): g (N, O, OH, OW), w (O, C/groups, KH, KW) → (N, C, H, W)"""
    g, dx = np.ascontiguousarray(g), np.zeros(x_shape, g.dtype)
    transposed = _matrices(w, geometry).swapaxes(1, 2)                          # (G, K, O/G)

    def images(s: slice) -> None:
        if geometry.is_matrix_product:
            np.matmul(transposed, _grouped(g[s], geometry), out=_grouped(dx[s], geometry))
            return
        for first, rows in _pieces(dx[s], w, geometry):
            rows_of_g = _rows_of(g[s], first, rows, geometry)
            columns = workspace("columns", (*transposed.shape[:2], rows_of_g.shape[2]), g.dtype)
            np.matmul(transposed, rows_of_g, out=columns)
            col2im(columns.reshape(-1, rows, geometry.out_size[1]), geometry.sizes, first, dx[s])

    in_lanes(images, len(g))
    return dx


def _matrices(w: Array, geometry: Geometry) -> Array:
    """(O, C/G, KH, KW) → (G, O/G, K) with K = C/G·KH·KW"""
    return w.reshape(geometry.groups, len(w) // geometry.groups, int(np.prod(w.shape[1:])))


def _pieces(x: Array, w: Array, geometry: Geometry) -> Iterator[Pair]:
    """(first row, number of rows) of the output, piece by piece"""
    total = len(x) * geometry.out_size[0] if x.size and w.size else 0
    row_bytes = x.shape[1] * geometry.kernel[0] * geometry.kernel[1] * geometry.out_size[1] \
        * x.itemsize
    step = max(CACHED_BYTES // max(row_bytes, 1), 1)
    return ((first, min(step, total - first)) for first in range(0, total, step))


def _unfold(x: Array, first: int, rows: int, geometry: Geometry) -> Array:
    n_columns = x.shape[1] * geometry.kernel[0] * geometry.kernel[1]
    columns = workspace("columns", (n_columns, rows, geometry.out_size[1]), x.dtype)
    im2col(x, geometry.sizes, first, columns)
    return columns.reshape(geometry.groups, n_columns // geometry.groups, -1)


def _rows_of(g: Array, first: int, rows: int, geometry: Geometry) -> Array:
    lines = workspace("rows", (g.shape[1], rows, g.shape[3]), g.dtype)
    rows_from_images(g, first, lines)
    return lines.reshape(geometry.groups, g.shape[1] // geometry.groups, -1)    # (G, O/G, R·OW)


def _grouped(x: Array, geometry: Geometry) -> Array:
    n, channels, height, width = x.shape
    return x.reshape(n, geometry.groups, channels // geometry.groups, height * width)
