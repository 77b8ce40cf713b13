"""Our safety code with a check, a flush or an escape dropped: do the tests notice?

A mutant is the project with one text replaced by another in one file. Each is tested in a process
of its own, with the test files that must notice. It survives if they all pass; at most 2 may.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from batteries import Part, number
from batteries.mutant_table import MUTANTS

SAMPLE = None           # by hand only
ALLOWED = 2
LIMIT = 300             # seconds; some mutants wait for ever
ROOT = Path(__file__).parents[2]


def parts(share: float, seed: int) -> Iterator[Part]:
    chosen = random.Random(seed).sample(MUTANTS, number(share, len(MUTANTS)))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.egg-info", "runs"))
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
    """Whether tests pass in a copy of the project. tests: files, and words of `pytest -k`."""
    files, _, words = tests.partition(" -k ")
    try:
        told = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
             *(f"tests/{name}" for name in files.split()), *(["-k", words] if words else [])],
            cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, check=False,
            capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False
    return told.returncode == 0
