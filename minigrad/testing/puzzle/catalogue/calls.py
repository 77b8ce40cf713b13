"""Calls on which ops are judged, with inputs drawn from an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.testing.puzzle.puzzle import Call, Rng

Shape = tuple[int, ...]


def elementwise(low: float = -2.0, high: float = 2.0) -> Callable[[Rng], list[Call]]:
    """One input, of no, one and two dims."""
    return on([()], [(5,)], [(3, 4)], low=low, high=high)


def on(*shapes: list[Shape], low: float = -2.0, high: float = 2.0,
       static: tuple[dict[str, Any], ...] = ({},)) -> Callable[[Rng], list[Call]]:
    """A call for each list of the inputs' shapes, and for each of the static arguments."""
    def calls(rng: Rng) -> list[Call]:
        return [Call([np.asarray(rng.uniform(low, high, shape)) for shape in inputs], arguments)
                for inputs in shapes for arguments in static]
    return calls
