"""Convolution as matrix products (Chellapilla et al. 2006), over so little of the output at a time
that what is unfolded stays in cache.

With `columns[c·i·j, n, oh·ow]` the input values under each place (i, j) of the window (im2col):

    y  = w @ columns            w as a matrix (O, C·KH·KW)
    dw = g @ columnsᵀ
    dx = fold(wᵀ @ g)           each value added back to where it was unfolded from (col2im)

Images are padded with zeros first: then an output row reads, for each place of the window, one run
of a padded row, and the loops need no tests at the edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from minigrad.kernels import Array, Float4, Workspace, in_lanes, kernel

Pair = tuple[int, int]
Sizes = tuple[int, int, int, int, int, int]
workspace = Workspace()

CACHED_BYTES = 2**20        # of columns at a time: a core's second cache holds about that


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
        return (*self.kernel, *self.stride, *self.dilation)

    @property
    def padded_size(self) -> Pair:
        """The rows and columns that the windows reach, from the padding in front on."""
        (kh, kw), (sh, sw), (dh, dw), (oh, ow) = (self.kernel, self.stride, self.dilation,
                                                  self.out_size)
        return (oh - 1) * sh + (kh - 1) * dh + 1, (ow - 1) * sw + (kw - 1) * dw + 1

    @property
    def is_matrix_product(self) -> bool:
        """Whether each output position sees just the input at the same position."""
        return (self.kernel, self.stride, self.padding) == ((1, 1), (1, 1), (0, 0)) \
            and self.in_size == self.out_size


# ---- the kernels ---------------------------------------------------------------------------------

def im2col_numpy(planes: Float4, sizes: Sizes, first: int, columns: Float4) -> None:
    """columns[(c,i,j), n, r, ow] = planes[n, c, (first + r)·SH + i·DH, ow·SW + j·DW]"""
    for k, places in enumerate(_places(planes, sizes, first, columns)):
        columns[k] = places


def _places(planes: Float4, sizes: Sizes, first: int, columns: Float4) -> Iterator[Array]:
    """What each place of the window sees of each channel: views (N, R, OW) of the planes"""
    kh, kw, sh, sw, dh, dw = sizes
    _, _, rows, ow = columns.shape
    for c in range(planes.shape[1]):
        for i in range(kh):
            for j in range(kw):
                top, left = first * sh + i * dh, j * dw
                yield planes[:, c, top:top + (rows - 1) * sh + 1:sh,
                             left:left + (ow - 1) * sw + 1:sw]


@kernel(im2col_numpy, writes=("columns",), parallel=False)
def im2col(planes: Float4, sizes: Sizes, first: int, columns: Float4) -> None:
    images, channels, height, width = planes.shape
    kh, kw, sh, sw, dh, dw = sizes
    _, _, rows, ow = columns.shape
    source, target = planes.reshape(-1), columns.reshape(-1)
    at = 0
    for c in range(channels):
        for i in range(kh):
            for j in range(kw):
                for n in range(images):
                    start = ((n * channels + c) * height + first * sh + i * dh) * width + j * dw
                    for _ in range(rows):
                        run = target[at:at + ow]            # as slices of flat arrays LLVM makes
                        if sw == 1:                         # them vectors
                            seen = source[start:start + ow]
                            for o in range(ow):
                                run[o] = seen[o]
                        else:
                            for o in range(ow):
                                run[o] = source[start + o * sw]
                        at += ow
                        start += sh * width


def col2im_numpy(columns: Float4, sizes: Sizes, first: int, planes: Float4) -> None:
    """planes[n, c, (first + r)·SH + i·DH, ow·SW + j·DW] += columns[(c,i,j), n, r, ow]"""
    for k, places in enumerate(_places(planes, sizes, first, columns)):
        places += columns[k]


@kernel(col2im_numpy, writes=("planes",), parallel=False)
def col2im(columns: Float4, sizes: Sizes, first: int, planes: Float4) -> None:
    images, channels, height, width = planes.shape
    kh, kw, sh, sw, dh, dw = sizes
    _, _, rows, ow = columns.shape
    source, target = columns.reshape(-1), planes.reshape(-1)
    at = 0
    for c in range(channels):
        for i in range(kh):
            for j in range(kw):
                for n in range(images):
                    start = ((n * channels + c) * height + first * sh + i * dh) * width + j * dw
                    for _ in range(rows):
                        run = source[at:at + ow]
                        if sw == 1:
                            seen = target[start:start + ow]
                            for o in range(ow):
                                seen[o] += run[o]
                        else:
                            for o in range(ow):
                                target[start + o * sw] += run[o]
                        at += ow
                        start += sh * width


# ---- what the ops call ---------------------------------------------------------------------------

def conv2d(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) → y (N, O, OH, OW)"""
    y, matrices = np.empty((len(x), len(w), *geometry.out_size), x.dtype), _matrices(w, geometry)
    bias = None if b is None else b.reshape(geometry.groups, -1, 1)

    def images(s: slice) -> None:
        by_group = _grouped(y[s], geometry)                                     # (N, G, O/G, OH·OW)
        for n, positions, columns in _columns(x[s], geometry):
            part = by_group[n, :, :, positions]
            np.matmul(matrices, columns.transpose(2, 0, 1, 3), out=part)
            if bias is not None:
                part += bias

    in_lanes(images, len(x))
    return y


def conv2d_weight_grad(x: Array, g: Array, w_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dw of y = conv2d(x, w): x (N, C, H, W), g (N, O, OH, OW) → (O, C/groups, KH, KW)"""
    g, shape = np.ascontiguousarray(g), (geometry.groups, prod(w_shape[1:]),
                                         w_shape[0] // geometry.groups)         # (G, K, O/G)

    def images(s: slice) -> Array:
        dw, product = np.zeros(shape, x.dtype), np.empty(shape, x.dtype)
        by_group = _grouped(g[s], geometry)
        for n, positions, columns in _columns(x[s], geometry):
            lines = by_group[n, :, :, positions].transpose(1, 2, 0, 3)          # as the columns
            # columns @ gᵀ: the BLAS likes the long side first, and is a quarter faster
            dw += np.matmul(columns.reshape(*shape[:2], -1),
                            lines.reshape(shape[0], shape[2], -1).swapaxes(1, 2), out=product)
        return dw

    dw = sum(in_lanes(images, len(x)), np.zeros(shape, x.dtype))
    return np.ascontiguousarray(dw.swapaxes(1, 2)).reshape(w_shape)


def conv2d_input_grad(g: Array, w: Array, x_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """dx of y = conv2d(x, w): g (N, O, OH, OW), w (O, C/groups, KH, KW) → (N, C, H, W)"""
    g, dx = np.ascontiguousarray(g), np.zeros(x_shape, g.dtype)
    transposed = _matrices(w, geometry).swapaxes(1, 2)                          # (G, K, O/G)

    def images(s: slice) -> None:
        by_group = _grouped(g[s], geometry)

        def multiply(n: slice, positions: slice, columns: Array) -> None:
            np.matmul(transposed, by_group[n, :, :, positions],
                      out=columns.transpose(2, 0, 1, 3))
        _fold(multiply, dx[s], geometry)

    in_lanes(images, len(g))
    return dx


def unfold(x: Array, geometry: Geometry) -> Array:
    """x (N, C, H, W) → its windows, (N, C·KH·KW, OH·OW)"""
    y = np.empty((len(x), x.shape[1] * prod(geometry.kernel), prod(geometry.out_size)), x.dtype)
    for n, positions, columns in _columns(x, geometry):
        y[n, :, positions] = columns.reshape(y.shape[1], *columns.shape[2:]).swapaxes(0, 1)
    return y


def fold(y: Array, x_shape: tuple[int, ...], geometry: Geometry) -> Array:
    """Windows (N, C·KH·KW, OH·OW) → each value added where it came from, (N, C, H, W)"""
    x = np.zeros(x_shape, y.dtype)

    def copy(n: slice, positions: slice, columns: Array) -> None:
        columns[:] = y[n, :, positions].swapaxes(0, 1).reshape(columns.shape)
    _fold(copy, x, geometry)
    return x


# ---- piece by piece ------------------------------------------------------------------------------

def _columns(x: Array, geometry: Geometry) -> Iterator[tuple[slice, slice, Array]]:
    """(images, output positions, what their windows hold: (G, K, N, P)), piece by piece"""
    if geometry.is_matrix_product:
        for n, image in enumerate(_grouped(x, geometry)):
            yield slice(n, n + 1), slice(None), image[:, :, None]
        return
    planes = x
    for images, rows in _pieces(x.shape, x.itemsize, geometry):
        if rows.start == 0:
            planes = _padded(x[images], geometry)
        columns = _buffer(x, images, rows, geometry)
        im2col(planes, geometry.sizes, rows.start, columns)
        yield images, _positions(rows, geometry), _by_group(columns, geometry)


def _fold(fill: Callable[[slice, slice, Array], None], x: Array, geometry: Geometry) -> None:
    """Add to x, which holds zeros, the columns that `fill(images, positions, columns)` writes."""
    if geometry.is_matrix_product:
        for n, image in enumerate(_grouped(x, geometry)):
            fill(slice(n, n + 1), slice(None), image[:, :, None])
        return
    (top, left), (height, width) = geometry.padding, x.shape[2:]
    planes = x
    for images, rows in _pieces(x.shape, x.itemsize, geometry):
        if rows.start == 0:
            planes = workspace("planes", (*x[images].shape[:2], *geometry.padded_size), x.dtype)
            planes[:] = 0
        columns = _buffer(x, images, rows, geometry)
        fill(images, _positions(rows, geometry), _by_group(columns, geometry))
        col2im(columns, geometry.sizes, rows.start, planes)
        if rows.stop == geometry.out_size[0]:
            seen = planes[:, :, top:top + height, left:left + width]
            x[images, :, :seen.shape[2], :seen.shape[3]] = seen


def _pieces(x_shape: tuple[int, ...], itemsize: int, geometry: Geometry
            ) -> Iterator[tuple[slice, slice]]:
    """(images, output rows), so many that their columns stay in cache"""
    n, channels = x_shape[:2]
    height, width = geometry.out_size
    row_bytes = channels * prod(geometry.kernel) * width * itemsize
    if row_bytes == 0:
        return
    rows = min(max(CACHED_BYTES // row_bytes, 1), height)
    images = max(CACHED_BYTES // (row_bytes * height), 1)
    for image in range(0, n, images):
        for row in range(0, height, rows):
            yield slice(image, min(image + images, n)), slice(row, min(row + rows, height))


def _padded(x: Array, geometry: Geometry) -> Array:
    """The part of x that windows reach, with the zeros that they reach around it"""
    (top, left), (height, width) = geometry.padding, geometry.padded_size
    if (top, left, height, width) == (0, 0, *x.shape[2:]):
        return x
    planes = workspace("planes", (*x.shape[:2], height, width), x.dtype)
    planes[:] = 0
    part = x[:, :, :max(height - top, 0), :max(width - left, 0)]
    planes[:, :, top:top + part.shape[2], left:left + part.shape[3]] = part
    return planes


def _buffer(x: Array, images: slice, rows: slice, geometry: Geometry) -> Array:
    return workspace("columns", (x.shape[1] * prod(geometry.kernel), images.stop - images.start,
                                 rows.stop - rows.start, geometry.out_size[1]), x.dtype)


def _positions(rows: slice, geometry: Geometry) -> slice:
    return slice(rows.start * geometry.out_size[1], rows.stop * geometry.out_size[1])


def _by_group(columns: Array, geometry: Geometry) -> Array:
    """(C·KH·KW, N, R, OW) → (G, K, N, P)"""
    rows, n, *positions = columns.shape
    return columns.reshape(geometry.groups, rows // geometry.groups, n, prod(positions))


def _matrices(w: Array, geometry: Geometry) -> Array:
    """(O, C/G, KH, KW) → (G, O/G, K) with K = C/G·KH·KW"""
    return w.reshape(geometry.groups, len(w) // geometry.groups, prod(w.shape[1:]))


def _grouped(x: Array, geometry: Geometry) -> Array:
    """(N, C, H, W) → (N, G, C/G, H·W), a view"""
    n, channels, height, width = x.shape
    return x.reshape(n, geometry.groups, channels // geometry.groups, height * width)
