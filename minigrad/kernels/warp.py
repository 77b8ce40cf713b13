"""Images seen through an affine map, or with each pixel moved by itself."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import Array, Float3, Float4, kernel, prange


def warp_numpy(x: Float4, matrices: Float3, moves: Float4, border: int, y: Float4) -> None:
    """y[n, c, p] = x[n, c, M[n]·(p, 1) + moves[n, :, p]], with bilinear values between pixels.

    p and its image are places (horizontal, vertical), in pixels from the centre.
    moves: (N, 2, H, W), in pixels, or (0, 2, H, W) if there are none.
    border: 1 if x has a border of zeros one pixel wide, else 0. A place outside of x reads the
    nearest value: the border's zero, or without a border the outermost pixel.
    """
    n, channels, height, width = x.shape
    px = np.arange(width) - (width - 1) / 2
    py = (np.arange(height) - (height - 1) / 2)[:, None]
    m = matrices[:, :, :, None, None].astype(np.float64)
    move = moves if len(moves) else np.zeros((n, 2, height, width), x.dtype)
    sx, sy = (np.clip(m[:, k, 0] * px + m[:, k, 1] * py + m[:, k, 2] + (side - 1) / 2 + move[:, k],
                      -border, side - 1 + border)
              for k, side in enumerate((width, height)))                    # each (N, H, W)
    x0, y0 = np.floor(sx).astype(np.int64), np.floor(sy).astype(np.int64)
    fx, fy = (sx - x0).astype(x.dtype)[:, None], (sy - y0).astype(x.dtype)[:, None]
    stride = width + 3
    padded = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
    padded = padded.reshape(n, channels, (height + 3) * stride)
    corner = (y0 + 1) * stride + x0 + 1

    def at(dy: int, dx: int) -> Array:
        places = (corner + dy * stride + dx).reshape(n, 1, height * width)
        return np.take_along_axis(padded, places, 2).reshape(x.shape)

    top = at(0, 0) * (1 - fx) + at(0, 1) * fx
    y[:] = top * (1 - fy) + (at(1, 0) * (1 - fx) + at(1, 1) * fx) * fy


@kernel(warp_numpy, writes=("y",))
def warp(x: Float4, matrices: Float3, moves: Float4, border: int, y: Float4) -> None:
    # Row by row: first the place that each pixel comes from, then its values in all channels. They
    # are read from a copy of the image that has a border of zeros, so no read needs a bounds check.
    _, channels, height, width = x.shape
    number = x.dtype.type
    one, stride = number(1), width + 3
    right, bottom = float(width - 1 + border), float(height - 1 + border)
    for n in prange(x.shape[0]):
        m = matrices[n]
        padded = np.zeros((channels, (height + 3) * stride), x.dtype)
        for c in range(channels):
            for i in range(height):
                start = (i + 1) * stride + 1
                padded[c, start:start + width] = x[n, c, i]
        corner = np.empty(width, np.uint64)     # signed, each read would check for a negative index
        fx, fy = np.empty(width, x.dtype), np.empty(width, x.dtype)
        for i in range(height):
            py = i - (height - 1) / 2
            for j in range(width):
                px = j - (width - 1) / 2
                sx = m[0, 0] * px + m[0, 1] * py + m[0, 2] + (width - 1) / 2
                sy = m[1, 0] * px + m[1, 1] * py + m[1, 2] + (height - 1) / 2
                if len(moves):
                    sx, sy = sx + moves[n, 0, i, j], sy + moves[n, 1, i, j]
                sx, sy = min(max(sx, -border), right), min(max(sy, -border), bottom)
                w, h = math.floor(sx), math.floor(sy)
                fx[j], fy[j] = number(sx - w), number(sy - h)
                corner[j] = (h + 1) * stride + w + 1
            for c in range(channels):
                a, b = padded[c], padded[c, 1:]                             # above
                d, e = padded[c, stride:], padded[c, stride + 1:]           # below
                for j in range(width):
                    at = corner[j]
                    top = a[at] * (one - fx[j]) + b[at] * fx[j]
                    y[n, c, i, j] = top * (one - fy[j]) + (d[at] * (one - fx[j])
                                                           + e[at] * fx[j]) * fy[j]
