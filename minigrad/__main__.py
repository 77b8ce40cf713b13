"""python -m minigrad warmup: compile every kernel now instead of on its first use.
python -m minigrad reading: the files of the README's reading list, with their numbers of lines."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from minigrad.commandline import run
from minigrad.warmup import compile_all

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("warmup", help="compile every kernel for float32 and float64")
    commands.add_parser("reading", help="the files to read, in order, with their numbers of lines")
    if parser.parse_args(argv).command == "reading":
        return reading()
    compile_all()
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
