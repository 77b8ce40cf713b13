"""Checks of constructors' arguments: an error names the module, the argument and what was got."""

from __future__ import annotations

import operator
from typing import Any


def whole(module: object, name: str, value: Any, least: int | None = 0) -> int:
    """`value` as an int. Raises TypeError for what is none, ValueError below `least`."""
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{type(module).__name__}: {name} must be an int; got {value!r}") from None
    if least is not None and n < least:
        raise ValueError(f"{type(module).__name__}: {name} must be at least {least}; got {n}")
    return n


def sizes(module: object, name: str, value: Any, n: int, least: int = 0) -> tuple[int, ...]:
    """One int a dim, of n dims; a single int counts for all of them."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(values) not in (1, n):
        raise ValueError(f"{type(module).__name__}: {name} must be an int or {n} ints; "
                         f"got {value!r}")
    whole_values = tuple(whole(module, name, v, least) for v in values)
    return whole_values * n if len(values) == 1 else whole_values


def numbers(module: object, **arguments: Any) -> None:
    """Raise TypeError unless each argument is an int or a float."""
    for name, value in arguments.items():
        if not isinstance(value, int | float):
            raise TypeError(f"{type(module).__name__}: {name} must be a number; got {value!r}")
