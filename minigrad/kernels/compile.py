"""What makes a kernel of a loop: when the twin runs, and Numba with its threads and its cache."""

from __future__ import annotations

import functools
import inspect
import os
import stat
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.kernels import tape
from minigrad.kernels.blas import one_blas_thread, teach_gemm

Array = NDArray[Any]
Pair = tuple[int, int]
F = TypeVar("F", bound=Callable[..., Any])

# The arguments of a kernel: C-contiguous arrays, annotated with their number of dims and their
# dtype (None: the kernel's float dtype), or with "A" arrays of any strides; bool, int and float;
# and tuples of these.
Float1 = Annotated[Array, 1, None]
Float2 = Annotated[Array, 2, None]
Float3 = Annotated[Array, 3, None]
Float4 = Annotated[Array, 4, None]
Strided4 = Annotated[Array, 4, None, "A"]
Double2 = Annotated[Array, 2, np.float64]
Int1 = Annotated[Array, 1, np.int64]
Index4 = Annotated[Array, 4, np.int32]

# loops are compiled for these
FLOATS: frozenset[np.dtype[Any]] = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
SMALL = 2**14               # with fewer values, one thread is done before others are awake
TWINS_ONLY = os.environ.get("MINIGRAD_KERNELS") == "numpy"
COMPILING = "compiling kernels, once on this machine; the first calls take some seconds"

ARITHMETIC = {"error_model": "numpy"}   # x / 0 is infinite; it raises no ZeroDivisionError

prange = range              # becomes numba.prange in a kernel's module when the kernel is compiled

registry: dict[str, Kernel] = {}
_lock = threading.RLock()
_running = threading.Lock()     # one loop runs at a time, and has all the threads
_said: set[str] = set()
_inlined: set[Callable[..., Any]] = set()
_forked = False


class Kernel:
    """A loop and its twin. A call runs the loop as Numba has compiled it, or else the twin."""

    def __init__(self, loop: Callable[..., None], twin: Callable[..., None],
                 writes: tuple[str, ...], scratch: tuple[str, ...], small: float, multiplies: bool
                 ) -> None:
        self.name, self.loop, self.twin = loop.__name__, loop, twin
        self.scratch, self.multiplies = scratch, multiplies
        self.small = small
        self.__doc__ = loop.__doc__
        self.parameters = tuple(inspect.signature(loop).parameters)
        self.writes = tuple(name in writes + scratch for name in self.parameters)
        hints = get_type_hints(loop, include_extras=True)
        self.strided = tuple("A" in getattr(hints[name], "__metadata__", ())
                             for name in self.parameters)
        self._alone: Callable[..., None] | None = None
        self._together: Callable[..., None] | None = None

    def __call__(self, *args: Any) -> None:
        if tape.running:
            args = tape.run_kernel(self, args)
        x = args[0]
        if TWINS_ONLY or x.dtype not in FLOATS:
            self.twin(*args)
            return
        if x.size < self.small:
            run = self._alone or self.compiled(alone=True)
        else:
            run = self._together or self.compiled()
        for value, strided in zip(args, self.strided):     # noqa: B905  # strict costs time
            if isinstance(value, np.ndarray) and not (
                    value.flags.writeable if strided else value.flags.carray):
                args = self._in_layout(args)
                break
        if self.multiplies:
            with _running, one_blas_thread():
                run(*args)
        else:
            with _running:
                run(*args)

    def _in_layout(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arrays in the layout compiled for. For any other, Numba would silently compile anew.
        """
        def in_layout(value: Any, written: bool, strided: bool, name: str) -> Any:
            if not isinstance(value, np.ndarray) or (
                    value.flags.writeable if strided else value.flags.carray):
                return value
            if written:
                raise ValueError(f"{self.name}: {name} must be contiguous and writeable")
            return np.array(value, order="C")
        return tuple(map(in_layout, args, self.writes, self.strided, self.parameters))

    def compiled(self, alone: bool = False) -> Callable[..., None]:
        """The loop as Numba runs it. Its machine code is made, or loaded, on the first call.

        alone: for one thread, which needs no others to be woken.
        """
        with _lock:
            if (self._alone if alone else self._together) is None:
                numba = load_numba()
                names = self.loop.__globals__
                for name, value in list(names.items()):
                    if value is range:
                        names[name] = numba.prange
                    elif type(value) is FunctionType and value in _inlined:
                        names[name] = numba.njit(value, **ARITHMETIC)
                run = _jit(numba, self.loop, not alone)
                if any(self.strided) and hasattr(run, "compile"):
                    # else Numba would compile anew for arrays that happen to be contiguous
                    for dtype in FLOATS:
                        run.compile(self.signature(dtype))
                    run.disable_compile()
                if alone:
                    self._alone = run
                else:
                    self._together = run
            return self._alone if alone else self._together     # type: ignore[return-value]

    def warmup(self, dtype: DTypeLike) -> None:
        """Compile for one float dtype, or load what was compiled before, without running."""
        if not TWINS_ONLY:
            for run in [self.compiled(alone) for alone in {False, self.small > 0}]:
                # with NUMBA_DISABLE_JIT it is the loop itself
                if hasattr(run, "compile") and not any(self.strided):
                    run.compile(self.signature(dtype))

    def signature(self, dtype: DTypeLike) -> tuple[Any, ...]:
        """Numba's types of the arguments, from the loop's annotations."""
        numba = load_numba()

        def numba_type(hint: Any) -> Any:
            if hasattr(hint, "__metadata__"):
                ndim, kind, layout = (*hint.__metadata__, "C")[:3]
                return numba.types.Array(numba.from_dtype(np.dtype(kind or dtype)), ndim, layout)
            if hint in (bool, int, float):
                return numba.typeof(hint())
            return numba.types.UniTuple(numba_type(hint.__args__[0]), len(hint.__args__))

        hints = get_type_hints(self.loop, include_extras=True)
        return tuple(numba_type(hints[name]) for name in self.parameters)


def kernel(twin: Callable[..., None], *, writes: tuple[str, ...], scratch: tuple[str, ...] = (),
           small: int = 0, multiplies: bool = False) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop. Its first argument is an array of the float dtype it works in.

    twin: computes the same with NumPy. It runs instead of the loop, whose results it equals up to
    rounding, where the first argument has a dtype that loops are not compiled for.
    small: if the first argument has fewer values, one thread computes all of the loop: it is done
    before others are awake.
    writes, scratch: the names of the arguments that are its outputs, and of those that it uses as
    working memory, whose contents mean nothing before and after.
    multiplies: whether the loop calls the BLAS (`gemm`, or np.dot). Meanwhile the BLAS starts no
    threads.
    """
    def decorate(loop: Callable[..., None]) -> Kernel:
        registry[loop.__name__] = Kernel(loop, twin, writes, scratch, small, multiplies)
        return registry[loop.__name__]
    return decorate


def inline(function: F) -> F:
    """Mark a function that loops of the same file call, so that it is compiled with them."""
    _inlined.add(function)
    return function


def load_all() -> dict[str, Kernel]:
    """Import every file of kernels and return them all by name."""
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__package__}.{file.stem}")
    return registry


# ---- Numba: its threads, and its cache on disk ---------------------------------------------------

@functools.cache
def load_numba() -> Any:
    """Numba, imported when it is first needed, so that `import minigrad` stays fast.

    Its threads are those of OpenMP if that is there, which starts a loop within 5 µs; Numba's own
    work queue takes 130 µs. An OpenMP thread without work keeps its core busy for a while, waiting
    for the next loop. By default that is long enough for two processes to slow each other down, so
    it is shortened here, unless the user has set it.
    """
    numba = import_module("numba")
    if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
        numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    numba.get_num_threads()             # starts the threads, which read the variable now
    if ours:
        del os.environ["GOMP_SPINCOUNT"]
    teach_gemm(numba)
    _announce_compilation()
    return numba


def thread_count() -> int:
    """The number of threads that a parallel loop has."""
    return 1 if TWINS_ONLY or _forked else int(load_numba().get_num_threads())


def _jit(numba: Any, loop: Callable[..., None], parallel: bool) -> Any:
    options = {"parallel": parallel, "nogil": True, **ARITHMETIC}
    if _forked:
        return numba.njit(**options | {"parallel": False})(loop)
    if not parallel:                            # Numba's cache tells functions apart by their name
        loop = FunctionType(loop.__code__, loop.__globals__, loop.__name__)
        loop.__qualname__ = f"{loop.__name__}_alone"
        loop.__module__ = loop.__globals__["__name__"]
    try:
        run = numba.njit(cache=True, **options)(loop)
    except RuntimeError:                        # Numba found no folder that it may write to
        reason = "no folder for compiled kernels is writable"
    else:
        folder = getattr(getattr(run, "_cache", None), "cache_path", None)
        if folder is None or _only_ours(Path(folder)):
            return run
        reason = f"others may write to the cache folder {folder}"
    _say_once(f"{reason}: kernels are compiled anew in each process; "
              "NUMBA_CACHE_DIR may name a folder of your own")
    return numba.njit(**options)(loop)


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can put machine code into `folder`, or another folder in its place."""
    if not folder.is_dir() or os.name != "posix":
        return True
    status = folder.stat()
    return (not status.st_mode & stat.S_IWOTH and status.st_uid in (0, os.getuid())
            and all(not mode & stat.S_IWOTH or mode & stat.S_ISVTX
                    for mode in (parent.stat().st_mode for parent in folder.resolve().parents)))


def _announce_compilation() -> None:
    """Print a line when Numba first compiles a kernel; loading one from the cache prints nothing.
    """
    event: Any = import_module("numba.core.event")

    def on_start(_: Any, compilation: Any) -> None:
        if compilation.data["dispatcher"].py_func.__module__.startswith(f"{__package__}."):
            _say_once("compiling kernels for a forked process; a spawned one would load them"
                      if _forked else COMPILING)

    methods = {"on_start": on_start, "on_end": lambda _, compilation: None}
    event.register("numba:compile", type("Announcer", (event.Listener,), methods)())


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(f"minigrad: {line}", file=sys.stderr, flush=True)


def _after_fork() -> None:
    """OpenMP's threads do not survive a fork: the child compiles anew, for one thread."""
    global _lock, _running, _forked
    _lock, _running = threading.RLock(), threading.Lock()   # the parent's threads may hold the old
    if load_numba.cache_info().currsize == 0:
        return                          # no threads have been started yet
    _forked = True
    _said.discard(COMPILING)
    for each in registry.values():
        each._alone = each._together = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
