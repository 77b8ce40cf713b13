"""Convolution computed directly from its definition.

It serves groups with a single channel in or out, above all depthwise convolutions, where a matrix
product would multiply by a vector and have nothing to reuse.

    y[o, h, w, n] = b[o] + Σ_cij w[o, c, i, j] · x[c, h·SH + i·DH - PH, w·SW + j·DW - PW, n]

Batch last, an output row is one stretch of memory, and so is what a place (i, j) of the window sees
of a row of x. So an output row is a sum of stretches, each multiplied by one weight, and stays in
the first-level cache while it is added up. Arrays and `sizes` are those of conv.py.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import Float1, Float4, inline, kernel, prange
from minigrad.kernels.conv import Sizes, conv_numpy, conv_weight_grad_numpy


@inline
def seen_by(width: int, in_width: int, left: int, step: int) -> tuple[int, int]:
    """The first output place o of `width` at which left + o·step is in x, and the last plus 1."""
    low = min(max(0, -(left // step)), width)
    return low, max(low, min(width, (in_width - left + step - 1) // step))


def conv_direct_numpy(x: Float4, w: Float4, b: Float1, sizes: Sizes, y: Float4) -> None:
    """y = conv(x, w) + b."""
    conv_numpy(x, w, b, sizes, (1, 1), x[:0, 0, 0], y)


@kernel(conv_direct_numpy, writes=("y",))
def conv_direct(x: Float4, w: Float4, b: Float1, sizes: Sizes, y: Float4) -> None:
    _, in_height, in_width, images = x.shape
    outs, height, width, _ = y.shape
    _, channels, kh, kw = w.shape
    sh, sw, dh, dw, ph, pw, groups = sizes
    for piece in prange(outs * height):
        o, row = piece // height, piece % height
        target = y[o, row].reshape(-1)
        target[:] = b[o]
        for c in range(channels):
            for i in range(kh):
                h = row * sh + i * dh - ph
                if h < 0 or h >= in_height:
                    continue
                source = x[o // (outs // groups) * channels + c, h].reshape(-1)
                for j in range(kw):
                    weight, left = w[o, c, i, j], j * dw - pw
                    low, high = seen_by(width, in_width, left, sw)
                    for place in range(low, high) if sw > 1 else range(1):
                        n = images if sw > 1 else (high - low) * images
                        to, at = (place, left + place * sw) if sw > 1 else (low, left + low)
                        out = target[to * images:to * images + n]
                        seen = source[at * images:at * images + n]
                        for p in range(n):
                            out[p] += weight * seen[p]


def conv_direct_weight_grad_numpy(x: Float4, g: Float4, sizes: Sizes, dw: Float4) -> None:
    """dw of y = conv(x, w)."""
    conv_weight_grad_numpy(x, g, sizes, (1, 1), x[:0, 0, 0], x[:0], dw)


@kernel(conv_direct_weight_grad_numpy, writes=("dw",))
def conv_direct_weight_grad(x: Float4, g: Float4, sizes: Sizes, dw: Float4) -> None:
    # the sum for each weight is made as 64 partial sums side by side (norm.py says why)
    _, in_height, in_width, images = x.shape
    outs, height, width, _ = g.shape
    _, channels, kh, kw = dw.shape
    sh, sw, dh, dw_, ph, pw, groups = sizes
    for o in prange(outs):
        lanes = np.empty(64, x.dtype)
        for c in range(channels):
            for i in range(kh):
                for j in range(kw):
                    lanes[:] = 0
                    left = j * dw_ - pw
                    low, high = seen_by(width, in_width, left, sw)
                    for row in range(height):
                        h = row * sh + i * dh - ph
                        if h < 0 or h >= in_height:
                            continue
                        source = x[o // (outs // groups) * channels + c, h].reshape(-1)
                        slope = g[o, row].reshape(-1)
                        for place in range(low, high) if sw > 1 else range(1):
                            n = images if sw > 1 else (high - low) * images
                            to, at = (place, left + place * sw) if sw > 1 else (low, left + low)
                            a = slope[to * images:to * images + n]
                            b = source[at * images:at * images + n]
                            whole = n // 64 * 64
                            for k in range(0, whole, 64):
                                part, factor = a[k:k + 64], b[k:k + 64]
                                for p in range(64):
                                    lanes[p] += part[p] * factor[p]
                            for p in range(n - whole):
                                lanes[p] += a[whole + p] * b[whole + p]
                    dw[o, c, i, j] = lanes.sum()
