"""Computation anywhere: Ctrl-C, handlers of signals and finalisers in the midst of a computation.

A signal's handler runs after a call, or where a Python function begins. Profilers are called at the
same places, so a profiler stands for the signal here, and each place is tried. Real signals at
random moments are tried by the section `signals` of tests/battery.py.
"""

from __future__ import annotations

import copy
import gc
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import inplace, kernels, nn, optim
from minigrad.autograd import is_grad_enabled
from minigrad.kernels import blas, compile as kernel_compiler, elementwise, memory

SIZES = (2**16, 3 * 2**16, 2**17, 5 * 2**16)
PLACES = 200                    # more than there are


@pytest.fixture(autouse=True)
def an_empty_pool() -> Iterator[None]:
    """The collector of this process is silent, so that each try takes the same path."""
    gc.collect()
    memory.bytes_in_use()
    memory._free.clear()
    memory._bytes["unused"] = 0
    gc.disable()
    yield
    gc.enable()
    memory.bytes_in_use()


def at_place(n: int, happens: Callable[[], None], work: Callable[[], Any], file: str) -> bool:
    """Do the work; at the nth place in this file where a handler may run, something happens.
    Returns whether the work has as many places."""
    left = n

    def place(frame: Any, event: str, _: Any) -> None:
        nonlocal left
        if frame.f_code.co_filename == file and event in ("call", "c_return"):
            left -= 1
            if left == 0:
                sys.setprofile(None)
                happens()

    sys.setprofile(place)
    try:
        work()
    finally:
        sys.setprofile(None)
    return left <= 0


def interrupt() -> None:
    raise KeyboardInterrupt


def lend_and_give_back() -> list[Any]:
    """Blocks from the system and blocks that were given back, of several sizes."""
    first = [kernels.empty((size,), np.uint8) for size in SIZES]
    kept = first[::2]
    del first
    return kept + [kernels.empty((size,), np.uint8) for size in SIZES]


def apart(arrays: list[Any]) -> bool:
    """Whether no two arrays share memory."""
    spans = sorted((x.ctypes.data, x.ctypes.data + x.nbytes) for x in arrays)
    return all(end <= start for (_, end), (start, _) in pairwise(spans))


def books_are_right() -> bool:
    in_use = memory.bytes_in_use()
    return (not memory._within and not memory._returned
            and in_use == sum(loan.memory.nbytes for loan in memory._loans.values())
            and memory._bytes["unused"] == sum(size for size, *_ in memory._free)
            and len({id(block) for *_, block in memory._free}) == len(memory._free))


# ---- recycled memory -----------------------------------------------------------------------------

def test_memory_asked_for_at_any_place_of_the_lender_is_lent_once() -> None:
    held: list[Any] = []
    for n in range(1, PLACES):
        held.clear()
        more = at_place(n, lambda: held.extend(lend_and_give_back()),
                        lambda: held.extend(lend_and_give_back()), memory.__file__)
        assert apart(held), n
        assert [len(x) for x in held] == [*SIZES[::2], *SIZES] * (1 + more), n
        assert books_are_right(), n
        if not more:
            break
    assert 20 < n < PLACES - 1


def test_ctrl_c_at_any_place_of_the_lender_leaves_it_whole() -> None:
    for n in range(1, PLACES):
        try:
            more = at_place(n, interrupt, lend_and_give_back, memory.__file__)
        except KeyboardInterrupt:
            more = True
        assert books_are_right(), n
        assert apart(lend_and_give_back()), n
        if not more:
            break
    assert 20 < n < PLACES - 1


def test_threads_are_lent_different_memory() -> None:
    held: list[list[Any]] = [[] for _ in range(4)]

    def work(mine: list[Any]) -> None:
        for _ in range(200):
            mine[:] = lend_and_give_back()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, held))
    assert apart([x for mine in held for x in mine])
    assert books_are_right()


@pytest.mark.parametrize("module", [inplace, memory])
def test_ctrl_c_is_not_lost_where_an_array_ends(module: Any) -> None:
    """Python ignores what is raised in the callback of a weak reference. So minigrad's callbacks
    are functions in C, in which there is no place for it."""
    arrays = [kernels.empty((SIZES[0],), np.uint8)]
    inplace.mark_changed(*arrays)
    assert not at_place(1, interrupt, arrays.clear, module.__file__)


# ---- kernels -------------------------------------------------------------------------------------

def test_a_kernel_within_another_of_the_same_thread_runs() -> None:
    """As in a signal's handler or a finaliser. In a thread of its own: it must not wait for ever"""
    kernel = copy.copy(elementwise.relu)
    x, inner, outer = np.ones(kernel.small, np.float32), np.empty(kernel.small, np.float32), []

    def run(x: Any, y: Any) -> None:
        elementwise.relu(x, inner)
        y[:] = inner
        outer.append(y.copy())

    kernel._runs = {x.dtype: {True: run}}
    thread = threading.Thread(target=kernel, args=(x, np.empty_like(x)), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    np.testing.assert_array_equal(outer[0], x)


class Libraries:
    """BLAS libraries, of which something may happen after any call."""

    def __init__(self, happens: Callable[[], None], at: int) -> None:
        self.threads, self.calls, self.happens, self.at = [2, 3], 0, happens, at

    def functions(self) -> list[Any]:
        return [(lambda i=i: self.got(i), lambda count, i=i: self.set(i, count))
                for i in range(len(self.threads))]

    def got(self, i: int) -> int:
        found = self.threads[i]
        self.called()
        return found

    def set(self, i: int, count: int) -> None:
        self.threads[i] = count
        self.called()

    def called(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.happens()


@pytest.mark.parametrize("at", range(1, 9))
def test_after_ctrl_c_the_blas_has_its_threads_again(at: int, monkeypatch: pytest.MonkeyPatch
                                                     ) -> None:
    """Of seven calls: each of two libraries is asked once and set twice, and the kernel is one"""
    libraries = Libraries(interrupt, at)

    def run(*_: Any) -> None:
        assert libraries.threads == [1, 1]
        libraries.called()

    monkeypatch.setattr(blas, "blas_threads", libraries.functions)
    monkeypatch.setattr(kernel_compiler, "TWINS_ONLY", False)
    kernel = copy.copy(kernel_compiler.load_all()["few_rows"])
    x = np.ones((1, 1), np.float32)
    kernel._runs = {x.dtype: {True: run, False: run}}
    if at <= 7:
        with pytest.raises(KeyboardInterrupt):
            kernel(x, x, x[0], 1, x.copy())
    else:
        kernel(x, x, x[0], 1, x.copy())
        assert libraries.calls == 7
    assert libraries.threads == [2, 3]
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: kernel_compiler._running.acquire(blocking=False)
                            and kernel_compiler._running.release() is None).result()


@pytest.mark.parametrize("at", range(1, 8))
def test_a_product_within_another_leaves_the_blas_as_it_was(at: int, monkeypatch: Any) -> None:
    within: list[list[int]] = []
    libraries = Libraries(lambda: blas.with_one_blas_thread(
        lambda: within.append(libraries.threads.copy()), ()), at)
    monkeypatch.setattr(blas, "blas_threads", libraries.functions)

    def run() -> None:
        libraries.called()
        assert libraries.threads == [1, 1]

    blas.with_one_blas_thread(run, ())
    assert within == [[1, 1]]
    assert libraries.threads == [2, 3]


# ---- threads, deep graphs, hooks -----------------------------------------------------------------

def trained(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                        nn.Linear(4 * 36 * 36, 3))
    for p in net.parameters():
        p.data[...] = rng.normal(0, 0.1, p.shape)
    optimizer = optim.Adam(net.parameters())
    x, y = mg.tensor(rng.normal(size=(4, 1, 38, 38)).astype(np.float32)), mg.tensor([0, 1, 2, 0])
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return [value.data.copy() for value in net.state_dict().values()]


def test_eight_threads_that_train_apart_equal_one() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(trained, range(8)))
    for seed, values in enumerate(found):
        for a, b in zip(values, trained(seed), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_graph_of_200_000_ops_is_walked_and_freed() -> None:
    x = mg.ones(2, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0 + x
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [100_001, 100_001])   # type: ignore[union-attr]
    del y


@pytest.mark.parametrize("again", [False, True])
def test_a_hook_that_raises_or_calls_backward_leaves_the_engine_whole(again: bool) -> None:
    x = mg.randn(3, requires_grad=True)
    other = mg.randn(3, requires_grad=True)

    def hook(_: Any) -> None:
        with mg.enable_grad():          # a hook runs as the backward pass does, without recording
            other.square().sum().backward()
        if not again:
            raise ValueError("on purpose")

    y = (3 * x)
    handle = y.register_hook(hook)
    if again:
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.data, 3)   # type: ignore[union-attr]
    else:
        with pytest.raises(ValueError, match="on purpose"):
            y.sum().backward()
        assert x.grad is None
    np.testing.assert_array_equal(other.grad.data, 2 * other.data)   # type: ignore[union-attr]
    handle.remove()
    assert is_grad_enabled()
    x.grad = None
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 3)       # type: ignore[union-attr]


def test_the_number_of_threads_is_known_without_numbas_lock(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as Numba takes it would leave it taken."""
    from minigrad.kernels import load_numba, thread_count
    numba = load_numba()
    known = numba.get_num_threads()
    monkeypatch.setattr(numba.np.ufunc.parallel, "_backend_init_process_lock", None)
    monkeypatch.setattr(numba.np.ufunc.parallel, "_set_init_process_lock", lambda: 1 / 0)
    assert thread_count() == known


COMPILED = """
import signal, sys, threading
import numpy as np
import minigrad as mg
from numba.core.compiler_lock import _CompilerLock
acquire, left = _CompilerLock.acquire, [{at}]
def interrupted(lock):
    acquire(lock)
    left[0] -= 1
    if left[0] == 0:
        signal.raise_signal(signal.SIGINT)      # between the lock and what would release it
def answer():
    print(float(mg.ones(4).exp().sum()), flush=True)
import minigrad.kernels.compile as compiler
compiler.load_numba()
_CompilerLock.acquire = interrupted
try:
    answer()
except KeyboardInterrupt:
    print("interrupted", flush=True)
other = threading.Thread(target=answer, daemon=True)
other.start()
other.join(120)
assert not other.is_alive()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
answer()
"""


@pytest.mark.parametrize("at", [1, 3])
def test_ctrl_c_while_a_kernel_is_compiled_leaves_no_lock_taken(at: int, tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", COMPILED.format(at=at)], text=True, timeout=300,
                           capture_output=True, check=False, cwd=Path(__file__).parents[1],
                           env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert child.returncode == 0, child.stderr[-800:]
    lines = child.stdout.splitlines()
    assert lines[0] == "interrupted"
    assert [float(line) for line in lines[1:]] == pytest.approx([4 * math.e] * 2)
