"""The errors of every layer and of every parameter, and what they must not exceed.

An error is the largest difference in a tensor, divided by the tensor's scale. The scale is the size
of what was rounded: the largest value of the tensor or, where terms cancel, the size of the terms
whose sum it is. The gradient of a bias before batch normalisation, for example, is a sum of
thousands of terms, and its true value is 0. What is computed is nothing but rounding, and another
order of summation gives another value. How large the terms are is measured in two ways:

- Every number that the layer reads (its inputs, its parameters, and the gradient that arrives) is
  changed by a tiny relative amount, up or down at random. The change of the result, divided by that
  amount, is the scale of what was summed.
- The error of PyTorch's own float32, divided by the unit roundoff, 2^-24. It also holds for terms
  inside a layer that consists of several ops.

Of both, the median over the tensor is taken, so that single values do not make a bound meaningless.

The bounds: rounding n terms of a sum in any order causes an error of about √n roundings. The
longest sums here have some 10^5 terms, hence 300 roundings of 6e-8 in float32. In float64, the
errors of all layers accumulate, and the bound is wide: 10^5 roundings of 1e-16.

In float64, each side computes with its own activations. If these agree, but a max pool has to
choose between values that differ by rounding alone (`ties.py`), then the gradients of minigrad are
compared with those that PyTorch computes from minigrad's activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comparisons import implementations
from comparisons.audits.parity.recording import (
    BACKWARD,
    FORWARD,
    PARAMETER,
    SHAKE,
    Recorded,
    Subject,
    record,
)
from comparisons.audits.parity.ties import ties
from comparisons.datasets.base import Array

SINGLE, DOUBLE = 2e-5, 1e-11
ROUNDOFF = 2.0**-24
ORDER = (FORWARD, BACKWARD, PARAMETER)
NOTHING = float("nan")


@dataclass(frozen=True)
class Line:
    """One tensor: its errors in float32, each layer by itself, and the difference in float64."""

    kind: str
    name: str
    shape: tuple[int, ...]
    minigrad: float
    torch: float
    double: float

    @property
    def out(self) -> bool:
        """Whether minigrad is out of bounds; NaN is."""
        return not (self.minigrad <= SINGLE and self.double <= DOUBLE)

    @property
    def label(self) -> str:
        return self.name if self.kind == FORWARD else f"∂ {self.name}"


def measured(subject: Subject) -> tuple[list[Line], list[str]]:
    """The errors of a network: the activations in the order of the layers, then the gradients; and
    a sentence for each pool with ties that mattered."""
    ours, theirs = (implementations.get(name, "cpu") for name in implementations.NAMES)
    double, torch_double = (record(subject, impl, np.float64) for impl in (ours, theirs))
    single = record(subject, ours, np.float32)
    torch_single = record(subject, theirs, np.float32, teacher=single)
    truth = record(subject, theirs, np.float64, teacher=single)
    shaken = record(subject, theirs, np.float64, teacher=single, shaken=True)

    def compared(torch_double: Recorded) -> list[Line]:
        lines = []
        keys = [key for key in truth | single if key[0] in ORDER]
        for key in sorted(keys, key=lambda key: ORDER.index(key[0])):
            known = truth.get(key)
            size = 1.0 if known is None else scale(known, shaken[key], torch_single[key])
            lines.append(Line(*key, (single[key] if key in single else truth[key]).shape,
                              error(single.get(key), known, size),
                              error(torch_single.get(key), known, size),
                              error(double.get(key), torch_double.get(key), size)))
        return lines

    lines = compared(torch_double)
    if not any(line.out for line in lines) or any(line.out for line in lines
                                                  if line.kind == FORWARD):
        return lines, []
    told = ties(subject.training(theirs, np.float64).model, theirs, double, torch_double, DOUBLE)
    if not told:
        return lines, []
    forward = {key: value for key, value in torch_double.items() if key[0] == FORWARD}
    activations = {key: value for key, value in double.items() if key[0] == FORWARD}
    return compared(record(subject, theirs, np.float64, teacher=activations) | forward), told


def scale(truth: Array, shaken: Array, rounded: Array) -> float:
    """What was rounded in a tensor; see above. 1 if everything is 0."""
    if not truth.size:
        return 1.0
    return float(np.abs(truth).max(initial=max(
        np.median(np.abs(shaken - truth)) / SHAKE, np.median(np.abs(rounded - truth)) / ROUNDOFF))
        or 1)


def error(found: Array | None, truth: Array | None, size: float) -> float:
    """max |found - truth| / size; NaN if one is missing or their shapes differ."""
    if found is None or truth is None or found.shape != truth.shape:
        return NOTHING
    return float(np.abs(found.astype(np.float64) - truth).max(initial=0) / size)


def first_out(lines: Sequence[Line]) -> Line | None:
    """The first place that differs: of the activations, in the order in which they are computed,
    and only then of the gradients."""
    return next((line for line in lines if line.out), None)
