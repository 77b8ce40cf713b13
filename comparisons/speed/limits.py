"""The limits of the machine, measured in the same run: matrix products and copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

SIDES = (1024, 2048)                    # of square float32 matrices
COPIED = 2**27                          # bytes, more than any cache holds; read and written
REPEATS = 5


@dataclass(frozen=True)
class Limits:
    """The fastest float32 matrix product through NumPy, and the fastest copy in memory.

    gemm_gflops: 10⁹ operations per second. copy_gbs: 10⁹ bytes per second, read and written.
    """

    gemm_gflops: float
    copy_gbs: float

    def share(self, flops: float, size: float, seconds: float) -> float:
        """The least time that these operations and bytes could take, as a share of `seconds`."""
        return max(flops / self.gemm_gflops, size / self.copy_gbs) / 1e9 / seconds


def measured(threads: int) -> Limits:
    """The limits with a number of threads."""
    from threadpoolctl import threadpool_limits
    rng = np.random.default_rng(0)
    gemm = 0.0
    with threadpool_limits(threads, user_api="blas"):
        for n in SIDES:
            a, b = rng.standard_normal((2, n, n), np.float32)
            gemm = max(gemm, 2 * n**3 / best(partial(np.matmul, a, b, out=np.empty_like(a))))
    source = np.ones(COPIED // 4, np.float32)
    target = np.zeros_like(source)
    pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads),
                      strict=True))
    with ThreadPoolExecutor(threads) as pool:       # NumPy copies in one thread, without the GIL
        copy = 2 * COPIED / best(lambda: list(pool.map(lambda pair: np.copyto(*pair), pieces)))
    return Limits(gemm / 1e9, copy / 1e9)


def best(call: Callable[[], object]) -> float:
    """The fewest seconds of several calls."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
