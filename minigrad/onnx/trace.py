"""What a network computes for one input: its ops in order, and where each operand comes from.

The engine tells an observer of each op. The operands arrive as Tensors and arrays. Here they become
references: to an input, to a parameter or buffer, or to the result of an earlier step. What is none
of these is a constant: a number in the program, a mask that NumPy made.

An operand is recognised by its memory: a Tensor that has the address, shape and strides of a
result has its values, whoever made the Tensor (`detach()` makes another one, for example).
"""

from __future__ import annotations

import functools
import inspect
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from minigrad.autograd import Array
from minigrad.inplace import memory_owner
from minigrad.inspect.places import Paths, Place, here
from minigrad.inspect.recording import public_name
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.onnx.errors import ExportError
from minigrad.tensor import Tensor

WRITTEN_TO = {("_window_max", "indices"), ("_moved", "value")}
"""Static arguments that are no operands: an op writes to them, or only a gradient needs them."""


@dataclass(frozen=True)
class Reference:
    """A value that the graph knows. kind: "input", "state" (a parameter or buffer) or "step"; name:
    which one. shape: where the operand has this other shape, the elements being the same.

    same: kind and name of all values in this memory. For a batch of one item there are more of
    them: x[:1] is then all of x.
    """

    kind: str
    name: int | str
    shape: tuple[int, ...] | None = None
    same: tuple[tuple[str, int | str], ...] = field(default=(), compare=False)


@dataclass(eq=False)
class Constant:
    """A value that the graph does not know: it was made outside of ops."""

    array: Array


Operand = Reference | Constant | None


@dataclass(eq=False)
class Step:
    """An op that has run. name: of the op; shown: of the function that was called. static: its
    other arguments, where arrays have become operands. y: its result."""

    name: str
    shown: str
    inputs: list[Operand]
    static: dict[str, Any]
    y: Array
    place: Place


class Memory(NamedTuple):
    """What two arrays share that hold the same values at the same place."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, array: Array) -> Memory:
        return cls(_address(array), array.shape,
                   tuple(s for s, n in zip(array.strides, array.shape, strict=True) if n > 1),
                   array.dtype.str)


class Trace(Observer):
    """The steps that run within `with trace:`.

    inputs: the arrays that the network is called with. state: its parameters and buffers by name.
    Everything is kept alive meanwhile, so that no memory is used twice.
    """

    def __init__(self, inputs: Iterable[Array], state: Mapping[str, Tensor],
                 net: Module | None) -> None:
        self.steps: list[Step] = []
        self.read: list[tuple[Operand, Place]] = []     # whose values the program looked at
        self.net = net
        self._paths: Paths = {}
        self._known: dict[Memory, list[Reference]] = {}
        self._flat: dict[tuple[int, int, str], Reference] = {}      # by address, size and dtype
        self._changed: dict[int, Place] = {}    # the owners of memory that was changed, and where
        self._kept: list[tuple[Array, int, str]] = []   # with a checksum, and what it is
        for name, tensor in state.items():
            self._learn(tensor.data, Reference("state", name), name)
        for i, array in enumerate(inputs):
            self._learn(array, Reference("input", i), f"input {i}")

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        self._add(op.__name__, public_name(op), inputs, _defaults(op) | static, y)

    def computed(self, name: str, inputs: tuple[Tensor, ...], static: dict[str, Any],
                 y: Tensor) -> None:
        if name == "assign":
            self._assign(y, static["key"], static["value"])
        elif name == "read":
            place = here(self.net, self._paths)
            self.read.append((self.operand(y.data, place), place))
        else:
            self._add(name, name, inputs, static, y)

    def _add(self, name: str, shown: str, inputs: Iterable[Tensor | None],
             static: dict[str, Any], y: Tensor) -> None:
        place = here(self.net, self._paths)
        operands = [None if x is None else self.operand(x.data, place) for x in inputs]
        if name == "_batch_norm" and static["training"]:        # it writes to the statistics
            static = static | {"statistics": None}
        if name == "_where" and operands[0] == operands[1]:     # its mask is for gradients
            name, static = "clone", {}
        static = {key: self._resolved(value, place) for key, value in static.items()
                  if (name, key) not in WRITTEN_TO}
        self.steps.append(Step(name, shown, operands, static, y.data, place))
        self._learn(y.data, Reference("step", len(self.steps) - 1),
                    f"{place}: the result of {shown}")

    def _assign(self, x: Tensor, key: Any, value: Any) -> None:
        """x, and with it the memory that it lies in, was given other values."""
        place = here(self.net, self._paths)
        owner = memory_owner(x.data)
        whole = _is_whole(key)
        array = np.asarray(value.data if isinstance(value, Tensor) else value)
        source = self.operand(array, place) if whole else None
        self._changed[id(owner)] = place
        self._kept.append((owner, 0, ""))
        start = _address(owner)
        inside = range(start, start + max(owner.nbytes, 1))
        self._known = {key: r for key, r in self._known.items() if key.address not in inside}
        self._flat = {key: r for key, r in self._flat.items() if key[0] not in inside}
        if whole:
            self.steps.append(Step("assign", "assignment", [source], {}, x.data.copy(), place))
            self._known[Memory.of(x.data)] = [Reference("step", len(self.steps) - 1)]

    def _resolved(self, value: Any, place: Place) -> Any:
        """A static argument with operands in place of its arrays."""
        if isinstance(value, Tensor):
            value = value.data
        if isinstance(value, np.ndarray):
            return self.operand(value, place)
        if isinstance(value, tuple | list):
            parts = [self._resolved(each, place) for each in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def operand(self, array: Array, place: Place | str) -> Reference | Constant:
        """What an array is; a constant is copied, since its memory may be written to again."""
        if there := self._known.get(Memory.of(array)):
            return replace(there[0], same=tuple((each.kind, each.name) for each in there))
        if changed := self._changed.get(id(memory_owner(array))):
            raise ExportError(f"{changed}: a part of a tensor is changed in place, which an ONNX "
                              "graph cannot do; build a new tensor, for example with where(), "
                              "cat() or stack()")
        known = self._flat.get((_address(array), array.size, array.dtype.str))
        if known and array.size and array.flags.c_contiguous:
            return Reference(known.kind, known.name, array.shape)
        return Constant(array.copy())

    def require_unchanged(self) -> None:
        """ExportError if a value was written to without the trace being told, by NumPy."""
        for array, checksum, what in self._kept:
            if what and id(memory_owner(array)) not in self._changed \
                    and checksum != _checksum(array):
                raise ExportError(f"{what} was written to in place by NumPy, which a graph cannot "
                                  "contain; build a new tensor")

    def _learn(self, array: Array, reference: Reference, what: str) -> None:
        self._kept.append((array, _checksum(array), what))
        self._known.setdefault(Memory.of(array), []).append(reference)
        if array.flags.c_contiguous:
            self._flat.setdefault((_address(array), array.size, array.dtype.str), reference)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data) if array.size else 0


@functools.cache
def _defaults(op: Any) -> dict[str, Any]:
    """The static arguments of an op that need not be given."""
    return {parameter.name: parameter.default
            for parameter in inspect.signature(op).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
            and parameter.default is not parameter.empty}


def _is_whole(key: Any) -> bool:
    """Whether x[key] is all of x."""
    return all(k is ... or (isinstance(k, slice) and k == slice(None))
               for k in (key if isinstance(key, tuple) else (key,)))


def run(net: Callable[..., Any], inputs: list[Array], state: Mapping[str, Tensor]
        ) -> tuple[Trace, Any]:
    """Call a network, and record what it computes."""
    trace = Trace(inputs, state, net if isinstance(net, Module) else None)
    with trace:
        y = net(*map(Tensor, inputs))
    trace.require_unchanged()
    return trace, y
