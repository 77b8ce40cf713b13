"""Dropout: random numbers, mask and product in one pass.

Whether a value is kept is a hash of its index and of two random words, so that every thread can
compute it for any value, the backward pass need not store a mask, and PyTorch's side can draw the
same one (torch_impl/dropout.py). The hash is the end of
MurmurHash3 (Appleby), taken twice: each bit of its input changes each bit of its result with
probability ½.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import SMALL, Float1, Int1, inline, kernel, prange


@inline
def mixed(h: Any) -> Any:
    """The bits of a 32-bit number, mixed."""
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85ebca6b))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xc2b2ae35))
    return np.uint32(h ^ (h >> np.uint32(16)))


def dropout_numpy(x: Float1, words: Int1, p: float, batch: int, y: Float1) -> None:
    """y = x / (1 - p) where the hash is at least p·2³², and 0 elsewhere.

    batch: 1 if values are counted as they lie in memory. If the first dim, the batch, lies
    innermost in memory, its size: then values are counted as if it lay outermost.
    """
    h = np.arange(len(x), dtype=np.uint32).reshape(batch, -1).T.reshape(-1) ^ np.uint32(words[0])
    for word in (words[1], 0):
        h = h ^ (h >> np.uint32(16))
        h = h * np.uint32(0x85ebca6b)
        h = h ^ (h >> np.uint32(13))
        h = h * np.uint32(0xc2b2ae35)
        h = (h ^ (h >> np.uint32(16))) ^ np.uint32(word)
    y[:] = x * np.where(h >= np.uint32(p * 2**32), x.dtype.type(1 / (1 - p)), x.dtype.type(0))


@kernel(dropout_numpy, writes=("y",), small=SMALL)
def dropout(x: Float1, words: Int1, p: float, batch: int, y: Float1) -> None:
    scale, zero = x.dtype.type(1 / (1 - p)), x.dtype.type(0)
    first, second, limit = np.uint32(words[0]), np.uint32(words[1]), np.uint32(p * 2**32)
    if batch == 1:
        for i in prange(x.shape[0]):
            h = mixed(np.uint32(mixed(np.uint32(np.uint32(i) ^ first)) ^ second))
            y[i] = x[i] * (scale if h >= limit else zero)
    else:
        inner = x.shape[0] // batch
        for k in prange(inner):
            for n in range(batch):
                at = np.uint32(n * inner + k)
                h = mixed(np.uint32(mixed(np.uint32(at ^ first)) ^ second))
                y[k * batch + n] = x[k * batch + n] * (scale if h >= limit else zero)
