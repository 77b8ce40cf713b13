"""Where in memory the taps of a convolution's window read, and where results go.

A tap is a place (i, j) of the window, in one channel. What it sees at all output places is a number
of lines of memory: for all taps the same lines, each time from another start. So a convolution is
described by one set of lines and by a start for each tap. Stride, padding and dilation are in these
numbers, and the loops in conv.py need not know of them.

Lines should be long, at least as long as a vector. At stride 1, what a tap sees of a row is one
line, batch last. At stride 2, it is every second place, and each is a line of N values. If that is
less than a vector, the input is first split into its even and its odd columns, and a tap then reads
one of the two at stride 1.

The gradient of the input gathers as well: place h of dx gets g at (h + PH - i·DH) / SH from those
taps i for which this is an integer. They are the same for every SH-th place. So dx at stride 2 has
2 × 2 *phases*, each of which is a convolution of g, at stride 1, with some of the taps.

For few images, rows may be shorter than a vector, too. Then a whole plane is taken for one line:
the zeros of the padding lie between its rows, and what is computed there is left out when the
results are moved to where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from minigrad.kernels import Array, Pair, empty
from minigrad.kernels.moves import framed
from minigrad.kernels.sums import EXACT

LANES = 64                  # bytes of a vector
NO_PADS = (0, 0, 0, 0, 1)
TRANSPOSED = -1             # among the numbers of a Plan: whether it is for the input's gradient

Sizes = Sequence[int]
Pads = tuple[int, int, int, int, int]


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


class Plan(NamedTuple):
    """How conv.py's loops read an input (channels, H, W, N) and write an output.

    numbers: `sizes` (7), `pads` (5) and `steps` (9), one after the other, and whether it is the
    plan of a gradient of the input. A kernel takes one array in a fraction of the time that it
    takes for so many arguments.

        sizes   those of the Geometry
        pads    (top, left, height, width, split) of a padded copy of the input, in which a channel
                is (height, split, width, N), and column w of part s is column (w - left)·split + s
                of the input. If height is 0, the input is read as it is.
        steps   how far apart lie rows, segments and groups in the input, segments in the output,
                and groups and output channels in w; and rows and columns of a phase in the output's
                plane. The last one is the number of values of a channel that are first written to
                another place, from where they are moved to the output; 0 if none.

    taps (2, T): where each tap starts in the channels of a group, and which value of w belongs to
    it: see `steps`.
    phases (P, 9): the first tap and the last plus 1; the number of rows, of segments in a row, and
    of values in a segment; in the output, where the first row starts, and how far apart rows lie;
    the first row and column of the output.
    scratch: how many values of scratch memory the loops need.
    longest: the number of taps of the phase that has most.
    """

    numbers: Array
    taps: Array
    phases: Array
    scratch: int
    longest: int


@lru_cache(maxsize=1024)
def output_plan(geometry: Geometry, channels: int, outs: int, images: int, itemsize: int,
                weight_grad: bool = False) -> Plan:
    """For y = conv(x, w), or for dw from x and g. `channels` and `outs` are those of a group.

    For dw, sums run along the lines. So lines are long even if that takes a copy of x, and no line
    has more values than g, because what is beyond might be NaN.
    """
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    split = sw if images * itemsize < LANES or (weight_grad and kw > 1) else 1
    down = [i * dh - geometry.padding[0] for i in range(kh)]
    across = [(j * dw - geometry.padding[1]) // split for j in range(kw)]
    part = [(j * dw - geometry.padding[1]) % split for j in range(kw)]
    (rows, columns), k = geometry.out_size, channels * kh * kw
    pads, copied = _pads(geometry.in_size, (down, across), [(rows, sh), (columns, sw // split)],
                         split)
    starts = [((i + pads[0]) * split + s) * pads[3] + j + pads[1]
              for i in down for j, s in zip(across, part, strict=True)]
    plane = prod(pads[2:])
    taps = np.stack([(np.arange(channels)[:, None] * plane + starts).reshape(-1) * images,
                     np.arange(k)])
    row, segment = sh * split * pads[3] * images, sw // split * images
    phase = [0, k, rows, columns, 0, 0, columns * images, 0, 0]
    phases, room = _lines([phase], images, itemsize, (row, segment, images), not weight_grad)
    steps = (row, segment, channels * plane * images, images, outs * k, k, 1, 1, room)
    copy = copied * plane * images
    return Plan(np.array([*geometry.sizes, *(pads if copied else NO_PADS), *steps, 0]), taps,
                phases, geometry.groups * (channels * copy + outs * room), k)


@lru_cache(maxsize=1024)
def input_grad_plan(geometry: Geometry, channels: int, outs: int, images: int, itemsize: int
                    ) -> Plan:
    """For dx of y = conv(x, w), which reads g. `channels` and `outs` are those of a group."""
    (kh, kw), (sh, sw), width = geometry.kernel, geometry.stride, geometry.in_size[1]
    down, across = ([_taps_of(first, k, s, d, p) for first in range(min(s, n))] for k, s, d, p, n
                    in zip(geometry.kernel, geometry.stride, geometry.dilation, geometry.padding,
                           geometry.in_size, strict=True))
    counts = [[-(-(n - first) // s) for first in range(min(s, n))]
              for n, s in zip(geometry.in_size, geometry.stride, strict=True)]
    reach = [[at for of_phase in each for _, at in of_phase] or [0] for each in (down, across)]
    pads, copied = _pads(geometry.out_size, (reach[0], reach[1]),
                         [(max(counts[0]), 1), (max(counts[1]), 1)], 1)
    plane = prod(pads[2:])
    taps: list[tuple[int, int]] = []
    phases = []
    for h, rows in enumerate(counts[0]):
        for w, columns in enumerate(counts[1]):
            first = len(taps)
            taps += [(((o * pads[2] + at + pads[0]) * pads[3] + to + pads[1]) * images,
                      (o * channels * kh + i) * kw + j)
                     for o in range(outs) for i, at in down[h] for j, to in across[w]]
            phases.append([first, len(taps), rows, columns, 0, (h * width + w) * images,
                           sh * width * images, h, w])
    row = pads[3] * images
    lines, room = _lines(phases, images, itemsize, (row, images, sw * images), True)
    steps = (row, images, outs * plane * images, sw * images, outs * channels * kh * kw, kh * kw,
             sh, sw, room)
    copy = copied * plane * images
    return Plan(np.array([*geometry.sizes, *(pads if copied else NO_PADS), *steps, 1]),
                np.array(taps, np.int64).reshape(-1, 2).T.copy(), lines,
                geometry.groups * (outs * copy + channels * (room + len(taps))),
                int((lines[:, 1] - lines[:, 0]).max()))


def _taps_of(first: int, kernel: int, stride: int, dilation: int, padding: int
             ) -> list[tuple[int, int]]:
    """Along an axis, the taps i that add to place `first` of dx, each with the place of g."""
    reads = [(i, first + padding - i * dilation) for i in range(kernel)]
    return [(i, at // stride) for i, at in reads if at % stride == 0]


def _pads(size: Pair, reads: tuple[list[int], list[int]], counts: list[Pair], split: int
          ) -> tuple[Pads, bool]:
    """The padded size of an input, and whether that differs from the input.

    Along each axis, a tap reads from places `reads` on, at `counts` = (how many places, step).
    """
    before, sizes = [], []
    for starts, (count, step) in zip(reads, counts, strict=True):
        last = max(starts) + (count - 1) * step
        before.append(max(0, -min(starts)))
        sizes.append(max(before[-1] + last + 1, 1))
    if split == 1 and before == [0, 0] and all(m <= n for m, n in zip(sizes, size, strict=True)):
        return (0, 0, *size, 1), False
    return (before[0], before[1], sizes[0], sizes[1], split), True


def _lines(phases: list[list[int]], images: int, itemsize: int, apart: tuple[int, int, int],
           whole_planes: bool) -> tuple[Array, int]:
    """The lines of phases that name their rows and columns, and the room that they need.

    apart: how far apart rows and columns lie in the input, and columns in the output.
    """
    row, column, to = apart
    lanes = LANES // itemsize
    table, room = np.array(phases, np.int64), 0
    rows, columns = table[:, 2].copy(), table[:, 3].copy()
    if column != images or (to != images and images >= lanes):
        table[:, 4] = images                    # a column is a segment
        return table, 0
    table[:, 3], table[:, 4] = 1, columns * images
    whole = (rows - 1) * row + columns * images
    if to == images and (table[:, 6] == columns * images).all() and row == columns[0] * images:
        table[:, 2], table[:, 4] = 1, whole     # rows follow one another everywhere
        return table, 0
    if whole_planes and (-(-whole // lanes)).sum() < (rows * -(-columns * images // lanes)).sum():
        table[:, 2], table[:, 4], table[:, 6] = 1, whole, row
    elif to != images:
        table[:, 6] = columns * images
        whole = rows * columns * images
    else:
        return table, 0
    table[:, 5] = np.cumsum(whole) - whole
    room = int(whole.sum())
    return table, room


# ---- what windows see, with NumPy ----------------------------------------------------------------

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
    return framed(x[tuple(inside)], (*around, (0, 0)), 0)


def fold_places(values: Callable[[int, int], Array], kernel: Pair, sizes: Sizes, out_size: Pair,
                x: Array) -> None:
    """x = Σ over (i, j) of values(i, j) (C, OH, OW, N), each added where `places` finds (i, j)."""
    (height, width), (top, left) = x.shape[1:3], sizes[4:6]
    reach = [(o - 1) * s + (k - 1) * d + 1
             for o, s, k, d in zip(out_size, sizes[:2], kernel, sizes[2:4], strict=True)]
    canvas = empty((len(x), max(top + height, reach[0]), max(left + width, reach[1]), x.shape[3]),
                   x.dtype if kernel[0] * kernel[1] <= EXACT else np.float64)
    canvas.fill(0)
    for (i, j), seen in places(canvas, kernel, sizes, out_size):
        seen += values(i, j)
    x[:] = canvas[:, top:top + height, left:left + width]
