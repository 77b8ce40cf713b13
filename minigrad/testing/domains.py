"""Where the numbers of a test come from: functions `(rng, shape) -> array` of float64.

A domain that is named for what it keeps clear of (poles, kinks, ties) is one where finite
differences apply; `special` and its like are for comparing with a reference only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.autograd import Array

Shape = tuple[int, ...]
Domain = Callable[[np.random.Generator, Shape], Array]


def real(rng: np.random.Generator, shape: Shape) -> Array:
    """Standard normal."""
    return np.asarray(rng.standard_normal(shape))


def positive(rng: np.random.Generator, shape: Shape) -> Array:
    """0.3 to 3: clear of the end of the domain of log and sqrt."""
    return np.asarray(rng.uniform(0.3, 3, shape))


def nonzero(rng: np.random.Generator, shape: Shape) -> Array:
    """0.3 to 3 in size, of either sign: clear of poles and kinks at 0."""
    return np.asarray(positive(rng, shape) * rng.choice([-1.0, 1.0], shape))


def unit(rng: np.random.Generator, shape: Shape) -> Array:
    """-0.9 to 0.9: clear of the poles of tan and of log(1 - x)."""
    return np.asarray(rng.uniform(-0.9, 0.9, shape))


def distinct(rng: np.random.Generator, shape: Shape) -> Array:
    """No two values closer than 0.1, none closer to 0 than 0.05: no tie however they are paired."""
    n = int(np.prod(shape))
    return np.asarray(0.1 * (rng.permutation(n) - n // 2) + 0.05).reshape(shape)


def tied(rng: np.random.Generator, shape: Shape) -> Array:
    """Small whole numbers: many ties, many zeros."""
    return np.asarray(rng.integers(-2, 3, shape), np.float64)


def probability(rng: np.random.Generator, shape: Shape) -> Array:
    """0.05 to 0.95."""
    return np.asarray(rng.uniform(0.05, 0.95, shape))


def special(rng: np.random.Generator, shape: Shape) -> Array:
    """Zeros of both signs, infinities, NaN, the very large and the very small, among plain ones."""
    return np.asarray(rng.choice([0.0, -0.0, 1.0, -1.0, 2.5, -30.0, 1e-30, 1e30, 800.0, -800.0,
                                  np.inf, -np.inf, np.nan], shape))


def finite_special(rng: np.random.Generator, shape: Shape) -> Array:
    """`special` without the infinities and NaN."""
    return np.asarray(rng.choice([0.0, -0.0, 1.0, -1.0, 2.5, -30.0, 1e-30, 800.0, -800.0], shape))
