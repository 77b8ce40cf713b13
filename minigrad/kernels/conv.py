"""Convolution as matrix products (Chellapilla et al. 2006).

The output is computed in pieces so small that the unfolded input of each stays in cache.

Let column (oh, ow, n) of the matrix `columns` hold the input values that the window sees at output
place (oh, ow) of image n, one row for each channel and place (i, j) of the window (im2col). Then

    y  = w @ columns            w as a matrix (O, C·KH·KW)
    dw = g @ columnsᵀ
    dx = fold(wᵀ @ g)           each value added back to where it was unfolded from (col2im)

All arrays lie batch last: x (C, H, W, N), y and g (O, OH, OW, N). So a row of columns is part of a
row of x for all images, and a map of 7×7 fills a matrix product as well as a large one does.

`sizes` are (SH, SW, DH, DW, PH, PW, groups). A piece has at most `block` = (output rows, places in
each). With T threads, thread t computes pieces t, t + T, t + 2T, … and works in row t of `scratch`,
where the matrices of a piece lie one behind the other: first `columns`, (K, n) with
K = C/groups·KH·KW and n = rows·places·N, then the other matrices of the product.

The gradient of w is a sum over pieces. In which order its terms are added must not depend on the
number of threads, or the rounding would, too. So it is the sum of a fixed number of `partials`:
partial sum s adds up pieces s, s + S, s + 2S, …, in this order, whichever thread computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from minigrad.kernels import Array, Float1, Float2, Float4, Pair, inline, kernel, prange

Sizes = tuple[int, int, int, int, int, int, int]


class Geometry(NamedTuple):
    """The sizes of a convolution.

    padding: the number of zeros in front of the input. Windows that reach past its end read zeros,
    too; `out_size` alone says how many windows there are.
    """

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
        """The convolution that computes dx from g and the flipped w, if the stride is 1."""
        before = [d * (k - 1) - p for d, k, p in zip(self.dilation, self.kernel, self.padding,
                                                     strict=True)]
        return self._replace(padding=(before[0], before[1]), in_size=self.out_size,
                             out_size=self.in_size)


def places(x: Array, kernel: Pair, sizes: Sizes, out_size: Pair) -> Iterator[tuple[Pair, Array]]:
    """For each place (i, j) of the window, what it sees of x: a view (C, OH, OW, N).

    x is padded, so that every window lies within it.
    """
    (oh, ow), (sh, sw, dh, dw, *_) = out_size, sizes
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield (i, j), x[:, i * dh:i * dh + (oh - 1) * sh + 1:sh,
                            j * dw:j * dw + (ow - 1) * sw + 1:sw]


def padded(x: Array, kernel: Pair, sizes: Sizes, out_size: Pair) -> Array:
    """x (C, H, W, N) with the zeros that windows reach, without the places that none reaches."""
    inside, around = [slice(None)], [(0, 0)]
    for n, k, o, s, d, p in zip(x.shape[1:3], kernel, out_size, sizes[:2], sizes[2:4], sizes[4:6],
                                strict=True):
        stop = (o - 1) * s + (k - 1) * d + 1 - p            # where the last window ends
        first, last = min(max(-p, 0), n), min(max(stop, 0), n)
        inside.append(slice(first, max(first, last)))
        around.append((max(p, 0), max(stop - n, 0)))
    return np.pad(x[tuple(inside)], [*around, (0, 0)])


def fold_places(values: Callable[[int, int], Array], kernel: Pair, sizes: Sizes, out_size: Pair,
                x: Array) -> None:
    """x = Σ over (i, j) of values(i, j) (C, OH, OW, N), each added where `places` finds (i, j)."""
    (height, width), (top, left) = x.shape[1:3], sizes[4:6]
    reach = [(o - 1) * s + (k - 1) * d + 1
             for o, s, k, d in zip(out_size, sizes[:2], kernel, sizes[2:4], strict=True)]
    canvas = np.zeros((len(x), max(top + height, reach[0]), max(left + width, reach[1]),
                       x.shape[3]), x.dtype)
    for (i, j), seen in places(canvas, kernel, sizes, out_size):
        seen += values(i, j)
    x[:] = canvas[:, top:top + height, left:left + width]


# ---- the parts of the loops ----------------------------------------------------------------------

@inline
def matrix_in(room: Float1, start: int, rows: int, columns: int) -> Array:
    """The matrix (rows, columns) that lies in `room` from `start` on."""
    return room[start:start + rows * columns].reshape(rows, columns)


@inline
def bounds_of(piece: int, out_size: Pair, block: Pair) -> tuple[int, int, int, int, int]:
    """A piece's group, first output row, number of rows, first place in each, number of places."""
    down, across = -(-out_size[0] // block[0]), -(-out_size[1] // block[1])
    row, start = piece // across % down * block[0], piece % across * block[1]
    return (piece // across // down, row, min(block[0], out_size[0] - row), start,
            min(block[1], out_size[1] - start))


@inline
def unfold_block(x: Float4, first: int, channels: int, kernel: Pair, sizes: Sizes, row: int,
                 rows: int, start: int, width: int, columns: Float2) -> None:
    """Fill columns with what windows see of `channels` channels of x from `first` on, for `rows`
    output rows from `row` on and `width` places in each from `start` on."""
    _, height, in_width, images = x.shape
    sh, sw, dh, dw, ph, pw, _ = sizes
    run = width * images
    k = 0
    for c in range(first, first + channels):
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                left = start * sw + j * dw - pw                     # of the first place
                low = min(max(0, -(left // sw)), width)             # the places that see x:
                high = max(low, min(width, (in_width - left + sw - 1) // sw))   # [low, high)
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
    pieces = groups * -(-height // block[0]) * -(-width // block[1])
    threads = scratch.shape[0]
    for thread in prange(threads):
        for piece in range(thread, pieces, threads):
            group, row, rows, start, count = bounds_of(piece, (height, width), block)
            run = count * images
            columns = matrix_in(scratch[thread], 0, k, rows * run)
            product = matrix_in(scratch[thread], k * rows * run, o, rows * run)
            unfold_block(x, group * channels, channels, kernel, sizes, row, rows, start, count,
                         columns)
            np.dot(matrices[group], columns, product)
            for i in range(o):
                bias = b[group * o + i]
                for r in range(rows):
                    source = product[i, r * run:(r + 1) * run]
                    target = y[group * o + i, row + r, start:start + count].reshape(-1)
                    for p in range(run):
                        target[p] = source[p] + bias


def conv_weight_grad_numpy(x: Float4, g: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                           partials: Float4, dw: Float4) -> None:
    """dw[o, c, i, j] = Σ_hwn g[o, h, w, n] · x[c, h·SH + i·DH - PH, w·SW + j·DW - PW, n]"""
    kernel, out_size, groups = dw.shape[2:], g.shape[1:3], sizes[6]
    outs = len(g) // groups
    by_group, sums = g.reshape(groups, outs, -1), dw.reshape(groups, outs, *dw.shape[1:])
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        channels = seen.reshape(groups, dw.shape[1], -1)
        sums[..., i, j] = np.matmul(by_group, channels.swapaxes(1, 2))


@kernel(conv_weight_grad_numpy, writes=("dw",), scratch=("scratch", "partials"), multiplies=True)
def conv_weight_grad(x: Float4, g: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                     partials: Float4, dw: Float4) -> None:
    """partials: (number of partial sums, groups, K, O/groups)."""
    outs, height, width, images = g.shape
    groups, channels, kernel = sizes[6], dw.shape[1], (dw.shape[2], dw.shape[3])
    k, o = channels * kernel[0] * kernel[1], outs // groups
    pieces = groups * -(-height // block[0]) * -(-width // block[1])
    threads = scratch.shape[0]
    for thread in prange(threads):
        for s in range(thread, partials.shape[0], threads):
            partials[s] = 0
            for piece in range(s, pieces, partials.shape[0]):
                group, row, rows, start, count = bounds_of(piece, (height, width), block)
                run = count * images
                columns = matrix_in(scratch[thread], 0, k, rows * run)
                lines = matrix_in(scratch[thread], k * rows * run, o, rows * run)
                product = matrix_in(scratch[thread], (k + o) * rows * run, k, o)
                unfold_block(x, group * channels, channels, kernel, sizes, row, rows, start, count,
                             columns)
                for i in range(o):
                    for r in range(rows):
                        source = g[group * o + i, row + r, start:start + count].reshape(-1)
                        target = lines[i, r * run:(r + 1) * run]
                        for p in range(run):
                            target[p] = source[p]
                np.dot(columns, lines.T, product)   # faster than its transpose
                total = partials[s, group]
                for i in range(k):
                    for p in range(o):
                        total[i, p] += product[i, p]
    for out in prange(outs):
        target = dw[out].reshape(-1)
        for i in range(k):
            target[i] = 0
            for s in range(partials.shape[0]):
                target[i] += partials[s, out // o, i, out % o]


def conv_input_grad_numpy(g: Float4, w: Float4, sizes: Sizes, block: Pair, scratch: Float2,
                          dx: Float4) -> None:
    """dx[c, oh·SH + i·DH - PH, ow·SW + j·DW - PW, n] += Σ_o w[o, c, i, j] · g[o, oh, ow, n]

    for all (oh, ow, i, j), starting from dx = 0.
    """
    groups = sizes[6]
    turned = w.reshape(groups, len(w) // groups, *w.shape[1:]).swapaxes(1, 2)
    lines = g.reshape(groups, len(g) // groups, -1)
    fold_places(lambda i, j: np.matmul(turned[..., i, j], lines).reshape(-1, *g.shape[1:]),
                w.shape[2:], sizes, g.shape[1:3], dx)


@kernel(conv_input_grad_numpy, writes=("dx",), scratch=("scratch",), multiplies=True)
def conv_input_grad(g: Float4, w: Float4, sizes: Sizes, block: Pair, scratch: Float2, dx: Float4
                    ) -> None:
    # Windows overlap, so a thread owns channels of dx, block[0] at a time, and goes through all
    # output rows for them, block[1] places at a time. A row of scratch: matrix, lines, columns.
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
            matrix = matrix_in(scratch[thread], 0, k, o)
            for i in range(o):
                matrix[:, i] = w[group * o + i, first:first + count].reshape(-1)
            dx[group * channels + first:group * channels + first + count] = 0
            for row in range(height):
                for start in range(0, width, block[1]):
                    run = min(block[1], width - start) * images
                    lines = matrix_in(scratch[thread], k * o, o, run)
                    columns = matrix_in(scratch[thread], (k + run) * o, k, run)
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
