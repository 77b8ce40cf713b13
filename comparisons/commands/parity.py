"""Compare all activations and gradients of the two implementations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons.commands import add_seed, add_tasks, add_threads, chosen, insist_on_data, word
from comparisons.tasks.options import at_least

PAGE = "parity.html"


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    add_tasks(parser, "*")
    add_seed(parser)
    add_threads(parser)
    parser.add_argument("--data", type=Path, metavar="PATH", help="folder or file with the data to "
                        "use (default: those that come with the project or the task)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="compare with these "
                        "weights, of either implementation (default: new ones)")
    parser.add_argument("--break", dest="layer", metavar="LAYER", help="plant a small error in "
                        "this layer of minigrad's network, to see that it is found")
    parser.add_argument("--steps", type=word(at_least(1)), default=10, metavar="K",
                        help="number of training steps after which the drift is measured "
                        "(default: 10)")
    parser.add_argument("--out", type=Path, metavar="PATH", help="folder for the page, "
                        f"{PAGE}, or its file (default: runs/<stamp>)")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.tasks.registry import find_all
    tasks = find_all(chosen(arguments.tasks))
    if arguments.data is not None and not any(task.reads for task in tasks):
        arguments.parser.error(f"--data: not used by {', '.join(task.name for task in tasks)}")
    if arguments.checkpoint is not None and len(tasks) != 1:
        arguments.parser.error("--checkpoint requires a single TASK, that of the checkpoint")
    insist_on_data(arguments.data)
    from comparisons import implementations
    from comparisons.audits.parity import audit
    from comparisons.files import check_writable, new_folder, remove_if_empty
    path = arguments.out or new_folder()
    path = path if path.suffix == ".html" else path / PAGE
    check_writable(path)
    implementations.set_threads(arguments.threads)
    try:
        return audit.main(tasks, arguments.seed, arguments.data, arguments.checkpoint,
                          arguments.layer, arguments.steps, path)
    finally:
        if arguments.out is None:
            remove_if_empty(path.parent)
