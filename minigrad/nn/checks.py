"""A check of constructors' arguments, beside those of the ops."""

from __future__ import annotations

from typing import Any

from minigrad.ops.shape import to_int


def size_of(module: object, argument: str, value: Any, least: int = 0) -> int:
    """`value` as an int. Raises TypeError for what is none, ValueError below `least`."""
    name = type(module).__name__
    n = to_int(name, argument, value)
    if n < least:
        raise ValueError(f"{name}: {argument} must be at least {least}; got {n}")
    return n
