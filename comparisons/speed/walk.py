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
from comparisons.speed.clock import digits, in_turn, quartiles, repeated
from comparisons.training import environment
from minigrad import Tensor
from minigrad.kernels import batch_first, batch_last, empty, load_numba, thread_count
from minigrad.kernels.convolve import Geometry, in_lines
from minigrad.kernels.winograd import winograd

Compute = Callable[[Array, Array, Array], None]

IMAGES, CHANNELS, OUTS, SIDE = 100, 32, 64, 14
LOOPED = 4, 1                   # output channels and images that the loops in Python compute
SECONDS = 1.5                   # to spend on each step
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

def all_images(x: Array, w: Array, y: Array) -> None:
    in_lines(batch_last(x), w, None, GEOMETRY, batch_last(y))               # no copy: already so


def in_tiles(x: Array, w: Array, y: Array) -> None:
    x, y = batch_last(x), batch_last(y)
    (outs, channels), images, count = w.shape[:2], x.shape[-1], 1           # one tile of 100 images
    scratch = empty((thread_count(), 36 * images * (count * (channels + outs) + 2)), x.dtype)
    winograd(x, w, np.zeros(outs, x.dtype), GEOMETRY.padding, count,
             empty((36, outs, channels), w.dtype), scratch, y)


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
    Step("batch last", lambda: all_images, batch_last=True),
    Step("Winograd", lambda: in_tiles, batch_last=True),
)


def run(seed: int) -> Iterator[dict[str, Any]]:
    """Measure each step, then memory and the engine; print and yield each row."""
    load_numba()                        # with the threads that the kernels have
    threads = {"threads": environment.threads()}
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((IMAGES, CHANNELS, SIDE, SIDE), np.float32)
    w = rng.standard_normal((OUTS, CHANNELS, 3, 3), np.float32) / np.float32(np.sqrt(9 * CHANNELS))
    exact = np.zeros((IMAGES, OUTS, SIDE, SIDE))
    im2col(np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))), w.astype(np.float64),
           exact)
    print(HEADER)
    for step in STEPS:
        row = measured(step, x, w, exact) | threads
        print(line(row), flush=True)
        yield row
    print()
    for row in (*memory(), *engine()):
        print(f"{row['title']:45}{digits(row['median_ms'] * 1e3):>10} µs")
        yield row | threads


def measured(step: Step, x: Array, w: Array, exact: Array) -> dict[str, Any]:
    """A step's time for the whole convolution, and its largest error on outputs of size 1."""
    compute, (x, w, y) = step.compute(), step.prepared(x, w)
    with step.threads():
        times = timed(partial(compute, x, w, y), SECONDS)
    scale = exact.size / y.size
    times = {key: value * scale for key, value in times.items()}
    flops = 2 * exact.size * x.shape[1] * 9
    return {"title": step.title, "flops": flops, "scaled": scale, **times,
            "gflops": flops / times["median_ms"] / 1e6,
            "error": float(np.abs(y - exact[:y.shape[0], :y.shape[1]]).max())}


def memory() -> Iterator[dict[str, Any]]:
    """The time to write once to memory from the system, and to memory that was used before."""
    for title, make in (("np.empty, filled", np.empty), ("kernels.empty, filled", empty)):
        def fill(make: Callable[..., Array] = make) -> None:
            make((FRESH // 4,), np.float32).fill(1)
        row = timed(fill, SECONDS)
        yield {"title": f"{FRESH >> 20} MiB from {title}", "bytes": FRESH, **row,
               "gbs": FRESH / row["median_ms"] / 1e6}


def engine() -> Iterator[dict[str, Any]]:
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
    yield {"title": "an op of NumPy's", **timed(partial(chain, factor), SECONDS, CHAIN)}
    other = x
    yield {"title": "an op, not recorded", **timed(partial(chain, x), SECONDS, CHAIN)}
    yield {"title": "an op, recorded", **timed(partial(chain, leaf), SECONDS, CHAIN)}
    seconds = [backward() / CHAIN for _ in range(BACKWARDS)]
    yield {"title": "an op, backward", **quartiles(np.array(seconds))}


def timed(call: Callable[[], object], seconds: float, calls: int = 1) -> dict[str, float]:
    """The quartiles of the time of one op, of which `call` performs `calls`."""
    _, times = in_turn({"": repeated(call)}, seconds)
    return quartiles(times[""][:, 0] / calls)


# ---- the table -----------------------------------------------------------------------------------

HEADER = f"{'step':45}{'ms':>10}{'GFLOP/s':>10}{'error':>10}"
NOTES = f"""\
ms: medians. GFLOP/s: operations of the sum itself, two for each product. error: the largest on
outputs of size 1. The loops in Python computed {LOOPED[0] * LOOPED[1]} of {OUTS * IMAGES} maps;
their time is scaled."""


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    return (f"{row['title']:45}{digits(row['median_ms']):>10}{digits(row['gflops']):>10}"
            f"{row['error']:10.0e}")
