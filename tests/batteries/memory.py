"""Trainings of 10,000 steps, sizes that vary, and 100,000 pictures: memory stays bounded.

The suite has the short forms, in tests/test_memory_of_a_training.py; each runs in a process of its
own, as here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from test_memory_of_a_training import LIMIT, OF_PICTURES, fill, in_a_process

from batteries import Part, number
from comparisons.datasets import stored

SAMPLE = None           # by hand only
STEPS, VARIED, PICTURES = 10_000, 3000, 100_000


def parts(share: float, seed: int) -> Iterator[Part]:
    for network in ("cnn", "transformer"):
        steps = number(share, STEPS)
        grown, = in_a_process(f"print(growth(training(*{network}()), steps={steps}))")
        yield Part(f"{network}, steps", steps, [] if grown < LIMIT else [f"grew by {grown:,} B"],
                   f"{grown / 1e6:.2f} MB more")
    steps = number(share, VARIED)
    grown, most, bound = in_a_process(f"print(*varied_training({steps}, {seed}))")
    yield Part("sizes that vary", steps,
               [] if most <= bound and grown <= bound + bound // 3 + LIMIT else
               [f"{most:,} B lay unused, of {bound:,} that may; it grew by {grown:,} B"],
               f"{grown / 1e6:.1f} MB more, of which {most / 1e6:.1f} MB lay unused")
    yield of_pictures(number(share, PICTURES))


def of_pictures(n: int) -> Part:
    """A run on n grey pictures of 48×48 pixels, after one on few."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "few", 20, 48)
        fill(folder / "many", n // 2, 48)
        (folder / "task.py").write_text(OF_PICTURES.replace("160, 160", "48, 48").replace(
            "AvgPool2d(16)", "AvgPool2d(4)").replace("Linear(100", "Linear(144"))
        peak, = in_a_process(f"""
import contextlib
from comparisons.cli import main
from comparisons.tasks import classification
from comparisons.training import environment
classification.LINEAR_VALUES = 10**6
environment.reset_peak_rss = lambda: None       # here, reading counts as well

def run(data):
    with contextlib.redirect_stdout(None):
        assert main(["run", {str(folder / "task.py")!r}, "--impl", "minigrad", "--data",
                     {str(folder)!r} + "/" + data, "--out", {str(folder / "out")!r}]) == 0
    return peak_bytes()

before = run("few")
print(run("many") - before)""")
    levels = n * 48 * 48
    # a part of the pictures waits for being written, and of each there are its name, its class, its
    # row and its answers
    allowed = 2 * min(levels, stored.LIMIT) + 800 * n
    return Part("pictures", n, [] if peak < allowed else [f"{peak:,} B at the peak"],
                f"{peak / 1e6:.0f} MB more for {levels / 1e6:.0f} MB of levels")
