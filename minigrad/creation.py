"""Making tensors: from data, constants, ranges and random numbers. Source: torch's functions of the
same names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.autograd import Array, as_tensor, quietly
from minigrad.ops.arguments import to_array, to_dtype, to_ints
from minigrad.random import default_generator
from minigrad.tensor import Scalar, Tensor

float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int64, bool_ = np.dtype(np.int64), np.dtype(np.bool_)

_DEFAULT: dict[type, np.dtype[Any]] = {bool: bool_, int: int64, float: float32}


# ---- from data ----------------------------------------------------------------------------------

def tensor(data: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A new leaf holding a copy of `data`: a number, (nested) lists, an array or a Tensor.

    Python floats become float32, ints int64; arrays and NumPy's numbers keep their dtype. In a list
    the widest dtype wins.
    Raises: TypeError for anything but numbers; ValueError for ragged lists, and for numbers that do
    not fit `dtype`; RuntimeError where an integer is to require grad.
    Source: torch.tensor.
    """
    if dtype is not None:
        dtype = to_dtype("tensor", dtype)
    elif isinstance(data, list | tuple | int | float):
        dtype = to_dtype("tensor", _common_dtype(_dtypes_in(data)))
    try:
        array = to_array(data, dtype)
    except OverflowError:
        raise ValueError(f"tensor: a number does not fit {np.dtype(dtype)}") from None
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError("tensor: the lists given are ragged") from None
        raise ValueError(f"tensor: not all of the data can become {np.dtype(dtype)}") from None
    return Tensor(np.array(array, dtype=dtype, order="C"), requires_grad)


def _dtypes_in(data: Any) -> set[np.dtype[Any]]:
    """The dtypes of the numbers in nested lists."""
    if not isinstance(data, list | tuple):
        return {_DEFAULT[type(data)] if type(data) in _DEFAULT else as_tensor("tensor", data).dtype}
    types = set(map(type, data))                        # of plain numbers there may be many
    found = {_DEFAULT[plain] for plain in types & _DEFAULT.keys()}
    if not types <= _DEFAULT.keys():
        found = found.union(*(_dtypes_in(x) for x in data if type(x) not in _DEFAULT))
    return found


def _common_dtype(dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
    """The widest dtype of the highest kind among them; float32 if there is none."""
    for kinds in ("f", "iu", "b"):
        if of_kind := [dtype for dtype in dtypes if dtype.kind in kinds]:
            return np.result_type(*of_kind)
    return float32


# ---- constants and ranges -----------------------------------------------------------------------

def _size(name: str, sizes: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """The sizes of f(2, 3), f((2, 3)) or f(size=(2, 3))."""
    if bool(sizes) == (size is not None):
        raise TypeError(f"{name}: needs its sizes, one by one or as a tuple")
    one = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    shape = to_ints(name, "size", one if size is None else size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"{name}: no size may be negative; got {shape}")
    return shape


def _dtype(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    return to_dtype(name, float32 if dtype is None else dtype)


def _number(name: str, argument: str, value: Any) -> Scalar:
    """A Python number; also from a NumPy one or a Tensor of one element."""
    if isinstance(value, Tensor | np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, bool | int | float):
        raise TypeError(f"{name}: {argument} must be a number; got {value!r}")
    return value


def _filled(name: str, shape: tuple[int, ...], fill_value: Any, dtype: DTypeLike | None,
            requires_grad: bool) -> Tensor:
    value = _number(name, "fill_value", fill_value)
    dtype = to_dtype(name, _DEFAULT[type(value)] if dtype is None else dtype)
    try:
        value = int(value) if dtype.kind in "iu" else value         # NaN would become some integer
        with np.errstate(over="ignore"):
            return Tensor(np.full(shape, value, dtype), requires_grad)
    except (OverflowError, ValueError):
        raise RuntimeError(f"{name}: {value} does not fit {dtype}") from None


def zeros(*sizes: Any, size: Any = None, dtype: DTypeLike | None = None,
          requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3)). float32 unless another dtype is given."""
    return Tensor(np.zeros(_size("zeros", sizes, size), _dtype("zeros", dtype)), requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: DTypeLike | None = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ones(2, 3) or ones((2, 3)). float32 unless another dtype is given."""
    return Tensor(np.ones(_size("ones", sizes, size), _dtype("ones", dtype)), requires_grad)


def full(size: tuple[int, ...], fill_value: Any, *, dtype: DTypeLike | None = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value, in the dtype of that number (int64 for 3, float32 for 3.0,
    bool for True) unless one is given. Raises: RuntimeError for a value that does not fit it."""
    return _filled("full", _size("full", (), to_ints("full", "size", size)), fill_value, dtype,
                   requires_grad)


def zeros_like(input: Any, *, dtype: DTypeLike | None = None,
               requires_grad: bool = False) -> Tensor:
    """A tensor of zeros in the shape of another, and in its dtype unless one is given."""
    return _like("zeros_like", input, 0, dtype, requires_grad)


def ones_like(input: Any, *, dtype: DTypeLike | None = None,
              requires_grad: bool = False) -> Tensor:
    """A tensor of ones in the shape of another, and in its dtype unless one is given."""
    return _like("ones_like", input, 1, dtype, requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: DTypeLike | None = None,
              requires_grad: bool = False) -> Tensor:
    """A tensor of one value in the shape of another, and in its dtype unless one is given."""
    return _like("full_like", input, fill_value, dtype, requires_grad)


def _like(name: str, input: Any, fill_value: Any, dtype: DTypeLike | None,
          requires_grad: bool) -> Tensor:
    x = as_tensor(name, input)
    return _filled(name, x.shape, fill_value, x.dtype if dtype is None else dtype, requires_grad)


def arange(start: Any = None, end: Any = None, step: Any = 1, *, dtype: DTypeLike | None = None,
           requires_grad: bool = False) -> Tensor:
    """start, start + step, … up to but not including end; arange(n) starts at 0.

    int64 if all three are integers, else float32, unless a dtype is given. There are
    ⌈(end - start) / step⌉ numbers; an integer dtype then rounds start and step towards 0.
    Raises: RuntimeError where step leads away from end or is 0.
    Source: torch.arange.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number("arange", name, value) for name, value in
                        (("start", 0 if start is None else start), ("end", end), ("step", step)))
    if step == 0 or not (math.isfinite(start) and math.isfinite(end)
                         and (end - start) * step >= 0):
        raise RuntimeError(f"arange: no way from {start} to {end} in steps of {step}")
    whole = all(isinstance(v, int) for v in (start, end, step))
    dtype = to_dtype("arange", (int64 if whole else float32) if dtype is None else dtype)
    if dtype.kind == "b":
        raise RuntimeError("arange: needs a dtype of numbers; got bool")
    n = -(-(end - start) // step) if whole else math.ceil((end - start) / step)
    if dtype.kind != "f":
        start, step = int(start), int(step)
    values: Array = start + step * np.arange(n)
    return Tensor(quietly(values.astype, dtype), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: DTypeLike | None = None,
        requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n × m matrix (n × n without m), zeros elsewhere."""
    rows, columns = _size("eye", (n, n if m is None else m), None)
    return Tensor(np.eye(rows, columns, dtype=_dtype("eye", dtype)), requires_grad)


# ---- random numbers -----------------------------------------------------------------------------

def rand(*sizes: Any, size: Any = None, dtype: DTypeLike | None = None,
         requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    shape, kind = _size("rand", sizes, size), _float("rand", dtype)
    return Tensor(default_generator.uniform(shape, dtype=kind), requires_grad)


def randn(*sizes: Any, size: Any = None, dtype: DTypeLike | None = None,
          requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers."""
    shape, kind = _size("randn", sizes, size), _float("randn", dtype)
    return Tensor(default_generator.normal(shape, dtype=kind), requires_grad)


def rand_like(input: Any, *, dtype: DTypeLike | None = None,
              requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1) in the shape of another tensor, and in its dtype unless one
    is given."""
    x = as_tensor("rand_like", input)
    return rand(size=x.shape, dtype=x.dtype if dtype is None else dtype,
                requires_grad=requires_grad)


def randn_like(input: Any, *, dtype: DTypeLike | None = None,
               requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers in the shape of another tensor, and in its dtype unless one is
    given."""
    x = as_tensor("randn_like", input)
    return randn(size=x.shape, dtype=x.dtype if dtype is None else dtype,
                 requires_grad=requires_grad)


def _float(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    kind = _dtype(name, dtype)
    if kind.kind != "f":
        raise RuntimeError(f"{name}: needs a floating point dtype; got {kind}")
    return kind
