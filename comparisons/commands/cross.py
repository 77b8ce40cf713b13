"""Test a network for expressions on faces of another source than it was trained on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, insist_on_data


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoint", type=PATH, metavar="CHECKPOINT",
                        help="checkpoint of dexpression, from either implementation")
    parser.add_argument("--data", type=PATH, metavar="PATH",
                        help="folder or table with the faces (default: the generated ones)")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import cross
    insist_on_data(arguments.data)
    return cross.main(arguments.checkpoint, arguments.data)
