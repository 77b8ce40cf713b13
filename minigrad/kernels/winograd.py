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

A block of `count` tiles is transformed, multiplied and transformed back while it is in cache. For a
whole image at once, v and m would each be 2.25 times as large as the image, and memory would be the
limit. All arrays lie batch last, so that each step of a transform runs over the images, as vectors.

With T threads, thread t computes blocks t, t + T, t + 2T, … and works in row t of `scratch`;
`parts_of` says what lies where in it. The sum over tiles in du is the sum of a fixed number of
`partials`, for the reason given in conv.py.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import Array, Float1, Float2, Float3, Float4, Pair, inline, kernel, prange

A, B = 0.5**0.5, 2**0.5             # the points; A·B = 1, A² = ½, B² = 2

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


# ---- the transforms ------------------------------------------------------------------------------
#
# Each transforms n columns at once. The six (or four) rows of x are the stretches of n values that
# start at x[at], x[at + step], x[at + 2·step], …; the rows of y start at y[to], y[to + gap], ….

@inline
def transform_input(x: Float1, at: int, step: int, y: Float1, to: int, gap: int, n: int) -> None:
    """y = Bᵀ x: six rows to six."""
    a, b, two, half = x.dtype.type(A), x.dtype.type(B), x.dtype.type(2), x.dtype.type(0.5)
    both = x.dtype.type(2.5)
    x0, x1, x2 = x[at:at + n], x[at + step:at + step + n], x[at + 2 * step:at + 2 * step + n]
    x3, x4 = x[at + 3 * step:at + 3 * step + n], x[at + 4 * step:at + 4 * step + n]
    x5 = x[at + 5 * step:at + 5 * step + n]
    y0, y1, y2 = y[to:to + n], y[to + gap:to + gap + n], y[to + 2 * gap:to + 2 * gap + n]
    y3, y4 = y[to + 3 * gap:to + 3 * gap + n], y[to + 4 * gap:to + 4 * gap + n]
    y5 = y[to + 5 * gap:to + 5 * gap + n]
    for i in range(n):
        even, odd = x4[i] - two * x2[i], a * x3[i] - b * x1[i]
        even_b, odd_b = x4[i] - half * x2[i], b * x3[i] - a * x1[i]
        y0[i] = x0[i] - both * x2[i] + x4[i]
        y1[i] = even + odd
        y2[i] = even - odd
        y3[i] = even_b + odd_b
        y4[i] = even_b - odd_b
        y5[i] = x1[i] - both * x3[i] + x5[i]


@inline
def transform_output(x: Float1, at: int, step: int, y: Float1, to: int, gap: int, n: int,
                     bias: float) -> None:
    """y = Aᵀ x + bias: six rows to four."""
    a, b, two, half = x.dtype.type(A), x.dtype.type(B), x.dtype.type(2), x.dtype.type(0.5)
    a3, b3 = x.dtype.type(A / 2), x.dtype.type(2 * B)
    x0, x1, x2 = x[at:at + n], x[at + step:at + step + n], x[at + 2 * step:at + 2 * step + n]
    x3, x4 = x[at + 3 * step:at + 3 * step + n], x[at + 4 * step:at + 4 * step + n]
    x5 = x[at + 5 * step:at + 5 * step + n]
    y0, y1 = y[to:to + n], y[to + gap:to + gap + n]
    y2, y3 = y[to + 2 * gap:to + 2 * gap + n], y[to + 3 * gap:to + 3 * gap + n]
    for i in range(n):
        even, odd = x1[i] + x2[i], x1[i] - x2[i]
        even_b, odd_b = x3[i] + x4[i], x3[i] - x4[i]
        y0[i] = x0[i] + even + even_b + bias
        y1[i] = a * odd + b * odd_b + bias
        y2[i] = half * even + two * even_b + bias
        y3[i] = a3 * odd + b3 * odd_b + x5[i] + bias


@inline
def transform_gradient(x: Float1, at: int, step: int, y: Float1, to: int, gap: int, n: int) -> None:
    """y = A x: four rows to six."""
    a, b, two, half = x.dtype.type(A), x.dtype.type(B), x.dtype.type(2), x.dtype.type(0.5)
    a3, b3 = x.dtype.type(A / 2), x.dtype.type(2 * B)
    x0, x1 = x[at:at + n], x[at + step:at + step + n]
    x2, x3 = x[at + 2 * step:at + 2 * step + n], x[at + 3 * step:at + 3 * step + n]
    y0, y1, y2 = y[to:to + n], y[to + gap:to + gap + n], y[to + 2 * gap:to + 2 * gap + n]
    y3, y4 = y[to + 3 * gap:to + 3 * gap + n], y[to + 4 * gap:to + 4 * gap + n]
    y5 = y[to + 5 * gap:to + 5 * gap + n]
    for i in range(n):
        even, odd = x0[i] + half * x2[i], a * x1[i] + a3 * x3[i]
        even_b, odd_b = x0[i] + two * x2[i], b * x1[i] + b3 * x3[i]
        y0[i] = x0[i]
        y1[i] = even + odd
        y2[i] = even - odd
        y3[i] = even_b + odd_b
        y4[i] = even_b - odd_b
        y5[i] = x3[i]


@inline
def cut_out(x: Float4, c: int, top: int, left: int, side: int, patch: Float1) -> None:
    """patch (side, side, N) = channel c of x from (top, left) on, with zeros outside of x."""
    _, height, width, images = x.shape
    low, high = max(0, -left), max(0, min(side, width - left))
    for i in range(side):
        row = patch[i * side * images:(i + 1) * side * images]
        if top + i < 0 or top + i >= height or low >= high:
            row[:] = 0
        else:
            row[:low * images] = 0
            row[high * images:] = 0
            row[low * images:high * images] = x[c, top + i, left + low:left + high].reshape(-1)


@inline
def transform_tiles(x: Float4, padding: Pair, across: int, first: int, count: int, v: Float1,
                    patch: Float1, half: Float1) -> None:
    """v (36, C, count·N) = Bᵀ d B of `count` tiles from number `first` on, `across` in a row."""
    channels, height, width, images = x.shape
    flat, gap = x.reshape(-1), channels * count * images
    for c in range(channels):
        for t in range(count):
            top = (first + t) // across * 4 - padding[0]
            left = (first + t) % across * 4 - padding[1]
            if top >= 0 and left >= 0 and top + 6 <= height and left + 6 <= width:
                transform_input(flat, ((c * height + top) * width + left) * images, width * images,
                                half, 0, 6 * images, 6 * images)
            else:
                cut_out(x, c, top, left, 6, patch)
                transform_input(patch, 0, 6 * images, half, 0, 6 * images, 6 * images)
            to = (c * count + t) * images
            for i in range(6):
                transform_input(half, i * 6 * images, images, v, to + i * 6 * gap, gap, images)


@inline
def add_scaled(a: float, x: Float1, y: Float1) -> None:
    """y += a·x."""
    if a != 0:
        for i in range(x.shape[0]):
            y[i] += a * x[i]


@inline
def transform_weights(w: Float3, o: int, u: Float3) -> None:
    """u[:, o] = G w Gᵀ: w (C, 3, 3), u (36, O, C)."""
    channels, number = w.shape[0], w.dtype.type
    taps, rows = np.empty((3, 3, channels), w.dtype), np.zeros((6, 3, channels), w.dtype)
    for c in range(channels):
        taps[:, :, c] = w[c]
    for i in range(6):
        for p in range(3):
            for q in range(3):
                add_scaled(number(G[i, p]), taps[p, q], rows[i, q])
    for i in range(6):
        for j in range(6):
            target = u[i * 6 + j, o]
            target[:] = 0
            for q in range(3):
                add_scaled(number(G[j, q]), rows[i, q], target)


@inline
def untransform_weights(partials: Float4, o: int, dw: Float3) -> None:
    """dw = Gᵀ (Σ_s partials[s, :, o]) G: partials (S, 36, O, C), dw (C, 3, 3)."""
    channels, number = dw.shape[0], dw.dtype.type
    rows, taps = np.zeros((3, 6, channels), dw.dtype), np.zeros((3, 3, channels), dw.dtype)
    for s in range(partials.shape[0]):
        for i in range(6):
            for j in range(6):
                for p in range(3):
                    add_scaled(number(G[i, p]), partials[s, i * 6 + j, o], rows[p, j])
    for p in range(3):
        for j in range(6):
            for q in range(3):
                add_scaled(number(G[j, q]), rows[p, j], taps[p, q])
    for c in range(channels):
        dw[c] = taps[:, :, c]


# ---- scratch -------------------------------------------------------------------------------------

def scratch_size(channels: int, outs: int, count: int, images: int) -> int:
    """The length of a row of scratch, without a rest."""
    return 36 * images * (count * (channels + outs) + 2)


@inline
def parts_of(row: Float1, channels: int, outs: int, count: int, images: int
             ) -> tuple[Array, Array, Array, Array, Array]:
    """A row of scratch as room for v and m of `count` tiles, for a patch of 6×6 places, for a patch
    that is transformed in one direction, and the rest."""
    patch = 36 * images
    m, end = patch * count * channels, patch * count * (channels + outs)
    return (row[:m], row[m:end], row[end:end + patch], row[end + patch:end + 2 * patch],
            row[end + 2 * patch:])


# ---- the kernels ---------------------------------------------------------------------------------

def _tiles(x: Float4, side: int, padding: Pair, down: int, across: int) -> Array:
    """Squares of side × side places, 4 apart: x (C, H, W, N) → (C, down, across, N, side, side)."""
    (top, left), height, width = padding, 4 * down + side - 4, 4 * across + side - 4
    planes = np.zeros((x.shape[0], height + x.shape[1], width + x.shape[2], x.shape[3]), x.dtype)
    planes[:, top:top + x.shape[1], left:left + x.shape[2]] = x
    windows = np.lib.stride_tricks.sliding_window_view(planes[:, :height, :width], (side, side),
                                                       (1, 2))
    return windows[:, ::4, ::4]


def winograd_numpy(x: Float4, w: Float4, b: Float1, padding: Pair, count: int, u: Float3,
                   scratch: Float2, y: Float4) -> None:
    """y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A + b, tile by tile: conv(x, w) + b at stride 1"""
    (_, height, width, _), g, bt, at = y.shape, *(m.astype(x.dtype) for m in (G, BT, AT))
    tiles = _tiles(x, 6, padding, -(-height // 4), -(-width // 4))
    v = np.einsum("ip, chwnpq, jq -> ijchwn", bt, tiles, bt, optimize=True)
    m = np.einsum("ip, ocpq, jq, ijchwn -> ijohwn", g, w, g, v, optimize=True)
    whole = np.einsum("pi, ijohwn, qj -> ohpwqn", at, m, at, optimize=True)
    whole = whole.reshape(len(y), 4 * tiles.shape[1], 4 * tiles.shape[2], -1)
    y[:] = whole[:, :height, :width] + b[:, None, None, None]


@kernel(winograd_numpy, writes=("y",), scratch=("u", "scratch"), multiplies=True)
def winograd(x: Float4, w: Float4, b: Float1, padding: Pair, count: int, u: Float3, scratch: Float2,
             y: Float4) -> None:
    """In blocks of `count` tiles; u (36, O, C)."""
    channels, images = x.shape[0], x.shape[3]
    outs, height, width, _ = y.shape
    across = (width + 3) // 4
    tiles = (height + 3) // 4 * across
    threads = scratch.shape[0]
    for o in prange(outs):
        transform_weights(w[o], o, u)
    flat = y.reshape(-1)
    for thread in prange(threads):
        v_room, m_room, patch, half, _ = parts_of(scratch[thread], channels, outs, count, images)
        for first in range(thread * count, tiles, threads * count):
            n = min(count, tiles - first)
            run = n * images
            v, m = v_room[:36 * channels * run], m_room[:36 * outs * run]
            transform_tiles(x, padding, across, first, n, v, patch, half)
            v3, m3 = v.reshape(36, channels, run), m.reshape(36, outs, run)
            for i in range(36):
                np.dot(u[i], v3[i], m3[i])
            for o in range(outs):
                for t in range(n):
                    for j in range(6):
                        transform_output(m, (j * outs + o) * run + t * images, 6 * outs * run,
                                         half, j * images, 6 * images, images, x.dtype.type(0))
                    top, left = (first + t) // across * 4, (first + t) % across * 4
                    for i in range(min(4, height - top)):
                        at = ((o * height + top + i) * width + left) * images
                        if left + 4 <= width:
                            transform_output(half, i * 6 * images, images, flat, at, images, images,
                                             b[o])
                        else:
                            transform_output(half, i * 6 * images, images, patch, 0, images, images,
                                             b[o])
                            flat[at:at + (width - left) * images] = patch[:(width - left) * images]


def winograd_weight_grad_numpy(x: Float4, g: Float4, padding: Pair, count: int, scratch: Float2,
                               partials: Float4, dw: Float4) -> None:
    """dw = Gᵀ [Σ over tiles of (A g Aᵀ) ⊙ (Bᵀ d B)] G"""
    (_, height, width, _), bt, a = g.shape, BT.astype(x.dtype), AT.T.astype(x.dtype)
    down, across = -(-height // 4), -(-width // 4)
    tiles = _tiles(x, 6, padding, down, across)
    v = np.einsum("ip, chwnpq, jq -> ijchwn", bt, tiles, bt, optimize=True)
    m = np.einsum("ip, ohwnpq, jq -> ijohwn", a, _tiles(g, 4, (0, 0), down, across), a,
                  optimize=True)
    dw[:] = np.einsum("ip, ijohwn, ijchwn, jq -> ocpq", G.astype(x.dtype), m, v, G.astype(x.dtype),
                      optimize=True)


@kernel(winograd_weight_grad_numpy, writes=("dw",), scratch=("scratch", "partials"),
        multiplies=True)
def winograd_weight_grad(x: Float4, g: Float4, padding: Pair, count: int, scratch: Float2,
                         partials: Float4, dw: Float4) -> None:
    """partials (number of partial sums, 36, O, C). The rest of a row of scratch holds a product."""
    channels, images = x.shape[0], x.shape[3]
    outs, height, width, _ = g.shape
    across = (width + 3) // 4
    tiles = (height + 3) // 4 * across
    threads = scratch.shape[0]
    flat = g.reshape(-1)
    for thread in prange(threads):
        v_room, m_room, patch, half, rest = parts_of(scratch[thread], channels, outs, count, images)
        product = rest[:outs * channels].reshape(outs, channels)
        for s in range(thread, partials.shape[0], threads):
            partials[s] = 0
            for first in range(s * count, tiles, partials.shape[0] * count):
                n = min(count, tiles - first)
                run = n * images
                v, m = v_room[:36 * channels * run], m_room[:36 * outs * run]
                transform_tiles(x, padding, across, first, n, v, patch, half)
                for o in range(outs):
                    for t in range(n):
                        top, left = (first + t) // across * 4, (first + t) % across * 4
                        if top + 4 <= height and left + 4 <= width:
                            at = ((o * height + top) * width + left) * images
                            transform_gradient(flat, at, width * images, half, 0, 4 * images,
                                               4 * images)
                        else:
                            cut_out(g, o, top, left, 4, patch)
                            transform_gradient(patch, 0, 4 * images, half, 0, 4 * images,
                                               4 * images)
                        for i in range(6):
                            transform_gradient(half, i * 4 * images, images, m,
                                               (i * 6 * outs + o) * run + t * images, outs * run,
                                               images)
                v3, m3 = v.reshape(36, channels, run), m.reshape(36, outs, run)
                for i in range(36):
                    np.dot(m3[i], v3[i].T, product)
                    total = partials[s, i]
                    for o in range(outs):
                        for c in range(channels):
                            total[o, c] += product[o, c]
    for o in prange(outs):
        untransform_weights(partials, o, dw[o])
