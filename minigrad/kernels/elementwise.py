"""Functions of one number, each in one pass over memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Float1,
    Kernel,
    empty,
    empty_in_order,
    flat,
    kernel,
    memory_order,
    prange,
)
from minigrad.kernels.maths import fast_erf, fast_log, fast_sigmoid, fast_tanh, whole_exp


def apply(run: Kernel, *inputs: Array, options: tuple[Any, ...] = ()) -> Array:
    """The output y of a kernel that is called as `run(*inputs, *options, y)`.

    The inputs have one shape. It is that of y, too, whose memory has the order of the first input.
    """
    x = inputs[0]
    if x.flags.c_contiguous:
        y = empty(x.shape, x.dtype)
        run(*[array.reshape(-1) for array in inputs], *options, y.reshape(-1))
    else:
        order = memory_order(x)
        y = empty_in_order(x.shape, x.dtype, order)
        run(*(flat(array, order) for array in inputs), *options, flat(y, order))
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
    """y = 1 / (1 + e^-x), where e^-|x| is never too large."""
    e = np.exp(-np.abs(x))
    y[:] = np.where(x >= 0, 1, e) / (1 + e)


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


@kernel(relu_numpy, writes=("y",), small=SMALL)
def relu(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = x.dtype.type(0) if x[i] <= 0 else x[i]


def relu_grad_numpy(y: Float1, g: Float1, dx: Float1) -> None:
    """dx = 0 where y ≤ 0, g elsewhere (also where y is NaN)."""
    dx[:] = np.where(y <= 0, 0, g)


@kernel(relu_grad_numpy, writes=("dx",), small=SMALL)
def relu_grad(y: Float1, g: Float1, dx: Float1) -> None:
    for i in prange(g.shape[0]):
        dx[i] = g.dtype.type(0) if y[i] <= 0 else g[i]
