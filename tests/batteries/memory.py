"""Trainings of 10,000 steps, sizes that vary, and 100,000 pictures: memory stays bounded.

The suite has the short forms, in tests/test_memory_of_a_training.py; each runs in a process of its
own, as here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from test_memory_of_a_training import (
    A_PICTURE,
    IN_A_FILE,
    LIMIT,
    fill,
    in_a_process,
    peaks_of_runs,
)

from batteries import Part, number

SAMPLE = None           # by hand only
STEPS, VARIED, PICTURES = 10_000, 2000, 100_000
FIRST = 1200            # steps until the caches, of 1,024 plans, are full


def parts(share: float, seed: int) -> Iterator[Part]:
    for network in ("cnn", "transformer"):
        steps = number(share, STEPS)
        grown, = in_a_process(f"print(growth(training(*{network}()), steps={steps}))")
        yield Part(f"{network}, steps", steps, [] if grown < LIMIT else [f"grew by {grown:,} B"],
                   f"{grown / 1e6:.2f} MB more")
    steps = number(share, VARIED)
    grown, most, bound = in_a_process(f"print(*varied_training(sizes({seed}), {FIRST}, {steps}))")
    yield Part("sizes that vary", steps,
               [] if most <= bound and grown < LIMIT else
               [f"{most:,} B lay unused, of {bound:,} that may; beside them it grew by {grown:,} B"
               ],
               f"{grown / 1e6:.2f} MB more beside {most / 1e6:.1f} MB that lay unused")
    yield of_pictures(number(share, PICTURES))


def of_pictures(n: int) -> Part:
    """A run on n grey pictures of 48×48 pixels, after one on a fifth of them."""
    with tempfile.TemporaryDirectory() as name:
        for folder, count in (("first", 500), ("few", n // 10), ("many", n // 2)):
            fill(Path(name) / folder, count, 48)
        few, many = peaks_of_runs(Path(name), 48, "first", "few", "many", limit=IN_A_FILE)
    more = n - 2 * (n // 10)
    return Part("pictures", n,
                [] if many - few < A_PICTURE * more + LIMIT else
                [f"{many - few:,} B more at the peak for {more:,} pictures more"],
                f"{(many - few) / more:.0f} B more for each, of {48 * 48:,} in the file")
