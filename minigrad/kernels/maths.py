"""e^x, log, erf and their kin of one number, for the loops of other files.

Numba calls the C library for these, once for each number. The formulas below have no branches and
no calls, so the compiler evaluates them for 16 float32 numbers at a time. Errors are at most 3 in
the last place. float64, which is there to check float32, keeps the C library's functions.

Each takes x into a short interval and evaluates a polynomial there. The coefficients make the
largest relative error as small as it can be: least squares on Chebyshev points, with weights that
are raised, again and again, where the error is greatest (Lawson 1961). tests/test_maths.py does so
and compares.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.compile import Array, inline


def _singles(*values: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, values))


# from the highest power to the constant
EXP = _singles(0.0013901304, 0.0083632, 0.041666854, 0.16666576, 0.5, 1, 1)
EXPM1 = EXP[:-1]                                # of (e^r - 1) / r
LOG1P = _singles(-0.0032439618, 0.019851178, -0.056959, 0.10603601, -0.15305561, 0.19675928,
                 -0.24954131, 0.33329964, -0.49999902, 1)
LOG = _singles(0.07777893, -0.12777261, 0.13114057, -0.14196157, 0.16627093, -0.20001636,
               0.25000778, -0.33333325, 0.49999997)
ERF = _singles(7.6895594e-05, -0.0007963376, 0.005183354, -0.026851393, 0.112835325, -0.37612623,
               0.12837917)
TAIL_ABOVE = _singles(0.004077789, 0.040373936, 0.18246618, 0.43725717, 0.5)
TAIL_BELOW = _singles(0.010221372, 0.10120926, 0.46744052, 1.1993095, 1.6723993, 1)

# ln 2 as a number of few bits, which an integer can be multiplied by exactly, and the rest
LN2, LN2_REST, LOG2_E = _singles(0.693359375, -2.12194440e-4, 1 / math.log(2))
# added to a small number, it pushes the fraction out of the last place: an integer is left there
ROUNDING, ROUNDING_BITS = np.float32(1.5 * 2**23), 0x4b400000
ZERO, ONE, TWO, ROOT_TWO = _singles(0, 1, 2, math.sqrt(2))
EXP_LOW, EXP_HIGH, EXP_ZERO, EXP_INFINITE = _singles(-87.3, 88.3, -104, 89)
EXPM1_LOW, TANH_LOW, TAIL_HIGH = _singles(-20, 1e-4, 14)
SMALLEST_NORMAL, TWO_23, ROOT_HALF_BITS = np.float32(2.0**-126), np.float32(2.0**23), 0x3f3504f3
GREATEST_32, GREATEST_64 = np.int32(2**31 - 1), np.int64(2**63 - 1)
NAN, INFINITY = _singles(math.nan, math.inf)


@inline
def polynomial(x: Any, coefficients: tuple[np.float32, ...]) -> Any:
    """Horner's rule."""
    y = coefficients[0]
    for c in coefficients[1:]:
        y = y * x + c
    return y


@inline
def fast_exp(x: Any) -> Any:
    """e^x = 2^n · e^r, with n the integer next to x / ln 2, so that |r| ≤ ln 2 / 2.

    In float32 0 below -87.3 and ∞ above 88.3, where 2^n is not a normal number.
    """
    if isinstance(x, np.float64):
        return np.exp(x)
    shifted = x * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = x - n * LN2 - n * LN2_REST
    k = np.int32(np.float32(shifted).view(np.int32) - ROUNDING_BITS)
    y = polynomial(r, EXP) * np.int32((k + 127) << 23).view(np.float32)
    y = ZERO if x < EXP_LOW else y                  # NaN passes
    return INFINITY if x > EXP_HIGH else y


@inline
def whole_exp(x: Any) -> Any:
    """e^x as `fast_exp`, but for all x: with 2^n in two factors, each a normal number."""
    if isinstance(x, np.float64):
        return np.exp(x)
    x = EXP_ZERO if x < EXP_ZERO else x
    x = EXP_INFINITE if x > EXP_INFINITE else x
    shifted = x * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = x - n * LN2 - n * LN2_REST
    k = np.int32(np.float32(shifted).view(np.int32) - ROUNDING_BITS)
    half = np.int32(k >> 1)
    first = np.int32((half + 127) << 23).view(np.float32)
    return polynomial(r, EXP) * first * np.int32((k - half + 127) << 23).view(np.float32)


@inline
def fast_expm1(x: Any) -> Any:
    """e^x - 1 for x ≤ 0: 2^n·(e^r - 1) + (2^n - 1), which is exact to the last places near 0."""
    if isinstance(x, np.float64):
        return np.expm1(x)
    x = EXPM1_LOW if x < EXPM1_LOW else x
    shifted = x * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = x - n * LN2 - n * LN2_REST
    k = np.int32(np.float32(shifted).view(np.int32) - ROUNDING_BITS)
    two_n = np.int32((k + 127) << 23).view(np.float32)
    return polynomial(r, EXPM1) * r * two_n + (two_n - ONE)


def sigmoid_of(x: Array) -> Array:
    """1 / (1 + e^-x) with NumPy, where e^-|x| is never too large."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    return y


@inline
def fast_sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    if isinstance(x, np.float64):
        return 1 / (1 + np.exp(-x))
    return ONE / (ONE + fast_exp(-x))


@inline
def fast_tanh(x: Any) -> Any:
    """tanh |x| = -t / (t + 2) with t = e^(-2|x|) - 1, and the sign of x."""
    if isinstance(x, np.float64):
        return np.tanh(x)
    t = fast_expm1(-abs(x + x))
    y = -t / (t + TWO)
    y = -y if x < ZERO else y
    return x if abs(x) < TANH_LOW else y            # keeps the sign of 0


@inline
def fast_log1p(x: Any) -> Any:
    """log(1 + x) for x between 0 and 1."""
    if isinstance(x, np.float64):
        return np.log1p(x)
    return polynomial(x, LOG1P) * x


@inline
def whole_log1p(x: Any) -> Any:
    """log(1 + x) for all x, with u = 1 + x as rounded: x·log u / (u - 1) (Kahan).

    The logarithm and u - 1 belong to the same u, so that its rounding error cancels.
    """
    if isinstance(x, np.float64):
        return np.log1p(x)
    u = x + ONE
    y = fast_log(u) / (u - ONE) * x
    y = x if u == ONE else y                        # keeps the sign of 0
    return x if u == INFINITY else y


@inline
def fast_log(x: Any) -> Any:
    """log x = n·ln 2 + log(1 + f), with x = 2^n·(1 + f) and 1 + f between √½ and √2."""
    if isinstance(x, np.float64):
        return np.log(x)
    small = x < SMALLEST_NORMAL
    scaled = x * TWO_23 if small else x
    bits = np.float32(scaled).view(np.int32)
    k = np.int32((bits - ROOT_HALF_BITS) >> 23)
    f = np.int32(bits - (k << 23)).view(np.float32) - ONE
    n = np.float32(np.int32(k - 23) if small else k)
    y = f - polynomial(f, LOG) * f * f + n * LN2_REST + n * LN2
    y = y if x < INFINITY else x                    # ∞ and NaN
    y = -INFINITY if x == ZERO else y
    return NAN if x < ZERO else y


@inline
def ordered(x: Any) -> Any:
    """An integer that is the greater, the greater x is, and the greatest of all for NaN.

    The bits of a positive float, read as an integer, have this order; those of a negative one have
    the opposite. Compilers find the greatest of many integers with vector instructions, but not
    that of floats, because of NaN.
    """
    if isinstance(x, np.float64):
        long = np.float64(x).view(np.int64)
        return GREATEST_64 if x != x else np.int64(long ^ ((long >> 63) & GREATEST_64))
    bits = np.float32(x).view(np.int32)
    return GREATEST_32 if x != x else np.int32(bits ^ ((bits >> 31) & GREATEST_32))


@inline
def unordered(key: Any, x: Any) -> Any:
    """The float, of x's dtype, that `ordered` gives this key for."""
    if isinstance(x, np.float64):
        return np.int64(key ^ ((key >> 63) & GREATEST_64)).view(np.float64)
    return np.int32(key ^ ((key >> 31) & GREATEST_32)).view(np.float32)


@inline
def scaled_tail(x: Any) -> Any:
    """Φ(-x)·e^(x²/2) for x ≥ 0, where Φ is the distribution function of the standard normal
    distribution; from 14 on Φ(-x) rounds to 0."""
    if isinstance(x, np.float64):
        return math.erfc(x * math.sqrt(0.5)) * 0.5 * math.exp(min(x, 37.0)**2 * 0.5)
    x = TAIL_HIGH if x > TAIL_HIGH else x
    return polynomial(x, TAIL_ABOVE) / polynomial(x, TAIL_BELOW)


@inline
def fast_erf(x: Any) -> Any:
    """erf x = 2/√π · ∫ e^-t² dt from 0 to x: x + x·P(x²) for |x| ≤ 1, beyond 1 - 2·Φ(-√2·|x|)."""
    if isinstance(x, np.float64):
        return math.erf(x)
    near = x + x * polynomial(x * x, ERF)
    far = ONE - fast_exp(-x * x) * scaled_tail(abs(x) * ROOT_TWO) * TWO
    far = -far if x < ZERO else far
    return near if abs(x) < ONE else far
