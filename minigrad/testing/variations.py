"""Calls like a given one: other sizes and other numbers.

A gradient can be right at an example and wrong elsewhere: for negative numbers, for whole numbers,
for longer dims, for an index that occurs twice. So each example is varied: its dims become shorter
or longer, its numbers change places, change sign, grow, shrink or become whole. What the op does
not take is left out, and so are points where finite differences do not apply.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import REFUSALS, sizes
from minigrad.testing.checks.running import floats, run

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

LONGEST = 7                     # what a dim of an example grows to, at most
MANY = 500                      # elements: a call does not grow beyond that
Place = int | tuple[int, int]   # all dims of one length, or one dim: (input, axis)
Change = Callable[[np.random.Generator, Array], Array]

# ---- other sizes ---------------------------------------------------------------------------------

def resizings(call: Call, short: bool = False) -> SearchStrategy[Call]:
    """The call with each length of its dims cut to one that hypothesis chooses, at least 1.

    short: of a large call, to short ones only, or not at all: many large calls would take long.
    """
    from hypothesis import strategies as st

    def shorter(n: int) -> list[int]:
        if short and n > LONGEST and _elements(call) > MANY:
            return [*range(1, LONGEST + 1), n]
        return [*range(1, n + 1)]

    return st.fixed_dictionaries({
        n: st.sampled_from(shorter(n)) for n in sizes.lengths(call)}).map(
            lambda to: sizes.resized(call, to))


def _elements(call: Call) -> int:
    return sum(x.size for x in call.arrays if x is not None)


def enlarged(call: Call, place: Place, to: int) -> Call:
    """The call with some dims as long as `to`, unless that makes it large.

    What is added repeats what is there, a little closer to 0, so that no new ties arise.
    """
    rng = np.random.default_rng(0)

    def grown(i: int | None, x: Array) -> Array:
        for axis, n in enumerate(x.shape):
            if to > n > 0 and place in (n, (i, axis)):
                added = x.take(np.arange(n, to) % n, axis)
                if x.dtype.kind == "f":
                    added = added * rng.uniform(0.8, 1.0, added.shape)
                x = np.concatenate([x, added], axis)
        return x

    larger = call.with_arrays(None if x is None else grown(i, x)
                              for i, x in enumerate(call.arrays)).map_named(
                                  functools.partial(grown, None))
    return larger if _elements(larger) <= MANY else call


def _growing(call: Call) -> list[Place]:
    """The places where a call can grow."""
    single = [(i, axis) for i, x in enumerate(call.arrays) if x is not None
              for axis, n in enumerate(x.shape) if n == 1]
    return [*(n for n in sizes.lengths(call) if n < LONGEST), *single]


# ---- other numbers -------------------------------------------------------------------------------

def _same(rng: np.random.Generator, x: Array) -> Array:
    return x


def _elsewhere(rng: np.random.Generator, x: Array) -> Array:
    return rng.permutation(x.ravel()).reshape(x.shape)


def _whole(rng: np.random.Generator, x: Array) -> Array:
    """Whole numbers of the same sign, many of them equal, and none of them 0."""
    return np.asarray(np.sign(x) * np.maximum(np.round(np.abs(x)), 1.0))


SMOOTH: list[Change] = [_same, _elsewhere, lambda rng, x: -x, lambda rng, x: 10.0 * x,
                        lambda rng, x: 0.1 * x]


def _changed(call: Call, changes: Sequence[Change], seed: int) -> Call:
    """Each input changed in its own way; of whole numbers, some repeated, as an index may be."""
    rng = np.random.default_rng(seed)

    def change(x: Array, how: Change) -> Array:
        if how is _same or not x.size:
            return x
        return how(rng, x) if x.dtype.kind == "f" else rng.choice(x.ravel(), x.shape)

    return call.with_arrays(None if x is None else change(x, how)
                            for x, how in zip(call.arrays, changes, strict=True))


def variations(case: OpCase, call: Call, kinks: bool) -> SearchStrategy[Call]:
    """Calls like this one that the op takes, and where finite differences apply.

    kinks: whether it may also be at a kink, as the ties among whole numbers often are.
    """
    from hypothesis import strategies as st
    if not takes(case, call):           # nothing comes out of it, and of others like it
        return st.just(call)
    places = _growing(call)
    resized = resizings(call, short=True)
    if places:
        resized |= st.builds(enlarged, st.just(call), st.sampled_from(places),
                             st.integers(2, LONGEST))
    changes = st.tuples(*[st.sampled_from([*SMOOTH, _whole] if kinks else SMOOTH)
                          for _ in call.arrays])

    def varied(other: Call, how: tuple[Change, ...], seed: int) -> tuple[Call, set[Change]]:
        return _changed(other, how, seed), {*how} - {_same}

    def applies(drawn: tuple[Call, set[Change]]) -> bool:
        other, how = drawn
        if _whole in how:
            return sloping(case, other)
        return smooth(case, other) if how else takes(case, other)

    return st.builds(varied, resized, changes, st.integers(0, 2**32 - 1)).filter(applies).map(
        lambda drawn: drawn[0])


# ---- where does the op apply? --------------------------------------------------------------------

def takes(case: OpCase, call: Call) -> bool:
    """Whether the op takes the call, and gives results, all of them finite."""
    return _values(case, call) is not None


def _values(case: OpCase, call: Call) -> Array | None:
    """All floating-point results in one vector; None where the op refuses, where there is none of
    any dtype, and where one is not finite."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")         # as NumPy does of the mean of nothing
        try:
            ys = run(case, call.map(np.array))[1]       # a copy: it may write into its inputs
        except REFUSALS:
            return None
    if not any(y.data.size for y in ys):
        return None
    values = np.concatenate([np.zeros(0), *(y.data.ravel() for y in floats(ys))])
    return values if np.isfinite(values).all() else None


def _steps(call: Call) -> list[Array | None]:
    """A small step in a random direction."""
    rng = np.random.default_rng(0)
    return [None if x is None or x.dtype.kind != "f" else
            1e-6 * np.maximum(1.0, np.abs(x)) * rng.uniform(0.5, 1.5, x.shape)
            * rng.choice([-1.0, 1.0], x.shape) for x in call.arrays]


def _moved(case: OpCase, call: Call, steps: Sequence[Array | None], by: float) -> Array | None:
    """The results with the inputs moved by so many steps."""
    return _values(case, call.with_arrays(
        x if h is None or x is None else x + by * h
        for x, h in zip(call.arrays, steps, strict=True)))


def _around(case: OpCase, call: Call) -> list[Array | None]:
    """The results with all inputs moved by -4, -1, 1 and 4 steps."""
    steps = _steps(call)
    return [_moved(case, call, steps, by) for by in (-4, -1, 1, 4)]


def sloping(case: OpCase, call: Call) -> bool:
    """Whether there is a slope to either side, though it may be another one as at a kink: a small
    and a larger step give the same. That is not so where values jump, as the eigenvectors of a
    matrix do where eigenvalues are equal."""
    here, around = _values(case, call), _around(case, call)
    if here is None or any(y is None or y.shape != here.shape for y in around):
        return False
    far_before, before, after, far_after = (np.asarray(y) - here for y in around)
    size = max(np.abs(before).max(initial=0), np.abs(after).max(initial=0))
    allowed = 1e-3 * size + 16 * np.spacing(np.abs(here).max(initial=1))
    return bool((np.abs(after - far_after / 4) <= allowed).all()
                and (np.abs(before - far_before / 4) <= allowed).all()
                and _elements_tell(case, call, here, after, allowed))


def _elements_tell(case: OpCase, call: Call, here: Array, after: Array, allowed: float) -> bool:
    """Whether the slopes by each element, to either side, account for the step by all of them.

    Of three equal numbers, for one, each may be moved alone without moving their median.
    """
    steps, rng = _steps(call), np.random.default_rng(1)

    def change(masks: Sequence[Array | None], by: float = 1.0) -> Array:
        y = _moved(case, call, [None if h is None or mask is None else h * mask
                                for h, mask in zip(steps, masks, strict=True)], by)
        if y is None or y.shape != here.shape:
            return np.full(here.shape, np.nan)
        return by * (y - here)

    def one(i: int, n: int, h: Array) -> list[Array | None]:
        mask = np.zeros(h.size)
        mask[n] = 1
        return [mask.reshape(h.shape) if k == i else None for k in range(len(steps))]

    for _ in range(4):                  # where it is smooth, any two parts of the step add up to it
        part = [None if h is None else rng.integers(0, 2, h.shape) for h in steps]
        rest = [None if mask is None else 1 - mask for mask in part]
        if not (np.abs(change(part) + change(rest) - after) <= allowed).all():
            break
    else:
        return True
    low = high = np.zeros(here.shape)
    for i, h in enumerate(steps):
        if h is None:
            continue
        for n in range(h.size):
            sides = change(one(i, n, h)), change(one(i, n, h), -1.0)
            low, high = low + np.minimum(*sides), high + np.maximum(*sides)
    return bool(((low - allowed <= after) & (after <= high + allowed)).all())


def smooth(case: OpCase, call: Call) -> bool:
    """Whether a small and a larger step give the same slopes, so that finite differences apply."""
    far_before, before, after, far_after = _around(case, call)
    if far_before is None or before is None or after is None or far_after is None:
        return False
    if not before.shape == after.shape == far_before.shape == far_after.shape:
        return False
    close, far = (after - before) / 2, (far_after - far_before) / 8
    allowed = (1e-6 * np.abs(close).max(initial=0) + 16 * np.spacing(np.abs(after).max(initial=1)))
    return bool((np.abs(close - far) <= allowed).all())
