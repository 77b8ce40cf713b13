"""Convolution as matrix products (Chellapilla et al. 2006), over so little of the output at a time
that what is unfolded stays in cache.

With `columns[c·i·j, oh·ow·n]` the input values under each place (i, j) of the window (im2col):

    y  = w @ columns            w as a matrix (O, C·KH·KW)
    dw = g @ columnsᵀ
    dx = fold(wᵀ @ g)           each value added back to where it was unfolded from (col2im)

All arrays lie batch last: x (C, H, W, N), y and g (O, OH, OW, N). Then a row of columns is a part
of a row of x for all images, and a map of 7×7 fills a matrix product as well as a large one does.

`sizes` are (SH, SW, DH, DW, PH, PW, groups). A block is a few output rows, or a part of one. Each
thread takes every so many blocks, and works in a row of `scratch`, which has one for each thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from minigrad.kernels import Array, Float1, Float2, Float4, inline, kernel, prange

Pair = tuple[int, int]
Sizes = tuple[int, int, int, int, int, int, int]


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
        return (*self.stride, *self.dilation, *self.padding, self.groups)

    def transposed(self) -> Geometry:
        """The convolution that computes dx from g, with w flipped, where the stride is 1."""
        before = [d * (k - 1) - p for d, k, p in zip(self.dilation, self.kernel, self.padding,
                                                     strict=True)]
        return self._replace(padding=(before[0], before[1]), in_size=self.out_size,
                             out_size=self.in_size)


def places(x: Array, kernel: Pair, sizes: Sizes, out_size: Pair) -> Iterator[tuple[Pair, Array]]:
    """((i, j), what place (i, j) of the windows sees of x: a view (C, OH, OW, N))

    x: padded, so that every window lies within it.
    """
    (oh, ow), (sh, sw, dh, dw, *_) = out_size, sizes
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield (i, j), x[:, i * dh:i * dh + (oh - 1) * sh + 1:sh,
                            j * dw:j * dw + (ow - 1) * sw + 1:sw]


def padded(x: Array, kernel: Pair, sizes: Sizes, out_size: Pair) -> Array:
    """x (C, H, W, N) with the zeros that windows reach, and without what none reaches"""
    inside, around = [slice(None)], [(0, 0)]
    for n, k, o, s, d, p in zip(x.shape[1:3], kernel, out_size, sizes[:2], sizes[2:4], sizes[4:6],
                                strict=True):
        stop = (o - 1) * s + (k - 1) * d + 1 - p            # the first place that none reaches
        first, last = min(max(-p, 0), n), min(max(stop, 0), n)
        inside.append(slice(first, max(first, last)))
        around.append((max(p, 0), max(stop - n, 0)))
    return np.pad(x[tuple(inside)], [*around, (0, 0)])


def fold_places(values: Callable[[int, int], Array], kernel: Pair, sizes: Sizes, out_size: Pair,
                x: Array) -> None:
    """x = the sum of values(i, j) (C, OH, OW, N), each put where `places` found place (i, j)"""
    (height, width), (top, left) = x.shape[1:3], sizes[4:6]
    reach = [(o - 1) * s + (k - 1) * d + 1
             for o, s, k, d in zip(out_size, sizes[:2], kernel, sizes[2:4], strict=True)]
    canvas = np.zeros((len(x), max(top + height, reach[0]), max(left + width, reach[1]),
                       x.shape[3]), x.dtype)
    for (i, j), seen in places(canvas, kernel, sizes, out_size):
        seen += values(i, j)
    x[:] = canvas[:, top:top + height, left:left + width]


# ---- columns -------------------------------------------------------------------------------------

@inline
def unfold_block(x: Float4, first: int, channels: int, kernel: Pair, sizes: Sizes, row: int,
                 rows: int, start: int, width: int, columns: Float2) -> None:
    """columns of `channels` channels from `first` on, for `rows` output rows from `row` on, in them
    `width` places from `start` on"""
    _, height, in_width, images = x.shape
    sh, sw, dh, dw, ph, pw, _ = sizes
    run = width * images
    k = 0
    for c in range(first, first + channels):
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                left = start * sw + j * dw - pw                     # of the first place
                low = min(max(0, -(left // sw)), width)             # places before x, and within
                high = max(low, min(width, (in_width - left + sw - 1) // sw))
                for r in range(rows):
                    h = (row + r) * sh + i * dh - ph
                    seen = columns[k, r * run:(r + 1) * run]
                    if h < 0 or h >= height:
                        seen[:] = 0
                        continue
                    seen[:low * images] = 0
                    seen[high * images:] = 0
                    source = x[c, h].reshape(-1)
                    target = seen[low * images:high * images]
                    if sw == 1:                                     # one stretch of memory
                        stretch = source[(left + low) * images:(left + high) * images]
                        for p in range(target.shape[0]):
                            target[p] = stretch[p]
                    elif images == 1:
                        for p in range(target.shape[0]):
                            target[p] = source[left + (low + p) * sw]
                    else:
                        for o in range(high - low):
                            to, at = o * images, (left + (low + o) * sw) * images
                            for n in range(images):
                                target[to + n] = source[at + n]
                k += 1


def conv_numpy(x: Float4, w: Float4, b: Float1, sizes: Sizes, block: Pair, scratch: Float2,
               y: Float4) -> None:
    """y[o, oh, ow, n] = b[o] + Σ_cij w[o, c, i, j] · x[c, oh·SH + i·DH - PH, ow·SW + j·DW - PW, n]
    """
    kernel, out_size, groups = w.shape[2:], y.shape[1:3], sizes[6]
    by_group = w.reshape(groups, -1, *w.shape[1:])
    y[:] = b[:, None, None, None]
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        channels = seen.reshape(groups, w.shape[1], -1)
        y += np.matmul(by_group[..., i, j], channels).reshape(y.shape)


@kernel(conv_numpy, writes=("y",), scratch=("scratch",), multiplies=True)
def conv(x: Float4, w: Float4, b: Float1, sizes: Sizes, block: Pair, scratch: Float2, y: Float4
         ) -> None:
    outs, height, width, images = y.shape
    groups = sizes[6]
    channels, kernel = w.shape[1], (w.shape[2], w.shape[3])
    k, o = channels * kernel[0] * kernel[1], outs // groups
    matrices = w.reshape(groups, o, k)
    down, across = (height + block[0] - 1) // block[0], (width + block[1] - 1) // block[1]
    threads = scratch.shape[0]
    for thread in prange(threads):
        for piece in range(thread, groups * down * across, threads):
            group, row = piece // across // down, piece // across % down * block[0]
            start = piece % across * block[1]
            rows, places = min(block[0], height - row), min(block[1], width - start)
            run = places * images
            columns = scratch[thread, :k * rows * run].reshape(k, rows * run)
            product = scratch[thread, k * rows * run:(k + o) * rows * run].reshape(o, rows * run)
            unfold_block(x, group * channels, channels, kernel, sizes, row, rows, start, places,
                         columns)
            np.dot(matrices[group], columns, product)
            for i in range(o):
                bias = b[group * o + i]
                for r in range(rows):
                    source = product[i, r * run:(r + 1) * run]
                    target = y[group * o + i, row + r, start:start + places].reshape(-1)
                    for p in range(run):
                        target[p] = source[p] + bias


def conv_weight_grad_numpy(x: Float4, g: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                           lanes: Float4, dw: Float4) -> None:
    """dw[o, c, i, j] = Σ_hwn g[o, h, w, n] · x[c, h·SH + i·DH - PH, w·SW + j·DW - PW, n]"""
    kernel, out_size, groups = dw.shape[2:], g.shape[1:3], sizes[6]
    outs = len(g) // groups
    by_group, sums = g.reshape(groups, outs, -1), dw.reshape(groups, outs, *dw.shape[1:])
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        channels = seen.reshape(groups, dw.shape[1], -1)
        sums[..., i, j] = np.matmul(by_group, channels.swapaxes(1, 2))


@kernel(conv_weight_grad_numpy, writes=("dw",), scratch=("scratch", "lanes"), multiplies=True)
def conv_weight_grad(x: Float4, g: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                     lanes: Float4, dw: Float4) -> None:
    # a lane, (groups, K, O/groups), sums up blocks of its own, whichever thread it falls to
    outs, height, width, images = g.shape
    groups, channels, kernel = sizes[6], dw.shape[1], (dw.shape[2], dw.shape[3])
    k, o = channels * kernel[0] * kernel[1], outs // groups
    down, across = (height + block[0] - 1) // block[0], (width + block[1] - 1) // block[1]
    threads = scratch.shape[0]
    for thread in prange(threads):
        for lane in range(thread, lanes.shape[0], threads):
            lanes[lane] = 0
            for piece in range(lane, groups * down * across, lanes.shape[0]):
                group, row = piece // across // down, piece // across % down * block[0]
                start = piece % across * block[1]
                rows, places = min(block[0], height - row), min(block[1], width - start)
                run = places * images
                columns = scratch[thread, :k * rows * run].reshape(k, rows * run)
                end = (k + o) * rows * run
                lines = scratch[thread, k * rows * run:end].reshape(o, rows * run)
                product = scratch[thread, end:end + k * o].reshape(k, o)
                unfold_block(x, group * channels, channels, kernel, sizes, row, rows, start, places,
                             columns)
                for i in range(o):
                    for r in range(rows):
                        source = g[group * o + i, row + r, start:start + places].reshape(-1)
                        target = lines[i, r * run:(r + 1) * run]
                        for p in range(run):
                            target[p] = source[p]
                np.dot(columns, lines.T, product)   # the BLAS likes the long side first
                total = lanes[lane, group]
                for i in range(k):
                    for p in range(o):
                        total[i, p] += product[i, p]
    for out in prange(outs):
        target = dw[out].reshape(-1)
        for i in range(k):
            target[i] = 0
            for lane in range(lanes.shape[0]):
                target[i] += lanes[lane, out // o, i, out % o]


def conv_input_grad_numpy(g: Float4, w: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                          dx: Float4) -> None:
    """dx[c, oh·SH + i·DH - PH, ow·SW + j·DW - PW, n] += Σ_o w[o, c, i, j] · g[o, oh, ow, n], from 0
    """
    groups = sizes[6]
    turned = w.reshape(groups, len(w) // groups, *w.shape[1:]).swapaxes(1, 2)
    lines = g.reshape(groups, len(g) // groups, -1)
    fold_places(lambda i, j: np.matmul(turned[..., i, j], lines).reshape(-1, *g.shape[1:]),
                w.shape[2:], sizes, g.shape[1:3], dx)


@kernel(conv_input_grad_numpy, writes=("dx",), scratch=("scratch",), multiplies=True)
def conv_input_grad(g: Float4, w: Float4, sizes: Sizes, block: Pair, scratch: Float2, dx: Float4
                    ) -> None:
    # windows overlap: so a thread has channels of its own, block[0] at a time, and one output row
    # of theirs after the other, block[1] places at a time
    outs, height, width, images = g.shape
    _, in_height, in_width, _ = dx.shape
    sh, sw, dh, dw, ph, pw, groups = sizes
    channels, kh, kw = w.shape[1:]
    o, span = outs // groups, block[0]
    pieces = (channels + span - 1) // span
    threads = scratch.shape[0]
    for thread in prange(threads):
        for piece in range(thread, groups * pieces, threads):
            group, first = piece // pieces, piece % pieces * span
            count = min(span, channels - first)
            k = count * kh * kw
            matrix = scratch[thread, :k * o].reshape(k, o)
            for i in range(o):
                matrix[:, i] = w[group * o + i, first:first + count].reshape(-1)
            dx[group * channels + first:group * channels + first + count] = 0
            for row in range(height):
                for start in range(0, width, block[1]):
                    run = min(block[1], width - start) * images
                    end = k * o + o * run
                    lines = scratch[thread, k * o:end].reshape(o, run)
                    columns = scratch[thread, end:end + k * run].reshape(k, run)
                    for i in range(o):
                        lines[i] = g[group * o + i, row].reshape(-1)[start * images:
                                                                     start * images + run]
                    np.dot(matrix, lines, columns)
                    for m in range(k):
                        c, i, j = m // kw // kh, m // kw % kh, m % kw
                        h = row * sh + i * dh - ph
                        if h < 0 or h >= in_height:
                            continue
                        for q in range(run // images):
                            at = (start + q) * sw + j * dw - pw
                            if at >= 0 and at < in_width:
                                seen = dx[group * channels + first + c, h, at]
                                for n in range(images):
                                    seen[n] += columns[m, q * images + n]
