"""Making tensors: from data, constants, ranges and random numbers. Source: torch's functions of the
same names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.ops.shape import one_tuple
from minigrad.random import default_generator
from minigrad.tensor import Scalar, Tensor, to_array

float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int64, bool_ = np.dtype(np.int64), np.dtype(np.bool_)


def tensor(data: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A new leaf holding a copy of `data`: a number, (nested) lists, an array or a Tensor.

    Python floats become float32, ints int64; arrays keep their dtype unless `dtype` is given.
    Raises TypeError for what is no number, RuntimeError where an integer is to require grad.
    """
    try:
        array = to_array(data, dtype)
    except ValueError as error:
        raise ValueError(f"tensor: the lists given are ragged: {error}") from None
    return Tensor(np.array(array, dtype=dtype, order="C"), requires_grad)


def zeros(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return Tensor(np.zeros(one_tuple(size), dtype or float32), requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ones(2, 3) or ones((2, 3))."""
    return Tensor(np.ones(one_tuple(size), dtype or float32), requires_grad)


def full(size: tuple[int, ...], fill_value: Scalar, *, dtype: DTypeLike | None = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor of one value, in that value's dtype unless another is given."""
    return Tensor(np.full(size, fill_value, dtype or to_array(fill_value).dtype), requires_grad)


def arange(start: Scalar, end: Scalar | None = None, step: Scalar = 1, *,
           dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, … up to but not including end; arange(n) starts at 0."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange: no way from {start} to {end} in steps of {step}")
    whole = all(isinstance(v, int) for v in (start, end, step))
    return Tensor(np.arange(start, end, step).astype(dtype or (int64 if whole else float32)),
                  requires_grad)


def eye(n: int, m: int | None = None, *, dtype: DTypeLike | None = None,
        requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n × m matrix (n × n without m), zeros elsewhere."""
    return Tensor(np.eye(n, m, dtype=dtype or float32), requires_grad)


def rand(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    return Tensor(default_generator.uniform(one_tuple(size), dtype=dtype or float32), requires_grad)


def randn(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers."""
    return Tensor(default_generator.normal(one_tuple(size), dtype=dtype or float32), requires_grad)
