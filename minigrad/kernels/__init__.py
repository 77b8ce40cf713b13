"""Loops that Numba compiles, each beside a plain-NumPy twin that says what it computes.

A kernel is ordinary Python over arrays. It knows neither Tensor nor ops:

    def double_numpy(x: Float1, y: Float1) -> None:
        y[:] = 2 * x

    @kernel(double_numpy, writes=("y",))
    def double(x: Float1, y: Float1) -> None:
        for i in prange(len(x)):
            y[i] = 2 * x[i]

The loop is compiled on its first call, once for float32 and once for float64, and kept on disk.
Each iteration of a `prange` owns what it writes, so results are equal to the bit for any number of
threads. A kernel's file holds all that its loop calls: Numba's cache does not see edits elsewhere.

MINIGRAD_KERNELS=numpy runs the twins; NUMBA_DISABLE_JIT=1 runs the loops as plain Python.
"""

from __future__ import annotations

import functools
import inspect
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
T = TypeVar("T")

# What a kernel's arguments are: C-contiguous arrays of its float dtype (None) or of another, by
# number of dims; besides these bool, int, float and tuples of them.
Float1 = Annotated[Array, 1, None]
Float2 = Annotated[Array, 2, None]
Float3 = Annotated[Array, 3, None]
Float4 = Annotated[Array, 4, None]
Int1 = Annotated[Array, 1, np.int64]
Index3 = Annotated[Array, 3, np.int32]

prange = range                  # becomes numba.prange in a kernel's module when it is compiled

registry: dict[str, Kernel] = {}
_lock = threading.RLock()
_running = threading.Lock()     # Numba's work queue takes one parallel loop at a time
_said: set[str] = set()


class Kernel:
    """A loop, its twin, and the loop compiled (once it has been called)."""

    def __init__(self, loop: Callable[..., None], twin: Callable[..., None],
                 writes: tuple[str, ...], parallel: bool) -> None:
        self.name, self.loop, self.twin = loop.__name__, loop, twin
        self.parallel = parallel
        self.__doc__ = loop.__doc__
        self.parameters = tuple(inspect.signature(loop).parameters)
        self.writes = tuple(name in writes for name in self.parameters)
        self._run = twin if os.environ.get("MINIGRAD_KERNELS") == "numpy" else None

    def __call__(self, *args: Any) -> None:
        run = self._run or self.compiled()
        with _running if self.parallel else nullcontext():
            run(*self._prepared(args))

    def _prepared(self, args: tuple[Any, ...]) -> Iterator[Any]:
        """Arrays as Numba compiled for: any other layout would silently be compiled for anew."""
        for value, written, name in zip(args, self.writes, self.parameters, strict=True):
            if isinstance(value, np.ndarray):
                flags = value.flags
                if not (flags.c_contiguous and flags.writeable):
                    if written:
                        raise ValueError(f"{self.name}: {name} must be contiguous and writeable")
                    value = np.array(value, order="C")
            yield value

    def compiled(self) -> Callable[..., None]:
        """The loop as Numba runs it; the machine code itself is made or loaded on first call."""
        with _lock:
            if self._run is None:
                numba = load_numba()
                if not _said:
                    _said.add("listening")
                    _announce_compilation()
                if "prange" in self.loop.__globals__:
                    self.loop.__globals__["prange"] = numba.prange
                self._run = _cached_jit(numba, self.loop, self.parallel)
            return self._run

    def warmup(self, dtype: DTypeLike) -> None:
        """Compile for one float dtype, or load what was compiled before, without running."""
        run = self.compiled()
        if hasattr(run, "compile"):             # a twin or a plain loop has nothing to compile
            run.compile(self.signature(dtype))

    def signature(self, dtype: DTypeLike) -> tuple[Any, ...]:
        """Numba's types of the arguments, from the loop's annotations."""
        numba = load_numba()

        def numba_type(hint: Any) -> Any:
            if hasattr(hint, "__metadata__"):
                ndim, kind = hint.__metadata__
                return numba.types.Array(numba.from_dtype(np.dtype(kind or dtype)), ndim, "C")
            if hint in (bool, int, float):
                return numba.typeof(hint())
            return numba.types.UniTuple(numba_type(hint.__args__[0]), len(hint.__args__))

        hints = get_type_hints(self.loop, include_extras=True)
        return tuple(numba_type(hints[name]) for name in self.parameters)


def kernel(twin: Callable[..., None], *, writes: tuple[str, ...], parallel: bool = True
           ) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop: `twin` is its meaning in plain NumPy, `writes` names its outputs.

    One that is not `parallel` runs on the thread that calls it, so that `in_lanes` may call it.
    """
    def decorate(loop: Callable[..., None]) -> Kernel:
        registry[loop.__name__] = Kernel(loop, twin, writes, parallel)
        return registry[loop.__name__]
    return decorate


@functools.cache
def load_numba() -> Any:
    """Numba, imported when it is first needed: `import minigrad` stays fast.

    Its threads are those of its work queue, unless NUMBA_THREADING_LAYER names others: they sleep
    when idle. OpenMP's spin, and take the cores from the BLAS.
    """
    numba = import_module("numba")
    if "NUMBA_THREADING_LAYER" not in os.environ:
        numba.config.THREADING_LAYER = "workqueue"
    return numba


def load_all() -> dict[str, Kernel]:
    """Import every file of kernels and return them all by name."""
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__name__}.{file.stem}")
    return registry


# Numba has no types: what it returns is taken at its word
def _cached_jit(numba: Any, loop: Callable[..., None], parallel: bool) -> Callable[..., None]:
    options = {"parallel": parallel, "nogil": True}
    try:
        run = numba.njit(cache=True, **options)(loop)
    except RuntimeError:                        # Numba found no folder that it may write to
        reason = "no folder for compiled kernels is writable"
    else:
        folder = getattr(getattr(run, "_cache", None), "cache_path", None)
        if folder is None or _only_ours(Path(folder)):
            return run          # type: ignore[no-any-return]
        reason = f"others may write to the cache folder {folder}"
    _say_once(f"{reason}: kernels are compiled anew in each process; "
              "NUMBA_CACHE_DIR may name a folder of your own")
    return numba.njit(**options)(loop)          # type: ignore[no-any-return]


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can put machine code into `folder`, or another folder in its place."""
    if not folder.is_dir() or os.name != "posix":
        return True
    status = folder.stat()
    return (not status.st_mode & stat.S_IWOTH and status.st_uid in (0, os.getuid())
            and all(not mode & stat.S_IWOTH or mode & stat.S_ISVTX
                    for mode in (parent.stat().st_mode for parent in folder.resolve().parents)))


def _announce_compilation() -> None:
    """Say so when Numba first compiles a kernel; it keeps silent where the cache has the result."""
    event: Any = import_module("numba.core.event")

    def on_start(_: Any, compilation: Any) -> None:
        if compilation.data["dispatcher"].py_func.__module__.startswith(__name__):
            _say_once("compiling kernels, once on this machine; the first calls take some seconds")

    methods = {"on_start": on_start, "on_end": lambda _, compilation: None}
    event.register("numba:compile", type("Announcer", (event.Listener,), methods)())


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(f"minigrad: {line}", file=sys.stderr, flush=True)


# ---- threads of our own --------------------------------------------------------------------------

LANES = 8


def in_lanes(work: Callable[[slice], T], n: int) -> list[T]:
    """[work(s) for s in up to LANES equal slices of range(n)], shared out among the threads.

    Where loops and matrix products take turns, each thread does all of a slice, and the BLAS keeps
    to that thread: nobody waits for anybody in between. The slices depend on n alone, so results
    are equal to the bit for any number of threads.
    """
    stops = [n * (i + 1) // min(n, LANES) for i in range(min(n, LANES))]
    slices = [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
    threads = min(_thread_count(), len(slices))

    def share(k: int) -> list[T]:
        return [work(s) for s in slices[k::threads]]

    with _running, _blas().limit(limits=1):
        # each in a copy of this context: NumPy's warnings are off there as here
        others = [_pool().submit(copy_context().run, share, k) for k in range(1, threads)]
        shares = [share(0), *(other.result() for other in others)] if slices else []
    return [shares[i % threads][i // threads] for i in range(len(slices))]


def _thread_count() -> int:
    if os.environ.get("MINIGRAD_KERNELS") == "numpy":
        return 1
    return int(load_numba().get_num_threads())


@functools.cache
def _blas() -> Any:
    return import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "minigrad")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)       # threads do not survive a fork


class Workspace(threading.local):
    """Scratch memory by name, one set a thread: fresh large arrays cost page faults each time."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype[Any]], Array] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        size, key = int(np.prod(shape)), (name, np.dtype(dtype))
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[key] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)
