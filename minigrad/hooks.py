"""Hooks: functions that are called when something happens, until they are removed."""

from __future__ import annotations

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
