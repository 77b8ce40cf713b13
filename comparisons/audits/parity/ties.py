"""Windows of max pools whose two largest values differ by rounding alone.

The gradient of such a window goes to one of the two values. Which one is a matter of the last digit
of what was computed before, so two sides may both be right and still pass it to different values.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np

from comparisons.audits.parity.recording import POOLED, Recorded, copied, leaves
from comparisons.datasets.base import Array
from comparisons.implementations import Implementation

DIMENSIONS = re.compile(r"MaxPool([123])d")


def ties(model: Any, impl: Implementation, ours: Recorded, theirs: Recorded, bound: float
         ) -> list[str]:
    """A sentence for each pool in which the sides chose different values, all within rounding.

    model: the network in `impl`, which says what each side chose. bound: how far two values that
    differ by rounding alone are apart, relative to the pool's largest value.
    """
    pools = dict(leaves(model))
    told = []
    for kind, name in sorted(key for key in ours.keys() & theirs.keys() if key[0] == POOLED):
        pool = copy.copy(pools[name.split(" ")[0]])
        pool.return_indices = True
        first, second = (copied(pool(impl.tensor(side[kind, name]))[1]) for side in (ours, theirs))
        different = first != second
        count = np.count_nonzero(different)
        if count and all(gap(side[kind, name], first, second, pool) <= bound
                         for side in (ours, theirs)):
            told.append(
                f"In {name}, {count:,} of {different.size:,} windows "
                f"{'have' if count > 1 else 'has'} two largest values that differ by rounding "
                "alone. The sides pass their gradients to different ones, and both are right")
    return told


def gap(x: Array, first: Array, second: Array, pool: Any) -> float:
    """The largest difference between the values that were chosen, relative to the largest of x."""
    named = DIMENSIONS.search(type(pool).__name__)
    if named is None:
        return float("inf")
    values = x.reshape(*x.shape[:-int(named[1])], -1)
    a, b = (np.take_along_axis(values, i.reshape(*values.shape[:-1], -1), -1)
            for i in (first, second))
    return float(np.abs(a - b).max() / (np.abs(x).max() or 1))
