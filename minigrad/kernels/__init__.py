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

Arrays of images lie in memory batch last, (C, H, W, N), whatever their shape says: then what lies
side by side is the same place of all images, every inner loop runs over a long stretch of memory at
stride 1 (one image at a time has rows of 7 or 14), and a channel is one stretch.

MINIGRAD_KERNELS=numpy runs the twins; NUMBA_DISABLE_JIT=1 runs the loops as plain Python.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import os
import stat
import sys
import threading
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

# What a kernel's arguments are: C-contiguous arrays of its float dtype (None) or of another, by
# number of dims; besides these bool, int, float and tuples of them.
Float1 = Annotated[Array, 1, None]
Float2 = Annotated[Array, 2, None]
Float3 = Annotated[Array, 3, None]
Float4 = Annotated[Array, 4, None]
Int1 = Annotated[Array, 1, np.int64]
Int2 = Annotated[Array, 2, np.int64]
Index3 = Annotated[Array, 3, np.int32]
Index4 = Annotated[Array, 4, np.int32]

FLOATS = (np.float32, np.float64)       # the dtypes that kernels are compiled for

prange = range                  # becomes numba.prange in a kernel's module when it is compiled

registry: dict[str, Kernel] = {}
_lock = threading.RLock()
_running = threading.Lock()     # one parallel loop at a time has all the threads
_said: set[str] = set()
_forked = False


class Kernel:
    """A loop, its twin, and the loop compiled (once it has been called)."""

    def __init__(self, loop: Callable[..., None], twin: Callable[..., None],
                 writes: tuple[str, ...], scratch: tuple[str, ...], multiplies: bool) -> None:
        self.name, self.loop, self.twin = loop.__name__, loop, twin
        self.scratch, self.multiplies = scratch, multiplies
        self.__doc__ = loop.__doc__
        self.parameters = tuple(inspect.signature(loop).parameters)
        self.writes = tuple(name in writes + scratch for name in self.parameters)
        self._run = twin if os.environ.get("MINIGRAD_KERNELS") == "numpy" else None

    def __call__(self, *args: Any) -> None:
        run = self._run or self.compiled()
        with _running, _one_blas_thread() if self.multiplies else nullcontext():
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
                names = self.loop.__globals__
                for name, value in list(names.items()):
                    if value is range:
                        names[name] = numba.prange
                    elif type(value) is FunctionType and hasattr(value, "is_inline"):
                        names[name] = numba.njit(value)
                self._run = _cached_jit(numba, self.loop)
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


def kernel(twin: Callable[..., None], *, writes: tuple[str, ...], scratch: tuple[str, ...] = (),
           multiplies: bool = False) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop: `twin` is its meaning in plain NumPy, `writes` names its outputs,
    `scratch` what it only works in.

    One that `multiplies` matrices calls the BLAS from each of its threads (`np.dot`, which Numba
    takes from SciPy): meanwhile the BLAS keeps to the thread that called it.
    """
    def decorate(loop: Callable[..., None]) -> Kernel:
        registry[loop.__name__] = Kernel(loop, twin, writes, scratch, multiplies)
        return registry[loop.__name__]
    return decorate


def inline(function: F) -> F:
    """Mark a part of a loop, in the loop's own file, as one to be compiled with it."""
    function.is_inline = True       # type: ignore[attr-defined]
    return function


@functools.cache
def load_numba() -> Any:
    """Numba, imported when it is first needed: `import minigrad` stays fast.

    Its threads are OpenMP's where there is OpenMP: a loop starts within 5 µs. With Numba's own work
    queue it takes 130 µs. Between loops they look out for the next only shortly: as long as is
    OpenMP's custom, and two processes on a machine are in each other's way.
    """
    numba = import_module("numba")
    if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
        numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    numba.get_num_threads()             # starts the threads, which read the variable then
    if ours:
        del os.environ["GOMP_SPINCOUNT"]
    return numba


def thread_count() -> int:
    """How many threads a parallel loop has."""
    if os.environ.get("MINIGRAD_KERNELS") == "numpy" or _forked:
        return 1
    return int(load_numba().get_num_threads())


def load_all() -> dict[str, Kernel]:
    """Import every file of kernels and return them all by name."""
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__name__}.{file.stem}")
    return registry


# Numba has no types: what it returns is taken at its word
def _cached_jit(numba: Any, loop: Callable[..., None]) -> Callable[..., None]:
    options = {"parallel": not _forked, "nogil": True}
    if _forked:
        return numba.njit(**options)(loop)      # type: ignore[no-any-return]
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


COMPILING = "compiling kernels, once on this machine; the first calls take some seconds"


def _announce_compilation() -> None:
    """Say so when Numba first compiles a kernel; it keeps silent where the cache has the result."""
    event: Any = import_module("numba.core.event")

    def on_start(_: Any, compilation: Any) -> None:
        if compilation.data["dispatcher"].py_func.__module__.startswith(__name__):
            _say_once("compiling kernels for a forked process; spawn it, and it loads them"
                      if _forked else COMPILING)

    methods = {"on_start": on_start, "on_end": lambda _, compilation: None}
    event.register("numba:compile", type("Announcer", (event.Listener,), methods)())


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(f"minigrad: {line}", file=sys.stderr, flush=True)


# ---- after a fork --------------------------------------------------------------------------------

def _after_fork() -> None:
    """OpenMP's threads do not survive a fork: the child compiles anew, for one thread."""
    global _lock, _memory, _running, _forked
    _lock, _memory, _running = threading.RLock(), threading.RLock(), threading.Lock()
    if load_numba.cache_info().currsize == 0:
        return                          # there are no threads yet
    _forked = True
    _said.discard(COMPILING)
    for each in registry.values():
        if hasattr(each._run, "compile"):
            each._run = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- the BLAS ------------------------------------------------------------------------------------

@contextmanager
def _one_blas_thread() -> Iterator[None]:
    libraries = _blas_libraries()
    before = [library.get_num_threads() for library in libraries]
    _set_blas_threads(libraries, [1] * len(libraries))
    try:
        yield
    finally:
        _set_blas_threads(libraries, before)


def _set_blas_threads(libraries: list[Any], counts: list[int]) -> None:
    for library, count in zip(libraries, counts, strict=True):
        # threadpoolctl lets only the Python thread that was first set an OpenBLAS's threads, unless
        # it is told to forget which that was
        forget = getattr(library, "clear_controlling_thread", None)
        if forget:
            forget(force=True)
        library.set_num_threads(count)
        if forget:
            forget(force=True)


@functools.cache
def _blas_libraries() -> list[Any]:
    """The one that SciPy brings, which np.dot in a kernel is; or all, where it shares NumPy's"""
    scipy = Path(import_module("scipy.linalg.cython_blas").__file__ or "").parents[2]
    found = import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")
    own = [library for library in found.lib_controllers
           if Path(library.filepath).is_relative_to(scipy)
           and "numpy" not in Path(library.filepath).parent.name]
    return own or list(found.lib_controllers)


# ---- memory --------------------------------------------------------------------------------------

RECYCLED_BYTES = 2**16      # smaller arrays come from malloc's own lists
WASTE = 1.5                 # a block may be at most so many times as large as what it is used for
UNUSED = 3                  # at most so many times what was ever in use at once lies unused,
SPARE = 2**26               # or so many bytes


class _Lent(weakref.ref[Array]):
    """Memory in use: given back when the array that spans it, and so the last view of it, dies."""

    __slots__ = ("memory",)
    memory: memoryview


_lent: dict[int, _Lent] = {}            # by id: a reference to an array cannot be hashed
_free: list[tuple[int, int, memoryview]] = []           # (bytes, - when it was given back, memory)
_bytes = {"in use": 0, "most in use": 0, "unused": 0}
_returned: deque[_Lent] = deque()       # given back: at any time, even while `empty` searches
_now = itertools.count(1)
_memory = threading.RLock()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """np.empty, in memory that an earlier array has given back: the smallest block that will do.

    The system hands out fresh memory page by page at first touch, which can take longer than to
    compute what is written there; and a training step asks for the same sizes again and again.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < RECYCLED_BYTES:
        return np.empty(shape, dtype)
    with _memory:
        while _returned:
            _sort_in(_returned.popleft())
        at = bisect_left(_free, (size,))
        if at < len(_free) and _free[at][0] <= WASTE * size:
            memory = _free.pop(at)[2]
            _bytes["unused"] -= memory.nbytes
        else:
            memory = _from_system(size)
        _bytes["in use"] += memory.nbytes
        _bytes["most in use"] = max(_bytes["most in use"], _bytes["in use"])
        array: Array = np.frombuffer(memory, np.uint8, size)
        lent = _Lent(array, _returned.append)
        lent.memory = memory
        _lent[id(lent)] = lent
    return array.view(dtype).reshape(shape)


def _from_system(size: int) -> memoryview:
    return memoryview(np.empty(size, np.uint8))     # type: ignore[arg-type]


def _sort_in(lent: _Lent) -> None:
    size = lent.memory.nbytes
    del _lent[id(lent)]
    insort(_free, (size, -next(_now), lent.memory))
    _bytes["in use"] -= size
    _bytes["unused"] += size
    while _bytes["unused"] > max(SPARE, UNUSED * _bytes["most in use"]):
        oldest = max(range(len(_free)), key=lambda i: _free[i][1])
        _bytes["unused"] -= _free.pop(oldest)[0]


# ---- the order of memory -------------------------------------------------------------------------

def batch_last(x: Array) -> Array:
    """(N, …) → (…, N), contiguous: a copy, unless x lies in memory so already"""
    return np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))


def batch_first(x: Array) -> Array:
    """(…, N) → (N, …), a view"""
    return x.transpose(-1, *range(x.ndim - 1))


def memory_order(x: Array) -> tuple[int, ...]:
    """x's dims from the outermost in memory to the innermost"""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda dim: -abs(x.strides[dim])))


def empty_in_order(shape: tuple[int, ...], dtype: DTypeLike, order: tuple[int, ...]) -> Array:
    """`empty` with dims that lie in memory in this order"""
    y = empty(tuple(shape[dim] for dim in order), dtype)
    return y.transpose(sorted(range(len(shape)), key=order.__getitem__))


def flat(x: Array, order: tuple[int, ...]) -> Array:
    """x's elements in this order of its dims: a view where they lie so"""
    return x.transpose(order).reshape(-1)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """np.concatenate of arrays of one dtype, in recycled memory, in the first one's order"""
    x = arrays[0]
    shape = (*x.shape[:axis], sum(a.shape[axis] for a in arrays), *x.shape[axis + 1:])
    y = empty_in_order(shape, x.dtype, memory_order(x))
    return np.concatenate(arrays, axis, out=y)
