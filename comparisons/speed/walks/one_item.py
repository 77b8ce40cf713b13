"""A convolution of one image, and a model so small that its calls take longer than its arithmetic.

The convolution is that of convolution.py, with a batch of one, two, four, … images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import torch
from numba import prange
from numpy.lib.stride_tricks import as_strided

import minigrad as mg
from comparisons.datasets.base import Array
from comparisons.speed.limits import Limits
from comparisons.speed.walks import convolution
from comparisons.speed.walks.convolution import CHANNELS, OUTS, SIDE
from comparisons.speed.walks.steps import (
    Row,
    Step,
    Table,
    measured,
    microseconds,
    number,
    share,
    timed,
    title,
)
from minigrad import Tensor, functional, nn, optim
from minigrad.kernels import batch_first, batch_last

Loop = Callable[[Array], None]

BATCHES = 1, 2, 4, 8, 16, 32, 64
HIDDEN, ITEMS, CLASSES = 3, 32, 10      # hidden layers, and items in a batch
WIDTHS = 16, 64, 256, 1024
OPS = 2 * HIDDEN + 2                    # linear and ReLU for each hidden layer, linear, loss
CHECKED = 10                            # steps whose losses are compared


# ---- the steps: x (N, C, H, W) without padding, w (O, C, 3, 3) → y (N, O, H, W) ------------------

def by_places(x: Array, w: Array) -> tuple[Array]:
    y = np.empty((len(x), len(w), SIDE, SIDE), x.dtype)
    convolution.place_by_place(padded(x), w, y)
    return (y,)


def unfolded(x: Array, w: Array) -> tuple[Array]:
    y = np.empty((len(x), len(w), SIDE, SIDE), x.dtype)
    convolution.im2col(padded(x), w, y)
    return (y,)


def in_long_lines(x: Array, w: Array) -> tuple[Array]:
    plane, width = padded(x)[0], SIDE + 2                       # (C, H + 2, W + 2)
    length = SIDE * width - 2                                   # from the first to the last output
    lines = as_strided(plane, (CHANNELS, 3, 3, length), (*plane.strides, plane.itemsize))
    y = np.empty((1, OUTS, SIDE * width), x.dtype)
    np.matmul(w.reshape(OUTS, -1), lines.reshape(-1, length), out=y[0, :, :length])
    return (y.reshape(1, OUTS, SIDE, width)[..., :SIDE],)       # without the two of each row's end


def padded(x: Array) -> Array:
    y = np.zeros((*x.shape[:2], SIDE + 2, SIDE + 2), x.dtype)
    y[:, :, 1:-1, 1:-1] = x
    return y


def by_minigrad(x: Array, w: Array) -> tuple[Array]:
    return (functional.conv2d(Tensor(x), Tensor(w), padding=1).data,)


def by_torch(x: Array, w: Array) -> tuple[Array]:
    y = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding=1)
    return (y.numpy(),)


STEPS = (
    Step("a place of the window at a time", by_places),
    Step("im2col, rows of 14", unfolded),
    Step("im2col, a channel as one line", in_long_lines),
    Step("minigrad", by_minigrad, prepared=lambda x, w: (batch_first(batch_last(x)), w)),
    Step("PyTorch", by_torch, blas=True),
)


# ---- the measurement -----------------------------------------------------------------------------

def run(rng: np.random.Generator, machine: Limits) -> Iterator[Row]:
    """A row for each step, for each batch, for calls that compute nothing, and for each model."""
    x = rng.standard_normal((max(BATCHES), CHANNELS, SIDE, SIDE), np.float32)
    w = rng.standard_normal((OUTS, CHANNELS, 3, 3), np.float32)
    yield from measured("one-item", STEPS, [x[:1], w], machine, flops(1))
    for batch in BATCHES:
        ours, torchs = measured("batches", STEPS[-2:], [x[:batch], w], machine, flops(batch))
        yield ours | {"title": f"{batch}", "batch": batch, "torch_ms": torchs["median_ms"],
                      "output_difference": torchs["output_difference"]}
    for name, call in calls().items():
        yield {"table": "calls", "title": name, **timed(call)}
    for width in WIDTHS:
        yield compiled(width, rng)


def flops(batch: int) -> int:
    return 2 * batch * OUTS * SIDE**2 * CHANNELS * 9


def calls() -> dict[str, Callable[[], object]]:
    """Calls that compute next to nothing."""
    def nothing(y: Array) -> None:
        pass

    def loop(y: Array) -> None:
        for i in prange(len(y)):
            y[i] = 1

    y = np.zeros(8, np.float32)
    one: Loop = numba.njit()(loop)
    all_threads: Loop = numba.njit(parallel=True)(loop)
    x = Tensor(np.ones((1, 1, 1, 1), np.float32))
    other = torch.ones((1, 1, 1, 1))
    return {"a function of Python's": lambda: nothing(y),
            "an op of NumPy's": lambda: np.add(y, y, y),
            "a compiled loop, one thread": lambda: one(y),
            "a compiled loop, all threads": lambda: all_threads(y),
            "conv2d of one pixel": lambda: functional.conv2d(x, x),
            "conv2d of one pixel, PyTorch": lambda: torch.nn.functional.conv2d(other, other)}


def compiled(width: int, rng: np.random.Generator) -> Row:
    """A perceptron's training step as it is, and recorded by minigrad.compile."""
    x = Tensor(rng.standard_normal((ITEMS, width), np.float32))
    target = Tensor(rng.integers(0, CLASSES, ITEMS))
    eager, recorded = training_step(width), mg.compile(training_step(width))
    losses = np.array([[step(x, target).item() for _ in range(CHECKED)]
                       for step in (eager, recorded)])
    first, again = timed(lambda: eager(x, target)), timed(lambda: recorded(x, target))
    ms, compiled_ms = first["median_ms"], again["median_ms"]
    return {"table": "compile", "title": f"{width}", **first, "compiled_ms": compiled_ms,
            "per_op_us": ms * 1e3 / OPS, "compiled_per_op_us": compiled_ms * 1e3 / OPS,
            "ratio": ms / compiled_ms,
            "output_difference": float(np.abs(losses[0] - losses[1]).max())}


def training_step(width: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of a new perceptron, which always starts from the same weights."""
    mg.manual_seed(0)
    layers: list[Any] = []
    for _ in range(HIDDEN):
        layers += [nn.Linear(width, width), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    optimizer = optim.Adam(model.parameters())

    def step(x: Tensor, target: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss
    return step


TABLES = (
    Table("one-item", {"step": title, "µs": microseconds, "GFLOP/s": number("gflops"),
                       "share": share}),
    Table("batches", {
        "images": title, "µs an image": lambda row: per_item(row, "median_ms"),
        "GFLOP/s": number("gflops"), "share": share,
        "PyTorch, µs an image": lambda row: per_item(row, "torch_ms")}),
    Table("calls", {"": title, "µs": microseconds}),
    Table("compile", {
        "width": title, "µs a step": microseconds, "µs an op": number("per_op_us"),
        "compiled, µs a step": lambda row: microseconds({"median_ms": row["compiled_ms"]}),
        "compiled, µs an op": number("compiled_per_op_us"), "ratio": number("ratio")}))


def per_item(row: Row, key: str) -> str:
    return microseconds({"median_ms": row[key] / row["batch"]})


NOTES = f"""\
compile: a perceptron with {HIDDEN} hidden layers, {ITEMS} items in a batch; {OPS} ops forward, as
many backward, and an optimiser's step. µs an op: the step's time over the {OPS} ops."""
