"""Images seen through an affine map."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import Array, Float3, Float4, kernel, prange


def warp_affine_numpy(x: Float4, matrices: Float3, y: Float4) -> None:
    """y[n, c, p] = x[n, c, M[n]·(p, 1)], between pixels bilinearly, 0 outside.

    p and its image are (horizontal, vertical) places in pixels from the centre.
    """
    n, channels, height, width = x.shape
    px = np.arange(width) - (width - 1) / 2
    py = (np.arange(height) - (height - 1) / 2)[:, None]
    m = matrices[:, :, :, None, None].astype(np.float64)
    # the border of zeros starts at -1; a place beyond it reads the border as well
    sx, sy = (np.clip(m[:, k, 0] * px + m[:, k, 1] * py + m[:, k, 2] + (side - 1) / 2, -1, side)
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


@kernel(warp_affine_numpy, writes=("y",))
def warp_affine(x: Float4, matrices: Float3, y: Float4) -> None:
    _, channels, height, width = x.shape
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for n in prange(x.shape[0]):
        for i in range(height):
            for j in range(width):
                px, py = j - (width - 1) / 2, i - (height - 1) / 2
                sx = matrices[n, 0, 0] * px + matrices[n, 0, 1] * py + matrices[n, 0, 2]
                sy = matrices[n, 1, 0] * px + matrices[n, 1, 1] * py + matrices[n, 1, 2]
                sx = min(max(sx + (width - 1) / 2, -1.0), float(width))
                sy = min(max(sy + (height - 1) / 2, -1.0), float(height))
                w, h = math.floor(sx), math.floor(sy)
                fx, fy = x.dtype.type(sx - w), x.dtype.type(sy - h)
                for c in range(channels):
                    a = x[n, c, h, w] if 0 <= h < height and 0 <= w < width else zero
                    b = x[n, c, h, w + 1] if 0 <= h < height and 0 <= w + 1 < width else zero
                    d = x[n, c, h + 1, w] if 0 <= h + 1 < height and 0 <= w < width else zero
                    e = x[n, c, h + 1, w + 1] \
                        if 0 <= h + 1 < height and 0 <= w + 1 < width else zero
                    top = a * (one - fx) + b * fx
                    y[n, c, i, j] = top * (one - fy) + (d * (one - fx) + e * fx) * fy
