"""Check whether the generated faces are a fair test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import add_seed, word
from comparisons.tasks.options import at_least


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--impl", choices=("minigrad", "torch"), default="minigrad",
                        help="implementation that trains the networks (default: minigrad)")
    add_seed(parser)
    parser.add_argument("--seeds", type=word(at_least(3)), default=5, metavar="N",
                        help="number of seeds, from --seed on, over which each accuracy is judged "
                        "(default: 5)")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.audits import gates
    return gates.main(arguments.impl, arguments.seed, arguments.seeds)
