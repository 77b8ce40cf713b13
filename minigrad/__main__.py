"""python -m minigrad warmup: compile every kernel now instead of on its first use.
python -m minigrad reading: the files of the README's reading list, with their numbers of lines."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

from minigrad import kernels
from minigrad.commandline import run

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("warmup", help="compile every kernel for float32 and float64")
    commands.add_parser("reading", help="the files to read, in order, with their numbers of lines")
    return reading() if parser.parse_args(argv).command == "reading" else warmup()


def warmup() -> int:
    started = time.perf_counter()
    every = kernels.load_all()
    for number, (name, kernel) in enumerate(every.items(), 1):
        for dtype in ("float32", "float64"):
            kernel.warmup(dtype)
        print(f"{number}/{len(every)} {name}", flush=True)
    print(f"{len(every)} kernels ready in {time.perf_counter() - started:.1f} s")
    return 0


def reading() -> int:
    readme = ROOT / "README.md"
    if not readme.exists():
        print("reading: the list is in README.md, which comes with the source, not with the "
              "installed package")
        return 1
    files = re.findall(r"^\| \d+ \| \[`([^`]+)`\]", readme.read_text(encoding="utf-8"), re.M)
    counts = [len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files]
    for file, count in zip(files, counts, strict=True):
        print(f"{count:5} {file}")
    print(f"{sum(counts):5} together")
    return 0


if __name__ == "__main__":
    run(main)
