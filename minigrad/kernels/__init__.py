"""Loops that Numba compiles, each beside a plain-NumPy twin that says what it computes.

A kernel is ordinary Python over arrays. It knows neither Tensor nor ops:

    def double_numpy(x: Float1, y: Float1) -> None:
        y[:] = 2 * x

    @kernel(double_numpy, writes=("y",))
    def double(x: Float1, y: Float1) -> None:
        for i in prange(len(x)):
            y[i] = 2 * x[i]

The loop is compiled on its first call, once for float32 and once for float64, and the machine code
is kept on disk. Each iteration of a `prange` owns what it writes, so the results are the same, to
the bit, for any number of threads. A loop may call functions that are marked `@inline`, also those
of another kernel file: when one of them is edited, the loop is compiled anew.

Batches of images lie in memory batch last, as (C, H, W, N), whatever the shape of their Tensor
says. Then the values of all images at one place lie side by side: every inner loop runs over a long
stretch of memory at stride 1, where a row of a single image has only 7 or 14 values, and a channel
is one stretch.

With MINIGRAD_KERNELS=numpy the twins run instead of the loops, and NumPy is the only package
needed. With NUMBA_DISABLE_JIT=1 the loops run as plain Python.
"""

from minigrad.kernels.blas import gemm as gemm, takes as takes
from minigrad.kernels.compile import (
    FLOATS as FLOATS,
    SMALL as SMALL,
    TINY_STEPS as TINY_STEPS,
    Array as Array,
    Bool1 as Bool1,
    Double1 as Double1,
    Double2 as Double2,
    Double3 as Double3,
    Double4 as Double4,
    Float1 as Float1,
    Float2 as Float2,
    Float3 as Float3,
    Float4 as Float4,
    Index1 as Index1,
    Index2 as Index2,
    Index3 as Index3,
    Index4 as Index4,
    Int1 as Int1,
    Int2 as Int2,
    Kernel as Kernel,
    Pair as Pair,
    Strided2 as Strided2,
    Strided4 as Strided4,
    inline as inline,
    inline_sum as inline_sum,
    kernel as kernel,
    load_all as load_all,
    load_numba as load_numba,
    prange as prange,
    thread_count as thread_count,
)
from minigrad.kernels.memory import empty as empty
from minigrad.kernels.order import (
    batch_first as batch_first,
    batch_last as batch_last,
    concatenate as concatenate,
    contiguous as contiguous,
    empty_in_order as empty_in_order,
    empty_like as empty_like,
    flat as flat,
    memory_order as memory_order,
    reshaped as reshaped,
)
