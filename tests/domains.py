"""Where inputs come from: named domains of values, and hypothesis strategies for shapes.

A domain is a function `(rng, shape) -> array` of float64. hypothesis chooses (and shrinks) shapes,
arguments and the seed; the numbers themselves come from the seeded generator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray
Shape = tuple[int, ...]
Domain = Callable[[np.random.Generator, Shape], Array]


# ---- values --------------------------------------------------------------------------------------

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


# ---- shapes --------------------------------------------------------------------------------------

def shapes(min_dims: int = 0, max_dims: int = 3, *, min_side: int = 1, max_side: int = 4
           ) -> st.SearchStrategy[Shape]:
    """0-d upwards; sides of size 1 come often."""
    side = st.integers(min_side, max_side)
    if min_side <= 1:
        side = st.one_of(st.just(1), side)
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


def any_shapes(min_dims: int = 0, max_dims: int = 3) -> st.SearchStrategy[Shape]:
    """Empty ones too: sides of size 0."""
    return st.one_of(shapes(min_dims, max_dims), shapes(min_dims, max_dims, min_side=0))


@st.composite
def broadcastable(draw: st.DrawFn, n: int = 2, max_dims: int = 3) -> tuple[Shape, ...]:
    """n shapes that broadcast together: dims set to 1 or left off in front."""
    full = draw(any_shapes(0, max_dims))

    def part() -> Shape:
        kept = full[draw(st.integers(0, len(full))):] if draw(st.booleans()) else full
        return tuple(1 if draw(st.booleans()) and draw(st.booleans()) else side for side in kept)
    return tuple(part() for _ in range(n))


@st.composite
def image_batches(draw: st.DrawFn, *, max_batch: int = 2, max_channels: int = 4,
                  min_side: int = 1, max_side: int = 7) -> Shape:
    """(N, C, H, W)"""
    return (draw(st.integers(1, max_batch)), draw(st.integers(1, max_channels)),
            draw(st.integers(min_side, max_side)), draw(st.integers(min_side, max_side)))


@st.composite
def dim_of(draw: st.DrawFn, ndim: int) -> int:
    """A dim, from the front or from the end; 0 and -1 for 0-d."""
    n = max(ndim, 1)
    return draw(st.integers(-n, n - 1))


@st.composite
def dims_of(draw: st.DrawFn, ndim: int, *, none: bool = True) -> int | tuple[int, ...] | None:
    """What `dim=` takes: None, an int, or a tuple of several, some from the end."""
    choices = [dim_of(ndim), *([st.none()] if none else [])]
    if ndim:
        several = st.lists(st.integers(0, ndim - 1), min_size=1, unique=True).map(
            lambda dims: tuple(d - ndim if d % 2 else d for d in dims))
        choices.append(several)
    return draw(st.one_of(choices))


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


# ---- memory --------------------------------------------------------------------------------------

def strided(x: Array, step: int = 2) -> Array:
    """The same values in memory with gaps and with the dims in reverse order; a negative step: and
    backwards."""
    room = np.zeros([2 * n + 1 for n in reversed(x.shape)], x.dtype)
    y = np.asarray(room[(slice(1, None, 2),) * x.ndim]).transpose()
    if step < 0:
        y = y[::-1] if x.ndim else y
    y[...] = x
    return y


def read_only(x: Array) -> Array:
    y = x.copy()
    y.flags.writeable = False
    return y
