"""What is there, what is not, and how to get it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="look here, too")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.datasets import overview
    print(overview.text(arguments.data))
    return 0
