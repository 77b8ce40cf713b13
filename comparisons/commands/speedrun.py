"""Train a network to read MNIST's test digits as fast as a CPU can, by one fixed recipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons.commands import add_seed, add_threads, insist_on_data, insist_on_threads, word
from comparisons.tasks.options import at_least

SEEDS = 10


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--impl", choices=("minigrad", "torch", "both"), default="both",
                        help="implementation to use (default: both, in turn)")
    parser.add_argument("--data", type=Path, metavar="DIR",
                        help="folder with MNIST's IDX files, all 60,000 + 10,000 digits")
    add_seed(parser)
    parser.add_argument("--seeds", type=word(at_least(1)), metavar="N",
                        help=f"number of trainings, with the seeds from --seed on (default: "
                        f"{SEEDS})")
    add_threads(parser)
    parser.add_argument("--validate", action="store_true",
                        help="train without the last 10,000 training digits, and test on these: "
                        "for choosing another recipe")
    parser.add_argument("--simplechains", action="store_true",
                        help="instead of the record, time the two tasks that SimpleChains.jl has "
                        "published: matrix exponentials, and LeNet-5 on MNIST")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures (JSON)")


def main(arguments: argparse.Namespace) -> int:
    for flag in ("seeds", "validate"):
        if arguments.simplechains and getattr(arguments, flag):
            arguments.parser.error(f"--{flag}: applies to the record, not to --simplechains")
    insist_on_threads(arguments.parser, [arguments.threads] if arguments.threads else [])
    insist_on_data(arguments.data)
    from comparisons import implementations
    names = implementations.NAMES if arguments.impl == "both" else (arguments.impl,)
    common = names, arguments.seed, arguments.data, arguments.threads, arguments.json
    if arguments.simplechains:
        from comparisons.speedrun import simplechains
        return simplechains.main(*common)
    from comparisons.speedrun import record
    return record.main(*common, arguments.seeds or SEEDS, arguments.validate)
