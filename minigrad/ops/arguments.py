"""Checks of arguments, shared by the families of ops. Each error names the function, the argument,
what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.ops.shape import to_int

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Size = int | Sequence[int]      # one for all dims, or one each


def require_float(name: str, *tensors: Tensor) -> None:
    """RuntimeError unless all are of one of the two dtypes that everything is made for."""
    for x in tensors:
        if x.dtype not in (np.float32, np.float64):
            raise RuntimeError(f"{name}: needs floating point input, float32 or float64; "
                               f"got {x.dtype}")


def require_number(name: str, **arguments: Any) -> None:
    """TypeError unless each is a plain number."""
    for argument, value in arguments.items():
        if not isinstance(value, int | float | np.number):
            raise TypeError(f"{name}: {argument} must be a number; got {value!r}")


def sizes_of(name: str, argument: str, value: Any, dims: int, least: int) -> list[int]:
    """`value`, an int for all dims or one each, as a list. TypeError for others than ints,
    ValueError for sizes below `least` or of another number."""
    sizes = [to_int(name, argument, n)
             for n in (value if isinstance(value, tuple | list) else [value])]
    sizes = sizes * dims if len(sizes) == 1 else sizes
    if len(sizes) != dims or min(sizes) < least:
        raise ValueError(f"{name}: {argument} must be {dims} int{'s' * (dims > 1)} of at least "
                         f"{least}; got {value!r}")
    return sizes


def require_bool(name: str, **arguments: Any) -> None:
    for argument, value in arguments.items():
        if value is not True and value is not False and not isinstance(value, np.bool_):
            raise TypeError(f"{name}: {argument} must be True or False; got {value!r}")
