"""Arguments for the kernels of reductions, losses, lookups and choices."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_arguments import gradient, junk, of_one, of_positive, real, with_options

from minigrad.kernels.loss import PIECE


def row_reductions(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    rows, n, parts = (draw(st.sampled_from(sizes)) for sizes in ([1, 2, 5], [1, 40, 700], [1, 3]))
    x = rng.uniform(0.9, 1.1, (rows, n)).astype(dtype)      # of which products are moderate
    return x, rng.uniform(0.9, 1.1, rows), draw(st.integers(0, 6)), junk((rows, parts), "float64")


def column_reductions(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    planes, rows = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 13, 50]))
    columns, parts = draw(st.sampled_from([1, 5, 40, 700])), draw(st.integers(1, 5))
    x = rng.uniform(0.9, 1.1, (planes, rows, columns)).astype(dtype)
    return (x, rng.uniform(0.9, 1.1, (planes, columns)), draw(st.integers(0, 6)),
            junk((planes, parts, columns), "float64"))


def running_sums(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = draw(st.integers(1, 9)), draw(st.sampled_from([1, 50])), draw(st.sampled_from([1, 700]))
    return rng.uniform(-1, 1, shape).astype(dtype), draw(st.booleans()), junk(shape, dtype)


def class_loss(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    outer, n, inner = (draw(st.integers(1, 20)) for _ in range(3))
    target = rng.integers(-1, n, (outer, inner))
    return (real(rng, (outer, n, inner), dtype), target, real(rng, target.shape, dtype),
            junk(target.shape, dtype))


def class_loss_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, target, share, _ = class_loss(rng, draw, dtype)
    return share, target, junk(x.shape, dtype)


def losses(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.sampled_from([0, 1, 50, PIECE + 3]))
    x, t = (rng.uniform(0.1, 0.9, n).astype(dtype) for _ in range(2))
    options = draw(st.sampled_from([(0.3, 0.5, 0.3, 0.045), (0.0, 0.0, 1.0, 0.0)]))
    return x, t, draw(st.integers(0, 4)), options, junk(n, dtype)


def loss_sums(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, t, kind, options, _ = losses(rng, draw, dtype)
    return x, t, kind, options, junk(-(-len(x) // PIECE), "float64")


def loss_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, t, kind, options, dx = losses(rng, draw, dtype)
    g = real(rng, draw(st.sampled_from([1, len(x)])), dtype)
    return x, t, g, kind, draw(st.booleans()), 0.3, options, dx


def count_outside(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x = rng.choice([0.5, 1.0, 2.0, np.nan], draw(st.sampled_from([0, 3, PIECE + 9]))).astype(dtype)
    return x, 0.5, 1.0, junk(-(-len(x) // PIECE), "float64")


def pick_rows(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n, rows, columns = (draw(st.integers(1, 20)) for _ in range(3))
    return real(rng, (rows, columns), dtype), rng.integers(0, rows, n), junk((n, columns), dtype)


def pick_along(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    planes, rows, columns, n = (draw(st.integers(1, 5)) for _ in range(4))
    return (real(rng, (planes, rows, columns), dtype),
            rng.integers(0, rows, planes * n * columns), junk((planes, n, columns), dtype))


def add_along(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    y, places, x = pick_along(rng, draw, dtype)
    return real(rng, x.shape, dtype), places, junk(y.shape, dtype)


def clamp_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, g, dx = gradient()(rng, draw, dtype)
    x[:1] = np.nan
    return x, g, -0.5, 0.7, draw(st.booleans()), dx


def select(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.sampled_from([1, 30, 9000]))
    a, b = (real(rng, draw(st.sampled_from([1, n])), dtype) for _ in range(2))
    return a, b, rng.random(n) < 0.5, junk(n, dtype)


def resample(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    """Rows of a sparse matrix that have no tap, a few, or more than float32 may add up."""
    planes, columns = draw(st.sampled_from([0, 1, 3, 20, 70])), draw(st.sampled_from([1, 2, 40]))
    n, m = draw(st.sampled_from([1, 5, 33, 9000])), draw(st.sampled_from([1, 4, 20]))
    counts = rng.integers(0, draw(st.sampled_from([2, 3, 6, 100])), m)
    starts = np.append(0, np.cumsum(counts))
    return (real(rng, (planes, n, columns), dtype), starts, rng.integers(0, n, starts[-1]),
            real(rng, starts[-1], dtype), junk((planes, m, columns), dtype))


def triangle(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = tuple(draw(st.sampled_from([1, 3, 40])) for _ in range(3))
    return (real(rng, shape, dtype), draw(st.booleans()), draw(st.integers(-shape[1], shape[2])),
            junk(shape, dtype))


def division(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.sampled_from([1, 30, 9000]))
    a, b = (rng.choice([-2.5, 0.1, 1, 7, 1e12], draw(st.sampled_from([1, n]))).astype(dtype)
            for _ in range(2))
    return a, b, draw(st.booleans()), junk(n, dtype)


REDUCTIONS: dict[str, Any] = {f.__name__: f for f in (
    row_reductions, column_reductions, running_sums, class_loss,
    class_loss_grad, losses, loss_sums, loss_grad,
    count_outside, pick_rows, pick_along, add_along, clamp_grad, select, division,
    resample, triangle)}
REDUCTIONS |= dict.fromkeys(("absolute", "sign"), of_one)
REDUCTIONS |= dict.fromkeys(("log1p", "sqrt", "rsqrt"), of_positive)
REDUCTIONS |= {"clamp": with_options([-0.5, 0.0], [0.1, 0.7])}
