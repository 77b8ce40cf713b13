"""Rows added up in the places of a table: the gradient of a lookup."""

from __future__ import annotations

import numpy as np

from minigrad.kernels import SMALL, Float2, Int1, kernel, prange

PARTS = 8           # of a table; a thread owns the rows whose number has its remainder


def scatter_rows_numpy(x: Float2, rows: Int1, y: Float2) -> None:
    """y = 0, and then y[rows[i]] += x[i] for each i."""
    y[:] = 0
    np.add.at(y, rows, x)


@kernel(scatter_rows_numpy, writes=("y",), small=SMALL)
def scatter_rows(x: Float2, rows: Int1, y: Float2) -> None:
    for part in prange(PARTS):
        for row in range(part, y.shape[0], PARTS):
            y[row] = 0
        for i in range(rows.shape[0]):
            if rows[i] % PARTS == part:
                source, target = x[i], y[rows[i]]
                for j in range(x.shape[1]):
                    target[j] += source[j]
