"""Convolution as a sum of shifted lines.

    y[o] = b[o] + Σ over taps of w[o, tap] · (what the tap sees of x)

A tap is a place (i, j) of the window, in one channel. What it sees at all output places is a set of
lines of memory, which conv_plan.py describes. So nothing needs to be unfolded (im2col): y is a
matrix product whose right matrix is x itself, read from a different start for each of its rows.

A *tile* of y, some channels × some vectors of positions, stays in registers while all taps are
added up (tile.py). A thread computes one tile after another. All tiles at the same positions read
the same values of x. These are gathered once, into a panel that stays in cache.

All arrays lie batch last: x (C, H, W, N), y and g (O, OH, OW, N), so lines are long. `sizes` are
(SH, SW, DH, DW, PH, PW, groups); `numbers`, `taps` and `phases` are those of a Plan, and `numbers`
holds `sizes`, `pads` and `steps`. `at_once`: the channels and taps of a tile of dw. `panels`: each
thread's. `scratch` has room for what `parts_of` names. Every value is the sum of the same terms in
the same order, whichever thread computes it.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    Array,
    Double3,
    Float1,
    Float2,
    Float3,
    Float4,
    Int1,
    Int2,
    Pair,
    inline,
    kernel,
    prange,
)
from minigrad.kernels.conv_plan import TRANSPOSED, fold_places, padded, places
from minigrad.kernels.matmul import add_products
from minigrad.kernels.sums import EXACT
from minigrad.kernels.tile import ROWS, VECTORS, gather, tile_at
from minigrad.kernels.vectors import products_1, products_4, sums

CHUNK = 2048                # positions whose products are added up in registers
SUMMANDS = 512              # taps whose products are
LONG = 16                   # such sums that are added up in x's dtype, and then in float64;
MANY = 64                   # of positions, so many
PART = 2**12                # values of a line that a thread adds up in turn


# ---- the parts of the loops ----------------------------------------------------------------------

@inline
def parts_of(scratch: Float1, shape: tuple[int, int, int, int], outs: int, k: int, pads: Int1,
             steps: Int1) -> tuple[Array, Array, Array]:
    """Room for the padded channels of an input of this shape, if there are any; for the lines of
    each output channel that are moved afterwards, if there are any; and for the matrix of weights
    (outs, k), if w does not hold it as it is."""
    channel = pads[2] * pads[3] * pads[4] * shape[3]
    padded, moved = shape[0] if channel > 0 else 0, outs if steps[8] > 0 else 0
    first = padded * channel
    second, rows = first + moved * steps[8], outs if steps[9] else 0
    return (scratch[:first].reshape(padded, channel),
            scratch[first:second].reshape(moved, steps[8]),
            scratch[second:second + rows * k].reshape(rows, k))


@inline
def pad_channel(x: Float3, pads: Int1, room: Float1) -> None:
    """room (height, split, width, N) = x (H, W, N) with zeros around it; see conv_plan.Plan."""
    in_height, in_width, images = x.shape
    top, left, height, width, split = pads[0], pads[1], pads[2], pads[3], pads[4]
    line, before, flat = width * images, min(left, width) * images, x.reshape(-1)
    for h in range(height):
        inside = h >= top and h - top < in_height
        source = flat[(h - top) * in_width * images:] if inside else flat[:0]
        for s in range(split):
            target = room[(h * split + s) * line:(h * split + s + 1) * line]
            columns = max(0, (in_width - s + split - 1) // split)   # of the input, in part s
            stop = min(width, left + columns) * images if inside else before
            # parts of its own for each loop: an index that might be negative prevents vectors
            zeros, inner, rest = target[:before], target[before:stop], target[stop:]
            for p in range(before):
                zeros[p] = 0
            for p in range(line - stop):
                rest[p] = 0
            if split == 1:
                for p in range(stop - before):
                    inner[p] = source[p]
            elif images == 1:
                for p in range(stop - before):
                    inner[p] = source[p * split + s]
            else:
                for w in range((stop - before) // images):
                    place, seen = inner[w * images:], source[(w * split + s) * images:]
                    for n in range(images):
                        place[n] = seen[n]


@inline
def next_vectors(starts: Int2, at: Int1, phase: Int1, steps: Int1, lanes: int) -> None:
    """Fill `starts` with the vectors from row at[0], segment at[1], value at[2] on, and move `at`.
    """
    rows, segments, length, to, to_row = phase[2], phase[3], phase[4], phase[5], phase[6]
    for v in range(starts.shape[1]):
        row, segment, value = at[0], at[1], at[2]
        used = row < rows
        starts[0, v] = row * steps[0] + segment * steps[1] + value if used else 0
        starts[1, v] = to + row * to_row + segment * steps[3] + value if used else 0
        starts[2, v] = min(lanes, length - value) if used else 0
        at[2] += lanes
        if at[2] >= length:
            at[2] = 0
            at[1] += 1
            if at[1] == segments:
                at[1] = 0
                at[0] += 1


@inline
def add_tile(y: Float1, starts: Int2, pitch: int, count: int, sums: Double3) -> None:
    """sums += y, for a tile of `count` channels: sums (channels, vectors, lanes), and the rest as
    in vectors.py."""
    for o in range(count):
        for v in range(starts.shape[1]):
            values, total = y[starts[1, v] + o * pitch:], sums[o, v]
            for i in range(starts[2, v]):
                total[i] += values[i]


@inline
def move_tile(sums: Double3, starts: Int2, pitch: int, count: int, y: Float1) -> None:
    """y = sums, for a tile as in `add_tile`; sums = 0."""
    for o in range(count):
        for v in range(starts.shape[1]):
            values, total = y[starts[1, v] + o * pitch:], sums[o, v]
            for i in range(starts[2, v]):
                values[i] = total[i]
                total[i] = 0


@inline
def add_up(thread: int, threads: int, x: Float1, w: Float2, b: Float1, groups: int, taps: Int2,
           phases: Int2, steps: Int1, panels: Float3, y: Float1) -> None:
    """A thread's share of the tiles of y, whose channels are the rows of w; b may be empty."""
    outs, plane, lanes = w.shape[0] // groups, y.shape[0] // w.shape[0], 64 // x.itemsize
    blocks, in_turn = (outs + ROWS - 1) // ROWS, panels.shape[0]
    at, starts = np.empty(3, np.int64), np.empty((in_turn, 3, VECTORS), np.int64)
    for p in range(phases.shape[0]):
        phase = phases[p]
        per_segment = (phase[4] + lanes - 1) // lanes
        tiles = (phase[2] * phase[3] * per_segment + VECTORS - 1) // VECTORS
        seen, weights = taps[0, phase[0]:phase[1]], w[:, phase[0]:phase[1]]
        k = seen.shape[0]
        totals = np.zeros((min(outs, ROWS), VECTORS, lanes) if k > LONG * SUMMANDS else (0, 0, 0))
        parts = (tiles + in_turn - 1) // in_turn
        units = groups * parts * blocks
        first, last = units * thread // threads, units * (thread + 1) // threads
        for unit in range(first, last):
            group, part, block = unit // (parts * blocks), unit // blocks % parts, unit % blocks
            count = min(in_turn, tiles - part * in_turn)
            if unit == first or block == 0:
                if unit == first or part == 0:
                    vector = part * in_turn * VECTORS
                    segment = vector // per_segment
                    at[0], at[1] = segment // phase[3], segment % phase[3]
                    at[2] = vector % per_segment * lanes
                for i in range(count):
                    next_vectors(starts[i], at, phase, steps, lanes)
                    gather(x[group * steps[2]:], seen, starts[i], panels[i])
            o, stop = group * outs + block * ROWS, group * outs + min((block + 1) * ROWS, outs)
            target = y[o * plane:]
            for i in range(count):
                biases = b[o:stop]
                for first_tap in range(0, max(k, 1), SUMMANDS):
                    these = slice(first_tap, min(first_tap + SUMMANDS, k))
                    tile_at(weights[o:stop, these], panels[i, these], biases, starts[i], target,
                            plane, first_tap > 0 and totals.size == 0)
                    if totals.size > 0:
                        add_tile(target, starts[i], plane, stop - o, totals)
                        biases = b[:0]
                if totals.size > 0:
                    move_tile(totals, starts[i], plane, stop - o, target)


@inline
def add_up_alone(thread: int, threads: int, x: Float1, w: Float2, b: Float1, taps: Int2,
                 phases: Int2, steps: Int1, y: Float1) -> None:
    """The same where each group has one output channel: line by line."""
    groups, plane = w.shape[0], y.shape[0] // w.shape[0]
    for p in range(phases.shape[0]):
        phase = phases[p]
        rows, length, parts = phase[2], phase[4], (phase[4] + PART - 1) // PART
        seen, weights = taps[0, phase[0]:phase[1]], w[:, phase[0]:phase[1]]
        k, units = seen.shape[0], groups * rows * parts
        totals = np.zeros(min(length, PART) if k > LONG * SUMMANDS else 0)
        for unit in range(units * thread // threads, units * (thread + 1) // threads):
            group, row, start = unit // (rows * parts), unit // parts % rows, unit % parts * PART
            n = min(PART, length - start)
            for segment in range(phase[3]):
                source = x[group * steps[2] + row * steps[0] + segment * steps[1] + start:]
                to = group * plane + phase[5] + row * phase[6] + segment * steps[3] + start
                target, biases = y[to:to + n], b[group:group + 1]
                for first_tap in range(0, max(k, 1), SUMMANDS):
                    these = slice(first_tap, min(first_tap + SUMMANDS, k))
                    sums(weights[group, these], biases, source, seen[these], target,
                         first_tap > 0 and totals.size == 0)
                    if totals.size > 0:
                        for i in range(n):
                            totals[i] += target[i]
                        biases = b[:0]
                if totals.size > 0:
                    for i in range(n):
                        target[i] = totals[i]
                        totals[i] = 0


@inline
def collect(lines: Float1, phases: Int2, steps: Int1, y: Float3) -> None:
    """Move what was computed of a channel from `lines` to y (H, W, N)."""
    height, width, images = y.shape
    down, across = steps[6], steps[7]
    for p in range(phases.shape[0]):
        to, to_row, first_row, first = phases[p, 5], phases[p, 6], phases[p, 7], phases[p, 8]
        for h in range(first_row, height, down):
            source, target = lines[to + h // down * to_row:], y[h].reshape(-1)
            if across == 1:
                for q in range(width * images):
                    target[q] = source[q]
            elif images == 1:
                for q in range((width - first + across - 1) // across):
                    target[first + q * across] = source[q]
            else:
                for q in range((width - first + across - 1) // across):
                    place, value = target[(first + q * across) * images:], source[q * images:]
                    for n in range(images):
                        place[n] = value[n]


# ---- the kernels ---------------------------------------------------------------------------------

def conv_numpy(x: Float4, w: Float4, b: Float1, numbers: Int1, taps: Int2, phases: Int2,
               panels: Float4, scratch: Float1, y: Float4) -> None:
    """y[o, oh, ow, n] = b[o] + Σ_cij w[o, c, i, j] · x[c, oh·SH + i·DH - PH, ow·SW + j·DW - PW, n]

    With the numbers of `input_grad_plan`, x is a gradient and y that of the input: for all
    (o, oh, ow, i, j), starting from y[c] = b[c],

    y[c, oh·SH + i·DH - PH, ow·SW + j·DW - PW, n] += w[o, c, i, j] · x[o, oh, ow, n]
    """
    *sizes, groups = numbers[:7].tolist()
    kernel, by_group = w.shape[2:], w.reshape(groups, -1, *w.shape[1:])
    if numbers[TRANSPOSED]:
        turned, slopes = by_group.swapaxes(1, 2), x.reshape(groups, by_group.shape[1], -1)
        product = np.empty((groups, w.shape[1], slopes.shape[2]), y.dtype)

        def values(i: int, j: int) -> Array:
            add_products(turned[..., i, j], slopes, product)
            return product.reshape(-1, *x.shape[1:])

        fold_places(values, kernel, sizes, x.shape[1:3], y)
    else:
        out_size = y.shape[1:3]
        sums = np.zeros(y.shape, y.dtype if kernel[0] * kernel[1] <= EXACT else np.float64)
        product = np.empty((groups, len(w) // groups, y[0].size), y.dtype)
        for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
            add_products(by_group[..., i, j], seen.reshape(groups, w.shape[1], -1), product)
            sums += product.reshape(y.shape)
        y[:] = sums
    if len(b):
        y += b[:, None, None, None]


@kernel(conv_numpy, writes=("y",), scratch=("panels", "scratch"), small=2,
        work=lambda *args: len(args[6]))
def conv(x: Float4, w: Float4, b: Float1, numbers: Int1, taps: Int2, phases: Int2, panels: Float4,
         scratch: Float1, y: Float4) -> None:
    # its work is counted in threads, as there are panels: one that is to run alone is the caller's
    groups, pads, steps = numbers[6], numbers[7:12], numbers[12:]
    outs, k, threads = y.shape[0], taps.shape[1], panels.shape[0]
    room, lines, matrix = parts_of(scratch, x.shape, outs, k, pads, steps)
    depthwise = outs == groups == room.shape[0] >= threads > 0
    if room.shape[0] > 0 and not depthwise:
        for c in prange(room.shape[0]):
            pad_channel(x[c], pads, room[c])
    if matrix.shape[0] > 0:
        values = w.reshape(-1)
        for o in prange(outs):
            group, channel = o // (outs // groups), o % (outs // groups)
            for i in range(k):
                matrix[o, i] = values[group * steps[4] + channel * steps[5] + taps[1, i]]
    source = room.reshape(-1) if room.shape[0] > 0 else x.reshape(-1)
    weights = matrix if matrix.shape[0] > 0 else w.reshape(outs, k)
    target = lines.reshape(-1) if lines.shape[0] > 0 else y.reshape(-1)
    for thread in prange(threads):
        if depthwise:       # a channel is in the core's cache when it is added up
            plane, last = target.shape[0] // outs, outs * (thread + 1) // threads
            for c in range(outs * thread // threads, last):
                pad_channel(x[c], pads, room[thread])
                add_up_alone(0, 1, room[thread], weights[c:c + 1], b[c:c + 1], taps, phases, steps,
                             target[c * plane:(c + 1) * plane])
        elif outs == groups:
            add_up_alone(thread, threads, source, weights, b, taps, phases, steps, target)
        else:
            add_up(thread, threads, source, weights, b, groups, taps, phases, steps,
                   panels[thread], target)
    if lines.shape[0] > 0:
        for o in prange(lines.shape[0]):
            collect(lines[o], phases, steps, y[o])


def conv_weight_grad_numpy(x: Float4, g: Float4, numbers: Int1, taps: Int2, phases: Int2,
                           at_once: Pair, threads: int, scratch: Float1, dw: Float4) -> None:
    """dw[o, c, i, j] = Σ_hwn g[o, h, w, n] · x[c, h·SH + i·DH - PH, w·SW + j·DW - PW, n]"""
    kernel, out_size, (*sizes, groups) = dw.shape[2:], g.shape[1:3], numbers[:7].tolist()
    outs = len(g) // groups
    by_group, sums = g.reshape(groups, outs, -1), dw.reshape(groups, outs, *dw.shape[1:])
    for (i, j), seen in places(padded(x, kernel, sizes, out_size), kernel, sizes, out_size):
        channels = seen.reshape(groups, dw.shape[1], -1)
        add_products(by_group, channels.swapaxes(1, 2), sums[..., i, j])


@kernel(conv_weight_grad_numpy, writes=("dw",), scratch=("scratch",), small=2,
        work=lambda *args: args[6])
def conv_weight_grad(x: Float4, g: Float4, numbers: Int1, taps: Int2, phases: Int2, at_once: Pair,
                     threads: int, scratch: Float1, dw: Float4) -> None:
    # A thread owns tiles of dw. It adds to each, chunk after chunk of positions, while a chunk is
    # in its cache.
    groups, pads, steps = numbers[6], numbers[7:12], numbers[12:]
    outs = dw.shape[0] // groups
    room, _, _ = parts_of(scratch, x.shape, 0, 0, pads, steps)
    for i in prange(max(room.shape[0], dw.shape[0])):
        if i < room.shape[0]:
            pad_channel(x[i], pads, room[i])
        if i < dw.shape[0]:
            dw[i] = 0
    source = room.reshape(-1) if room.shape[0] > 0 else x.reshape(-1)
    slopes, target = g.reshape(-1), dw.reshape(-1)
    plane, k = g.shape[1] * g.shape[2] * g.shape[3], taps.shape[1]
    rows, segments, length, g_row = phases[0, 2], phases[0, 3], phases[0, 4], phases[0, 6]
    down = max(1, CHUNK // (segments * length))
    across = CHUNK if rows == 1 and segments == 1 else length
    blocks, parts = -(-outs // at_once[0]), -(-k // at_once[1])
    tall, wide = MANY * down, MANY * across             # of a pass, after which float64 takes over
    one_pass = rows <= tall and length <= wide
    sums = np.zeros(0 if one_pass else target.shape[0])
    for top in range(0, rows, tall):
        for left in range(0, length, wide):
            bottom, right = min(top + tall, rows), min(left + wide, length)
            for thread in prange(threads):
                units = groups * blocks * parts
                first, last = units * thread // threads, units * (thread + 1) // threads
                for row in range(top, bottom, down):
                    for value in range(left, right, across):
                        lines = (min(down, bottom - row), segments, min(across, right - value),
                                 g_row, steps[3], steps[0], steps[1])
                        for unit in range(first, last):
                            group, block, part = (unit // (blocks * parts), unit // parts % blocks,
                                                  unit % parts)
                            o = group * outs + block * at_once[0]
                            count = min(at_once[0], outs - block * at_once[0])
                            seen = taps[0, part * at_once[1]:min(k, (part + 1) * at_once[1])]
                            at_g = slopes[o * plane + row * g_row + value:]
                            at_x = source[group * steps[2] + row * steps[0] + value:]
                            to = target[o * k + part * at_once[1]:]
                            if at_once[0] > 1:
                                products_4(at_g, at_x, seen, lines, to, plane, k, count)
                            else:
                                products_1(at_g, at_x, seen, lines, to, plane, k, count)
            if not one_pass:
                for i in prange(target.shape[0]):
                    sums[i] += target[i]
                    target[i] = 0
    for i in prange(sums.shape[0]):
        target[i] = sums[i]
