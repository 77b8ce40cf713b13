"""What Numba makes of a loop, and where that is kept."""

from __future__ import annotations

import inspect
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from minigrad.streams import announce

said: set[str] = set()           # lines that are not to be printed again


def jit(numba: Any, loop: Callable[..., None], files: set[str], parallel: bool,
        fastmath: set[str], forked: bool) -> Any:
    """The loop as Numba runs it, for all threads or for the caller's alone. Its machine code is
    kept on disk, as long as none of the files changes; but a forked process compiles anew, for one
    thread."""
    options = {"parallel": parallel and not forked, "nogil": True, "fastmath": fastmath,
               "error_model": "numpy"}          # a division by 0 is ∞ or NaN, and no exception
    if forked:
        return numba.njit(**options)(loop)
    if not parallel:
        loop = _borrowing(numba, loop, options)
    try:
        run = numba.njit(cache=True, **options)(loop)
    except RuntimeError:                        # Numba found no folder that it may write to
        reason = "no folder for compiled kernels is writable"
    except UnicodeError:
        say_once("the path of minigrad is not UTF-8, as Numba's cache needs it: kernels are "
                  "compiled anew in each process")
        return numba.njit(**options)(loop)
    else:
        cache = getattr(run, "_cache", None)
        if cache is None:                       # with NUMBA_DISABLE_JIT
            return run
        if _only_ours(Path(cache.cache_path)):
            # Numba compiles anew when the file of the loop has changed; here, when any of them has
            cache._cache_file._source_stamp = [
                (status.st_mtime, status.st_size) for status in map(os.stat, sorted(files))]
            _forgive(cache)
            return run
        reason = f"others may write to the cache folder {cache.cache_path}"
    say_once(f"{reason}: kernels are compiled anew in each process; "
              "NUMBA_CACHE_DIR may name a folder of your own")
    return numba.njit(**options)(loop)


def _borrowing(numba: Any, loop: Callable[..., None], options: dict[str, Any]) -> Any:
    """A function that calls the loop with arrays that it does not own; its machine code has a file
    of its own, for its name differs.

    For Numba, each view of an array, such as a row, is one more owner of its memory, and counting
    owners takes longer than adding up a short row. But the caller owns them all meanwhile. (Where
    threads share a loop, Numba does not count.)
    """
    if numba.config.DISABLE_JIT:
        return loop

    def typed(_: Any, array: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            borrowed = context.make_array(signature.return_type)(context, builder, args[0])
            borrowed.meminfo = context.get_constant_null(numba.types.MemInfoPointer(
                signature.return_type.dtype))
            return borrowed._getvalue()
        return array(array), emit

    hints = get_type_hints(loop, include_extras=True)
    names = list(inspect.signature(loop).parameters)
    passed = [f"borrowed({name})" if hasattr(hints[name], "__metadata__") else name
              for name in names]
    name = f"{loop.__name__}_small"
    source = f"def {name}({', '.join(names)}):\n    loop({', '.join(passed)})\n"
    known = {"loop": numba.njit(forceinline=True, **options)(loop),
             "borrowed": numba.extending.intrinsic(typed), "__name__": loop.__module__}
    code = compile(source, loop.__code__.co_filename, "exec")
    exec(code, known)
    return known[name]


def _forgive(cache: Any) -> None:
    """Let Numba compile where its cache is damaged, and go on where it cannot be written, as on a
    full disk."""
    load, save = cache.load_overload, cache.save_overload

    def load_or_compile(signature: Any, context: Any) -> Any:
        try:
            return load(signature, context)
        except Exception as error:              # unpickling damage leads to errors of any type
            say_once(f"compiled kernels in {cache.cache_path} are damaged "
                      f"({type(error).__name__}), and are compiled anew")
            with suppress(OSError):
                cache.flush()
            return None

    def save_if_possible(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            say_once(f"compiled kernels cannot be kept in {cache.cache_path}: {reason}")

    cache.load_overload, cache.save_overload = load_or_compile, save_if_possible


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can put machine code into `folder`, or another folder in its place."""
    if not folder.is_dir() or os.name != "posix":
        return True
    status = folder.stat()
    return (not status.st_mode & stat.S_IWOTH and status.st_uid in (0, os.getuid())
            and all(not mode & stat.S_IWOTH or mode & stat.S_ISVTX
                    for mode in (parent.stat().st_mode for parent in folder.resolve().parents)))


def say_once(line: str) -> None:
    if line not in said:
        said.add(line)
        announce(f"minigrad: {line}")
