"""Which arrays a graph keeps in memory for the backward pass, and for which op."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.inplace import Array, captured_by, memory_owner
from minigrad.tensor import Tensor


def held_by(vertices: Iterable[Any], not_counted: Iterable[Array]) -> dict[Any, int]:
    """The bytes that each vertex of a graph keeps alive, by vertex; memory that several keep counts
    for the one that was recorded first.

    not_counted: arrays that are there anyway, such as parameters and the batch.
    """
    seen = {id(memory_owner(array)) for array in not_counted}
    held = {}
    for vertex in sorted(vertices, key=lambda vertex: vertex.time):
        total = 0
        for array in kept_by(vertex):
            owner = memory_owner(array)
            if id(owner) not in seen:
                seen.add(id(owner))
                total += owner.nbytes
        held[vertex] = total
    return held


def kept_by(vertex: Any) -> list[Array]:
    """The arrays that a vertex keeps for the backward pass: the op's output, where it is wanted,
    and what the vjps have captured."""
    values = [vertex.output]
    for value in captured_by(vjp for _, vjp in vertex.edges or ()):
        values += value.values() if isinstance(value, dict) else [value]
    arrays = [value.data if isinstance(value, Tensor) else value for value in values]
    return [array for array in arrays if isinstance(array, np.ndarray)]
