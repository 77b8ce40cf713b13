"""One convolution from the naive loop to the kernel: docs/speed.md quotes and explains each step.

It is the 3×3 convolution of the MNIST network from 32 to 64 channels of 14×14, with a batch of 100,
in float32, forward and without bias: y[n, o, h, v] = Σ_cij w[o, c, i, j] · x[n, c, h + i, v + j].
For every step, operations are counted as in this sum, two for each product.

The last measurements show costs that are not part of this sum: those of fresh memory, and those
that the engine adds to an op.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numba
import numpy as np
from numba import prange
from threadpoolctl import threadpool_limits

from comparisons.datasets.base import Array
from comparisons.speed.clock import quartiles
from comparisons.speed.limits import Limits
from comparisons.speed.walks.steps import Row, Table, microseconds, number, timed, title
from minigrad import Tensor
from minigrad.kernels import batch_first, batch_last, convolve, empty
from minigrad.kernels.convolve import Geometry

Compute = Callable[[Array, Array, Array], None]

IMAGES, CHANNELS, OUTS, SIDE = 100, 32, 64, 14
LOOPED = 4, 1                   # output channels and images that the loops in Python compute
FRESH = 2**26                   # bytes: freed blocks of this size are returned to the system
CHAIN, BACKWARDS = 1000, 50     # number of ops, and of backward passes through them


# ---- the steps: x padded (N, C, H + 2, W + 2), w (O, C, 3, 3) → y (N, O, H, W) -------------------

def loops(x: Array, w: Array, y: Array) -> None:
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for h in range(y.shape[2]):
                for v in range(y.shape[3]):
                    total = 0.0
                    for c in range(x.shape[1]):
                        for i in range(3):
                            for j in range(3):
                                total += w[o, c, i, j] * x[n, c, h + i, v + j]
                    y[n, o, h, v] = total


def place_by_place(x: Array, w: Array, y: Array) -> None:
    height, width = y.shape[2:]
    y[:] = 0
    for i in range(3):
        for j in range(3):
            seen = x[:, :, i:i + height, j:j + width].reshape(len(x), x.shape[1], -1)
            y += (w[:, :, i, j] @ seen).reshape(y.shape)            # (O, C) @ (N, C, H·W)


def im2col(x: Array, w: Array, y: Array) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))   # (N, C, H, W, 3, 3)
    columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(w[0].size, -1)    # (C·9, N·H·W), a copy
    product = w.reshape(len(w), -1) @ columns                               # (O, N·H·W)
    y[:] = product.reshape(len(w), len(x), *y.shape[2:]).swapaxes(0, 1)


def image_by_image(x: Array, w: Array, y: Array) -> None:
    images, outs, height, width = y.shape
    channels = x.shape[1]
    matrix = w.reshape(outs, channels * 9)
    for n in prange(images):
        columns = np.empty((channels, 3, 3, height, width), x.dtype)        # 226 kB
        for i in range(3):
            for j in range(3):
                columns[:, i, j] = x[n, :, i:i + height, j:j + width]
        np.dot(matrix, columns.reshape(channels * 9, height * width),
               y[n].reshape(outs, height * width))


# ---- the kernels: x and y as (N, C, H, W), in memory batch last ----------------------------------

def shifted_lines(x: Array, w: Array, y: Array) -> None:
    convolve.in_lines(batch_last(x), w, None, GEOMETRY, batch_last(y))      # no copy: already so


def in_tiles(x: Array, w: Array, y: Array) -> None:
    convolve.in_tiles(batch_last(x), w, None, GEOMETRY, batch_last(y))


GEOMETRY = Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1, (SIDE, SIDE), (SIDE, SIDE))


@cache
def compiled(compute: Compute, parallel: bool = False) -> Compute:
    """A step compiled by Numba, optionally with each `prange` divided among threads."""
    dispatcher: Compute = numba.njit(parallel=parallel)(compute)
    return dispatcher


# ---- the measurement -----------------------------------------------------------------------------

@dataclass(frozen=True)
class Step:
    """A way to compute the convolution.

    part: the numbers of output channels and images that are computed; the time is scaled to all.
    loop, blas: whether the compiled loop, and whether the BLAS, may use all threads.
    """

    title: str
    compute: Callable[[], Compute]
    batch_last: bool = False
    part: tuple[int, int] = (OUTS, IMAGES)
    loop: bool = True
    blas: bool = False

    def prepared(self, x: Array, w: Array) -> tuple[Array, Array, Array]:
        """x, w and y as `compute` takes them: x (N, C, H, W), w (O, C, 3, 3)."""
        outs, images = self.part
        w = w[:outs]
        if self.batch_last:
            y = np.zeros((outs, SIDE, SIDE, IMAGES), x.dtype)
            return batch_first(batch_last(x)), w, batch_first(y)
        around = ((0, 0), (0, 0), (1, 1), (1, 1))
        return np.pad(x[:images], around), w, np.zeros((images, outs, SIDE, SIDE), x.dtype)

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Give the loop and the BLAS the threads that they may use."""
        before = numba.get_num_threads()
        numba.set_num_threads(before if self.loop else 1)
        try:
            with nullcontext() if self.blas else threadpool_limits(1, "blas"):
                yield
        finally:
            numba.set_num_threads(before)


STEPS = (
    Step("loops in Python", lambda: loops, part=LOOPED),
    Step("NumPy, a place of the window at a time", lambda: place_by_place),
    Step("im2col and one matrix product", lambda: im2col, blas=True),
    Step("the loops, compiled", lambda: compiled(loops)),
    Step("im2col image by image, one core", lambda: compiled(image_by_image, parallel=True),
         loop=False),
    Step("im2col image by image, all cores", lambda: compiled(image_by_image, parallel=True)),
    Step("batch last, shifted lines", lambda: shifted_lines, batch_last=True),
    Step("Winograd", lambda: in_tiles, batch_last=True),
)


def run(rng: np.random.Generator, _: Limits) -> Iterator[Row]:
    """A row for each step, then for memory and for the engine."""
    x = rng.standard_normal((IMAGES, CHANNELS, SIDE, SIDE), np.float32)
    w = rng.standard_normal((OUTS, CHANNELS, 3, 3), np.float32) / np.float32(np.sqrt(9 * CHANNELS))
    exact = np.zeros((IMAGES, OUTS, SIDE, SIDE))
    im2col(np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))), w.astype(np.float64),
           exact)
    for step in STEPS:
        yield measured(step, x, w, exact)
    yield from memory()
    yield from engine()


def measured(step: Step, x: Array, w: Array, exact: Array) -> Row:
    """A step's time for the whole convolution, and its largest error on outputs of size 1."""
    compute, (x, w, y) = step.compute(), step.prepared(x, w)
    with step.threads():
        times = timed(partial(compute, x, w, y))
    scale = exact.size / y.size
    times = {key: value * scale for key, value in times.items()}
    flops = 2 * exact.size * x.shape[1] * 9
    exact = exact[:y.shape[0], :y.shape[1]]
    error = float(np.abs(y - exact).max())
    return {"table": "convolution", "title": step.title, "flops": flops, "scaled": scale, **times,
            "gflops": flops / times["median_ms"] / 1e6, "error": error,
            "output_difference": error / float(np.abs(exact).max())}


def memory() -> Iterator[Row]:
    """The time to write once to memory from the system, and to memory that was used before."""
    for way, make in (("np.empty, filled", np.empty), ("kernels.empty, filled", empty)):
        def fill(make: Callable[..., Array] = make) -> None:
            make((FRESH // 4,), np.float32).fill(1)
        row = timed(fill)
        yield {"table": "memory", "title": f"{FRESH >> 20} MiB from {way}", "bytes": FRESH, **row,
               "gbs": FRESH / row["median_ms"] / 1e6}


def engine() -> Iterator[Row]:
    """The cost of an op whose arithmetic costs next to nothing: a product of 8 numbers."""
    factor, x = np.ones(8, np.float32), Tensor(np.ones(8, np.float32))
    leaf = Tensor(np.ones(8, np.float32), requires_grad=True)

    def chain(x: Any) -> Any:
        for _ in range(CHAIN):
            x = x * other
        return x

    def backward() -> float:
        y = chain(leaf).sum()
        start = time.perf_counter()
        y.backward()
        return time.perf_counter() - start

    other: Any = factor
    yield {"table": "engine", "title": "an op of NumPy's", **timed(partial(chain, factor), CHAIN)}
    other = x
    yield {"table": "engine", "title": "an op, not recorded", **timed(partial(chain, x), CHAIN)}
    yield {"table": "engine", "title": "an op, recorded", **timed(partial(chain, leaf), CHAIN)}
    seconds = [backward() / CHAIN for _ in range(BACKWARDS)]
    yield {"table": "engine", "title": "an op, backward", **quartiles(np.array(seconds))}


# ---- the tables ----------------------------------------------------------------------------------

TABLES = (
    Table("convolution", {"step": title, "ms": number("median_ms"), "GFLOP/s": number("gflops"),
                          "error": lambda row: f"{row['error']:.0e}"}),
    Table("memory", {"": title, "ms": number("median_ms"), "GB/s": number("gbs")}),
    Table("engine", {"": title, "µs": microseconds}))
NOTES = f"""\
convolution: GFLOP/s are operations of the sum itself, two for each product. error: the largest on
outputs of size 1. The loops in Python computed {LOOPED[0] * LOOPED[1]} of {OUTS * IMAGES} maps;
their time is scaled."""
