"""Functions that NumPy lacks, or takes several passes for."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import (
    FLOATS,
    Array,
    Float1,
    Kernel,
    empty_in_order,
    flat,
    kernel,
    memory_order,
    prange,
)

SMALL = 2**14       # below this many values, NumPy is done before a kernel's threads have started


def apply(run: Kernel, *inputs: Array) -> Array:
    """y of a kernel `run(*inputs, y)`: inputs of one shape, y in the memory order of the first."""
    x = inputs[0]
    order = memory_order(x)
    y = empty_in_order(x.shape, x.dtype, order)
    compute = run if x.size >= SMALL and x.dtype in FLOATS else run.twin
    compute(*(flat(array, order) for array in inputs), flat(y, order))
    return y


def erf_numpy(x: Float1, y: Float1) -> None:
    """y = erf x = 2/√π · ∫ e^-t² dt from 0 to x"""
    y[:] = [math.erf(value) for value in x]


@kernel(erf_numpy, writes=("y",))
def erf(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = math.erf(x[i])


def relu_numpy(x: Float1, y: Float1) -> None:
    """y = 0 where x ≤ 0, x elsewhere: a NaN, too"""
    y[:] = np.where(x <= 0, 0, x)


@kernel(relu_numpy, writes=("y",))
def relu(x: Float1, y: Float1) -> None:
    for i in prange(x.shape[0]):
        y[i] = x.dtype.type(0) if x[i] <= 0 else x[i]


def relu_grad_numpy(y: Float1, g: Float1, dx: Float1) -> None:
    """dx = 0 where y ≤ 0, g elsewhere: of a NaN, too"""
    dx[:] = np.where(y <= 0, 0, g)


@kernel(relu_grad_numpy, writes=("dx",))
def relu_grad(y: Float1, g: Float1, dx: Float1) -> None:
    for i in prange(g.shape[0]):
        dx[i] = g.dtype.type(0) if y[i] <= 0 else g[i]
