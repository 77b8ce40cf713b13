"""One large matrix product, shared out among the threads that all other kernels use.

The BLAS could use threads of its own. But when they are done they keep their cores busy for a
while, waiting for more work, and the next kernel needs those cores.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import FLOATS, Array, Float2, empty, kernel, prange, thread_count

LARGE = 2**18       # multiplications; with fewer, OpenBLAS keeps to one thread, too
FEW = 4             # up to this many times LARGE, one thread is done before others are awake
ROWS = 192          # at least, in a block: for each, the BLAS rearranges the whole other matrix
BLOCKS = 8          # at most. Their number depends only on the shapes, and so does the rounding


def matmul_numpy(a: Float2, b: Float2, a_turned: bool, b_turned: bool, y_turned: bool, blocks: int,
                 scratch: Float2, y: Float2) -> None:
    """y (m, n) = a (m, k) @ b (k, n), each of them given as its transpose if it is `turned`."""
    np.matmul(a.T if a_turned else a, b.T if b_turned else b, out=y.T if y_turned else y)


@kernel(matmul_numpy, writes=("y",), scratch=("scratch",), multiplies=True)
def matmul(a: Float2, b: Float2, a_turned: bool, b_turned: bool, y_turned: bool, blocks: int,
           scratch: Float2, y: Float2) -> None:
    m, n = (y.shape[1], y.shape[0]) if y_turned else y.shape
    k = a.size // m
    threads = scratch.shape[0]
    for thread in prange(threads):
        for block in range(thread, blocks, threads):
            first, last = m * block // blocks, m * (block + 1) // blocks
            count = last - first
            # np.dot takes contiguous arrays and transposes of such, so other parts are copied
            if a_turned:
                rows = scratch[thread, :count * k].reshape(count, k)
                rows[:] = a[:, first:last].T
            else:
                rows = a[first:last]
            if y_turned:
                part = scratch[thread, count * k:count * (k + n)].reshape(count, n)
            else:
                part = y[first:last]
            if b_turned:
                np.dot(rows, b.T, part)
            else:
                np.dot(rows, b, part)
            if y_turned:
                y[:, first:last] = part.T


def product(a: Array, b: Array) -> Array:
    """a @ b: (…, m, k) @ (…, k, n) → (…, m, n)."""
    if a.ndim != 2 or b.ndim != 2:
        return np.asarray(np.matmul(a, b))
    (m, k), n = a.shape, b.shape[1]
    pieces = -(-m * k * n // LARGE)
    if pieces <= 1 or a.dtype not in FLOATS:
        return np.asarray(np.dot(a, b))         # faster than np.matmul for small ones
    y = empty((m, n), a.dtype)
    if pieces <= FEW <= m:                      # one after the other
        for i in range(pieces):
            rows = slice(m * i // pieces, m * (i + 1) // pieces)
            np.dot(a[rows], b, out=y[rows])
        return y
    if y_turned := m < min(2 * ROWS, n):        # then yᵀ = bᵀ @ aᵀ has more rows to share out
        a, b, m, n = b.T, a.T, n, m
    a_turned, b_turned = (x.flags.f_contiguous and not x.flags.c_contiguous for x in (a, b))
    blocks = min(BLOCKS, max(2, m // ROWS))
    scratch = empty((thread_count(), -(-m // blocks) * (k + n)), a.dtype)
    matmul(a.T if a_turned else a, b.T if b_turned else b, a_turned, b_turned, y_turned, blocks,
           scratch, y)
    return y
