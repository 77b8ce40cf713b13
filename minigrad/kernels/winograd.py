"""3×3 convolution with a quarter of the multiplications: Winograd's F(4×4, 3×3) (Lavin & Gray
2016).

The output is cut into tiles of 4×4. Each comes from 6×6 values d of the input by

    y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A          36 products for each channel instead of 16·9

where ⊙ is the elementwise product. With u = G w Gᵀ and v = Bᵀ d B, only u ⊙ v is summed over the
channels. So it becomes 36 matrix products, one for each position (i, j) in the transformed tile:

    m[i, j] = u[i, j] @ v[i, j],     u (6, 6, O, C),  v (6, 6, C, tiles),  m (6, 6, O, tiles)

and y = Aᵀ m A. The gradient is as simple:

    du[i, j] = (A g Aᵀ)[i, j] @ v[i, j]ᵀ,   dw = Gᵀ du G

The transforms multiply polynomials at the points 0, ±√½, ±√2, ∞. With Lavin & Gray's 0, ±1, ±2, ∞
the float32 error is twice as large (tests/test_winograd.py measures it); with these, each of which
has its reciprocal among them (Barabasz et al. 2020), it stays within 2e-5 for inputs and outputs of
size 1. On average that is three to five times the error of the direct sum. The error is about the
same for all values of a tile, in proportion to the largest of its inputs; and if one of those is
NaN or infinite, the whole tile is NaN.

The transforms work on *vectors*: a tile of one channel for as many images as a vector register has
lanes. They keep a tile in registers from the first to the last step (winograd_tiles.py). Some
vectors are transformed, multiplied and transformed back while they are in cache. For a whole image
at once, v and m would each be 2.25 times as large as the image, and memory would be the limit. All
arrays lie batch last, so that the values of a vector lie side by side.

Each thread computes a part of the vectors and works in its row of `scratch`; `parts_of` says what
lies where in it. The sum over tiles in du is the sum of a fixed number of `partials`, for the
reason given in conv.py.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import (
    Array,
    Double2,
    Float1,
    Float2,
    Float3,
    Float4,
    Pair,
    gemm,
    inline,
    kernel,
    prange,
)
from minigrad.kernels.conv import SUMMANDS
from minigrad.kernels.tile import ROWS, VECTORS, tile
from minigrad.kernels.winograd_tiles import (
    A,
    B,
    gradient_tile,
    input_tile,
    output_tile,
    weight_grad_tile,
    weight_tile,
)

LONG = 64                   # products that are added up in x's dtype, and then in float64

BT = np.array([[1, 0, -2.5, 0, 1, 0],
               [0, -B, -2, A, 1, 0], [0, B, -2, -A, 1, 0],
               [0, -A, -.5, B, 1, 0], [0, A, -.5, -B, 1, 0],
               [0, 1, 0, -2.5, 0, 1]])
G = np.array([[1, 0, 0],
              [-2 / 3, -2 / 3 * A, -1 / 3], [-2 / 3, 2 / 3 * A, -1 / 3],
              [1 / 6, B / 6, 1 / 3], [1 / 6, -B / 6, 1 / 3],
              [0, 0, 1]])
AT = np.array([[1, 1, 1, 1, 1, 0],
               [0, A, -A, B, -B, 0],
               [0, .5, .5, 2, 2, 0],
               [0, A / 2, -A / 2, 2 * B, -2 * B, 1]])


# ---- the parts of the loops ----------------------------------------------------------------------

@inline
def gap_of(vectors: int, lanes: int) -> int:
    """How far apart the 36 values of a tile lie, if there are so many vectors of each.

    It is an odd number of cache lines. If it were divisible by a power of two, the 36 would compete
    for a few places in the cache, which an address determines by its last bits.
    """
    return (vectors | 1) * lanes


def gap_between(vectors: int, lanes: int) -> int:
    """`gap_of` outside the loops, as Python: there the name stands for compiled code by then."""
    return int(getattr(gap_of, "py_func", gap_of)(vectors, lanes))


def scratch_size(channels: int, outs: int, count: int, lanes: int) -> int:
    """The length of a row of scratch for `count` vectors at a time."""
    return (36 * (gap_between(channels * count, lanes) + gap_between(outs * count, lanes))
            + 2 * lanes)


@inline
def parts_of(row: Float1, channels: int, outs: int, count: int, lanes: int
             ) -> tuple[Array, Array, Array, Array]:
    """A row of scratch as room for v and m of `count` vectors, as a vector of zeros, and as one
    that is written to and never read."""
    m = 36 * gap_of(channels * count, lanes)
    end = m + 36 * gap_of(outs * count, lanes)
    zeros = row[end:end + lanes]
    zeros[:] = 0
    return row[:m], row[m:end], zeros, row[end + lanes:end + 2 * lanes]


@inline
def transform_inputs(x: Float4, padding: Pair, across: int, first: int, count: int, room: int,
                     zeros: Float1, v: Float1) -> None:
    """v (36, gap) ⊇ (36, C, room·lanes) ⊇ Bᵀ d B of `count` vectors from number `first` on.

    across: how many tiles lie in a row.
    """
    channels, height, width, images = x.shape
    flat, lanes = x.reshape(-1), zeros.shape[0]
    parts = (images + lanes - 1) // lanes
    for q in range(count):
        tile, n = (first + q) // parts, (first + q) % parts * lanes
        top, left = tile // across * 4 - padding[0], tile % across * 4 - padding[1]
        for c in range(channels):
            input_tile(flat, c * height * width * images, top, left, height, width, images, n,
                       zeros, v, (c * room + q) * lanes, gap_of(channels * room, lanes))


@inline
def transform_gradients(g: Float4, across: int, first: int, count: int, zeros: Float1, m: Float1
                        ) -> None:
    """m (36, gap) ⊇ (36, O, count·lanes) = A g Aᵀ of `count` vectors from number `first` on."""
    outs, height, width, images = g.shape
    flat, lanes = g.reshape(-1), zeros.shape[0]
    parts = (images + lanes - 1) // lanes
    for q in range(count):
        tile, n = (first + q) // parts, (first + q) % parts * lanes
        top, left = tile // across * 4, tile % across * 4
        for o in range(outs):
            gradient_tile(flat, o * height * width * images, top, left, height, width, images, n,
                          zeros, m, (o * count + q) * lanes, gap_of(outs * count, lanes))


@inline
def transform_back(m: Float1, across: int, first: int, count: int, room: int, b: Float1,
                   unused: Float1, y: Float4) -> None:
    """y = Aᵀ m A + b for `count` vectors from number `first` on, m (36, gap) as v above."""
    outs, height, width, images = y.shape
    flat, lanes = y.reshape(-1), unused.shape[0]
    parts = (images + lanes - 1) // lanes
    for q in range(count):
        tile, n = (first + q) // parts, (first + q) % parts * lanes
        top, left = tile // across * 4, tile % across * 4
        for o in range(outs):
            output_tile(m, (o * room + q) * lanes, gap_of(outs * room, lanes), b[o], flat,
                        o * height * width * images, top, left, height, width, images, n, unused)


@inline
def transform_weights(w: Float3, o: int, u: Float2) -> None:
    """u[:, o·width:] = G w Gᵀ: w (C, 3, 3), u (36, gap), a channel's width being whole vectors."""
    lanes, taps, flat = 64 // w.itemsize, w.reshape(w.shape[0], 9), u.reshape(-1)
    width = (w.shape[0] + lanes - 1) // lanes * lanes
    plane = np.zeros(9 * width, w.dtype)
    for k in range(9):
        for c in range(w.shape[0]):
            plane[k * width + c] = taps[c, k]
    for c in range(0, width, lanes):
        weight_tile(plane, 0, 0, 0, 3, 3, width, c, plane, flat, o * width + c, u.shape[1])


@inline
def untransform_weights(partials: Float3, o: int, dw: Float3) -> None:
    """dw = Gᵀ (Σ_s partials[s]) G for channel o: partials (S, 36, gap), dw (C, 3, 3)."""
    lanes, taps, total = 64 // dw.itemsize, dw.reshape(dw.shape[0], 9), partials[0]
    width = (dw.shape[0] + lanes - 1) // lanes * lanes
    plane, unused = np.empty(9 * width, dw.dtype), np.empty(lanes, dw.dtype)
    for s in range(1, partials.shape[0]):
        for k in range(36):
            for c in range(o * width, (o + 1) * width):
                total[k, c] += partials[s, k, c]
    for c in range(0, width, lanes):
        weight_grad_tile(total.reshape(-1), o * width + c, total.shape[1], dw.dtype.type(0), plane,
                         0, 0, 0, 3, 3, width, c, unused)
    for k in range(9):
        for c in range(dw.shape[0]):
            taps[c, k] = plane[k * width + c]


@inline
def add(part: Float2, sums: Double2) -> None:
    """sums += part"""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            sums[i, j] += part[i, j]


# ---- the kernels ---------------------------------------------------------------------------------

def _tiles(x: Float4, side: int, padding: Pair, down: int, across: int) -> Array:
    """Squares of side × side places, 4 apart: x (C, H, W, N) → (C, down, across, N, side, side)."""
    (top, left), height, width = padding, 4 * down + side - 4, 4 * across + side - 4
    planes = np.zeros((x.shape[0], height + x.shape[1], width + x.shape[2], x.shape[3]), x.dtype)
    planes[:, top:top + x.shape[1], left:left + x.shape[2]] = x
    windows = np.lib.stride_tricks.sliding_window_view(planes[:, :height, :width], (side, side),
                                                       (1, 2))
    return windows[:, ::4, ::4]


def winograd_numpy(x: Float4, w: Float4, b: Float1, padding: Pair, u: Float2, scratch: Float2,
                   y: Float4) -> None:
    """y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A + b, tile by tile: conv(x, w) + b at stride 1"""
    (_, height, width, _), g, bt, at = y.shape, *(m.astype(x.dtype) for m in (G, BT, AT))
    tiles = _tiles(x, 6, padding, -(-height // 4), -(-width // 4))
    v = np.einsum("ip, chwnpq, jq -> ijchwn", bt, tiles, bt, optimize=True)
    m = np.einsum("ip, ocpq, jq, ijchwn -> ijohwn", g, w, g, v, optimize=True)
    whole = np.einsum("pi, ijohwn, qj -> ohpwqn", at, m, at, optimize=True)
    whole = whole.reshape(len(y), 4 * tiles.shape[1], 4 * tiles.shape[2], -1)
    y[:] = whole[:, :height, :width] + b[:, None, None, None]


@kernel(winograd_numpy, writes=("y",), scratch=("u", "scratch"))
def winograd(x: Float4, w: Float4, b: Float1, padding: Pair, u: Float2, scratch: Float2, y: Float4
             ) -> None:
    """u (36, gap of O channels); scratch for VECTORS vectors at a time."""
    (channels, _, _, images), (outs, height, width, _) = x.shape, y.shape
    across, lanes = (width + 3) // 4, 64 // x.itemsize
    pitch = (channels + lanes - 1) // lanes * lanes
    vectors = (height + 3) // 4 * across * ((images + lanes - 1) // lanes)
    threads, run = scratch.shape[0], VECTORS * lanes
    v_gap, m_gap = gap_of(channels * VECTORS, lanes), gap_of(outs * VECTORS, lanes)
    for o in prange(outs):
        transform_weights(w[o], o, u)
    for thread in prange(threads):
        v, m, zeros, unused = parts_of(scratch[thread], channels, outs, VECTORS, lanes)
        start, stop = vectors * thread // threads, vectors * (thread + 1) // threads
        sums = np.zeros((ROWS, run) if channels > SUMMANDS else (0, 0))
        for first in range(start, stop, VECTORS):
            count = min(VECTORS, stop - first)
            transform_inputs(x, padding, across, first, count, VECTORS, zeros, v)
            for i in range(36):
                factors = u[i, :outs * pitch].reshape(outs, pitch)
                panel = v[i * v_gap:i * v_gap + channels * run].reshape(channels, run)
                products = m[i * m_gap:i * m_gap + outs * run].reshape(outs, run)
                for o in range(0, outs, ROWS):
                    target = products[o:o + ROWS, :count * lanes]
                    for c in range(0, channels, SUMMANDS):
                        end = min(c + SUMMANDS, channels)
                        tile(factors[o:o + ROWS, c:end], panel[c:end], b[:0], target, False)
                        if sums.size > 0:
                            add(target, sums)
                    if sums.size > 0:
                        target[:] = sums[:target.shape[0], :target.shape[1]]
                        sums[:] = 0
            transform_back(m, across, first, count, VECTORS, b, unused, y)


def winograd_weight_grad_numpy(x: Float4, g: Float4, padding: Pair, count: int, scratch: Float2,
                               partials: Float3, dw: Float4) -> None:
    """dw = Gᵀ [Σ over tiles of (A g Aᵀ) ⊙ (Bᵀ d B)] G"""
    (_, height, width, _), bt, a = g.shape, BT.astype(x.dtype), AT.T.astype(x.dtype)
    down, across = -(-height // 4), -(-width // 4)
    tiles = _tiles(x, 6, padding, down, across)
    v = np.einsum("ip, chwnpq, jq -> ijchwn", bt, tiles, bt, optimize=True)
    m = np.einsum("ip, ohwnpq, jq -> ijohwn", a, _tiles(g, 4, (0, 0), down, across), a,
                  optimize=True)
    sums = sum(np.einsum("ijown, ijcwn -> ijoc", m[:, :, :, row], v[:, :, :, row], optimize=True)
               .astype(np.float64) for row in range(down))
    dw[:] = np.einsum("ip, ijoc, jq -> ocpq", G, sums, G, optimize=True)


@kernel(winograd_weight_grad_numpy, writes=("dw",), scratch=("scratch", "partials"),
        multiplies=True)
def winograd_weight_grad(x: Float4, g: Float4, padding: Pair, count: int, scratch: Float2,
                         partials: Float3, dw: Float4) -> None:
    """`count` vectors at a time; partials (number of partial sums, 36, gap of O channels)."""
    channels, images, (outs, height, _, _) = x.shape[0], x.shape[3], g.shape
    across, lanes, threads = (g.shape[2] + 3) // 4, 64 // x.itemsize, scratch.shape[0]
    vectors = (height + 3) // 4 * across * ((images + lanes - 1) // lanes)
    width = (channels + lanes - 1) // lanes * lanes
    for thread in prange(threads):
        v, m, zeros, _ = parts_of(scratch[thread], channels, outs, count, lanes)
        step = partials.shape[0] * count
        sums = np.zeros(partials.shape[1:] if vectors > LONG * step else (0, 0))
        for s in range(thread, partials.shape[0], threads):
            sums[:] = 0
            partials[s] = 0
            for first in range(s * count, vectors, step):
                n = min(count, vectors - first)
                if sums.size > 0 and first // step % LONG == 0:
                    add(partials[s], sums)
                    partials[s] = 0
                run = n * lanes
                v_gap, m_gap = gap_of(channels * n, lanes), gap_of(outs * n, lanes)
                transform_inputs(x, padding, across, first, n, n, zeros, v)
                transform_gradients(g, across, first, n, zeros, m)
                for i in range(36):
                    gemm(m[i * m_gap:i * m_gap + outs * run].reshape(outs, run),
                         v[i * v_gap:i * v_gap + channels * run].reshape(channels, run).T,
                         partials[s, i, :outs * width].reshape(outs, width)[:, :channels], True)
            if sums.size > 0:
                add(partials[s], sums)
                partials[s] = sums
    for o in prange(outs):
        untransform_weights(partials, o, dw[o])
