"""Elementwise ops: one number in, one number out, broadcast over whole arrays.

    d(a·b) = da·b + a·db        d(1/x) = -1/x²·dx        d(e^x) = e^x·dx        …

Operands of different dtypes are first brought to a common one by torch's rules (`promote`).
At kinks and ties the subgradient is torch's: 0 for abs and relu at 0, half to each side for
maximum and minimum at a tie, 0 for clamp on its boundary.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Recorded, op
from minigrad.kernels import elementwise as kernels

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


# ---- type promotion -----------------------------------------------------------------------------

_NUMBERS = (bool, int, float)


def promote(*operands: Any) -> list[Tensor]:
    """The operands as Tensors of one dtype.

    A float beats an integer beats a bool; among equals the wider wins; tensors with dimensions
    outrank 0-d tensors, and those outrank Python numbers, unless the lower rank has the higher
    category. Source: torch.result_type.
    """
    tensors = [x if type(x) in _NUMBERS or isinstance(x, autograd.Tensor) else autograd.Tensor(x)
               for x in operands]
    ranks: list[np.dtype[Any] | None] = [None, None, None]      # dimensioned, 0-d, Python numbers
    for x in tensors:
        plain = type(x) in _NUMBERS
        rank = 2 if plain else 1 if x.ndim == 0 else 0
        dtype = np.dtype({bool: bool, int: np.int64, float: np.float32}[type(x)] if plain
                         else x.dtype)
        ranks[rank] = _wider(ranks[rank], dtype)
    present = [dtype for dtype in ranks if dtype is not None]
    common = max(present, key=_category)            # the first, so the highest rank, of several
    return [autograd.Tensor(np.asarray(x, common)) if type(x) in _NUMBERS else x.to(common)
            for x in tensors]


def _category(dtype: np.dtype[Any]) -> int:
    return "buif".index(dtype.kind) - (dtype.kind == "i")     # bool 0, integers 1, floats 3


def _wider(a: np.dtype[Any] | None, b: np.dtype[Any]) -> np.dtype[Any]:
    if a is None:
        return b
    if _category(a) != _category(b):                # NumPy would make float64 of int64 and float32
        return a if _category(a) > _category(b) else b
    return np.promote_types(a, b)


def binary_op(forward: Callable[..., Recorded]) -> Callable[[Any, Any], Tensor]:
    """An @op of two operands that are promoted to a common dtype first."""
    record = op(forward)

    @functools.wraps(forward)
    def apply(a: Any, b: Any) -> Tensor:
        if not (isinstance(a, autograd.Tensor) and isinstance(b, autograd.Tensor)
                and a._data.dtype == b._data.dtype):
            if isinstance(a, autograd.Tensor) and type(b) in _NUMBERS and a._data.dtype.kind == "f":
                b = autograd.Tensor(np.asarray(b, a._data.dtype))
            else:
                a, b = promote(a, b)
        try:
            return record(a, b)
        except ValueError as error:
            raise _mismatch(forward.__name__, error, a, b) from None
    return apply


def _mismatch(name: str, error: ValueError, *operands: Tensor) -> Exception:
    shapes = " and ".join(str(x.shape) for x in operands)
    return (RuntimeError(f"{name}: shapes {shapes} do not broadcast")
            if "broadcast" in str(error) else error)


def float_op(forward: Callable[..., Recorded]) -> Callable[..., Tensor]:
    """An @op of one operand that is a float: integers and bools become float32 first."""
    record = op(forward)

    @functools.wraps(forward)
    def apply(x: Any, *args: Any, **static: Any) -> Tensor:
        x = x if isinstance(x, autograd.Tensor) else autograd.Tensor(x)
        return record(x if x._data.dtype.kind == "f" else x.to(np.float32), *args, **static)
    return apply


@op
def cast(x: Tensor, *, dtype: np.dtype[Any]) -> Recorded:
    """The same values in another dtype; the gradient comes back in x's own."""
    source = x.dtype
    return x.data.astype(dtype), lambda g: g.to(source)


@op
def clone(x: Tensor) -> Recorded:
    """A copy, y = x, that gradients pass through."""
    return x.data.copy(), lambda g: g


# ---- arithmetic ---------------------------------------------------------------------------------

@binary_op
def add(a: Tensor, b: Tensor) -> Recorded:
    """y = a + b"""
    return a.data + b.data, lambda g: g, lambda g: g


@binary_op
def sub(a: Tensor, b: Tensor) -> Recorded:
    """y = a - b"""
    return a.data - b.data, lambda g: g, lambda g: -g


@binary_op
def mul(a: Tensor, b: Tensor) -> Recorded:
    """y = a · b"""
    return a.data * b.data, lambda g: g * b, lambda g: g * a


@binary_op
def div(a: Tensor, b: Tensor) -> Recorded:
    """y = a / b; integers divide as float32"""
    if a.dtype.kind != "f":
        a, b = a.to(np.float32), b.to(np.float32)
    return _quiet(np.divide, a.data, b.data), lambda g: g / b, lambda g, y: -g * y / b


@binary_op
def pow(a: Tensor, b: Tensor) -> Recorded:
    """y = a^b.   ∂y/∂a = b·a^(b-1), 0 where b = 0;   ∂y/∂b = y·log a, 0 where a = 0 ≤ b"""
    return (_quiet(np.power, a.data, b.data),
            lambda g: where(b == 0, 0.0, g * b * pow(a, b - 1)),
            lambda g, y: where((a == 0) & (b >= 0), 0.0, g * y * log(a)))


@op
def neg(x: Tensor) -> Recorded:
    """y = -x"""
    return -x.data, lambda g: -g


@float_op
def reciprocal(x: Tensor) -> Recorded:
    """y = 1 / x"""
    return _quiet(np.reciprocal, x.data), lambda g, y: -g * y * y


@op
def square(x: Tensor) -> Recorded:
    """y = x²"""
    x = x.long() if x.dtype == np.bool_ else x
    return x.data * x.data, lambda g: g * x * 2


# ---- exponentials and roots ---------------------------------------------------------------------

@float_op
def exp(x: Tensor) -> Recorded:
    """y = e^x"""
    return _quiet(np.exp, x.data), lambda g, y: g * y


@float_op
def expm1(x: Tensor) -> Recorded:
    """y = e^x - 1, exact for small x"""
    return _quiet(np.expm1, x.data), lambda g, y: g * (y + 1)


@float_op
def log(x: Tensor) -> Recorded:
    """y = log x, the natural logarithm"""
    return _quiet(np.log, x.data), lambda g: g / x


@float_op
def log1p(x: Tensor) -> Recorded:
    """y = log(1 + x), exact for small x"""
    return _quiet(np.log1p, x.data), lambda g: g / (x + 1)


@float_op
def sqrt(x: Tensor) -> Recorded:
    """y = √x; the gradient at 0 is infinite"""
    return _quiet(np.sqrt, x.data), lambda g, y: g / (y * 2)


@float_op
def rsqrt(x: Tensor) -> Recorded:
    """y = 1/√x"""
    return _quiet(lambda a: 1 / np.sqrt(a), x.data), lambda g, y: g * y * y * y * -0.5


@float_op
def sigmoid(x: Tensor) -> Recorded:
    """y = 1 / (1 + e^-x)"""
    e = np.exp(-np.abs(x.data))                                 # ≤ 1: never overflows
    return (np.where(x.data >= 0, 1, e) / (1 + e)).astype(x.dtype), lambda g, y: g * y * (1 - y)


@float_op
def tanh(x: Tensor) -> Recorded:
    """y = tanh x"""
    return np.tanh(x.data), lambda g, y: g * (1 - y * y)


@float_op
def erf(x: Tensor) -> Recorded:
    """y = 2/√π · ∫ e^-t² dt from 0 to x"""
    y = np.empty(x.shape, x.dtype)
    kernels.erf(x.data.reshape(-1), y.reshape(-1))
    return y, lambda g: g * exp(-x * x) * (2 / math.sqrt(math.pi))


@float_op
def softplus(x: Tensor, *, beta: float = 1.0, threshold: float = 20.0) -> Recorded:
    """y = log(1 + e^(β·x)) / β, and x itself where β·x > threshold"""
    z = x.data * beta
    linear = z > threshold
    y = np.where(linear, x.data, np.logaddexp(0, z) / beta).astype(x.dtype)
    return y, lambda g: where(linear, g, g * sigmoid(x * beta))


# ---- trigonometry -------------------------------------------------------------------------------

@float_op
def sin(x: Tensor) -> Recorded:
    """y = sin x, x in radians"""
    return _quiet(np.sin, x.data), lambda g: g * cos(x)


@float_op
def cos(x: Tensor) -> Recorded:
    """y = cos x, x in radians"""
    return _quiet(np.cos, x.data), lambda g: -g * sin(x)


@float_op
def tan(x: Tensor) -> Recorded:
    """y = tan x, x in radians"""
    return _quiet(np.tan, x.data), lambda g, y: g * (1 + y * y)


# ---- kinks and choices --------------------------------------------------------------------------

@op
def abs(x: Tensor) -> Recorded:
    """y = |x|; gradient 0 at 0"""
    return np.abs(x.data), lambda g: g * sign(x)


@op
def sign(x: Tensor) -> Recorded:
    """y = -1, 0 or 1 (0 for NaN); the gradient is 0 everywhere"""
    return np.where(x.data < 0, -1, x.data > 0).astype(x.dtype), lambda g: g * 0


@op
def relu(x: Tensor) -> Recorded:
    """y = max(x, 0); gradient 0 at 0"""
    return np.maximum(x.data, 0), lambda g, y: where(y <= 0, 0.0, g)


@op
def leaky_relu(x: Tensor, *, negative_slope: float = 0.01) -> Recorded:
    """y = x for x > 0, negative_slope · x elsewhere"""
    return (np.where(x.data > 0, x.data, x.data * x.dtype.type(negative_slope)),
            lambda g: where(x > 0, g, g * negative_slope))


@binary_op
def maximum(a: Tensor, b: Tensor) -> Recorded:
    """y = max(a, b); at a tie each side gets half the gradient"""
    return (np.maximum(a.data, b.data), lambda g: _share_of_greater(g, a, b),
            lambda g: _share_of_greater(g, b, a))


@binary_op
def minimum(a: Tensor, b: Tensor) -> Recorded:
    """y = min(a, b); at a tie each side gets half the gradient"""
    return (np.minimum(a.data, b.data), lambda g: _share_of_greater(g, b, a),
            lambda g: _share_of_greater(g, a, b))


def _share_of_greater(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return where(a < b, 0.0, where(a == b, g * 0.5, g))


def clamp(x: Any, min: float | None = None, max: float | None = None) -> Tensor:
    """y = x held between min and max; gradient 0 on the boundary. ValueError without either."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    if not all(bound is None or isinstance(bound, int | float | np.number) for bound in (min, max)):
        raise TypeError("clamp: min and max must be numbers; maximum() and minimum() take tensors")
    x, *_ = promote(x, *(bound for bound in (min, max) if bound is not None))
    return _clamp(x, min=min, max=max)


@op
def _clamp(x: Tensor, *, min: float | None, max: float | None) -> Recorded:
    inside = np.logical_and(min is None or x.data > min, max is None or x.data < max)
    return np.clip(x.data, min, max), lambda g: where(inside, g, 0.0)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """y = a where condition holds, b elsewhere; the side not taken gets no gradient"""
    mask = condition.data if isinstance(condition, autograd.Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise TypeError(f"where: condition must be boolean; got {mask.dtype}")
    a, b = promote(a, b)
    try:
        return _where(a, b, mask=mask)
    except ValueError as error:
        raise _mismatch("where", error, autograd.Tensor(mask), a, b) from None


@op
def _where(a: Tensor, b: Tensor, *, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> Recorded:
    return (np.where(mask, a.data, b.data),
            lambda g: where(mask, g, 0.0), lambda g: where(mask, 0.0, g))


def compare(relation: Callable[..., Any], a: Any, b: Any) -> Tensor:
    """relation(a, b) elementwise, after promotion; carries no gradient."""
    a, b = promote(a, b)
    return autograd.Tensor(relation(a.data, b.data))


def _quiet(f: Callable[..., Any], *arrays: Any) -> Any:
    """f(*arrays), infinities and NaNs without NumPy's warnings: they are values, as in torch."""
    with np.errstate(all="ignore"):
        return f(*arrays)
