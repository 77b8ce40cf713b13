"""A linear problem with noise, whose exact solution is known: least squares."""

from __future__ import annotations

import numpy as np

from comparisons.datasets.base import Data

WEIGHT = np.array([3.0, -2.0, 1.5, 0.5, -1.0, 2.5, 0.0, -0.5])
BIAS = 4.0
NOISE = 0.5


def load_regression(seed: int = 0) -> Data:
    """1,000 + 200 rows of y = x·WEIGHT + BIAS + NOISE·ε, with x and ε standard normal.

    Shapes: x (1000, 8), y (1000, 1), x_test (200, 8), y_test (200, 1), float64. The matrix
    [x 1] has a condition number below 1.5, so gradient descent meets no narrow valley.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1200, 8))
    y = (x @ WEIGHT + BIAS + NOISE * rng.standard_normal(1200))[:, None]
    return Data("linear-1000x8", f"a linear problem generated with seed {seed}: 1,000 "
                f"training rows and 200 test rows, 8 features, noise {NOISE}",
                x[:1000], y[:1000], x[1000:], y[1000:])
