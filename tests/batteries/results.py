"""A field of results.json or details.json is changed, and the file used by a command.

It is changed as those of checkpoints are (fields.py). The command succeeds, or refuses the file in
one line that names it.
"""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from batteries import Part, number
from batteries.fields import changed, run, trained, used

SAMPLE = 0.01
WHOLE = 1000


def parts(share: float, seed: int) -> Iterator[Part]:
    n = number(share, WHOLE)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        trained(Path("sound"))
        for name in ("results.json", "mnist-mlp-minigrad/details.json",
                     "mnist-mlp-torch/seed-1/details.json"):
            yield of_json(Path(name), n, random.Random(f"{name} {seed}"))


def of_json(path: Path, n: int, rng: random.Random) -> Part:
    sound = json.loads(("sound" / path).read_bytes())
    commands = [["report", "used"]] * 8 + [run(Path("used"), "--resume", *more)
                                           for more in ((), ("--seeds", "2"))]

    def damage() -> str:
        text, what = changed(rng, sound)
        ("used" / path).write_text(text)
        return what
    return used(Part(str(path)), n, damage, lambda: rng.choice(commands), path.name)
