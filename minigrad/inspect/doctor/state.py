"""Leaving everything as it was: a diagnosis works on copies, and puts the originals back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minigrad.inspect.untouched import referred_to
from minigrad.nn import Module
from minigrad.optim import Optimizer
from minigrad.tensor import Tensor

T = TypeVar("T")


def used_by(function: Any, kind: type[T]) -> list[T]:
    """The objects of a kind that a function refers to, from around it or from its module."""
    values = [*referred_to(function).values(), getattr(function, "__self__", None)]
    return [value for value in values if isinstance(value, kind)]


@contextmanager
def unchanged(modules: Sequence[Module], optimizers: Sequence[Optimizer],
              others: Sequence[Any] = ()) -> Iterator[None]:
    """Inside, parameters, buffers and the optimisers' states are copies, without gradients.

    Afterwards the same arrays are back, which nobody has written to: a graph that was recorded
    before is still valid. Modes and other attributes are as they were, and so are those of others,
    such as schedulers.
    """
    tensors = list({id(t): t for t in held(modules, optimizers)}.values())
    before = [(t, t._data, t._grad, t._requires_grad) for t in tensors]
    attributes = [(m, dict(m.__dict__), contents(m.__dict__)) for net in modules
                  for m in net.modules()]
    options = [(o, dict(o.__dict__)) for o in (*optimizers, *others)]
    copies: dict[int, Any] = {}
    for t in tensors:
        t._data, t._grad = copies.setdefault(id(t._data), t._data.copy(order="K")), None
    for optimizer in optimizers:
        detach_state(optimizer)
    try:
        yield
    finally:
        for m, values, inside in attributes:
            m.__dict__.clear()
            m.__dict__.update(values)
            for container, items in inside:
                container.clear()
                (container.update if isinstance(container, dict) else container.extend)(items)
        for t, data, grad, requires_grad in before:
            t._data, t._grad, t._requires_grad = data, grad, requires_grad
        for each, values in options:
            each.__dict__.clear()
            each.__dict__.update(values)


def held(modules: Sequence[Module], optimizers: Sequence[Optimizer]) -> Iterator[Tensor]:
    """The Tensors that may change: all leaves in modules, lists of layers included."""
    for net in modules:
        for module in net.modules():
            for value in flat(module.__dict__.values()):
                if isinstance(value, Module):
                    yield from value.parameters()
                    yield from value.buffers()
                elif isinstance(value, Tensor) and value.node is None:
                    yield value
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]


def flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple | set):
            yield from flat(value)
        elif isinstance(value, dict):
            yield from flat(value.values())
        else:
            yield value


def contents(attributes: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The lists and dicts among a module's attributes, each with a copy of what it contains."""
    return [(value, value.copy()) for value in attributes.values() if type(value) in (list, dict)]


def detach_state(optimizer: Optimizer) -> None:
    """Give an optimiser copies of its options and of what it remembers."""
    optimizer.param_groups = [dict(group) for group in optimizer.param_groups]
    optimizer.state = {p: {name: value.copy() if isinstance(value, np.ndarray) else value
                           for name, value in state.items()}
                       for p, state in optimizer.state.items()}
    optimizer._joined = {}
