"""The table of translators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.onnx.errors import NotDynamic
from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.program import Shape, Size


@dataclass
class Op:
    """A step to be translated. inputs: its operands, None for one that was left out. static: its
    other arguments, in which arrays are Values. shape, dtype: of its result."""

    name: str
    inputs: list[Any]
    static: dict[str, Any]
    shape: Shape
    dtype: np.dtype[Any]
    path: str

    @property
    def x(self) -> Value:
        """The first operand."""
        x: Value = self.inputs[0]
        return x


class CannotTranslate(Exception):
    """The op has no equivalent in ONNX for these arguments; the message says why."""


Translator = Callable[[Graph, Op], Operand]

TRANSLATORS: dict[str, Translator] = {}
BATCH_SIZED: dict[str, frozenset[str]] = {}     # which static arguments may hold Sizes


def translates(*names: str, sizes: tuple[str, ...] = ()) -> Callable[[Translator], Translator]:
    """Enter a function in the table, for ops of these names.

    It is given the graph, to which it adds nodes, and the step, and returns the result. sizes: the
    static arguments that may depend on the batch size; it must not take them for numbers.
    """
    def enter(function: Translator) -> Translator:
        for name in names:
            TRANSLATORS[name] = function
            BATCH_SIZED[name] = frozenset(sizes)
        return function
    return enter


REFUSED = {
    "dropped": "dropout draws random numbers, and the graph of a trained network has none; give "
               "functional.dropout(x, training=self.training), or use nn.Dropout",
    "nonzero": "how many places there are depends on the values of the input; where() with three "
               "arguments has a fixed shape",
}


def fixed(shape: Shape) -> tuple[int, ...]:
    """Sizes as numbers, where the translation needs them.

    Raises: NotDynamic where one depends on the batch size.
    """
    if any(isinstance(n, Size) for n in shape):
        raise NotDynamic(f"needs the sizes {', '.join(map(str, shape))} as numbers")
    return shape


def fixed_size(n: Any) -> int:
    return fixed((n,))[0]
