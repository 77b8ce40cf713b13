"""Serve a local web page on which to try trained networks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, add_sure, word
from comparisons.tasks.options import at_least


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoints", type=PATH, nargs="*", metavar="CHECKPOINT",
                        help="checkpoint to use (default: for each task, the newest in runs/)")
    add_sure(parser)
    parser.add_argument("--port", type=word(at_least(0, 65535)), default=8765, metavar="N",
                        help="port of the page (default: %(default)s); 0 selects a free one")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import demo
    return demo.main(arguments.checkpoints, arguments.port, arguments.sure)
