"""Train without one ingredient of the recipe after the other, and say what each of them gives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from comparisons import commands
from comparisons.commands import add_threads, insist_on_data, known_task
from comparisons.commands.run import (
    add_flag,
    check_device,
    check_pytorchs_flags,
    options_of,
    spelled,
)
from comparisons.errors import Fault
from comparisons.tasks.options import MOST, at_least

PAGE = "ablation.html"


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add the command's own flags, and those of the tasks that have ingredients."""
    from comparisons.tasks.ingredients import RecipeOptions
    from comparisons.tasks.registry import TASKS, find
    named = [find(word) for word in words if word.endswith(".py")]
    tasks = [task for task in (*TASKS.values(), *named)
             if issubclass(task.options, RecipeOptions)]
    parser.add_argument("task", type=commands.word(known_task), metavar="TASK",
                        help=f"{', '.join(task.name for task in tasks)}, or the path of a Python "
                        "file with a task whose options extend RecipeOptions")
    parser.add_argument("--only", metavar="NAMES", help="the ingredients to leave out, one after "
                        "the other, with commas between them (default: all that the recipe has)")
    parser.add_argument("--impl", choices=("minigrad", "torch"), default="minigrad",
                        help="implementation to use (default: minigrad)")
    parser.add_argument("--seeds", type=commands.word(at_least(2)), default=3, metavar="N",
                        help="number of seeds, from --seed on (default: 3)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the trainings, "
                        f"ablation.json and {PAGE} (default: runs/<stamp>)")
    parser.add_argument("--resume", action="store_true",
                        help="continue from the trainings in --out")
    add_threads(parser)
    for name in dict.fromkeys(n for task in tasks for n in task.options.flags()):
        add_flag(parser, name, [(task.name if name in task.options.own_names() else "",
                                 task.options) for task in tasks if name in task.options.flags()])


def main(arguments: argparse.Namespace) -> int:
    from comparisons.tasks.ingredients import RecipeOptions, several
    from comparisons.tasks.registry import TASKS, find
    if arguments.task == "all":
        arguments.parser.error("argument TASK: expected a single task")
    task = find(arguments.task)
    if not issubclass(task.options, RecipeOptions):
        having = [t.name for t in TASKS.values() if issubclass(t.options, RecipeOptions)]
        arguments.parser.error(f"{task.name} has no recipe with ingredients; {', '.join(having)} "
                               "have")
    others = {name for t in TASKS.values() for name in t.options.own_names()}
    for name in sorted(others - {*task.options.flags()}):
        if getattr(arguments, name, None) is not None:
            arguments.parser.error(f"{spelled(name)} is not for {task.name}")
    options = options_of(task, arguments)
    if arguments.resume and arguments.out is None:
        arguments.parser.error("--resume needs --out DIR, the folder to continue in")
    if options.seed + arguments.seeds - 1 > MOST:
        arguments.parser.error(f"--seeds {arguments.seeds}: the last seed would exceed {MOST}")
    check_device(options.device, [task], arguments)
    check_pytorchs_flags(options, [task], arguments)
    try:
        only = several(arguments.only) if arguments.only is not None else None
    except ValueError as error:
        arguments.parser.error(f"argument --only: {error}")
    insist_on_data(options.data)
    try:
        from comparisons.audits import ablation
        trials = ablation.trials(task, options, only)
    except Fault as fault:
        arguments.parser.error(str(fault))
    from comparisons import implementations
    from comparisons.files import new_folder, remove_if_empty
    implementations.set_threads(arguments.threads)
    folder = arguments.out or new_folder()
    try:
        return ablation.main(task, trials, arguments.impl, arguments.seeds, folder,
                             arguments.resume, folder / PAGE)
    finally:
        if arguments.out is None:
            remove_if_empty(folder)
