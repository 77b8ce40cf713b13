"""A page on this machine to draw digits and show faces on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons.commands import word
from comparisons.tasks.options import at_least


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT",
                        help="default: of each task the newest in runs/")
    parser.add_argument("--port", type=word(at_least(0, 65535)), default=8765, metavar="N",
                        help="default: %(default)s; 0 takes a free one")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import demo
    return demo.main(arguments.checkpoints, arguments.port)
