"""Bringing operands of different dtypes to a common one, by torch's rules; and the decorators that
make ops whose inputs are brought there first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Recorded, as_tensor, op, quietly
from minigrad.ops.arguments import require_number

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

NUMBERS = (bool, int, float, np.float64)        # the last is a Python float as well


def promote(*operands: Any, name: str = "promote") -> list[Tensor]:
    """The operands as Tensors of one dtype.

    A float beats an integer beats a bool; among equals the wider wins; tensors with dimensions
    outrank 0-d tensors, and those outrank Python numbers, unless the lower rank has the higher
    category.
    Raises: TypeError for anything but numbers.
    Source: torch.result_type.
    """
    tensors: list[Any] = [x if type(x) in NUMBERS else as_tensor(name, x) for x in operands]
    ranks: list[np.dtype[Any] | None] = [None, None, None]      # dimensioned, 0-d, Python numbers
    for x in tensors:
        plain = type(x) in NUMBERS
        rank = 2 if plain else 1 if x.ndim == 0 else 0
        dtype = np.dtype(bool if x is True or x is False else np.int64 if type(x) is int
                         else np.float32) if plain else x.dtype
        ranks[rank] = _wider(ranks[rank], dtype)
    present = [dtype for dtype in ranks if dtype is not None]
    common = max(present, key=_category)            # the first, so the highest rank, of several
    return [quietly(number, x, common) if type(x) in NUMBERS else x.to(common) for x in tensors]


def number(x: float, dtype: np.dtype[Any]) -> Tensor:
    """A Python number as a 0-d tensor; one too large for an integer dtype wraps around."""
    return autograd.Tensor(np.asarray(x, dtype) if dtype.kind == "f" else
                           np.asarray(x).astype(dtype))


def factor(name: str, alpha: float, x: Tensor) -> Any:
    """α of a + α·b, as torch takes it.  Raises: TypeError, RuntimeError for another."""
    require_number(name, alpha=alpha)
    if isinstance(alpha, bool) and x.dtype.kind != "b":
        raise RuntimeError(f"{name}: alpha may be a bool only for bools; got {alpha} for {x.dtype}")
    if x.dtype.kind != "f" and not isinstance(alpha, int):
        raise RuntimeError(f"{name}: alpha must be an integer for {x.dtype}; got {alpha!r}")
    return number(alpha, x.dtype).data


def _category(dtype: np.dtype[Any]) -> int:
    return "buif".index(dtype.kind) - (dtype.kind == "i")     # bool 0, integers 1, floats 3


def _wider(a: np.dtype[Any] | None, b: np.dtype[Any]) -> np.dtype[Any]:
    if a is None:
        return b
    if _category(a) != _category(b):                # NumPy would make float64 of int64 and float32
        return a if _category(a) > _category(b) else b
    return np.promote_types(a, b)


def to_common_dtype(name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    a, b = inputs
    if isinstance(a, autograd.Tensor):
        if isinstance(b, autograd.Tensor) and a._data.dtype == b._data.dtype:
            return inputs
        if type(b) in NUMBERS and a._data.dtype.kind == "f":       # shortcuts for the usual x * 2
            return a, number(b, a._data.dtype)
    elif type(a) in NUMBERS and isinstance(b, autograd.Tensor) and b._data.dtype.kind == "f":
        return number(a, b._data.dtype), b                         # and 1 - x
    return tuple(promote(a, b, name=name))


def to_common_number(name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(map(is_bool, inputs)):
        raise RuntimeError(f"{name}: needs numbers, not bools; ^ and ~ invert a mask")
    return to_common_dtype(name, inputs)


def is_bool(x: Any) -> bool:
    return type(x) is bool or (isinstance(x, autograd.Tensor) and x.dtype.kind == "b")


def tensors_to_common_dtype(name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    for x in inputs:
        if type(x) in NUMBERS:
            raise TypeError(f"{name}: needs two Tensors; got the number {x!r}: clamp() takes those")
    return to_common_dtype(name, inputs)


def to_float(name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = inputs
    x = as_tensor(name, x)
    return (x if x._data.dtype.kind == "f" else x.to(np.float32), *others)


def binary_op(forward: Callable[..., Recorded]) -> Callable[..., Tensor]:
    """An @op of two operands that are promoted to a common dtype first."""
    return op(forward, to_common_dtype)


def number_op(forward: Callable[..., Recorded]) -> Callable[..., Tensor]:
    """A binary_op that refuses bools."""
    return op(forward, to_common_number)


def float_op(forward: Callable[..., Recorded]) -> Callable[..., Tensor]:
    """An @op of a float: integers and bools become float32 first."""
    return op(forward, to_float)
