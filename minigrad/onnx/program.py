"""One program from several traces: what they have in common, and how it depends on the batch size.

A network is traced with other values, and with other batch sizes. Every trace must take the same
steps. A size that differs must be a multiple of the batch size, plus a number: it becomes a `Size`.
A constant that differs would be wrong for other inputs, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.inspect.places import Place
from minigrad.onnx.errors import ExportError, NotDynamic
from minigrad.onnx.trace import Constant, Operand, Reference, Step, Trace


@dataclass(frozen=True)
class Size:
    """A number that depends on the batch size N: times·N + plus. It is not a number of Python's, so
    that nobody can take it for a fixed one without noticing."""

    times: int
    plus: int

    def __str__(self) -> str:
        times = "N" if self.times == 1 else f"{self.times}*N"
        return f"{times}{self.plus:+}" if self.plus else times


Shape = tuple[Any, ...]             # of ints and Sizes


@dataclass(eq=False)
class Spread:
    """A constant that is repeated as often as the batch size demands: array has size 1 there."""

    array: Array
    shape: Shape


@dataclass(frozen=True)
class Number:
    """A number that depends on the batch size, as a tensor of one element."""

    size: Size
    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class Reshaped:
    """A known value in another shape."""

    source: Reference
    shape: Shape


@dataclass(eq=False)
class Common:
    """A step that all traces take. inputs, static: as in Step, with Sizes and what is made of them.
    shape, dtype: of its result."""

    name: str
    shown: str
    inputs: list[Any]
    static: dict[str, Any]
    shape: Shape
    dtype: Any
    place: Place


@dataclass(eq=False)
class Program:
    """steps: in order. outputs: the operands that the network returns. input_shapes: with Sizes."""

    steps: list[Common]
    outputs: list[Any]
    input_shapes: list[Shape]
    output_shapes: list[Shape]


def agreed(traces: Sequence[Trace], outputs: Sequence[list[Operand]],
           inputs: Sequence[list[Array]], batches: Sequence[int]) -> Program:
    """The program that all traces are of. The first is the one of the input that was given.

    Raises: ExportError where they differ for the values of the inputs; NotDynamic where they differ
    for the batch size.
    """
    together = _Together(batches)
    for same in zip(*(trace.steps for trace in traces), strict=False):
        together.require_same_op(same)
    shortest = min(len(trace.steps) for trace in traces)
    further = [trace.steps[shortest] for trace in traces if len(trace.steps) > shortest]
    if further:
        raise together.disagreement(f"{further[0].place}: the network runs {further[0].shown} here "
                                    "for one input, and has ended for another: what it computes "
                                    "depends on the values of the input, or on the batch size")
    steps = [together.step(each) for each in zip(*(t.steps for t in traces), strict=True)]
    results = [together.merged(each, "an output", None) for each in zip(*outputs, strict=True)]
    arrays = list(zip(*inputs, strict=True))
    shapes = [together.shape([x.shape for x in each], "an input") for each in arrays]
    known = {"step": [step.shape for step in steps], "input": shapes}
    output_shapes = [_shape_of(y, known, first) for y, first in
                     zip(results, outputs[0], strict=True)]
    return Program(steps, results, shapes, output_shapes)


def _shape_of(y: Any, known: dict[str, list[Shape]], first: Operand) -> Shape:
    if isinstance(y, Reference) and y.kind in known:
        return known[y.kind][int(y.name)]
    if isinstance(y, Reshaped | Spread | Number):
        return y.shape
    return first.array.shape if isinstance(first, Constant) else ()


class _Together:
    """Merges what the traces have in one place."""

    def __init__(self, batches: Sequence[int]) -> None:
        self.batches = batches
        self.varies = len(set(batches)) > 1

    def disagreement(self, text: str) -> Exception:
        return NotDynamic(text) if self.varies else ExportError(text)

    def require_same_op(self, steps: Sequence[Step]) -> None:
        first = steps[0]
        for other in steps[1:]:
            if other.name != first.name or len(other.inputs) != len(first.inputs):
                raise self.disagreement(
                    f"{first.place}: the network runs {first.shown} here for one input and "
                    f"{other.shown} ({other.place}) for another; a choice that depends on the "
                    "values of the input cannot be exported, but where() can")

    def step(self, steps: Sequence[Step]) -> Common:
        first = steps[0]
        where = f"{first.place}: {first.shown}"
        shape = self.shape([step.y.shape for step in steps], where)
        if len({step.y.dtype for step in steps}) > 1:
            raise self.disagreement(f"{where} has another dtype for another input")
        inputs = [self.merged(each, where, None)
                  for each in zip(*(step.inputs for step in steps), strict=True)]
        static = self.merged([step.static for step in steps], where, None)
        return Common(first.name, first.shown, inputs, static, shape, first.y.dtype, first.place)

    def shape(self, shapes: Sequence[tuple[int, ...]], where: str) -> Shape:
        if len(set(map(len, shapes))) > 1:
            raise self.disagreement(f"{where} has another number of dims for another input")
        return tuple(self.number(each, where, "a size") for each in zip(*shapes, strict=True))

    def number(self, values: Sequence[Any], where: str, what: str) -> Any:
        """A number that is equal in all traces, or a Size."""
        if all(value == values[0] or value != value != values[0] != values[0] for value in values):
            return values[0]
        if self.varies and all(float(value).is_integer() for value in values):
            i = next(i for i, n in enumerate(self.batches) if n != self.batches[0])
            times = Fraction(int(values[i]) - int(values[0]), self.batches[i] - self.batches[0])
            plus = int(values[0]) - times * self.batches[0]
            fits = all(times * n + plus == value
                       for n, value in zip(self.batches, values, strict=True))
            if fits and times.denominator == 1 and times > 0:
                return Size(int(times), int(plus))
        raise self.disagreement(f"{where} depends on {what} that is {values[0]} for one input and "
                                f"{next(v for v in values if v != values[0])} for another")

    def merged(self, values: Sequence[Any], where: str, key: str | None) -> Any:
        """What is in one place of all traces, as one value."""
        first = values[0]
        what = f"its argument {key}" if key else "a number"
        if len(set(map(type, values))) > 1:
            raise self.disagreement(f"{where} is given {type(first).__name__} for one input and "
                                    f"{type(values[1]).__name__} for another")
        if isinstance(first, Reference):
            return self._reference(values, where)
        if isinstance(first, Constant):
            return self._constant([value.array for value in values], where, key)
        if isinstance(first, dict):
            return {name: self.merged([value[name] for value in values], where, name)
                    for name in first}
        if isinstance(first, tuple | list):
            if len(set(map(len, values))) > 1:
                raise self.disagreement(f"{where} has another number of arguments for another "
                                        "input")
            parts = [self.merged(each, where, key) for each in zip(*values, strict=True)]
            return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
        if isinstance(first, slice):
            return slice(*(self.merged([getattr(value, end) for value in values], where, key)
                           for end in ("start", "stop", "step")))
        if isinstance(first, int | float) and not isinstance(first, bool):
            return self.number(values, where, what)
        if any(value != first for value in values):
            raise self.disagreement(f"{where} depends on {what} that is {first!r} for one input "
                                    "and not for another")
        return first

    def _reference(self, values: Sequence[Reference], where: str) -> Reference | Reshaped:
        first = values[0]
        if first.shape is None and all(value.shape is None for value in values):
            for kind, name in first.same:
                if all((kind, name) in value.same for value in values):
                    return Reference(kind, name)
        elif len({(value.kind, value.name, value.shape is None) for value in values}) == 1:
            shape = self.shape([value.shape or () for value in values], where)
            return Reshaped(Reference(first.kind, first.name), shape)
        raise self.disagreement(f"{where} uses another value for another input")

    def _constant(self, arrays: Sequence[Array], where: str, key: str | None
                  ) -> Constant | Spread | Number:
        first = arrays[0]
        if all(a.shape == first.shape and a.dtype == first.dtype for a in arrays):
            for other in arrays[1:]:
                if first.tobytes() != other.tobytes():
                    if first.size == 1 and self.varies and first.dtype.kind in "if":
                        size = self.number([a.item() for a in arrays], where, "a number")
                        return Number(size, first.shape, first.dtype)
                    raise self.disagreement(
                        f"{where} uses a value of shape {first.shape} that is another one for "
                        "another input: it was computed from the input outside of ops (with NumPy, "
                        "or by item()), or at random, and the graph would hold what it was once")
            return Constant(first)
        return _spread(arrays, self.shape([a.shape for a in arrays], where), where)


def _spread(arrays: Sequence[Array], shape: Shape, where: str) -> Spread:
    """A constant along the dims whose size depends on N."""
    varying = [i for i, n in enumerate(shape) if isinstance(n, Size)]

    def narrow(a: Array) -> Array:
        return a[tuple(slice(0, 1) if i in varying else slice(None) for i in range(a.ndim))]
    first = narrow(arrays[0])
    for array in arrays:
        if narrow(array).tobytes() != first.tobytes() \
                or np.broadcast_to(first, array.shape).tobytes() != array.tobytes():
            raise NotDynamic(f"{where} uses a constant of shape {arrays[0].shape} whose values go "
                             "on as the batch grows")
    return Spread(first, shape)
