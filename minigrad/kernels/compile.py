"""What makes a kernel of a loop: when the twin runs, and Numba with its threads."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.kernels import tape
from minigrad.kernels.blas import teach_gemm, with_one_blas_thread
from minigrad.kernels.interrupts import uninterrupted
from minigrad.kernels.machine_code import jit, said, say_once
from minigrad.kernels.tile import teach_tile
from minigrad.kernels.vectors import teach_vectors
from minigrad.kernels.winograd_tiles import teach_winograd

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
Strided2 = Annotated[Array, 2, None, "A"]
Strided4 = Annotated[Array, 4, None, "A"]
Double1 = Annotated[Array, 1, np.float64]
Double2 = Annotated[Array, 2, np.float64]
Double3 = Annotated[Array, 3, np.float64]
Double4 = Annotated[Array, 4, np.float64]
Bool1 = Annotated[Array, 1, np.bool_]
Int1 = Annotated[Array, 1, np.int64]
Int2 = Annotated[Array, 2, np.int64]
Index1 = Annotated[Array, 1, np.int32]
Index2 = Annotated[Array, 2, np.int32]
Index3 = Annotated[Array, 3, np.int32]
Index4 = Annotated[Array, 4, np.int32]

# loops are compiled for these
FLOATS: frozenset[np.dtype[Any]] = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
# With fewer values, one thread is done before others are awake. They wait for the next loop for
# some 90 µs and then fall asleep; to wake one up takes another 20 µs.
SMALL = 2**16
TINY_STEPS = 2**17          # the same, where a value takes no more than a step or two
if (_setting := os.environ.get("MINIGRAD_KERNELS", "")) not in ("", "numpy"):
    raise ValueError(f"MINIGRAD_KERNELS: must be numpy, or not set; got {_setting!r}")
TWINS_ONLY = _setting == "numpy"
TAUGHT = {teach.__module__ for teach in (teach_gemm, teach_tile, teach_vectors, teach_winograd)}
FUSED = {"contract"}        # lets a·b + c be one instruction
COMPILING = "compiling kernels, once on this machine; the first calls take some seconds"

prange = range              # becomes numba.prange in a kernel's module when the kernel is compiled

registry: dict[str, Kernel] = {}
_lock = threading.RLock()
# One loop runs at a time, and has all the threads. Its own thread may enter again: a signal's
# handler, a finaliser or a weak reference's callback runs before or after the machine code.
_running = threading.RLock()
_inlined: dict[Callable[..., Any], set[str]] = {}           # with their fastmath flags
_forked = False


class _OtherLayout(Exception):
    """Of an array, than machine code has been made for."""


def _fits(value: Any, strided: bool) -> bool:
    """Whether an argument, if it is an array, has the layout that machine code is made for."""
    return type(value) is not np.ndarray or (
        value.flags.writeable if strided else value.flags.carray)


class Kernel:
    """A loop and its twin. A call runs the loop as Numba has compiled it, or else the twin."""

    def __init__(self, loop: Callable[..., None], twin: Callable[..., None],
                 writes: tuple[str, ...], scratch: tuple[str, ...], small: int,
                 work: Callable[..., int] | None, multiplies: bool, fused: bool) -> None:
        self.name, self.loop, self.twin = loop.__name__, loop, twin
        self.scratch, self.multiplies = scratch, multiplies
        self.small, self.work = small, work
        self.fastmath = FUSED if fused else set()
        self.__doc__ = loop.__doc__
        self.parameters = tuple(inspect.signature(loop).parameters)
        self.writes = tuple(name in writes + scratch for name in self.parameters)
        hints = get_type_hints(loop, include_extras=True)
        self.strided = tuple("A" in getattr(hints[name], "__metadata__", ())
                             for name in self.parameters)
        # for each float dtype: with all threads, with one
        self._runs: dict[np.dtype[Any], dict[bool, Callable[..., None]]] = {
            dtype: {} for dtype in FLOATS}

    def __call__(self, *args: Any) -> None:
        if tape.running:
            args = tape.run_kernel(self, args)
        x = args[0]
        if TWINS_ONLY or (runs := self._runs.get(x.dtype)) is None:
            self.twin(*args)
            return
        parallel = (x.size if self.work is None else self.work(*args)) >= self.small
        run = runs.get(parallel) or self.compiled(parallel, x.dtype)
        try:
            if parallel or self.multiplies:
                self._run_alone(run, args)
            else:
                run(*args)
        except _OtherLayout:
            self._run_alone(run, tuple(self._in_layout(args)))

    def _run_alone(self, run: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Run the loop while no other does."""
        with _running:
            if self.multiplies:
                with_one_blas_thread(run, args)
            else:
                run(*args)

    def _in_layout(self, args: tuple[Any, ...]) -> Iterator[Any]:
        """The arrays in the layout compiled for."""
        for value, written, strided, name in zip(args, self.writes, self.strided, self.parameters,
                                                 strict=True):
            fits = _fits(value, strided)
            if written and not fits:
                raise ValueError(f"{self.name}: {name} must be contiguous and writeable")
            yield value if fits else np.array(value, order="C")

    def _find(self, search: Callable[..., bool], *args: Any) -> bool:
        """Numba calls this for arguments that it has no machine code for. It would then `search`
        for what they might be converted to, and compose an error: 100 µs, where a copy takes 1."""
        if not all(map(_fits, args, self.strided)):
            raise _OtherLayout
        return search(*args)

    def compiled(self, parallel: bool = True, dtype: DTypeLike = np.float32
                 ) -> Callable[..., None]:
        """The loop as Numba runs it, with all threads or with the caller's alone, once its machine
        code for a float dtype is made or loaded."""
        with _lock:
            runs = self._runs[np.dtype(dtype)]
            if parallel not in runs:
                runs[parallel] = uninterrupted(self._made)(parallel, dtype)
            return runs[parallel]

    def _made(self, parallel: bool, dtype: DTypeLike) -> Callable[..., None]:
        """The loop for `compiled`. Numba takes a lock each time, which must not stay taken.

        Numba would compile by itself when it is called, but also for arrays that happen to lie in
        memory in another way.
        """
        numba = load_numba()
        files = _with_functions_compiled(numba, self.loop.__globals__)
        run = jit(numba, self.loop, files, parallel, self.fastmath, _forked)
        if hasattr(run, "compile"):             # with NUMBA_DISABLE_JIT it is the loop itself
            run.compile(self.signature(dtype))
            run.disable_compile()
            run._search_new_conversions = functools.partial(self._find, run._search_new_conversions)
        made: Callable[..., None] = run
        return made

    def warmup(self, dtype: DTypeLike) -> None:
        """Compile for one float dtype, or load what was compiled before, without running."""
        if not TWINS_ONLY:
            for parallel in (True, False) if self.small else (True,):
                self.compiled(parallel, dtype)

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
           small: int = 0, work: Callable[..., int] | None = None, multiplies: bool = False,
           fused: bool = True) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a loop. Its first argument is an array of the float dtype it works in.

    twin: computes the same with NumPy. It runs instead of the loop, whose results it equals up to
    rounding, where the first argument has a dtype that loops are not compiled for.
    small: where the first argument has fewer values than this, the loop runs in the caller's thread
    alone, because it would be done before other threads had started.
    work: what is compared with `small` instead, as a function of all arguments.
    writes, scratch: the names of the arguments that are its outputs, and of those that it uses as
    working memory, whose contents mean nothing before and after.
    multiplies: whether the loop calls the BLAS (`gemm`, or np.dot). Meanwhile the BLAS starts no
    threads.
    fused: whether a·b + c may be one instruction, which rounds once instead of twice.
    """
    def decorate(loop: Callable[..., None]) -> Kernel:
        registry[loop.__name__] = Kernel(loop, twin, writes, scratch, small, work, multiplies,
                                         fused)
        return registry[loop.__name__]
    return decorate


def inline(function: F) -> F:
    """Mark a function that loops call, so that it is compiled with them."""
    _inlined[function] = FUSED
    return function


def inline_sum(function: F) -> F:
    """Mark a function as `inline` does, and let the compiler choose the order of its sums.

    In the order in which it is written, a sum of floats could not use vector instructions. The
    compiler's order depends on the number of summands alone.
    """
    _inlined[function] = FUSED | {"reassoc"}
    return function


def load_all() -> dict[str, Kernel]:
    """Import every file of kernels and return them all by name."""
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__package__}.{file.stem}")
    return registry


# ---- Numba and its threads -----------------------------------------------------------------------

@functools.cache
def load_numba() -> Any:
    """Numba, imported when it is first needed, so that `import minigrad` stays fast.

    Its threads are those of OpenMP if that is there, which starts a loop within 5 µs; Numba's own
    work queue takes 130 µs. An OpenMP thread without work keeps its core busy for a while, waiting
    for the next loop. By default that is long enough for two processes to slow each other down, so
    it is shortened here, unless the user has set it. Half as long would be too short: where one
    thread starts late, because it had to be woken, the other would fall asleep until it is done,
    and be late in turn.
    """
    try:
        numba = import_module("numba")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise ModuleNotFoundError("minigrad's kernels need Numba (pip install numba); with "
                                  "MINIGRAD_KERNELS=numpy, they compute with NumPy alone",
                                  name="numba") from None
    features = import_module("numba.core.codegen").get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and "+avx512f" in features:
        # LLVM would take vectors of half the width, for processors whose clock slows down for wide
        # ones; those made since 2019 hardly do
        numba.config.CPU_FEATURES = features + ",-prefer-256-bit"
    if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
        numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = "4000"
    uninterrupted(numba.get_num_threads)()      # starts the threads, which read the variable now
    if ours:
        del os.environ["GOMP_SPINCOUNT"]
    teach_gemm(numba)
    teach_vectors(numba)
    teach_tile(numba)
    teach_winograd(numba)
    _announce_compilation()
    return numba


def thread_count() -> int:
    """The number of threads that a parallel loop has.

    `numba.get_num_threads` takes a lock each time, to start threads that run already. If Ctrl-C
    came as it does so, the lock would stay taken, and every other thread would wait for ever.
    """
    return 1 if TWINS_ONLY or _forked else int(load_numba().np.ufunc.parallel._get_num_threads())


def _with_functions_compiled(numba: Any, names: dict[str, Any]) -> set[str]:
    """Prepare the names that a kernel's module uses: prange is Numba's, and marked functions are
    compiled. Returns the files on which its machine code depends: its own, and those of marked
    functions and of functions for which Numba is taught what to compile."""
    files = {names["__file__"]}
    for name, value in list(names.items()):
        function = getattr(value, "py_func", value)
        if value is range:
            names[name] = numba.prange
        elif type(function) is FunctionType and function.__module__ in TAUGHT:
            files.add(function.__globals__["__file__"])
        elif type(function) is FunctionType and function in _inlined:
            if function.__globals__ is not names:
                files |= _with_functions_compiled(numba, function.__globals__)
            if value is function:
                names[name] = numba.njit(error_model="numpy", fastmath=_inlined[function])(
                    function)
    return files


def _announce_compilation() -> None:
    """Print a line when Numba first compiles a kernel; loading one from the cache prints nothing.
    """
    event: Any = import_module("numba.core.event")

    def on_start(_: Any, compilation: Any) -> None:
        if compilation.data["dispatcher"].py_func.__module__.startswith(f"{__package__}."):
            say_once("compiling kernels for a forked process; a spawned one would load them"
                     if _forked else COMPILING)

    methods = {"on_start": on_start, "on_end": lambda _, compilation: None}
    event.register("numba:compile", type("Announcer", (event.Listener,), methods)())


def _after_fork() -> None:
    """OpenMP's threads do not survive a fork: the child compiles anew, for one thread."""
    global _lock, _running, _forked
    _lock, _running = threading.RLock(), threading.RLock()   # the parent's threads may hold the old
    if load_numba.cache_info().currsize == 0:
        return                          # no threads have been started yet
    _forked = True
    said.discard(COMPILING)
    for each in registry.values():
        for runs in each._runs.values():
            runs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
