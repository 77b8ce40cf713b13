"""A layer norm and its gradients: many passes over memory, and how they become few.

y = x̂ · w + b, where x̂ = (x - mean) / σ and σ = √(var + ε), with mean and var of each row. With the
gradient g of the output, and s = g · w,

    dx = (s - mean(s) - x̂ · mean(s · x̂)) / σ,   dw = Σ g · x̂,   db = Σ g,

with means over a row and sums over the rows. Shapes: x, g, y, dx (R, C); w, b, dw, db (C,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numba
import numpy as np
import torch
from numba import prange

from comparisons.datasets.base import Array
from comparisons.speed.clock import digits
from comparisons.speed.limits import Limits
from comparisons.speed.walks.steps import Row, Step, Table, measured, number, share, title
from minigrad import Tensor, functional, kernels

ROWS, COLUMNS, EPS = 4096, 256, 1e-5
SIZES = tuple(2**k for k in range(6, 17, 2))        # numbers of rows
LEAST = 5           # arrays that have to be read or written: x and y, and afterwards x, g and dx
BLOCKS = 32         # of rows; each has its own sums for dw and db


# ---- the steps: x, w, b, g → y, dx, dw, db -------------------------------------------------------

def by_formula(x: Array, w: Array, b: Array, g: Array) -> tuple[Array, ...]:
    sigma = np.sqrt(x.var(1, keepdims=True) + EPS)
    normal = (x - x.mean(1, keepdims=True)) / sigma
    y = normal * w + b
    slope = g * w
    dx = (slope - slope.mean(1, keepdims=True)
          - normal * (slope * normal).mean(1, keepdims=True)) / sigma
    return y, dx, (g * normal).sum(0), g.sum(0)


def in_place(x: Array, w: Array, b: Array, g: Array, empty: Any = np.empty) -> tuple[Array, ...]:
    normal, y, dx = (empty(x.shape, x.dtype) for _ in range(3))
    np.subtract(x, x.mean(1, keepdims=True), out=normal)
    sigma = np.sqrt(np.vecdot(normal, normal)[:, None] / x.shape[1] + EPS)
    normal /= sigma
    np.multiply(normal, w, out=y)
    y += b
    np.multiply(g, w, out=dx)
    average, slant = dx.mean(1, keepdims=True), np.vecdot(dx, normal)[:, None] / x.shape[1]
    dw = np.einsum("rc,rc->c", g, normal)
    dx -= average
    normal *= slant
    dx -= normal
    dx /= sigma
    return y, dx, dw, g.sum(0)


def rows_forward(x: Array, w: Array, b: Array, y: Array, means: Array, sigmas: Array) -> None:
    share = np.float32(1 / x.shape[1])
    for r in prange(x.shape[0]):
        mean = variance = np.float32(0)
        for c in range(x.shape[1]):
            mean += x[r, c] * share
        for c in range(x.shape[1]):
            variance += (x[r, c] - mean)**2 * share
        sigma = np.sqrt(variance + np.float32(EPS))
        for c in range(x.shape[1]):
            y[r, c] = (x[r, c] - mean) / sigma * w[c] + b[c]
        means[r], sigmas[r] = mean, sigma


def rows_gradient(x: Array, w: Array, g: Array, means: Array, sigmas: Array, dx: Array, dw: Array,
                  db: Array) -> None:
    share = np.float32(1 / x.shape[1])
    for block in prange(BLOCKS):
        dw[block], db[block] = 0, 0
        for r in range(len(x) * block // BLOCKS, len(x) * (block + 1) // BLOCKS):
            average = slant = np.float32(0)
            for c in range(x.shape[1]):
                normal = (x[r, c] - means[r]) / sigmas[r]
                average += g[r, c] * w[c] * share
                slant += g[r, c] * w[c] * normal * share
                dw[block, c] += g[r, c] * normal
                db[block, c] += g[r, c]
            for c in range(x.shape[1]):
                normal = (x[r, c] - means[r]) / sigmas[r]
                dx[r, c] = (g[r, c] * w[c] - average - normal * slant) / sigmas[r]


def by_rows(parallel: bool, x: Array, w: Array, b: Array, g: Array) -> tuple[Array, ...]:
    y, dx = kernels.empty(x.shape, x.dtype), kernels.empty(x.shape, x.dtype)
    means, sigmas = np.empty((2, len(x)), x.dtype)
    dw, db = np.empty((2, BLOCKS, len(w)), x.dtype)
    compiled(rows_forward, parallel)(x, w, b, y, means, sigmas)
    compiled(rows_gradient, parallel)(x, w, g, means, sigmas, dx, dw, db)
    return y, dx, dw.sum(0), db.sum(0)


@cache
def compiled(loop: Callable[..., None], parallel: bool) -> Callable[..., None]:
    """The loop compiled by Numba, which may choose the order of sums: then it can add vectors."""
    dispatcher: Callable[..., None] = numba.njit(
        parallel=parallel, fastmath={"contract", "reassoc", "arcp"}, error_model="numpy")(loop)
    return dispatcher


# ---- the libraries -------------------------------------------------------------------------------

def by_minigrad(x: Array, w: Array, b: Array, g: Array) -> tuple[Array, ...]:
    leaves = [Tensor(array, requires_grad=True) for array in (x, w, b)]
    y = functional.layer_norm(leaves[0], w.shape, leaves[1], leaves[2])
    y.backward(Tensor(g))
    return (y.data, *(leaf.grad.data for leaf in leaves if leaf.grad is not None))


def by_torch(x: Array, w: Array, b: Array, g: Array) -> tuple[Array, ...]:
    leaves = [torch.from_numpy(array).requires_grad_() for array in (x, w, b)]
    y = torch.nn.functional.layer_norm(leaves[0], w.shape, leaves[1], leaves[2])
    y.backward(torch.from_numpy(g))
    return (y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None))


STEPS = (
    Step("NumPy, as the formula says", by_formula, moved=36),
    Step("NumPy, in place", in_place, moved=27),
    Step("NumPy, in place, in recycled memory", partial(in_place, empty=kernels.empty), moved=27),
    Step("row by row, one core", partial(by_rows, False), moved=5),
    Step("row by row, all cores", partial(by_rows, True), moved=5),
    Step("minigrad", by_minigrad, moved=5),
    Step("PyTorch", by_torch, blas=True),
)


# ---- the measurement -----------------------------------------------------------------------------

def run(rng: np.random.Generator, machine: Limits) -> Iterator[Row]:
    """A row for each step, then for the last ones with fewer and with more rows."""
    yield from measured("layer-norm", STEPS, inputs(rng, ROWS), machine, size=least(ROWS))
    for rows in SIZES:
        loops, ours, torchs = measured("layer-norm-sizes", STEPS[-3:], inputs(rng, rows), machine,
                                       size=least(rows))
        yield loops | {
            "title": f"{rows * COLUMNS * 4 >> 10} KiB", "minigrad_ms": ours["median_ms"],
            "torch_ms": torchs["median_ms"],
            "output_difference": max(each["output_difference"] for each in (ours, torchs))}


def inputs(rng: np.random.Generator, rows: int) -> list[Array]:
    """x, w, b, g."""
    return [rng.standard_normal(shape, np.float32)
            for shape in ((rows, COLUMNS), COLUMNS, COLUMNS, (rows, COLUMNS))]


def least(rows: int) -> int:
    """The bytes that have to be read and written."""
    return LEAST * rows * COLUMNS * 4


TABLES = (
    Table("layer-norm", {
        "step": title, "arrays moved": lambda row: str(row.get("moved", "")),
        "ms": number("median_ms"), "GB/s": number("gbs"), "share": share}),
    Table("layer-norm-sizes", {
        "x": title, "ms": number("median_ms"), "GB/s": number("gbs"), "share": share,
        "minigrad ms": number("minigrad_ms"), "PyTorch ms": number("torch_ms")}))
NOTES = f"""\
layer-norm: an array has {digits(ROWS * COLUMNS * 4 / 1e6)} MB; at least {LEAST} of this size have
to be read or written. GB/s: those that the step moves."""
