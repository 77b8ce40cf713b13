"""What is kept of a training: curves, and histograms whose bins are the same at every step.

Weights change by a factor of two during a training, gradients by a factor of a million. So the bins
are logarithmic, on both sides of zero: two for each power of two, as a float's own bits have it.
However long a training is, what is kept of it stays small: where there is too much, neighbouring
points of a curve become their mean, and of neighbouring records one is kept.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.inspect.encode import number

LOWEST, HIGHEST = -30, 11       # powers of two; smaller magnitudes count as zero, larger as this
SIDE = 2 * (HIGHEST - LOWEST)   # bins on either side of the bin of zeros, in the middle
BINS = 2 * SIDE + 1
POINTS, RECORDS = 1000, 200     # up to twice as many are kept


def binned(x: Array) -> Array:
    """How many values of x are in each of the BINS, from the most negative to the most positive;
    and, one more, how many are NaN or infinite.

    The first ten bits of a float32 are its sign, its exponent, and the first bit of its mantissa,
    which tells the lower half of an octave from the upper one. Counting them is a histogram.
    """
    with np.errstate(over="ignore"):            # what is too large for float32 counts as infinite
        bits = np.ascontiguousarray(x, np.float32).reshape(-1).view(np.uint32)
    counts = np.bincount(bits >> 22, minlength=1024).reshape(2, 512)
    first, last = 2 * (127 + LOWEST), 2 * (127 + HIGHEST)
    shown = counts[:, first:last]
    shown[:, -1] += counts[:, last:510].sum(1)
    zeros = counts[:, :first].sum()
    return np.concatenate([shown[1, ::-1], [zeros], shown[0], [counts[:, 510:].sum()]])


@dataclass
class Curve:
    """(step, value) points."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    every: int = 1                              # so many values have become one point
    _sum: float = 0.0
    _count: int = 0

    def add(self, step: int, value: float) -> None:
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self.every:
            self.steps.append(step)
            self.values.append(self._sum / self.every)
            self._sum, self._count = 0.0, 0
        if len(self.steps) == 2 * POINTS:
            self.steps = self.steps[1::2]
            self.values = [(a + b) / 2 for a, b in zip(self.values[::2], self.values[1::2],
                                                       strict=True)]
            self.every *= 2

    def encoded(self) -> list[list[Any]]:
        return [self.steps, [number(value) for value in self.values]]


@dataclass
class History:
    """curves: by name. records: what was looked at, at some of the steps. most: up to twice as many
    records are kept. thinned: how often half of them were left out."""

    most: int = RECORDS
    curves: dict[str, Curve] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    thinned: int = 0

    def point(self, name: str, step: int, value: float) -> None:
        self.curves.setdefault(name, Curve()).add(step, value)

    def record(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if len(self.records) == 2 * self.most:
            first, last = self.records[0]["step"], record["step"]
            span = 2 * (last - first) / (len(self.records) - 1)     # one is kept in each of these
            kept: dict[int, dict[str, Any]] = {}
            for each in self.records:
                kept.setdefault(int((each["step"] - first) / span), each)
            self.records = list(kept.values())
            self.thinned += 1


@dataclass
class Measured:
    """Values of a tensor, or of several one after the other: their histogram and their size."""

    counts: Array = field(default_factory=lambda: np.zeros(BINS + 1, np.int64))
    squares: float = 0.0

    def add(self, x: Array) -> None:
        self.counts = self.counts + binned(x)
        finite = x if np.isfinite(x).all() else x[np.isfinite(x)]
        self.squares += float(np.square(finite, dtype=np.float64).sum())

    def merge(self, other: Measured) -> None:
        self.counts, self.squares = self.counts + other.counts, self.squares + other.squares

    def encoded(self) -> list[Any] | None:
        """[first bin, heights as base64, root mean square of the finite ones, share of zeros, how
        many are not finite]; None if there are no values. Heights are as the square root of the
        counts, and 255 stands for the fullest bin, or for more: zeros may be the most by far."""
        count = int(self.counts.sum())
        if not count:
            return None
        odd, counts = int(self.counts[-1]), self.counts[:-1]
        filled = np.flatnonzero(counts)
        first, last = (filled[0], filled[-1] + 1) if filled.size else (0, 0)
        peak = np.delete(counts, SIDE).max() or 1
        heights = np.ceil(255 * np.sqrt(np.minimum(1, counts[first:last] / peak)))
        return [int(first), base64.b64encode(heights.astype(np.uint8).tobytes()).decode("ascii"),
                number(float(np.sqrt(self.squares / (count - odd)))) if odd < count else None,
                number(float(counts[SIDE] / count)), odd]
