"""Apply a trained network to pictures, films, or the records of tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, add_sure


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("checkpoint", type=PATH, metavar="CHECKPOINT",
                        help="checkpoint of dexpression, mnist-mlp, mnist-cnn or a task of your "
                        "own, from either implementation")
    parser.add_argument("images", type=PATH, nargs="+", metavar="IMAGE",
                        help="picture of one or more faces or digits, or of what the network was "
                        "trained on; a video or a folder of frames; a table (CSV) for a network "
                        "that was trained on one")
    parser.add_argument("--task", metavar="FILE", help="Python file that defines the "
                        "checkpoint's task, if it is not one of these")
    parser.add_argument("--whole", action="store_true",
                        help="use each picture as a whole as one face or digit, without a search")
    add_sure(parser)
    parser.add_argument("--out", type=PATH, metavar="DIR",
                        help="folder for annotated pictures (PNG), and for the curves of films "
                        "(PNG and CSV)")
    parser.add_argument("--json", type=PATH, metavar="FILE",
                        help="file for all predictions, with boxes in pictures (JSON)")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.predict import predictor, rows
    from comparisons.tasks.registry import find
    from minigrad import checkpoint
    task = arguments.task and find(arguments.task)
    kept = checkpoint.load(arguments.checkpoint)
    if rows.reads_rows(kept):
        rows.insist_on_no_flags(kept.path, whole=arguments.whole, out=arguments.out)
        return rows.main(kept, arguments.images, json=arguments.json, task=task,
                         sure=arguments.sure)
    return predictor.main(arguments.checkpoint, arguments.images, whole=arguments.whole,
                          out=arguments.out, json=arguments.json, task=task, sure=arguments.sure)
