"""Time training steps, predictions and ops in minigrad, in PyTorch and in JAX."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons.commands import add_seed, add_tasks, add_threads, chosen, insist_on_threads
from comparisons.tasks.names import NAMES

COMPILES = ("models", "zoo")            # these also time torch.compile
WITHOUT_TASKS = ("zoo", "ops", "walk")
WALKS = ("convolution", "layer-norm", "attention", "one-item")


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    add_tasks(parser, "*")
    add_seed(parser)
    add_threads(parser, "+")
    kind = parser.add_mutually_exclusive_group()
    for what, help in (
            ("zoo", "time training steps and predictions of a dozen usual networks that are not "
             "among the tasks; takes no TASK"),
            ("ops", "time each function forward and backward, at three sizes; takes no TASK"),
            ("layers", "time each layer separately, and compare it with the machine's limits"),
            ("scaling", "time steps with growing batches and growing images")):
        kind.add_argument(f"--{what}", dest="what", action="store_const", const=what,
                          default="models", help=help)
    kind.add_argument("--walk", nargs="?", const="all", choices=(*WALKS, "all"), metavar="WALK",
                      help="time a computation step by step, from the naive way to the kernel, as "
                      f"docs/speed.md explains: {', '.join(WALKS)} or all (default: all); takes no "
                      "TASK")
    kind.add_argument("--against", dest="what", choices=("jax",), default="models",
                      help="time training steps of the tasks, and of the zoo's perceptrons, in "
                      "minigrad and in JAX; needs the optional dependencies, "
                      "pip install -e \".[jax]\"")
    parser.add_argument("--eager", action="store_true", help="leave out torch.compile, which takes "
                        "minutes to compile the networks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures (JSON)")
    parser.add_argument("--plot", type=Path, metavar="FILE",
                        help="file for a plot of the figures (PNG)")


def main(arguments: argparse.Namespace) -> int:
    what, refuse = "walk" if arguments.walk else arguments.what, arguments.parser.error
    if arguments.tasks and what in WITHOUT_TASKS:
        refuse(f"--{what}: takes no TASK; got {arguments.tasks[0]}")
    if arguments.eager and what not in COMPILES:
        refuse("--eager: applies to the tasks and to --zoo, which also time torch.compile")
    if what == "jax":
        if arguments.threads:
            refuse("--threads: does not apply to --against jax; JAX uses all cores")
        if other := next((word for word in arguments.tasks if word not in (*NAMES, "all")), None):
            refuse(f"{other}: this task has no network in JAX")
    from comparisons.speed import measurement
    insist_on_threads(arguments.parser, arguments.threads or ())
    subjects = chosen(arguments.tasks)
    if arguments.walk:
        subjects = [name for name in WALKS if arguments.walk in (name, "all")]
    return measurement.main(what, subjects, arguments.seed,
                            arguments.threads or (), arguments.json, arguments.plot,
                            arguments.eager)
