"""Our safety code with a check, a flush or an escape dropped: do the tests notice?

A mutant is the project with one text replaced by another in one file. Each is tested in a process
of its own, with the test files that must notice. It survives if they all pass; at most 2 may.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 it and the next ones are loaded once for all mutants
import pytest
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401

from batteries import Part, number
from batteries.mutant_table import MUTANTS

SAMPLE = None           # by hand only
ALLOWED = 2
LIMIT = 300             # seconds
ROOT = Path(__file__).parents[2]


def parts(share: float, seed: int) -> Iterator[Part]:
    chosen = random.Random(seed).sample(MUTANTS, number(share, len(MUTANTS)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.egg-info", "runs"))
        control = Part("the project as it is")
        for tests in dict.fromkeys(tests for *_, tests in chosen):
            control.tried += 1
            if not passes(copy, tests):
                control.faults.append(f"fails: {tests}")
        yield control
        alive = []
        for path in dict.fromkeys(path for path, *_ in chosen):
            part = Part(path)
            for _, old, new, tests in (mutant for mutant in chosen if mutant[0] == path):
                part.tried += 1
                text = (copy / path).read_text("utf-8")
                if text.count(old) != 1:
                    part.faults.append(f"{text.count(old)} times in the file: {old!r}")
                    continue
                (copy / path).write_text(text.replace(old, new), "utf-8")
                if passes(copy, tests):
                    alive.append(f"{path}: nobody notices {old!r} -> {new!r}")
                (copy / path).write_text(text, "utf-8")
            yield part
        yield Part("survivors", 0, alive if len(alive) > ALLOWED else [],
                   f"{len(alive)} of {len(chosen)}" + "".join(f"\n    {line}" for line in alive))


def passes(copy: Path, tests: str) -> bool:
    """Whether tests pass in a copy of the project. tests: files, and words of `pytest -k`.

    They run in a fork of this process, which has the large packages already, but forgets the
    project's own modules.
    """
    files, _, words = tests.partition(" -k ")
    argv = ["-x", "-q", "-p", "no:cacheprovider", *(str(copy / "tests" / name)
                                                    for name in files.split())]
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    try:
        signal.alarm(LIMIT)             # some mutants wait for ever
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)
        sys.path[:] = [str(copy / place) for place in ("", "tests", "tests/comparisons")] + [
            place for place in sys.path if not Path(place).is_relative_to(ROOT)]
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(ROOT):
                del sys.modules[name]
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os._exit(pytest.main([*argv, *(["-k", words] if words else [])]))
    finally:
        os._exit(1)
