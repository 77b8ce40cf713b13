"""Elementwise ops: one number in, one number out, broadcast over whole arrays.

    d(a·b) = da·b + a·db        d(1/x) = -1/x²·dx        d(e^x) = e^x·dx        …

Operands of different dtypes are first brought to a common one (`promotion`).
At kinks and ties the subgradient is torch's: 0 for abs at 0, half to each side for
maximum and minimum at a tie, 0 for clamp on its boundary.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array, Recorded, as_tensor, op
from minigrad.kernels import arithmetic, division, elementwise as kernels
from minigrad.modes import computed, quietly
from minigrad.ops.arguments import refuse_bools
from minigrad.ops.promotion import (
    NUMBERS,
    binary_op,
    factor,
    float_op,
    is_bool,
    number_op,
    promote,
    tensors_to_common_dtype,
    to_common_dtype,
)

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


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
def add(a: Tensor, b: Tensor, *, alpha: float = 1) -> Recorded:
    """y = a + α·b"""
    if alpha != 1 or alpha is True:
        return a.data + factor("add", alpha, a) * b.data, lambda g: g, lambda g: g * alpha
    return arithmetic.add(a.data, b.data), lambda g: g, lambda g: g


@number_op
def sub(a: Tensor, b: Tensor, *, alpha: float = 1) -> Recorded:
    """y = a - α·b; not of bools"""
    if alpha != 1 or alpha is True:
        return a.data - factor("sub", alpha, a) * b.data, lambda g: g, lambda g: -g * alpha
    return arithmetic.subtract(a.data, b.data), lambda g: g, lambda g: -g


@binary_op
def mul(a: Tensor, b: Tensor) -> Recorded:
    """y = a · b"""
    return arithmetic.multiply(a.data, b.data), lambda g: g * b, lambda g: g * a


@binary_op
def div(a: Tensor, b: Tensor, *, rounding_mode: str | None = None) -> Recorded:
    """y = a / b, of integers as float32; rounded if asked to: "floor" (down), "trunc" (towards 0).

    A rounded quotient has the dtype of a and b, and its gradient is 0.
    Raises: RuntimeError for another rounding_mode, or for integers divided by 0 and rounded.
    """
    if rounding_mode is not None:
        return _rounded_quotient(a, b, rounding_mode), _zero, _zero
    if a.dtype.kind != "f":
        a, b = a.to(np.float32), b.to(np.float32)
    return arithmetic.divide(a.data, b.data), lambda g: g / b, lambda g, y: -g * y / b


def _rounded_quotient(a: Tensor, b: Tensor, rounding_mode: str) -> Array:
    _refuse_division("div", a, b)
    if rounding_mode == "floor":
        return np.asarray(division.floor_divide(a.data, b.data))
    if rounding_mode != "trunc":
        raise RuntimeError("div: rounding_mode must be None, 'floor' or 'trunc'; "
                           f"got {rounding_mode!r}")
    if a.dtype.kind == "f":
        return np.asarray(np.trunc(a.data / b.data))
    rest = np.fmod(a.data, b.data)                          # has the sign of a
    return np.asarray((a.data - rest) // b.data)


def floor_divide(input: Any, other: Any) -> Tensor:
    """y = ⌊a / b⌋, what a // b computes; the gradient is 0"""
    return div(input, other, rounding_mode="floor")


@binary_op
def remainder(a: Tensor, b: Tensor) -> Recorded:
    """y = a - ⌊a / b⌋·b, what a % b computes: it has the sign of b"""
    _refuse_division("remainder", a, b)
    return division.remainder(a.data, b.data), lambda g: g, lambda g: -g * floor_divide(a, b)


def _refuse_division(name: str, a: Tensor, b: Tensor) -> None:
    refuse_bools(name, a)
    if a.dtype.kind != "f" and (b.data == 0).any():
        raise RuntimeError(f"{name}: an integer is divided by 0; only floats can be")


def _zero(g: Tensor) -> Tensor:
    return autograd.Tensor(np.zeros_like(g.data))


def _promote_power(name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    a, b = inputs
    if type(a) in NUMBERS and type(b) in NUMBERS:
        raise TypeError(f"pow: one of the two must be a Tensor; got {a!r} and {b!r}")
    if type(b) is int and b < 0 and isinstance(a, autograd.Tensor) and a.dtype.kind in "iub":
        raise RuntimeError(f"pow: an integer tensor cannot be raised to a negative power; got {b}")
    if is_bool(a) and is_bool(b) and type(b) is not bool:
        raise RuntimeError("pow: a bool cannot be raised to a bool tensor")
    return to_common_dtype(name, inputs)


@functools.partial(op, prepare=_promote_power)
def pow(a: Tensor, exponent: Tensor) -> Recorded:
    """y = a^b.   ∂y/∂a = b·a^(b-1), 0 where b = 0;   ∂y/∂b = y·log a, 0 where a = 0 ≤ b"""
    b = exponent

    def by_base(g: Tensor) -> Tensor:
        flat = b == 0                       # there 0·a^-1 may be NaN, which must not reach g either
        return where(flat, 0.0, g * b * pow(a, where(flat, 0.0, b - 1)))

    def by_exponent(g: Tensor, y: Tensor) -> Tensor:
        flat = (a == 0) & (b >= 0)          # there 0·log 0 is NaN, which must not reach g either
        return where(flat, 0.0, where(flat, 0.0, g) * y * log(a))

    return (np.power(a.data, b.data) if a.dtype.kind == "f" else _integer_power(a.data, b.data),
            by_base, by_exponent)


def _integer_power(a: Array, b: Array) -> Array:
    """a^b without fractions: where b < 0 it is 1 for a = 1, ±1 for a = -1, otherwise 0."""
    if a.dtype.kind == "b":
        return a | ~b
    one = np.where(np.abs(a) == 1, a, 0)
    return np.asarray(np.power(np.where(b < 0, one, a), np.abs(b)))


@op
def neg(x: Tensor) -> Recorded:
    """y = -x"""
    refuse_bools("neg", x)
    return arithmetic.negative(x.data), lambda g: -g


@float_op
def reciprocal(x: Tensor) -> Recorded:
    """y = 1 / x"""
    return arithmetic.divide(np.asarray(1, x.dtype), x.data), lambda g, y: -g * y * y


@op
def square(x: Tensor) -> Recorded:
    """y = x²"""
    x = x.long() if x.dtype == np.bool_ else x
    return arithmetic.multiply(x.data, x.data), lambda g: g * x * 2


# ---- exponentials and roots ---------------------------------------------------------------------

@float_op
def exp(x: Tensor) -> Recorded:
    """y = e^x"""
    return kernels.apply(kernels.exp, x.data), lambda g, y: g * y


@float_op
def expm1(x: Tensor) -> Recorded:
    """y = e^x - 1, exact for small x"""
    return np.expm1(x.data), lambda g, y: g * (y + 1)


@float_op
def log(x: Tensor) -> Recorded:
    """y = log x, the natural logarithm"""
    return kernels.apply(kernels.log, x.data), lambda g: g / x


@float_op
def log1p(x: Tensor) -> Recorded:
    """y = log(1 + x), exact for small x"""
    return kernels.apply(kernels.log1p, x.data), lambda g: g / (x + 1)


@float_op
def sqrt(x: Tensor) -> Recorded:
    """y = √x; the gradient at 0 is infinite"""
    return kernels.apply(kernels.sqrt, x.data), lambda g, y: g / (y * 2)


@float_op
def rsqrt(x: Tensor) -> Recorded:
    """y = 1/√x"""
    return kernels.apply(kernels.rsqrt, x.data), lambda g, y: g * y * y * y * -0.5


@float_op
def erf(x: Tensor) -> Recorded:
    """y = 2/√π · ∫ e^-t² dt from 0 to x"""
    return kernels.apply(kernels.erf, x.data), lambda g: g * exp(-x * x) * (2 / math.sqrt(math.pi))


# ---- trigonometry -------------------------------------------------------------------------------

@float_op
def sin(x: Tensor) -> Recorded:
    """y = sin x, x in radians"""
    return np.sin(x.data), lambda g: g * cos(x)


@float_op
def cos(x: Tensor) -> Recorded:
    """y = cos x, x in radians"""
    return np.cos(x.data), lambda g: -g * sin(x)


@float_op
def tan(x: Tensor) -> Recorded:
    """y = tan x, x in radians"""
    return np.tan(x.data), lambda g, y: g * (1 + y * y)


# ---- kinks and choices --------------------------------------------------------------------------

@op
def abs(x: Tensor) -> Recorded:
    """y = |x|; gradient 0 at 0"""
    refuse_bools("abs", x)
    y = kernels.apply(kernels.absolute, x.data) if x.dtype.kind == "f" else np.abs(x.data)
    return y, lambda g: g * sign(x)


@op
def sign(x: Tensor) -> Recorded:
    """y = -1, 0 or 1 (0 for NaN); the gradient is 0 everywhere"""
    if x.dtype.kind == "f":
        return kernels.apply(kernels.sign, x.data), _zero
    return np.where(x.data < 0, -1, x.data > 0).astype(x.dtype), _zero


@functools.partial(op, prepare=tensors_to_common_dtype)
def maximum(a: Tensor, b: Tensor) -> Recorded:
    """y = max(a, b); at a tie each side gets half the gradient"""
    return (arithmetic.maximum(a.data, b.data), lambda g: _share_of_greater(g, a, b),
            lambda g: _share_of_greater(g, b, a))


@functools.partial(op, prepare=tensors_to_common_dtype)
def minimum(a: Tensor, b: Tensor) -> Recorded:
    """y = min(a, b); at a tie each side gets half the gradient"""
    return (arithmetic.minimum(a.data, b.data), lambda g: _share_of_greater(g, b, a),
            lambda g: _share_of_greater(g, a, b))


def _share_of_greater(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return where(a < b, 0.0, where(a == b, g * 0.5, g))


def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """y = x held between min and max, numbers or Tensors; max where min > max.

    Gradient 0 on the boundary, where that is a number; a Tensor shares it evenly with x.
    Raises: RuntimeError without any bound; TypeError for a bound that is not a number.
    """
    is_plain = (min is None or type(min) in NUMBERS) and (max is None or type(max) in NUMBERS)
    if is_plain and isinstance(input, autograd.Tensor) and input.dtype.kind == "f" \
            and min is not max:
        return _clamp(input, min=min, max=max)      # a shortcut for the usual case
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise RuntimeError("clamp: at least one of min and max must be given")
    x, *limits = promote(input, *bounds, name="clamp")
    if all(isinstance(bound, int | float | np.number) for bound in bounds):
        return _clamp(x, min=None if min is None else limits[0].item(),
                      max=None if max is None else limits[-1].item())
    if len(bounds) == 2:
        return _clamp_between(x, *limits)
    return minimum(x, *limits) if min is None else maximum(x, *limits)


@op
def _clamp(x: Tensor, *, min: float | None, max: float | None) -> Recorded:
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    if x.dtype.kind != "f" or math.isnan(low) or math.isnan(high):
        return np.clip(x.data, min, max), _zero
    inside = None if min is not None is not max else np.logical_and(
        min is None or x.data > min, max is None or x.data < max)

    def vjp(g: Tensor) -> Tensor:
        # an infinite x lies within a bound that is not given
        return _clamp_grad(g, x, low=low, high=high) if inside is None else where(inside, g, 0.0)
    return kernels.apply(kernels.clamp, x.data, options=(float(low), float(high))), vjp


@op
def _clamp_grad(g: Tensor, x: Tensor, *, low: float, high: float, passes_nan: bool = False
               ) -> Recorded:
    """g where low < x < high, 0 elsewhere; where x is NaN, g or 0 as asked for"""
    how: Any = {"low": low, "high": high, "passes_nan": passes_nan}
    return (kernels.apply(kernels.clamp_grad, x.data, g.data,
                          options=(float(low), float(high), passes_nan)),
            lambda c: _clamp_grad(c, x, **how), None)


@op
def _clamp_between(x: Tensor, low: Tensor, high: Tensor) -> Recorded:
    """min(max(x, low), high); on a boundary x and the bound get half the gradient each"""
    below, above, ordered = x.data < low.data, x.data > high.data, low.data <= high.data
    apart = low.data < high.data
    on_low, on_high = apart & (x.data == low.data), apart & (x.data == high.data)

    def share(on_boundary: Array, whole: Array) -> Callable[[Tensor], Tensor]:
        part = np.where(on_boundary, 0.5, whole).astype(x.dtype)
        return lambda g: g * autograd.Tensor(part)

    return (np.minimum(np.maximum(x.data, low.data), high.data),
            share(on_low | on_high, ~(below | above)),
            share(on_low, below & ordered),
            share(on_high, above & ordered | (high.data < low.data)))


@overload
def where(condition: Any) -> tuple[Tensor, ...]: ...


@overload
def where(condition: Any, input: Any, other: Any) -> Tensor: ...


def where(condition: Any, input: Any = None, other: Any = None) -> Tensor | tuple[Tensor, ...]:
    """y = x where condition holds, other elsewhere; the side not taken gets no gradient.

    Of a condition alone: the places where it holds, as one tensor of positions for each dim.
    Raises: TypeError or RuntimeError for a condition that is not boolean (or uint8).
    """
    mask = as_tensor("where", condition).data
    if mask.dtype.char != "?":
        if mask.dtype != np.uint8:
            raise RuntimeError(f"where: condition must be boolean; got {mask.dtype}")
        mask = mask.astype(bool)
    if input is None and other is None:
        return tuple(computed("nonzero", (autograd.Tensor(mask),), {}, autograd.Tensor(places))
                     for places in np.nonzero(np.atleast_1d(mask)))
    a, b = quietly(to_common_dtype, "where", (input, other))
    try:
        return _where(a, b, mask=mask)
    except RuntimeError:
        raise RuntimeError(f"where: shapes {mask.shape}, {a.shape} and {b.shape} do not "
                           "broadcast") from None


@op
def _where(a: Tensor, b: Tensor, *, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> Recorded:
    return (kernels.where(mask, a.data, b.data),
            lambda g: where(mask, g, 0.0), lambda g: where(mask, 0.0, g))


def compare(relation: Callable[..., Any], a: Any, b: Any) -> Tensor:
    """relation(a, b) elementwise, after promotion; carries no gradient."""
    name = relation.__name__
    a, b = promote(a, b, name=name)
    try:
        y = autograd.Tensor(relation(a.data, b.data))
    except TypeError:
        raise RuntimeError(f"{name}: needs integers or booleans; got {a.dtype}") from None
    except ValueError:
        raise RuntimeError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast") from None
    return computed(name, (a, b), {}, y)


def invert(input: Any) -> Tensor:
    """y = ~x: not x for bools, -x - 1 for integers; carries no gradient."""
    x = as_tensor("~", input)
    if x.dtype.kind == "f":
        raise TypeError(f"~ needs integers or booleans; got {x.dtype}")
    return computed("invert", (x,), {}, autograd.Tensor(~x.data))
