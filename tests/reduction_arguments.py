"""Arguments for the kernels of reductions and losses, as in kernel_arguments.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_arguments import junk, real

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


REDUCTIONS = {f.__name__: f for f in (row_reductions, column_reductions, losses, loss_sums, loss_grad,
                                      count_outside)}
