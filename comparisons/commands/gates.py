"""Check whether the generated faces are a fair test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import add_seed


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--impl", choices=("minigrad", "torch"), default="minigrad",
                        help="implementation that trains the networks (default: minigrad)")
    add_seed(parser)


def main(arguments: argparse.Namespace) -> int:
    from comparisons.audits import gates
    return gates.main(arguments.impl, arguments.seed)
