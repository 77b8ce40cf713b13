"""50 kills (SIGKILL) of runs of three tasks, both sides, folds: resumed, bit for bit equal.

A run is killed at a random moment, or as soon as a file is being written, and is resumed until it
was killed as often as it should be. Then it is finished, and compared with one that nobody killed.
"""

from __future__ import annotations

import contextlib
import io
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from batteries import Part, number
from comparisons.cli import main
from minigrad import atomic

SAMPLE = 0.02
WHOLE = 50
RUNS = [(task, impl, flags) for task, flags in (
            ("mnist-mlp", ["--epochs", "12"]), ("mnist-cnn", ["--epochs", "5"]),
            ("dexpression", ["--epochs", "4", "--folds", "2", "--size", "16"]))
        for impl in ("minigrad", "torch")]


def parts(share: float, seed: int) -> Iterator[Part]:
    kills = number(share, WHOLE)
    for i, (task, impl, flags) in enumerate(RUNS):
        if n := len(range(i, kills, len(RUNS))):
            with tempfile.TemporaryDirectory() as folder:
                rng = random.Random(f"{task} {impl} {seed}")
                yield of_run(task, impl, flags, Path(folder), n, rng)


def of_run(task: str, impl: str, flags: list[str], folder: Path, n: int, rng: random.Random
           ) -> Part:
    from test_resume import state
    part = Part(f"{task}, {impl}")
    argv = ["run", task, "--impl", impl, "--quick", "--threads", "1", *flags, "--out"]
    began = time.perf_counter()
    if quietly([*argv, str(folder / "whole")]) != 0:
        part.faults.append("the run that nobody kills fails")
        return part
    usual, finished = time.perf_counter() - began, 0
    killed = folder / "killed"
    while part.tried < n:
        writing = rng.random() < 0.5
        if kill([*argv, str(killed), "--resume"], killed, writing, rng.uniform(0, 0.7) * usual):
            part.tried += 1
        else:                           # it was finished before
            finished += 1
            again = [*argv, str(killed), "--resume"]
            compare(part, state, folder, task, impl, again)
            killed = folder / f"killed-{finished}"
        if finished > 3 * n:
            part.faults.append("it is always finished before it is killed")
            return part
    compare(part, state, folder, task, impl, [*argv, str(killed), "--resume"])
    return part


def kill(argv: list[str], folder: Path, writing: bool, seconds: float) -> bool:
    """Start a run and kill it; whether it was still running."""
    process = subprocess.Popen([sys.executable, "-m", "comparisons", *argv],
                               cwd=Path(__file__).parents[2], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    with process:
        line = b"."
        while line and b"epoch" not in line and b"resum" not in line:     # it trains
            line = process.stdout.readline()
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            if writing and any(folder.rglob(f"{atomic.PREFIX}*")):
                break
            time.sleep(1e-4)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
        return process.wait() == -signal.SIGKILL


def compare(part: Part, state, folder: Path, task: str, impl: str, argv: list[str]) -> None:
    """Finish a run that was killed, and compare all that it leaves."""
    killed = Path(argv[argv.index("--out") + 1])
    if quietly(argv) != 0:
        part.faults.append(f"{killed.name} cannot be resumed")
    elif state(killed, task, impl) != state(folder / "whole", task, impl):
        part.faults.append(f"{killed.name} differs from the run that nobody killed")
    elif litter := [path.name for path in killed.rglob(".*")]:
        part.faults.append(f"{killed.name} still holds {', '.join(litter)}")


def quietly(argv: list[str]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return main(argv)
