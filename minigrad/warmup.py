"""Compiling all kernels ahead of time, in a process per core."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from minigrad import kernels
from minigrad.kernels.compile import COMPILING
from minigrad.kernels.machine_code import said


def compile_all() -> None:
    """Compile every kernel for float32 and float64, or load what was compiled before, and print
    the names of those that are ready."""
    started = time.perf_counter()
    names = list(kernels.load_all())
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_begin) as pool:
        try:
            for number, name in enumerate(pool.map(_compile, names), 1):
                print(f"{number}/{len(names)} {name}", flush=True)
        except BaseException:                   # such as Ctrl-C
            pool.shutdown(cancel_futures=True)
            raise
    print(f"{len(names)} kernels ready in {time.perf_counter() - started:.1f} s")


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is the parent's to answer
    said.add(COMPILING)                                 # the names that are printed say it


def _compile(name: str) -> str:
    for dtype in ("float32", "float64"):
        kernels.load_all()[name].warmup(dtype)
    return name
