"""Compare all activations and gradients of the two implementations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import add_seed, add_tasks, add_threads, chosen


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    add_tasks(parser, "*")
    add_seed(parser)
    add_threads(parser)


def main(arguments: argparse.Namespace) -> int:
    from comparisons import implementations
    from comparisons.audits import parity
    from comparisons.tasks.registry import find_all
    implementations.set_threads(arguments.threads)
    return parity.main(find_all(chosen(arguments.tasks)), arguments.seed)
