"""How many threads the BLAS has while a kernel runs.

A kernel that multiplies matrices calls the BLAS from each of its own threads. If the BLAS then
started threads of its own, they would compete with the kernel's for the same cores.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the BLAS to the thread that calls it; afterwards it has as many as before."""
    libraries = blas_libraries()
    before = [library.get_num_threads() for library in libraries]
    _set_threads(libraries, [1] * len(libraries))
    try:
        yield
    finally:
        _set_threads(libraries, before)


def _set_threads(libraries: list[Any], counts: list[int]) -> None:
    for library, count in zip(libraries, counts, strict=True):
        # threadpoolctl remembers which Python thread was the first to set an OpenBLAS's threads,
        # and lets no other do so until it is told to forget
        forget = getattr(library, "clear_controlling_thread", None)
        if forget:
            forget(force=True)
        library.set_num_threads(count)
        if forget:
            forget(force=True)


@functools.cache
def blas_libraries() -> list[Any]:
    """The libraries that np.dot may call in a compiled loop: the BLAS that comes with SciPy, or all
    that are loaded where SciPy shares NumPy's."""
    scipy = Path(import_module("scipy.linalg.cython_blas").__file__ or "").parents[2]
    found = import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")
    own = [library for library in found.lib_controllers
           if Path(library.filepath).is_relative_to(scipy)
           and "numpy" not in Path(library.filepath).parent.name]
    return own or list(found.lib_controllers)
