"""Random command lines, and a user's task file with damage: one line, and no traceback.

Nothing is trained: a command line that is right, and a file that defines a task, are only read.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from unittest import mock

from batteries import Part, number
from batteries.damage import damaged
from comparisons.cli import command_names, main
from comparisons.errors import Fault
from comparisons.tasks import registry
from comparisons.tasks.names import NAMES
from comparisons.training import runner

SAMPLE = 0.02
WHOLE = 1000
FLAGS = ("--epochs", "--batch-size", "--lr", "--seed", "--device", "--quick", "--data", "--out",
         "--impl", "--threads", "--resume", "--folds", "--repeats", "--size", "--variant",
         "--protocol", "--frames", "--start", "--casts", "--json", "--task", "--whole", "--port",
         "--help", "--", "-", "-x", "--nothing", "--epochs=3", "--lr=")
WORDS = ("0", "1", "-1", "3", "1e9", "1e999", "nan", "9" * 5000, "0x10", "٣", "²", "1_000", "", " ",
         "cpu", "both", "minigrad", "paper", "clip", "last:1", "last:" + "9" * 5000, "peak", "a\nb",
         "..", "/", "/dev/null", "no/such/folder", "none.py", "none.png", "\udce9", "é" * 300,
         "x" * 5000, "%s", "{0}", "$HOME", "'", "all", *NAMES)


def parts(share: float, seed: int) -> Iterator[Part]:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield of_command_lines(number(share, WHOLE), random.Random(f"flags {seed}"))
        yield of_task_files(Path(folder), number(share, WHOLE), random.Random(f"task {seed}"))


def of_command_lines(n: int, rng: random.Random) -> Part:
    part, names, right = Part("command lines"), command_names(), 0
    for _ in range(n):
        argv = [rng.choice(("run", "run", *names))]
        argv += rng.choices(NAMES, k=rng.randrange(3))
        for _ in range(rng.randrange(4)):
            argv += [rng.choice(FLAGS), *rng.choices(WORDS, k=rng.choice((0, 1, 1, 1, 2)))]
        if rng.random() < 0.1:
            rng.shuffle(argv)
        part.tried += 1
        status, fault = told(argv, names)
        right += status == 0
        if fault:
            part.faults.append(f"{[word[:30] for word in argv]}: {fault}")
    part.note = f"{right:,} of them right"
    return part


def told(argv: list[str], names: list[str]) -> tuple[int, str]:
    """The exit status of a command line of which only the work is left out; what was wrong."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(runner, "run_jobs", side_effect=Fault("right")))
        for name in set(names) - {"run"}:
            module = import_module(f"comparisons.commands.{name.replace('-', '_')}")
            patches.enter_context(mock.patch.object(module, "main", return_value=0))
        patches.enter_context(contextlib.redirect_stdout(out))
        patches.enter_context(contextlib.redirect_stderr(err))
        try:
            status = main(argv)
        except BaseException as error:
            return 1, f"{type(error).__name__}: {str(error)[:200]}"
    said = err.getvalue()
    if said == "comparisons: right\n":
        return 0, ""
    if status == 0:
        return 0, "" if not said else f"status 0, but it says {said[:200]!r}"
    if status not in (1, 2) or said.count("\n") != 1 or "Traceback" in said:
        return status, f"status {status}, {said[:300]!r}"
    return status, "" if len(said) < 6000 + sum(map(len, argv)) else "a message without end"


def of_task_files(folder: Path, n: int, rng: random.Random) -> Part:
    from running import spiral
    part, path, right = Part("task files"), folder / "mine.py", 0
    sound = spiral().encode()
    for i in range(n):
        path.write_bytes(damaged(rng, sound, text=True))
        part.tried += 1
        before = set(sys.modules)
        try:
            with contextlib.redirect_stdout(io.StringIO()), open(os.devnull, "w") as nowhere, \
                    contextlib.redirect_stderr(nowhere):
                registry.task_in(path, str(path))
            right += 1
        except Fault as error:
            if "mine.py" not in str(error) and "option" not in str(error):
                part.faults.append(f"file {i}: {str(error)[:200]}")
        except BaseException as error:
            part.faults.append(f"file {i}: {type(error).__name__}: {str(error)[:200]}")
        for name in set(sys.modules) - before:
            del sys.modules[name]
    part.note = f"{right:,} of them define a task"
    return part
