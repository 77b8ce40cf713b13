"""How kernels run: compiled, announced, cached, in a forked process, and with the BLAS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kernel_arguments import EVERY
from threadpoolctl import threadpool_limits

from minigrad.kernels import FLOATS, TINY_STEPS, blas, elementwise, machine_code


@pytest.mark.parametrize(("size", "dtype", "run"), [
    (TINY_STEPS, np.float32, "threads"), (TINY_STEPS, np.float64, "threads"),
    (TINY_STEPS - 1, np.float32, "one"), (TINY_STEPS, np.int64, "twin"),
    (TINY_STEPS, np.float16, "twin"), (TINY_STEPS, np.dtype(">f4"), "twin")])
def test_small_arrays_take_one_thread_and_dtypes_not_compiled_for_the_twin(
        size: int, dtype: Any, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(elementwise.relu, "twin", lambda x, y: ran.append("twin"))
    runs = {True: lambda x, y: ran.append("threads"), False: lambda x, y: ran.append("one")}
    monkeypatch.setattr(elementwise.relu, "_runs", dict.fromkeys(FLOATS, runs))
    elementwise.relu(np.ones(size, dtype), np.empty(size, dtype))
    assert ran == [run]


# ---- in a process of their own -------------------------------------------------------------------

CALL = """
import numpy as np
from minigrad.kernels import load_all
y = np.empty(2)
load_all()["erf"](np.array([0.0, 10.0]), y)
assert y.tolist() == [0, 1], y
"""


def run(code: str, cache: Path, **environment: str) -> str:
    """Run code in a fresh process, and return what it wrote to stderr."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
        | environment)
    return result.stderr


def test_compilation_is_announced_once_and_cached(tmp_path: Path) -> None:
    twice = CALL + 'load_all()["erf"](np.array([0, 10], np.float32), np.empty(2, np.float32))'
    assert run(twice, tmp_path).count("compiling kernels") == 1
    assert run(twice, tmp_path) == ""


def test_a_damaged_cache_is_compiled_anew_and_says_so(tmp_path: Path) -> None:
    run(CALL, tmp_path)
    for ending in ("nbi", "nbc"):               # the index, the machine code
        for file in tmp_path.rglob(f"*.{ending}"):
            file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
        assert run(CALL, tmp_path).count("are damaged") == 1
    assert run(CALL, tmp_path) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_where_the_cache_cannot_be_written_kernels_run_and_say_so_once(tmp_path: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))\n" + CALL
    more = 'load_all()["erf"](np.array([0, 10], np.float32), np.empty(2, np.float32))'
    said = run(full + more, tmp_path)
    assert said.count("compiled kernels cannot be kept in") == 1
    assert "File too large" in said
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_twins_and_plain_loops_run_without_compiling(tmp_path: Path) -> None:
    numpy_only = CALL + "import sys; assert 'numba' not in sys.modules"
    assert run(numpy_only, tmp_path, MINIGRAD_KERNELS="numpy") == ""
    assert run(CALL, tmp_path, NUMBA_DISABLE_JIT="1") == ""
    assert not list(tmp_path.rglob("*.nbi"))


def test_import_does_not_import_numba(tmp_path: Path) -> None:
    run("import minigrad, sys; assert 'numba' not in sys.modules", tmp_path)


def test_world_writable_cache_is_not_used(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    said = run(CALL, open_folder)
    assert "others may write to the cache folder" in said
    assert not list(tmp_path.rglob("*.nbi"))


def test_without_a_writable_cache_kernels_run_and_say_so_once(tmp_path: Path) -> None:
    code = ("import numba.core.caching as caching\n"
            "caching.CacheImpl._locator_classes = []\n" + CALL
            + 'load_all()["lrn"](np.ones((1, 1)), 1, 1.0, 1.0, 1.0, np.ones((1, 1)))')
    said = run(code, tmp_path)
    assert said.count("no folder for compiled kernels is writable") == 1


def test_where_the_path_of_minigrad_is_not_utf_8_kernels_run_and_say_so(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def njit(cache: bool = False, **_: object) -> Callable[[FunctionType], FunctionType]:
        if cache:
            "\udce9".encode()
        return lambda loop: loop
    monkeypatch.setattr(machine_code, "said", set())

    def loop() -> None:
        pass
    run = machine_code.jit(SimpleNamespace(njit=njit), loop, set(), True, set(), forked=False)
    assert run is loop
    assert "is not UTF-8" in capsys.readouterr().err


def test_warmup_command_names_every_kernel() -> None:
    done = subprocess.run([sys.executable, "-m", "minigrad", "warmup"], capture_output=True,
                          text=True, check=True)
    assert all(f" {name}\n" in done.stdout for name in EVERY)
    refused = subprocess.run([sys.executable, "-m", "minigrad", "cool"], capture_output=True,
                             check=False)
    assert refused.returncode == 2


# ---- threads -------------------------------------------------------------------------------------

def test_the_blas_has_one_thread_in_a_kernel_and_then_as_many_as_before() -> None:
    """Also where several Python threads set the BLAS's threads in turn."""
    def inside() -> list[int]:
        found: list[int] = []
        blas.with_one_blas_thread(lambda: found.extend(counts()), ())
        return found

    def counts() -> list[int]:
        return [library.get_num_threads() for library in blas.blas_libraries()]

    before = counts()
    with ThreadPoolExecutor(1) as other, threadpool_limits(2, "blas"):
        assert inside() == other.submit(inside).result() == inside() == [1] * len(before)
        assert counts() == [2] * len(before)
    assert counts() == before


FORK = """
import os, warnings
import numpy as np
from minigrad.kernels import load_all
warnings.simplefilter("ignore")         # of Python's own, that threads do not survive a fork
def run():
    y = np.empty(2)
    load_all()["erf"](np.array([0.0, 10.0]), y)
    return y.tolist() == [0, 1]
if RUN_BEFORE:
    assert run()
child = os.fork()
if child == 0:
    os._exit(0 if run() else 3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert run()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
@pytest.mark.parametrize("before", [False, True])
def test_kernels_run_in_a_forked_process(before: bool) -> None:
    done = subprocess.run([sys.executable, "-c", f"RUN_BEFORE = {before}\n{FORK}"], check=True,
                          timeout=120, capture_output=True, text=True)
    assert ("for a forked process" in done.stderr) is before    # else there were no threads yet
