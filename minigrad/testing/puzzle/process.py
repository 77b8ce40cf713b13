"""Running the reader's file in a process of its own, for a limited time.

The process writes one line of JSON after another: what it is doing, and at last the result. What
the reader's file prints goes to the terminal. The process uses the kernels' NumPy twins: nothing
has to be compiled for such small arrays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigrad.testing.puzzle.catalogue import edition
from minigrad.testing.puzzle.judge import Verdict, judge
from minigrad.testing.puzzle.puzzle import Edition

LIMIT = 30.0                            # seconds


@dataclass
class Result:
    """What a process found out: the curve of the right op, and the verdict on the other one."""

    right: list[float]
    verdict: Verdict


def run(chosen: Edition, path: Path | None, limit: float = LIMIT) -> Result:
    """Judge a file; or, for None, train the puzzle's broken op."""
    command = [sys.executable, "-m", "minigrad.testing.puzzle.process", str(chosen.number),
               str(chosen.seed), *([str(path)] if path else [])]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=limit, env=os.environ | {"MINIGRAD_KERNELS": "numpy"})
        output, ended = done.stdout, f"it ended Python, with exit status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, ended = error.stdout or b"", (f"there is no verdict after {limit:g} seconds; look "
                                              "for a loop that does not end")
    told = [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]
    result = told[-1] if told else {}
    if "verdict" not in result:
        return Result([], Verdict(refused=f"{path or chosen.file_name}, "
                                  f"{result.get('stage', 'at the start')}: {ended}"))
    return Result(result["right"], Verdict(**result["verdict"]))


def main(argv: Sequence[str]) -> None:
    number, seed, *paths = argv
    chosen = edition(int(number), int(seed))
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")     # for us alone;
    os.dup2(2, 1)                                           # the file's print goes to stderr

    def tell(**told: Any) -> None:
        print(json.dumps(told), file=lines, flush=True)

    if paths:
        text = Path(paths[0]).read_text("utf-8-sig")
        verdict = judge(chosen, text, paths[0], lambda stage: tell(stage=stage))
    else:
        verdict = Verdict(curve=chosen.train(chosen.broken_op()))
    tell(right=chosen.train(chosen.right_op()), verdict=asdict(verdict))


if __name__ == "__main__":
    main(sys.argv[1:])
