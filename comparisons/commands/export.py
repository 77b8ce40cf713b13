"""Write a trained network as a file for other programs: ONNX, or its plain weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoint", type=PATH, metavar="CHECKPOINT",
                        help="checkpoint of one of the five systems or of a task of your own, from "
                        "either implementation")
    parser.add_argument("file", type=PATH, metavar="FILE",
                        help="file to write: .onnx for the network, which onnxruntime runs, or "
                        ".safetensors for its weights, as state_dict() names them")
    parser.add_argument("--task", metavar="FILE", help="Python file that defines the checkpoint's "
                        "task, if it is not one of the five")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import export
    from comparisons.tasks.registry import find
    task = arguments.task and find(arguments.task)
    return export.main(arguments.checkpoint, arguments.file, task)
