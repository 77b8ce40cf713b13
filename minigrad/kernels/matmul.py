"""One large matrix product shared out among the threads that all other kernels use.

The BLAS could do so with threads of its own; but those go on spinning for a while when they are
done, on the cores that the next kernel needs.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import Array, Float2, empty, kernel, prange, thread_count

LARGE = 2**18       # multiplications; below, OpenBLAS keeps to one thread, too
ROWS = 48           # at least, in a block: every block makes the BLAS rearrange the other matrix
BLOCKS = 8          # at most; they depend on the shapes alone, so results do not on the threads


def matmul_numpy(a: Float2, b: Float2, a_turned: bool, b_turned: bool, blocks: int,
                 scratch: Float2, y: Float2) -> None:
    """y (m, n) = a (m, k) @ b (k, n); one that is `turned` comes as its transpose"""
    np.matmul(a.T if a_turned else a, b.T if b_turned else b, out=y)


@kernel(matmul_numpy, writes=("y",), scratch=("scratch",), multiplies=True)
def matmul(a: Float2, b: Float2, a_turned: bool, b_turned: bool, blocks: int, scratch: Float2,
           y: Float2) -> None:
    # np.dot takes whole rows of what is in order, and whole columns of what is turned
    m, n = y.shape
    k = a.size // m
    threads = scratch.shape[0]
    by_columns = a_turned and b_turned
    for thread in prange(threads):
        for block in range(thread, blocks, threads):
            if by_columns:
                first, last = n * block // blocks, n * (block + 1) // blocks
                part = scratch[thread, :m * (last - first)].reshape(m, last - first)
                np.dot(a.T, b[first:last].T, part)
                y[:, first:last] = part
            else:
                first, last = m * block // blocks, m * (block + 1) // blocks
                if a_turned:
                    rows = scratch[thread, :(last - first) * k].reshape(last - first, k)
                    rows[:] = a[:, first:last].T
                else:
                    rows = a[first:last]
                if b_turned:
                    np.dot(rows, b.T, y[first:last])
                else:
                    np.dot(rows, b, y[first:last])


def product(a: Array, b: Array) -> Array:
    """a @ b, (…, m, k) @ (…, k, n) → (…, m, n)"""
    if a.ndim != 2 or b.ndim != 2 or a.size * b.shape[1] < LARGE or a.dtype.kind != "f":
        y: Array = np.matmul(a, b)
        return y
    (m, k), n = a.shape, b.shape[1]
    a_turned, b_turned = (x.flags.f_contiguous and not x.flags.c_contiguous for x in (a, b))
    long = n if a_turned and b_turned else m
    blocks = min(BLOCKS, max(1, long // ROWS))
    widest = -(-long // blocks) * (m if a_turned and b_turned else k)
    y = empty((m, n), a.dtype)
    matmul(a.T if a_turned else a, b.T if b_turned else b, a_turned, b_turned, blocks,
           empty((thread_count(), widest), a.dtype), y)
    return y
