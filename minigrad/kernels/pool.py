"""Pooling over windows that are given by where they start and stop along each axis of the input.

Window (i, j) covers rows h0[i] to h1[i] and columns w0[j] to w1[j], without the ends. So one loop
serves padding, dilation (`step`), ceil_mode and the adaptive pools. Images lie batch last, as
(C, H, W, N), and a place of a window is looked at for all images at once. Then the innermost loops
have no branches, and compile to vector instructions. For `FEW` images these loops would be too
short. Then a place of the window is looked at for all windows of a plane at once, image by image.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Double1,
    Double2,
    Float1,
    Float3,
    Float4,
    Index1,
    Index2,
    Index3,
    Index4,
    Int1,
    Pair as Pair,
    inline,
    kernel,
    prange,
)

FEW = 8                     # images: fewer than a vector has lanes
PIECES = 16                 # in which the channels of few images are shared among threads
EXACT = 64                  # numbers that float32 may add up one after the other


def max_pool_numpy(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float4,
                   indices: Index4) -> None:
    """y[c, i, j] = the maximum of x over window (i, j); indices: its place, h·W + w.

    Of several equal maxima the first counts. A NaN counts as the maximum, the last of several. An
    empty window gives 0 and the place -1.
    """
    width = x.shape[2]
    for i in range(len(h0)):
        for j in range(len(w0)):
            rows, cols = np.arange(h0[i], h1[i], step[0]), np.arange(w0[j], w1[j], step[1])
            if not rows.size * cols.size:
                y[:, i, j], indices[:, i, j] = 0, -1
                continue
            window = x[:, rows][:, :, cols].reshape(len(x), rows.size * cols.size, x.shape[3])
            best = window.argmax(1)
            nan = np.isnan(window)
            best = np.where(nan.any(1), window.shape[1] - 1 - nan[:, ::-1].argmax(1), best)
            y[:, i, j] = np.take_along_axis(window, best[:, None], 1)[:, 0]
            indices[:, i, j] = (rows[:, None] * width + cols).reshape(-1)[best]


@inline
def most_places(start: Int1, stop: Int1, step: int) -> int:
    """The number of places of the widest window along an axis."""
    most = 0
    for i in range(start.shape[0]):
        most = max(most, (stop[i] - start[i] + step - 1) // step)
    return most


@inline
def places_of(h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, width: int, images: int
              ) -> tuple[Array, Array]:
    """places[k, q·images + n] = the k-th place, h·width + w, of window q of a plane; -1 where it
    has none. And where image n of that place lies in the plane; 0 where there is none."""
    tall, wide = most_places(h0, h1, step[0]), most_places(w0, w1, step[1])
    columns = w0.shape[0]
    places = np.empty((tall * wide, h0.shape[0] * columns * images), np.int32)
    where = np.empty(places.shape, np.int32)
    for a in range(tall):
        for b in range(wide):
            for i in range(h0.shape[0]):
                h = h0[i] + a * step[0]
                for j in range(columns):
                    w = w0[j] + b * step[1]
                    inside = (h < h1[i]) & (w < w1[j])
                    for n in range(images):
                        at = (i * columns + j) * images + n
                        places[a * wide + b, at] = np.int32(h * width + w if inside else -1)
                        where[a * wide + b, at] = np.int32((h * width + w) * images + n
                                                           if inside else 0)
    return places, where


@inline
def look(x: Float1, where: Index2, k: int, seen: Float1) -> None:
    """seen[q] = x, a plane, at the k-th places of all windows."""
    for q in range(where.shape[1]):
        seen[q] = x[where[k, q]]


@inline
def keep_largest(seen: Float1, places: Index2, k: int, best: Float1, at: Index1) -> None:
    """best, at = what is seen, and its place, where that wins."""
    for q in range(places.shape[1]):
        one, place = seen[q], places[k, q]
        wins = (place >= 0) & ((at[q] < 0) | (one > best[q]) | (one != one))
        best[q] = one if wins else best[q]
        at[q] = place if wins else at[q]


@kernel(max_pool_numpy, writes=("y", "indices"), small=SMALL)
def max_pool(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, y: Float4,
             indices: Index4) -> None:
    width, images = x.shape[2:]
    rows, columns = h0.shape[0], w0.shape[0]
    if images < FEW:
        places, where = places_of(h0, h1, w0, w1, step, width, images)
        windows, source, area = places.shape[1], x.reshape(-1), x.shape[1] * width * images
        largest, found = y.reshape(-1), indices.reshape(-1)
        pieces = min(x.shape[0], PIECES)
        for piece in prange(pieces):
            seen = np.empty(windows, x.dtype)
            for c in range(piece, x.shape[0], pieces):
                best = largest[c * windows:(c + 1) * windows]
                at = found[c * windows:(c + 1) * windows]
                best[:] = 0
                at[:] = -1
                for k in range(places.shape[0]):
                    look(source[c * area:], where, k, seen)
                    keep_largest(seen, places, k, best, at)
        return
    for piece in prange(x.shape[0] * rows):
        c, i = piece // rows, piece % rows
        for j in range(columns):
            best, at = y[c, i, j], indices[c, i, j]
            best[:] = 0
            at[:] = -1
            first = True
            for h in range(h0[i], h1[i], step[0]):
                for w in range(w0[j], w1[j], step[1]):
                    value, place = x[c, h, w], np.int32(h * width + w)
                    if first:
                        for n in range(images):
                            best[n] = value[n]
                            at[n] = place
                        first = False
                    else:
                        for n in range(images):
                            wins = (value[n] > best[n]) | (value[n] != value[n])
                            best[n] = value[n] if wins else best[n]
                            at[n] = place if wins else at[n]


def max_pool_grad_numpy(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair,
                        indices: Index4, dx: Float4) -> None:
    """dx = 0, then dx[c, place] += g[c, i, j] for the place that indices[c, i, j] names."""
    c, i, j, n = np.nonzero(indices >= 0)
    planes = np.zeros((len(dx), dx.shape[1] * dx.shape[2], dx.shape[3]))
    np.add.at(planes, (c, indices[c, i, j, n], n), g[c, i, j, n])
    dx[:] = planes.reshape(dx.shape)


@inline
def most_overlaps(start: Int1, stop: Int1) -> int:
    """How many windows along an axis share a place, at most."""
    most = 0
    for i in range(start.shape[0]):
        last = i
        while last + 1 < start.shape[0] and start[last + 1] < stop[i]:
            last += 1
        most = max(most, last - i + 1)
    return most


@inline
def put_back(g: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, indices: Index3,
             dx: Float3) -> None:
    # Compares every place of a window with the index. With vector instructions that takes less time
    # than one store to an address that differs from image to image, unless images are few.
    width, images = dx.shape[1:]
    dx[:] = 0
    for i in range(h0.shape[0]):
        for j in range(w0.shape[0]):
            if images < FEW:
                for n in range(images):
                    where = indices[i, j, n]
                    if where >= 0:
                        dx[where // width, where % width, n] += g[i, j, n]
                continue
            slope, at = g[i, j], indices[i, j]
            for h in range(h0[i], h1[i], step[0]):
                for w in range(w0[j], w1[j], step[1]):
                    target, place = dx[h, w], np.int32(h * width + w)
                    for n in range(images):
                        target[n] += slope[n] if at[n] == place else slope.dtype.type(0)


@kernel(max_pool_grad_numpy, writes=("dx",), small=SMALL)
def max_pool_grad(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, step: Pair, indices: Index4,
                  dx: Float4) -> None:
    few = most_overlaps(h0, h1) * most_overlaps(w0, w1) <= EXACT
    for c in prange(dx.shape[0]):
        if few:
            put_back(g[c], h0, h1, w0, w1, step, indices[c], dx[c])
        else:
            sums = np.empty(dx.shape[1:])
            put_back(g[c], h0, h1, w0, w1, step, indices[c], sums)
            dx[c] = sums


def gather_numpy(x: Float4, indices: Index4, y: Float4) -> None:
    """y[c, i, j, n] = x[c, …, n] at the place that indices[c, i, j, n] names, or 0 if it is -1."""
    c, _, _, n = np.indices(y.shape)
    y[:] = np.where(indices < 0, 0, x[c, indices // x.shape[2], indices % x.shape[2], n])


@kernel(gather_numpy, writes=("y",))
def gather(x: Float4, indices: Index4, y: Float4) -> None:
    width = x.shape[2]
    for c in prange(x.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for n in range(y.shape[3]):
                    at = indices[c, i, j, n]
                    y[c, i, j, n] = (x[c, at // width, at % width, n] if at >= 0
                                     else x.dtype.type(0))


@inline
def add_window_rows(x: Float1, h0: int, h1: int, w0: int, w1: int, width: int, line: Double1,
                    sums: Double1) -> None:
    """sums += Σ x over a window of a plane, for each image: a row of the window at a time."""
    images = sums.shape[0]
    long = (w1 - w0) * images
    line[:long] = 0
    for h in range(h0, h1):
        row = x[(h * width + w0) * images:]
        for p in range(long):
            line[p] += row[p]
    for n in range(images):
        for p in range(n, long, images):
            sums[n] += line[p]


@inline
def add_seen(seen: Float1, places: Index2, k: int, sums: Double1) -> None:
    """sums += what is seen, where there is a place."""
    for q in range(places.shape[1]):
        sums[q] += seen[q] if places[k, q] >= 0 else seen.dtype.type(0)


def avg_pool_numpy(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Double2, y: Float4
                   ) -> None:
    """y[c, i, j] = Σ x over window (i, j) / divisor[i, j]."""
    for i in range(len(h0)):
        for j in range(len(w0)):
            window = x[:, h0[i]:h1[i], w0[j]:w1[j]]
            y[:, i, j] = window.sum((1, 2), dtype=np.float64) / divisor[i, j]


@inline
def add_window(x: Float3, h0: int, h1: int, w0: int, w1: int, sums: Float1) -> None:
    """sums = Σ x over a window, for each image."""
    sums[:] = 0
    for h in range(h0, h1):
        for w in range(w0, w1):
            values = x[h, w]
            for n in range(sums.shape[0]):
                sums[n] += values[n]


@kernel(avg_pool_numpy, writes=("y",), small=SMALL)
def avg_pool(x: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Double2, y: Float4
             ) -> None:
    rows, columns, (width, images) = h0.shape[0], w0.shape[0], x.shape[2:]
    if images < FEW:
        source, area, means = x.reshape(-1), x.shape[1] * width * images, y.reshape(-1)
        windows, divisors = rows * columns, divisor.reshape(-1)
        # where windows are wider than there are windows, loops run along the rows of a window
        wide = windows < most_places(w0, w1, 1)
        places, where = places_of(h0[:0] if wide else h0, h1, w0, w1, (1, 1), width, images)
        pieces = min(x.shape[0], PIECES)
        for piece in prange(pieces):
            seen, sums = np.empty(windows * images, x.dtype), np.empty(windows * images)
            line = np.empty(width * images if wide else 0)
            for c in range(piece, x.shape[0], pieces):
                plane, mean = source[c * area:], means[c * windows * images:]
                sums[:] = 0
                if wide:
                    for q in range(windows):
                        i, j = q // columns, q % columns
                        add_window_rows(plane, h0[i], h1[i], w0[j], w1[j], width, line,
                                        sums[q * images:(q + 1) * images])
                else:
                    for k in range(places.shape[0]):
                        look(plane, where, k, seen)
                        add_seen(seen, places, k, sums)
                for q in range(windows):
                    for n in range(images):
                        mean[q * images + n] = sums[q * images + n] / divisors[q]
        return
    for piece in prange(x.shape[0] * rows):
        c, i = piece // rows, piece % rows
        for j in range(columns):
            mean = y[c, i, j]
            if (h1[i] - h0[i]) * (w1[j] - w0[j]) <= EXACT:
                add_window(x[c], h0[i], h1[i], w0[j], w1[j], mean)
                count = x.dtype.type(divisor[i, j])
                for n in range(images):
                    mean[n] /= count
            else:
                sums = np.empty(images)
                add_window(x[c], h0[i], h1[i], w0[j], w1[j], sums)
                for n in range(images):
                    mean[n] = sums[n] / divisor[i, j]


def avg_pool_grad_numpy(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Double2,
                        dx: Float4) -> None:
    """dx = 0, then dx over each window (i, j) += g[c, i, j] / divisor[i, j]."""
    sums = np.zeros(dx.shape)
    for i in range(len(h0)):
        for j in range(len(w0)):
            sums[:, h0[i]:h1[i], w0[j]:w1[j]] += (g[:, i, j] / divisor[i, j])[:, None, None]
    dx[:] = sums


@inline
def spread(g: Float3, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Double2, dx: Float3) -> None:
    images = dx.shape[2]
    dx[:] = 0
    for i in range(h0.shape[0]):
        for j in range(w0.shape[0]):
            count = g.dtype.type(divisor[i, j])
            if images < FEW:
                for n in range(images):
                    share = g[i, j, n] / count
                    for h in range(h0[i], h1[i]):
                        for w in range(w0[j], w1[j]):
                            dx[h, w, n] += share
                continue
            slope = g[i, j]
            for h in range(h0[i], h1[i]):
                for w in range(w0[j], w1[j]):
                    target = dx[h, w]
                    for n in range(images):
                        target[n] += slope[n] / count


@kernel(avg_pool_grad_numpy, writes=("dx",), small=SMALL)
def avg_pool_grad(g: Float4, h0: Int1, h1: Int1, w0: Int1, w1: Int1, divisor: Double2, dx: Float4
                  ) -> None:
    few = most_overlaps(h0, h1) * most_overlaps(w0, w1) <= EXACT
    for c in prange(dx.shape[0]):
        if few:
            spread(g[c], h0, h1, w0, w1, divisor, dx[c])
        else:
            sums = np.empty(dx.shape[1:])
            spread(g[c], h0, h1, w0, w1, divisor, sums)
            dx[c] = sums
