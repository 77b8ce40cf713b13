"""Time training steps in minigrad and in PyTorch."""

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
            ("layers", "time each layer separately, and compare it with the machine's limits"),
            ("scaling", "time steps with growing batches and growing images"),
            ("walk", "time one convolution, from the naive loop to the kernel, as "
             "docs/speed.md explains; no TASK is used")):
        kind.add_argument(f"--{what}", dest="what", action="store_const", const=what,
                          default="models", help=help)
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures (JSON)")
    parser.add_argument("--plot", type=Path, metavar="FILE",
                        help="file for a plot of the figures (PNG)")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.speed import measurement
    from minigrad.kernels import load_numba
    most = load_numba().config.NUMBA_NUM_THREADS
    for n in arguments.threads or ():
        if n > most:                    # PyTorch would use more than minigrad
            arguments.parser.error(f"--threads {n}: Numba has at most {most} on this machine")
    return measurement.main(arguments.what, chosen(arguments.tasks), arguments.seed,
                            arguments.threads or (), arguments.json, arguments.plot)
