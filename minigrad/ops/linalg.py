"""Matrix products.   y = a @ b   ⇒   ∂L/∂a = g @ bᵀ,   ∂L/∂b = aᵀ @ g

Source: torch's functions of the same names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Recorded, as_tensor, op, quietly
from minigrad.kernels import contiguous
from minigrad.kernels.matmul import inner, product

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def of_one_dtype(name: str, *operands: Any) -> list[Tensor]:
    """The operands as Tensors. Raises: RuntimeError unless all are numbers of one dtype."""
    for x in operands:                          # a shortcut for the usual case
        if not isinstance(x, autograd.Tensor) or x.dtype is not operands[0].dtype \
                or x.dtype.kind == "b":
            break
    else:
        return list(operands)
    given = [x.dtype for x in operands if isinstance(x, autograd.Tensor | np.ndarray)]
    tensors = [as_tensor(name, x) for x in operands]
    for i, x in enumerate(operands):
        if given and isinstance(x, list | tuple):               # lists have no dtype of their own
            tensors[i] = autograd.Tensor(quietly(np.asarray, x, given[0]))
    if len({x.dtype for x in tensors}) != 1:
        raise RuntimeError(f"{name}: operands must have one dtype; got "
                           + ", ".join(str(x.dtype) for x in tensors))
    if tensors[0].dtype.kind == "b":
        raise RuntimeError(f"{name}: operands must be numbers; got bool")
    return tensors


def _mismatch(name: str, a: Tensor, b: Tensor) -> RuntimeError:
    return RuntimeError(f"{name}: shapes do not fit; got {a.shape} and {b.shape}")


def matmul(input: Any, other: Any) -> Tensor:
    """The product of two matrices, of stacks of matrices (their leading dims broadcast), or of
    vectors.

    Shapes: (…, n, k) @ (…, k, m) → (…, n, m); a 1-d operand is a row on the left, a column on the
    right, and its dim is dropped from the result.
    Raises: RuntimeError where sizes or dtypes do not fit.
    """
    a, b = of_one_dtype("matmul", input, other)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise _mismatch("matmul", a, b)
    rows = a if a.ndim > 1 else a.reshape(1, -1)
    columns = b if b.ndim > 1 else b.reshape(-1, 1)
    y = _matmul(rows, columns)
    if a.ndim == 1:
        y = y.squeeze(-2)
    return y.squeeze(-1) if b.ndim == 1 else y


@op
def _matmul(a: Tensor, b: Tensor) -> Recorded:
    """(…, n, k) @ (…, k, m)"""
    return (product(a.data, b.data),
            lambda g: _matmul(g, b.transpose(-2, -1)),
            lambda g: _matmul(a.transpose(-2, -1), g))


def mm(input: Any, mat2: Any) -> Tensor:
    """The product of two matrices, without broadcasting: (n, k) @ (k, m) → (n, m)."""
    return _product_of_dims("mm", 2, input, mat2)


def bmm(input: Any, mat2: Any) -> Tensor:
    """The products of two stacks of matrices: (N, n, k) @ (N, k, m) → (N, n, m)."""
    return _product_of_dims("bmm", 3, input, mat2)


def _product_of_dims(name: str, ndim: int, a: Any, b: Any) -> Tensor:
    a, b = of_one_dtype(name, a, b)
    fit = a.ndim == b.ndim == ndim and a.shape[-1] == b.shape[-2] and a.shape[:-2] == b.shape[:-2]
    if not fit:
        raise _mismatch(name, a, b)
    return _matmul(a, b)


def dot(input: Any, tensor: Any) -> Tensor:
    """Σ a·b of two vectors of one length."""
    a, b = of_one_dtype("dot", input, tensor)
    if a.ndim != 1 or a.shape != b.shape:
        raise _mismatch("dot", a, b)
    return _dot(a, b)


@op
def _dot(a: Tensor, b: Tensor) -> Recorded:
    """y = Σ a·b"""
    return inner(a.data, b.data), lambda g: g * b, lambda g: g * a


@op
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Recorded:
    """y = x @ wᵀ + b

    Shapes: x (…, I), w (O, I) or (I,), b (O,) or what broadcasts to y's → y (…, O) or (…).
    Raises: RuntimeError where shapes or dtypes do not fit.
    """
    x, w, b = input, weight, bias
    rows, columns, added = x.data, w.data.T, None if b is None else b.data
    xs, shape = rows.shape, columns.shape[::-1]         # the vjp of w must not hold w itself
    flat = len(xs) == len(shape) == 2
    one_a_column = added is not None and len(shape) == 2 and added.shape == shape[:1]
    if not (xs and len(shape) == 2 and xs[-1] == shape[1] and (one_a_column or b is None)):
        _check_linear(x, w, b)
    dtype = columns.dtype
    if not (rows.dtype == dtype and (added is None or added.dtype == dtype) and dtype.kind == "f"):
        of_one_dtype("linear", *(t for t in (x, w, b) if t is not None))
    if not flat:
        rows = contiguous(rows).reshape(math.prod(xs[:-1]), xs[-1])
        columns = columns if len(shape) == 2 else columns[:, None]
    y = product(rows, columns, added if one_a_column else None)
    if not flat:
        y = y.reshape((*xs[:-1], *shape[:-1]))
    if b is not None and not one_a_column:
        y = y + b.data

    def by_input(g: Tensor) -> Tensor:
        if w.ndim == 1:
            return g.unsqueeze(-1) * w
        # in the order in which x lies in memory: flattened images lie batch last
        batch_lies_last = flat and x.data.flags.f_contiguous and not x.data.flags.c_contiguous
        return matmul(w.t(), g.t()).t() if batch_lies_last else matmul(g, w)

    def by_weight(g: Tensor) -> Tensor:
        if flat:
            return _weight_grad(g, x)
        rows, outputs = math.prod(x.shape[:-1]), math.prod(shape[:-1])
        return _weight_grad(g.reshape(rows, outputs), x.reshape(rows, shape[-1])).reshape(shape)

    return y, by_input, by_weight, lambda g: g


@op
def _weight_grad(g: Tensor, x: Tensor) -> Recorded:
    """dw (O, I) = gᵀ @ x of y = x @ wᵀ:  g (N, O), x (N, I)"""
    return product(g.data.T, x.data), lambda c: linear(x, c), lambda c: _matmul(g, c)


def _check_linear(x: Tensor, w: Tensor, b: Tensor | None) -> None:
    out = (*x.shape[:-1], *w.shape[:-1])
    if w.ndim not in (1, 2) or x.ndim == 0 or x.shape[-1] != w.shape[-1] or (
            b is not None and (b.ndim > len(out) * (w.ndim - 1) or any(
                n not in (1, m) for n, m in zip(b.shape[::-1], out[::-1], strict=False)))):
        raise RuntimeError(f"linear: shapes do not fit; got x {x.shape}, w {w.shape}"
                           + (f", b {b.shape}" if b is not None else ""))
