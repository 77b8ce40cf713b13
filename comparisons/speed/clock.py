"""Times the sides of a comparison in turn: they alternate in one process, in blocks of steps.

Thus, a machine that slows down affects all of them. After each change, one block of steps is not
timed, because the other side's threads are still active and its data fill the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from comparisons.datasets.base import Array

MIN_ROUNDS, MAX_ROUNDS = 5, 400
SHORTEST = 4e-3                         # minimum duration of a block in seconds

Repeat = Callable[[int], tuple[float, ...]]
"""Runs a step a given number of times; returns the mean seconds of each part of it."""


def in_turn(sides: Mapping[str, Repeat], seconds: float) -> tuple[int, dict[str, Array]]:
    """The number of steps in a block, and for each side the seconds per step, (rounds, parts).

    seconds: how long to measure, within MIN_ROUNDS and MAX_ROUNDS.
    """
    fastest = min(sum(repeat(1)) for repeat in sides.values())
    block = max(1, round(SHORTEST / max(fastest, 1e-6)))
    rounds: list[dict[str, tuple[float, ...]]] = []
    start = time.perf_counter()
    while len(rounds) < MAX_ROUNDS and (len(rounds) < MIN_ROUNDS
                                        or time.perf_counter() - start < seconds):
        times = {}
        for name, repeat in sides.items():
            repeat(block)
            times[name] = repeat(block)
        rounds.append(times)
    return block, {name: np.array([times[name] for times in rounds]) for name in sides}


def repeated(step: Callable[[], object]) -> Repeat:
    """A step that consists of one part."""
    def repeat(n: int) -> tuple[float]:
        start = time.perf_counter()
        for _ in range(n):
            step()
        return ((time.perf_counter() - start) / n,)
    return repeat


def quartiles(seconds: Array) -> dict[str, float]:
    """The quartiles of some times, in milliseconds."""
    q1, median, q3 = (float(q) for q in np.percentile(seconds, [25, 50, 75]) * 1e3)
    return {"median_ms": median, "q1_ms": q1, "q3_ms": q3}


def spread(figures: Mapping[str, float]) -> str:
    """The quartiles as text: median (first … third)."""
    median, q1, q3 = (figures[key] for key in ("median_ms", "q1_ms", "q3_ms"))
    return f"{digits(median)} ({digits(q1)} … {digits(q3)})"


def digits(value: float) -> str:
    """A number with three digits or more and no exponent: 0.0412, 4.12, 41.2, 4123."""
    if not 0 < abs(value) < np.inf:
        return f"{value:g}"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"
