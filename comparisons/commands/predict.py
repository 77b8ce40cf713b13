"""What a trained network says of pictures of faces or digits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT",
                        help="of dexpression, mnist-mlp or mnist-cnn, by either implementation")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--task", metavar="FILE", help="the Python file that defines the "
                        "checkpoint's task, where it is none of these")
    parser.add_argument("--whole", action="store_true",
                        help="a picture is one face, or one digit: nothing is looked for in it")
    parser.add_argument("--out", type=Path, metavar="DIR", help="annotated pictures, PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="boxes and probabilities")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import predictor
    from comparisons.tasks.registry import find
    return predictor.main(arguments.checkpoint, arguments.images, whole=arguments.whole,
                          out=arguments.out, json=arguments.json,
                          task=arguments.task and find(arguments.task))
