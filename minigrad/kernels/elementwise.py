"""Functions that NumPy lacks, or computes in several passes over memory."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import (
    SMALL,
    Array,
    Float1,
    Kernel,
    empty_in_order,
    flat,
    kernel,
    memory_order,
    prange,
)


def apply(run: Kernel, *inputs: Array) -> Array:
    """The output y of a kernel that is called as `run(*inputs, y)`.

    The inputs have one shape. It is that of y, too, whose memory has the order of the first input.
    """
    x = inputs[0]
    order = memory_order(x)
    y = empty_in_order(x.shape, x.dtype, order)
    run(*(flat(array, order) for array in inputs), flat(y, order))
    return y


def erf_numpy(x: Float1, y: Float1) -> None:
    """y = erf x = 2/√π · ∫ e^-t² dt from 0 to x."""
    y[:] = [math.erf(value) for value in x]


@kernel(erf_numpy, writes=("y",))
def erf(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = math.erf(x[i])


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
