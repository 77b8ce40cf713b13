"""The BLAS inside kernels: a matrix product that a loop may call, and how many threads it has.

A kernel that multiplies matrices calls the BLAS from each of its own threads. If the BLAS then
started threads of its own, they would compete with the kernel's for the same cores.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


# ---- a product of two matrices, for loops to call ------------------------------------------------

def gemm(a: Array, b: Array, y: Array, adds: bool) -> None:
    """y = a @ b, or y += a @ b if it `adds`. A compiled loop runs the BLAS's function of this name.

    Shapes: a (m, k), b (k, n), y (m, n), of one float dtype; y overlaps neither a nor b.

    The BLAS (basic linear algebra subprograms) reads matrices where they lie. It wants to know
    where a matrix starts, its sizes, whether it is to be transposed, and one distance, the *leading
    dimension*: how many values lie between the start of one row and the start of the next. Within a
    row the values must be neighbours; between rows there may be any gap:

        the columns 1 and 2 of a (2, 4) matrix        . x x .
        lie with a leading dimension of 4             . x x .

    So a block of a matrix, a transpose, and one head of an attention's q, k and v are all taken as
    they are, where np.dot in a compiled loop takes whole contiguous matrices only. `takes` says
    whether an array is of this kind. y must have its rows in memory one after the other; where its
    columns lie so, call gemm(b.T, a.T, y.T, adds).
    """
    if adds:
        y += a @ b
    else:
        y[:] = a @ b


def takes(x: Array) -> bool:
    """Whether `gemm` takes this matrix as it is: values side by side in rows, or in columns."""
    (rows, columns), (down, right), size = x.shape, x.strides, x.itemsize
    return (x.size == 0 or _lies_in_rows(rows, columns, down, right, size)
            or _lies_in_rows(columns, rows, right, down, size))


def _lies_in_rows(rows: int, columns: int, down: int, right: int, size: int) -> bool:
    return (columns == 1 or right == size) and (
        rows == 1 or (down >= columns * size and down % size == 0))


def teach_gemm(numba: Any) -> None:
    """Tell Numba what a call of `gemm` compiles to.

    Numba's own np.dot ends in the same functions, `numba_xxgemm` and `numba_xxgemv`, which call
    SciPy's BLAS. The BLAS was written for Fortran, where columns lie side by side, so to it our
    matrices look transposed: it is asked for yᵀ = bᵀ @ aᵀ.
    """
    types = numba.types
    ensure_blas = import_module("numba.np.linalg").ensure_blas

    def compiled(a: Any, b: Any, y: Any, adds: Any) -> Callable[..., None]:
        ensure_blas()                           # SciPy is there, and its integers are Numba's
        dtype = np.dtype(a.dtype.name)
        size, kind = dtype.itemsize, ord("s" if dtype.itemsize == 4 else "d")
        as_it_is, transposed = ord("n"), ord("t")
        zero_one = np.array([0, 1], dtype)
        size_t, values = types.intp, types.CPointer(a.dtype)
        by_matrix = types.ExternalFunction("numba_xxgemm", types.intc(
            types.char, types.char, types.char, size_t, size_t, size_t, values, values, size_t,
            values, size_t, values, values, size_t))
        by_vector = types.ExternalFunction("numba_xxgemv", types.intc(
            types.char, types.char, size_t, size_t, values, values, size_t, values, values, values))

        def call(a: Any, b: Any, y: Any, adds: Any) -> None:
            (m, n), k = y.shape, a.shape[1]
            # the leading dimension of a single row means nothing, but must not be too small
            if k > 1 and a.strides[1] != size:
                a_order, a_leading = transposed, max(a.strides[1] // size, m)
            else:
                a_order, a_leading = as_it_is, max(a.strides[0] // size, k)
            if n > 1 and b.strides[1] != size:
                b_order, b_leading = transposed, max(b.strides[1] // size, k)
            else:
                b_order, b_leading = as_it_is, max(b.strides[0] // size, n)
            scale_y = zero_one[1:] if adds else zero_one
            if m == 1 and k > 0 and n > 0 and a_order == as_it_is:
                # a matrix times a vector: nothing is used twice, so nothing is rearranged
                if b_order == as_it_is:
                    by_vector(kind, as_it_is, n, k, zero_one[1:].ctypes, b.ctypes, b_leading,
                              a.ctypes, scale_y.ctypes, y.ctypes)
                else:
                    by_vector(kind, transposed, k, n, zero_one[1:].ctypes, b.ctypes, b_leading,
                              a.ctypes, scale_y.ctypes, y.ctypes)
            else:
                by_matrix(kind, b_order, a_order, n, m, k, zero_one[1:].ctypes, b.ctypes,
                          max(b_leading, 1), a.ctypes, max(a_leading, 1), scale_y.ctypes, y.ctypes,
                          max(y.strides[0] // size, n, 1))
        return call

    numba.extending.overload(gemm)(compiled)


# ---- its threads ---------------------------------------------------------------------------------

Run = Callable[..., None]


def with_one_blas_thread(run: Run, args: tuple[Any, ...], first: int = 0) -> None:
    """Call `run(*args)` while the BLAS has only the thread that calls it; afterwards it has as many
    as before.

    An exception of a signal, such as Ctrl-C's, comes after a call at the earliest, so that the one
    call in each `finally` is always made. For the same reason no context manager written in Python
    is used, which such an exception could end before its work is done.
    """
    libraries = blas_threads()
    if first == len(libraries):
        run(*args)
        return
    get_threads, set_threads = libraries[first]
    count = get_threads()
    try:
        if count != 1:
            set_threads(1)
        with_one_blas_thread(run, args, first + 1)
    finally:
        if count != 1:
            set_threads(count)


@functools.cache
def blas_threads() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    """For each BLAS that `gemm` may call, two functions that get and set its number of threads.

    threadpoolctl finds them. OpenBLAS's own functions are called directly, since threadpoolctl's
    take longer than a small product, and keep other Python threads than the first from setting.
    """
    functions = []
    for library in blas_libraries():
        get_threads, set_threads = library.get_num_threads, library.set_num_threads
        if library.internal_api == "openblas" and library.threading_layer != "openmp":
            own = ctypes.PyDLL(library.filepath)
            for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
                if hasattr(own, f"{prefix}openblas_get_num_threads{suffix}"):
                    get_threads = own[f"{prefix}openblas_get_num_threads{suffix}"]
                    set_threads = own[f"{prefix}openblas_set_num_threads{suffix}"]
        functions.append((get_threads, set_threads))
    return functions


@functools.cache
def blas_libraries() -> list[Any]:
    """The libraries that `gemm` may call in a compiled loop: the BLAS that comes with SciPy, or all
    that are loaded where SciPy shares NumPy's."""
    scipy = Path(import_module("scipy.linalg.cython_blas").__file__ or "").parents[2]
    found = import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")
    own = [library for library in found.lib_controllers
           if Path(library.filepath).is_relative_to(scipy)
           and "numpy" not in Path(library.filepath).parent.name]
    return own or list(found.lib_controllers)
