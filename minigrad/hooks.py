"""Hooks: functions that are called when something happens, until they are removed; and those that
notebooks call to show an object, and `pickle` and `copy` to take one apart."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Self


class RemovableHandle:
    """Removes a hook that was registered: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: dict[RemovableHandle, Callable[..., Any]],
                 hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register(hooks: dict[RemovableHandle, Callable[..., Any]], hook: Callable[..., Any],
             prepend: bool) -> RemovableHandle:
    """Add a hook behind those that are there, or before them."""
    earlier = list(hooks)
    handle = RemovableHandle(hooks, hook)
    for other in earlier if prepend else ():
        hooks[other] = hooks.pop(other)         # to the end
    return handle


def in_notebooks(name: str) -> Callable[[Any], str]:
    """The `_repr_html_` of a class: the function of this name in minigrad.inspect.notebook, which
    lies in a layer above all classes and is imported when a notebook shows one of them."""
    def _repr_html_(self: Any) -> str:
        return str(getattr(importlib.import_module("minigrad.inspect.notebook"), name)(self))
    return _repr_html_


def state_without_graph(tensor: Any) -> Any:
    """What is pickled or copied of a Tensor: of a result, a leaf with its values, as in torch."""
    kind: Any = object                  # its types lack what is new in Python 3.11
    own, slots = kind.__getstate__(tensor)
    return own, slots | {"node": None}
