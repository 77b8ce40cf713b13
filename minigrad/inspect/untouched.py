"""Running a network so that afterwards it is as it was before."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.func.tree import mapped
from minigrad.nn import Module
from minigrad.random import default_generator
from minigrad.tensor import Tensor


@contextmanager
def untouched(nets: Iterable[Module] = ()) -> Iterator[None]:
    """Whatever runs inside, these networks and the streams of random numbers end as they were.

    Of each module: its attributes, the content of lists, dicts, sets and arrays among them, and the
    values of its buffers, which are copies meanwhile. The gradients of the parameters are put back
    as well.
    """
    modules = list({id(m): m for net in nets for m in net.modules()}.values())
    attributes = [(module, dict(module.__dict__)) for module in modules]
    contents = [(value, value.copy()) for _, held in attributes for value in held.values()
                if isinstance(value, list | dict | set | np.ndarray)]
    buffers = {id(b): (b, b._data) for module in modules for b in module.buffers()}
    gradients = [(p, p.grad) for module in modules for p in module.parameters()]
    numpy = np.random.mtrand._rand              # behind np.random.rand, which layers may call
    states = default_generator.get_state(), numpy.get_state(), random.getstate()
    for buffer, array in buffers.values():
        buffer._data = array.copy()
    try:
        yield
    finally:
        for module, held in attributes:
            module.__dict__.clear()
            module.__dict__.update(held)
        for value, before in contents:
            _refill(value, before)
        for buffer, array in buffers.values():
            buffer._data = array
        for parameter, gradient in gradients:
            parameter.grad = gradient
        default_generator.set_state(states[0])
        numpy.set_state(states[1])
        random.setstate(states[2])


def _refill(value: Any, before: Any) -> None:
    if isinstance(value, np.ndarray):
        if not np.array_equal(value, before, equal_nan=value.dtype.kind == "f"):
            value[...] = before
    elif isinstance(value, list):
        value[:] = before
    else:
        value.clear()
        value.update(before)


def cut_off(inputs: Any) -> Any:
    """A tree of inputs whose Tensors share their memory, but are in no graph."""
    return mapped(lambda x: Tensor(x.data, x.requires_grad) if type(x) is Tensor else x, inputs)


def modules_of(function: Any, arguments: Iterable[Any]) -> list[Module]:
    """The networks that a function may run: itself, its arguments, and what it refers to."""
    return [x for x in (function, getattr(function, "__self__", None), *arguments,
                        *referred_to(function).values()) if isinstance(x, Module)]


def referred_to(function: Any) -> dict[str, Any]:
    """What a function refers to outside of itself, by name: variables around it and globals."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return {}
    found = {name: function.__globals__[name] for name in code.co_names
             if name in function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:                      # not assigned yet
            continue
    return found
