"""Noticing that a value was changed in place between the forward and the backward pass.

One clock counts the ops that are recorded and the changes made through a Tensor. A change leaves
its time, a *stamp*, on the memory that it wrote to, and a node of the graph remembers when it was
recorded. If memory that its vjps have captured carries a later stamp, they would compute with the
wrong values. Stamps belong to memory, not to Tensors: views, `detach()` and Parameters share it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from sys import getrefcount
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from minigrad.kernels import tape
from minigrad.kernels.tape import Array as Array, memory_owner as memory_owner

tick = itertools.count(1).__next__      # the time: each call gives a later one, in any thread
latest = 0          # when the latest change was
_stamps: dict[int, tuple[int, weakref.ref[Array]]] = {}     # by id of the memory's owner


def mark_changed(*arrays: Array) -> None:
    """Note that the memory of arrays was written to."""
    global latest
    latest = tick()
    for array in arrays:
        owner = memory_owner(array)
        key = id(owner)
        known = _stamps.get(key)
        # when the owner dies, _stamps.pop(key, reference): were it a function in Python, Ctrl-C
        # might come in it, and Python ignores what is raised there
        _stamps[key] = (latest, known[1] if known
                        else weakref.ref(owner, partial(_stamps.pop, key)))


def changed_since(time: int, arrays: Iterable[Array]) -> Array | None:
    """The first of `arrays` whose memory was written to after `time`, or None."""
    for array in arrays:
        stamp = _stamps.get(id(memory_owner(array)))
        if stamp and stamp[0] > time:
            return array
    return None


def refuse_changes(node: Any) -> None:
    """RuntimeError if a value that the vjps of a node of the graph need was changed since."""
    vjps = [vjp for _, vjp in node.edges]
    values = (getattr(value, "_data", value) for value in [node.output, *captured_by(vjps)])
    changed = changed_since(node.time, (v for v in values if isinstance(v, np.ndarray)))
    if changed is not None:
        raise RuntimeError(f"{node.name}: a value of shape {changed.shape} that its gradient needs "
                           "was changed in place since; clone() it before the change, or make the "
                           "change after backward()")


def captured_by(functions: Iterable[Callable[..., Any]]) -> list[Any]:
    """The values that functions have captured from the scope they were made in, and those that
    captured functions have captured in turn; tuples and lists are opened up."""
    values: list[Any] = []
    waiting, seen = list(functions), set()
    while waiting:
        function = waiting.pop()
        seen.add(function)
        for value in _held_by(function):
            values.extend(value if isinstance(value, tuple | list) else [value])
            if isinstance(value, FunctionType | MethodType | partial) and value not in seen:
                waiting.append(value)
    return values


def _held_by(function: Callable[..., Any]) -> list[Any]:
    if isinstance(function, partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__func__, *getattr(function.__self__, "__dict__", {}).values()]
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


VIEWS = {"_getitem", "reshape", "expand", "permute", "transpose", "flip"}      # ops that make them


def become(x: Any, y: Any) -> None:
    """Give the Tensor x the value and the place in the graph of y, which was made from it.

    Raises: RuntimeError if x is a view of memory that others see, who would not see the change.
    """
    owner = memory_owner(x._data)
    # three hold the owner: the array's base, the variable here, and the argument of the call
    seen_by_others = owner is not x._data and getrefcount(owner) > 3
    if seen_by_others and (x.node is None or x.node.name in VIEWS):
        raise RuntimeError("this tensor is a view, and the change is part of a graph: others that "
                           "share its memory would not see it; build a new tensor, for example "
                           "x = x + y in place of x += y, or clone() it first")
    x._data, x.node, x._requires_grad = y._data, y.node, True
    mark_changed(x._data)
    x.node.time = tick()                        # later than the change: this node knows the value


def is_shared(array: Array, seen: set[int]) -> bool:
    """Whether others may have the memory of an array that a leaf is to own: by its id or its
    owner's id in `seen`, or as another view of the array that this is a view of."""
    base = array.base
    if id(array) in seen or base is None:
        return id(array) in seen
    if tape.running and type(array) is tape.Traced:     # the tape has views of everything
        base = memory_owner(array)
        return id(base) in seen or base.size != array.size
    # three: that of the array, the variable here, and the argument of the call
    return not isinstance(base, np.ndarray) or base.size != array.size or getrefcount(base) > 3
