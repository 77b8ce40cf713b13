"""Time a training step of both, in turn."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons.commands import add_seed, add_tasks, add_threads, chosen


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    add_tasks(parser, "*")
    add_seed(parser)
    add_threads(parser, "+")
    kind = parser.add_mutually_exclusive_group()
    for what, help in (
            ("layers", "each layer by itself, beside the machine's limits"),
            ("scaling", "as the batch and the image grow"),
            ("walk", "one convolution from the naive loop to the kernel (docs/speed.md)")):
        kind.add_argument(f"--{what}", dest="what", action="store_const", const=what,
                          default="models", help=help)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of them, PNG")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.speed import measurement
    from minigrad.kernels import load_numba
    most = load_numba().config.NUMBA_NUM_THREADS
    for n in arguments.threads or ():
        if n > most:                    # PyTorch would have more than minigrad
            arguments.parser.error(f"--threads {n}: Numba has at most {most} here")
    return measurement.main(arguments.what, chosen(arguments.tasks), arguments.seed,
                            arguments.threads or (), arguments.json, arguments.plot)
