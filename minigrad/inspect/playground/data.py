"""Points in the plane, in two classes.

Each function takes the number of points of a class, and a generator of random numbers, and returns
the points of both classes, (2, n, 2). They lie within the square from -SIDE to SIDE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.autograd import Array

SIDE = 3.0                  # half the side of the square that the page shows
COUNT = 100                 # points of each class


def spiral(n: int, random: np.random.Generator) -> Array:
    """Two arms that wind around each other."""
    t: Array = np.sqrt(random.uniform(0.01, 1, (2, n)))
    angle = 1.6 * 2 * np.pi * t + np.array([[0], [np.pi]])
    return _polar(2.7 * t, angle)


def moons(n: int, random: np.random.Generator) -> Array:
    """Two half circles, each of which reaches into the other."""
    angle = random.uniform(0, np.pi, (2, n)) + np.array([[0], [np.pi]])
    middle: Array = np.array([[[-0.85, -0.4]], [[0.85, 0.4]]])
    return middle + _polar(np.full((2, n), 1.7), angle)


def circles(n: int, random: np.random.Generator) -> Array:
    """A disc, and a ring around it."""
    inner, outer = np.array([[0.0], [1.9]]), np.array([[1.2], [2.7]])
    radius: Array = np.sqrt(random.uniform(inner**2, outer**2, (2, n)))
    return _polar(radius, random.uniform(0, 2 * np.pi, (2, n)))


def xor(n: int, random: np.random.Generator) -> Array:
    """Four squares, of which those opposite each other belong together."""
    x: Array = random.uniform(0.2, 2.6, (2, n, 2)) * random.choice([-1, 1], (2, n, 1))
    x[1, :, 0] *= -1
    return x


def drawn(n: int, random: np.random.Generator) -> Array:
    """None: the user draws them."""
    return np.zeros((2, 0, 2))


SETS: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "spiral": spiral, "moons": moons, "circles": circles, "xor": xor, "drawn": drawn}


def points(name: str, noise: float, seed: int) -> tuple[Array, Array]:
    """Points x, (N, 2), and the class of each, (N, 1), which is 0 or 1; in float32.

    noise: the standard deviation of what is added to each coordinate.
    Raises: ValueError for the name of no set.
    """
    if name not in SETS:
        raise ValueError(f"data: must be one of {', '.join(SETS)}; got {name!r}")
    random = np.random.default_rng(seed)
    x = SETS[name](COUNT, random)
    x = (x + random.normal(0, noise, x.shape)).clip(-SIDE, SIDE)
    classes = np.repeat([0, 1], x.shape[1])
    return x.reshape(-1, 2).astype(np.float32), classes.reshape(-1, 1).astype(np.float32)


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
