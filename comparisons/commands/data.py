"""List the data that were found, and say how to get those that are missing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--data", type=PATH, metavar="PATH",
                        help="folder or file to search before the usual folders")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.datasets import overview
    print(overview.text(arguments.data))
    return 0
