"""Ctrl-C, handlers of signals and finalisers at hundreds of random moments of a training.

After each Ctrl-C the engine, the recycled memory and the BLAS must be as they were, and the next
training must give the same bits as one that nobody interrupted. A handler or a finaliser that
computes must get its own right results, and leave those of the training as they are. A hang is
found by the time limit of the child process. (A `with no_grad():` that Ctrl-C ends just as it calls
its `__exit__` leaves the mode as it is, as in torch; as a decorator, no_grad cannot be interrupted
so, and it is used as one here and in minigrad's own steps.)
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from batteries import Part, number

SAMPLE = 0.02
WHOLE = {"ctrl_c": 500, "async_exception": 300, "handler": 300, "finaliser": 300, "forked": 100}
SECONDS = 900                   # of the child process, which may be slow, but must not hang
STEPS = 100                     # after so many without an exception, it was swallowed

Bits = list[bytes]


def parts(share: float, seed: int) -> Iterator[Part]:
    folder = Path(__file__).parents[1]
    tries = {name: number(share, whole) for name, whole in WHOLE.items()}
    code = f"from batteries import signals; signals.child({tries}, {seed})"
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {
            "PYTHONPATH": os.pathsep.join([str(folder.parent), str(folder)]),
            "NUMBA_NUM_THREADS": "2"})
    with child:
        for name, count in tries.items():
            if not (line := child.stdout.readline()):
                break
            yield Part(name.replace("_", " "), count, json.loads(line))
        said = child.stderr.read()
    yield Part("the process as a whole", 1, [f"{child.returncode}: {said[-800:]}"] if (
        child.returncode or "Exception ignored" in said) else [])


def child(tries: dict[str, int], seed: int) -> None:
    """What the child process does: print for each part the faults that it finds, as JSON."""
    faulthandler.enable()           # a crash shows where it happened
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    for name, count in tries.items():
        print(json.dumps(globals()[name](count, random.Random(f"{name} {seed}"))), flush=True)


# ---- what is interrupted -------------------------------------------------------------------------

def training() -> Bits:
    """Three steps of a small network whose arrays are large enough for threads, for the BLAS inside
    kernels and for recycled memory."""
    import minigrad as mg
    import minigrad.functional as F
    from minigrad import nn, optim
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Flatten(), nn.Linear(8 * 15 * 15, 64), nn.GELU(), nn.Linear(64, 4))
    for p in net.parameters():
        p.data[...] = rng.normal(0, 0.1, p.shape)
    optimizer = optim.Adam(net.parameters())
    x = mg.tensor(rng.normal(size=(32, 3, 32, 32)).astype(np.float32))
    y = mg.tensor(np.arange(32) % 4)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    last = mg.no_grad()(net.__call__)(x)
    return [last.data.tobytes(), *(value.data.tobytes() for value in net.state_dict().values())]


def products() -> Bits:
    """What a handler and a finaliser compute."""
    import minigrad as mg
    import minigrad.functional as F
    rng = np.random.default_rng(1)
    a = mg.tensor(rng.normal(size=(3, 2000)).astype(np.float32), requires_grad=True)
    b = mg.tensor(rng.normal(size=(2000, 300)).astype(np.float32))
    with mg.enable_grad():              # whatever the mode of what was interrupted
        y = F.relu(a @ b)
        (y.sum() + F.relu(b).sum()).backward()
    return [y.data.tobytes(), a.grad.data.tobytes()]


def rectified() -> Bits:
    """What a forked child computes, which compiles its kernels anew."""
    import minigrad as mg
    import minigrad.functional as F
    x = mg.tensor(np.linspace(-1, 1, 2**18, dtype=np.float32), requires_grad=True)
    F.relu(x).backward(mg.ones(2**18))
    return [x.grad.data.tobytes()]


def blas_counts() -> list[int]:
    from minigrad.kernels import blas
    return [get_threads() for get_threads, _ in blas.blas_threads()]


def unwell(blas_before: list[int]) -> list[str]:
    """What is not as it was before a computation that was interrupted."""
    from minigrad.kernels import memory, tape
    from minigrad.modes import is_grad_enabled, mode
    from minigrad.visit import visit
    in_use = memory.bytes_in_use()
    wrong = {
        "recording is off": not is_grad_enabled(),
        "an observer is left": mode.observer is not None,
        "a tape is left": tape.running != 0,
        "a backward pass is left": visit.pending is not None,
        "the BLAS has other threads": blas_counts() != blas_before,
        "the lender is not at rest": memory._within,
        "bytes in use are wrong":
            in_use != sum(loan.memory.nbytes for loan in memory._loans.values()),
        "unused bytes are wrong": memory._bytes["unused"] != sum(n for n, *_ in memory._free),
        "a block is free twice": len({id(m) for *_, m in memory._free}) != len(memory._free)}
    return [line for line, is_so in wrong.items() if is_so]


def interrupted(work: Callable[[], Bits], arm: Callable[[], None]) -> list[str]:
    """Do the work again and again until a Ctrl-C that `arm` announces ends it; what is wrong then.
    """
    want, before = work(), blas_counts()
    try:
        arm()
        for _ in range(STEPS):
            work()
    except KeyboardInterrupt:
        pass
    else:
        return ["no KeyboardInterrupt arrived"]
    return unwell(before) + (["other bits afterwards"] if work() != want else [])


def usual(work: Callable[[], Bits]) -> float:
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# ---- the parts -----------------------------------------------------------------------------------

def ctrl_c(tries: int, rng: random.Random, work: Callable[[], Bits] = training) -> list[str]:
    """A signal whose handler raises KeyboardInterrupt, at random moments."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    seconds = usual(work)
    return [line for _ in range(tries) for line in interrupted(
        work, lambda: signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, seconds)) and None)]


def async_exception(tries: int, rng: random.Random) -> list[str]:
    """The same in another thread than the first, as programs that manage threads raise it."""
    seconds, faults = usual(training), []
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def trains(armed: threading.Event) -> None:
        try:
            faults.extend(interrupted(training, armed.set))
        except BaseException as error:
            faults.append(f"the thread ended in {error!r}")
            armed.set()

    for _ in range(tries):
        armed = threading.Event()
        thread = threading.Thread(target=trains, args=(armed,))
        thread.start()
        armed.wait()
        time.sleep(rng.uniform(1e-3, seconds))
        raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
        thread.join()
    return faults


def handler(tries: int, rng: random.Random) -> list[str]:
    """A signal whose handler computes."""
    want, wanted, done, faults = training(), products(), 0, []
    seconds = usual(training)

    def computes(*_: Any) -> None:
        nonlocal done
        done += 1
        if products() != wanted:
            faults.append("the handler computes other bits")

    signal.signal(signal.SIGALRM, computes)
    while done < tries:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, seconds))
        if training() != want:
            faults.append("a training under a handler has other bits")
    signal.setitimer(signal.ITIMER_REAL, 0)
    return faults


class Circle:
    """Something that only the garbage collector ends, at a moment that nobody knows."""

    done = 0
    wanted: Bits
    faults: list[str]

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Circle.done += 1
        if products() != Circle.wanted:
            Circle.faults.append("the finaliser computes other bits")


def finaliser(tries: int, rng: random.Random) -> list[str]:
    """Objects whose end computes, ended by the collector in the midst of a training."""
    want, Circle.wanted, Circle.faults = training(), products(), []
    before = gc.get_threshold()
    while Circle.done < tries:
        gc.set_threshold(rng.randrange(1, 200))
        Circle()
        if training() != want:
            Circle.faults.append("a training among finalisers has other bits")
    gc.set_threshold(*before)
    return Circle.faults


def forked(tries: int, rng: random.Random) -> list[str]:
    """Ctrl-C in a forked child of a process that has already run kernels."""
    want = rectified()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        faults = []
        try:
            faults += [] if rectified() == want else ["a fork has other bits"]
            faults += ctrl_c(tries, rng, rectified)
        except BaseException as error:
            faults.append(f"ended in {error!r}")
        finally:
            os.write(writer, json.dumps(faults).encode()[:60_000])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found: list[str] = json.loads(pipe.read() or '["died"]')
    os.waitpid(child, 0)
    return found
