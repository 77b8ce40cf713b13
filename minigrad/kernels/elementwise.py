"""Functions of one number, each in one pass over memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import (
    FLOATS,
    SMALL,
    TINY_STEPS,
    Array,
    Bool1,
    Float1,
    Kernel,
    empty_in_order,
    empty_like,
    flat,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import (
    fast_erf,
    fast_log,
    fast_sigmoid,
    fast_tanh,
    sigmoid_of,
    whole_exp,
    whole_log1p,
)

LARGE = 2**14       # values; with fewer, NumPy is done before a kernel has begun
PIECE = 2**13       # values that a thread computes at a time


def apply(run: Kernel, *inputs: Array, options: tuple[Any, ...] = ()) -> Array:
    """The output y of a kernel that is called as `run(*inputs, *options, y)`.

    The inputs have one shape. It is that of y, too, whose memory has the order of the first input.
    """
    y = empty_like(inputs[0])
    dense = y.flags.c_contiguous
    for x in inputs:
        # the strides of dims of size 1 mean nothing, and may differ where the order does not
        if not (x.flags.c_contiguous if dense else x.strides == y.strides):
            order = memory_order(y)
            run(*[flat(x, order) for x in inputs], *options, flat(y, order))
            return y
    run(*[x.ravel("K") for x in inputs], *options, y.ravel("K"))
    return y


def exp_numpy(x: Float1, y: Float1) -> None:
    """y = e^x."""
    y[:] = np.exp(x)


@kernel(exp_numpy, writes=("y",), small=SMALL)
def exp(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = whole_exp(x[i])


def log_numpy(x: Float1, y: Float1) -> None:
    """y = log x."""
    y[:] = np.log(x)


@kernel(log_numpy, writes=("y",), small=SMALL)
def log(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = fast_log(x[i])


def log1p_numpy(x: Float1, y: Float1) -> None:
    """y = log(1 + x)."""
    y[:] = np.log1p(x)


@kernel(log1p_numpy, writes=("y",), small=SMALL)
def log1p(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = whole_log1p(x[i])


def sqrt_numpy(x: Float1, y: Float1) -> None:
    """y = √x."""
    y[:] = np.sqrt(x)


@kernel(sqrt_numpy, writes=("y",), small=SMALL)
def sqrt(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = np.sqrt(x[i])


def rsqrt_numpy(x: Float1, y: Float1) -> None:
    """y = 1/√x."""
    y[:] = 1 / np.sqrt(x)


@kernel(rsqrt_numpy, writes=("y",), small=SMALL)
def rsqrt(x: Float1, y: Float1) -> None:
    one = x.dtype.type(1)
    for i in prange(x.shape[0]):
        y[i] = one / np.sqrt(x[i])


def absolute_numpy(x: Float1, y: Float1) -> None:
    """y = |x|."""
    y[:] = np.abs(x)


@kernel(absolute_numpy, writes=("y",), small=TINY_STEPS)
def absolute(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = abs(x[i])


def sign_numpy(x: Float1, y: Float1) -> None:
    """y = -1, 0 or 1; 0 for NaN."""
    y[:] = np.where(x < 0, -1, x > 0)


@kernel(sign_numpy, writes=("y",), small=TINY_STEPS)
def sign(x: Float1, y: Float1) -> None:
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in prange(x.shape[0]):
        y[i] = (one if x[i] > zero else zero) - (one if x[i] < zero else zero)


def erf_numpy(x: Float1, y: Float1) -> None:
    """y = erf x = 2/√π · ∫ e^-t² dt from 0 to x."""
    y[:] = [math.erf(value) for value in x]


@kernel(erf_numpy, writes=("y",), small=SMALL)
def erf(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = fast_erf(x[i])


def tanh_numpy(x: Float1, y: Float1) -> None:
    """y = tanh x."""
    y[:] = np.tanh(x)


@kernel(tanh_numpy, writes=("y",), small=SMALL)
def tanh(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = fast_tanh(x[i])


def tanh_grad_numpy(y: Float1, g: Float1, dx: Float1) -> None:
    """dx = g·(1 - y²)."""
    dx[:] = g * (1 - y * y)


@kernel(tanh_grad_numpy, writes=("dx",), small=SMALL)
def tanh_grad(y: Float1, g: Float1, dx: Float1) -> None:
    one = y.dtype.type(1)
    for i in prange(y.shape[0]):
        dx[i] = g[i] * (one - y[i] * y[i])


def sigmoid_numpy(x: Float1, y: Float1) -> None:
    """y = 1 / (1 + e^-x)."""
    y[:] = sigmoid_of(x)


@kernel(sigmoid_numpy, writes=("y",), small=SMALL)
def sigmoid(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = fast_sigmoid(x[i])


def sigmoid_grad_numpy(y: Float1, g: Float1, dx: Float1) -> None:
    """dx = g·y·(1 - y)."""
    dx[:] = g * y * (1 - y)


@kernel(sigmoid_grad_numpy, writes=("dx",), small=SMALL)
def sigmoid_grad(y: Float1, g: Float1, dx: Float1) -> None:
    one = y.dtype.type(1)
    for i in prange(y.shape[0]):
        dx[i] = g[i] * y[i] * (one - y[i])


def relu_numpy(x: Float1, y: Float1) -> None:
    """y = 0 where x ≤ 0, x elsewhere (also where x is NaN)."""
    y[:] = np.where(x <= 0, 0, x)


@kernel(relu_numpy, writes=("y",), small=TINY_STEPS)
def relu(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = x.dtype.type(0) if x[i] <= 0 else x[i]


def relu_grad_numpy(y: Float1, g: Float1, dx: Float1) -> None:
    """dx = 0 where y ≤ 0, g elsewhere (also where y is NaN)."""
    dx[:] = np.where(y <= 0, 0, g)


@kernel(relu_grad_numpy, writes=("dx",), small=TINY_STEPS)
def relu_grad(y: Float1, g: Float1, dx: Float1) -> None:
    for i in prange(g.shape[0]):
        dx[i] = g.dtype.type(0) if y[i] <= 0 else g[i]


def clamp_numpy(x: Float1, low: float, high: float, y: Float1) -> None:
    """y = x held between low and high; NaN passes."""
    y[:] = np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


@kernel(clamp_numpy, writes=("y",), small=TINY_STEPS)
def clamp(x: Float1, low: float, high: float, y: Float1) -> None:
    least, most = x.dtype.type(low), x.dtype.type(high)
    for i in prange(x.shape[0]):
        value = least if x[i] < least else x[i]
        y[i] = most if value > most else value


def clamp_grad_numpy(x: Float1, g: Float1, low: float, high: float, passes_nan: bool, dx: Float1
                     ) -> None:
    """dx = g where low < x < high, 0 elsewhere; for NaN one of them."""
    dx[:] = np.where((x > low) & (x < high) | (passes_nan & np.isnan(x)), g, 0)


@kernel(clamp_grad_numpy, writes=("dx",), small=TINY_STEPS)
def clamp_grad(x: Float1, g: Float1, low: float, high: float, passes_nan: bool, dx: Float1
               ) -> None:
    least, most, zero = x.dtype.type(low), x.dtype.type(high), x.dtype.type(0)
    for i in prange(x.shape[0]):
        inside = (x[i] > least) & (x[i] < most) | (passes_nan & (x[i] != x[i]))
        dx[i] = g[i] if inside else zero


# ---- choices -------------------------------------------------------------------------------------

def select_numpy(a: Float1, b: Float1, mask: Bool1, y: Float1) -> None:
    """y = a where the mask holds, b elsewhere; either may be one number."""
    y[:] = np.where(mask, a, b)


@kernel(select_numpy, writes=("y",), small=TINY_STEPS)
def select(a: Float1, b: Float1, mask: Bool1, y: Float1) -> None:
    for piece in prange((y.shape[0] + PIECE - 1) // PIECE):
        start, stop = piece * PIECE, min(piece * PIECE + PIECE, y.shape[0])
        holds, target = mask[start:stop], y[start:stop]
        if a.shape[0] == b.shape[0] == 1:
            value, other = a[0], b[0]
            for i in range(stop - start):
                target[i] = value if holds[i] else other
        elif b.shape[0] == 1:
            left, other = a[start:stop], b[0]
            for i in range(stop - start):
                target[i] = left[i] if holds[i] else other
        elif a.shape[0] == 1:
            value, right = a[0], b[start:stop]
            for i in range(stop - start):
                target[i] = value if holds[i] else right[i]
        else:
            left, right = a[start:stop], b[start:stop]
            for i in range(stop - start):
                target[i] = left[i] if holds[i] else right[i]


def where(mask: Array, a: Array, b: Array) -> Array:
    """a where the mask holds, b elsewhere."""
    shapes = (mask.shape, ())
    if mask.size < LARGE or a.dtype not in FLOATS or a.shape not in shapes \
            or b.shape not in shapes:
        return np.where(mask, a, b)
    order = memory_order(mask)
    y = empty_in_order(mask.shape, a.dtype, order)
    select(*(flat(x, order) if x.ndim else x.reshape(1) for x in (a, b)), flat(mask, order),
           flat(y, order))
    return y
