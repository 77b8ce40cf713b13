"""Train tasks, test what was learned, and write a report."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from comparisons import commands
from comparisons.commands import PATH, add_tasks, add_threads, chosen, insist_on_data
from comparisons.errors import Fault
from comparisons.tasks.options import MOST, Flag, Options, at_least

OWN = ("--impl", "--out", "--seeds", "--threads")       # flags of `run` itself that take a value


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Add the command's own flags, those of every task, and those of tasks in the user's files."""
    from comparisons.tasks.registry import TASKS
    add_tasks(parser, "+")
    parser.add_argument("--impl", choices=("minigrad", "torch", "both"), default="both",
                        help="implementation to use (default: both)")
    parser.add_argument("--out", type=PATH, metavar="DIR",
                        help="folder for checkpoints, results.json and report.html "
                        "(default: runs/<stamp>, where the stamp is the date and the time)")
    parser.add_argument("--resume", action="store_true",
                        help="continue from the checkpoints in --out")
    parser.add_argument("--seeds", type=commands.word(at_least(2)), metavar="N",
                        help="train with N seeds, from --seed on, and say whether the "
                        "implementations differ")
    add_threads(parser)
    try:
        tasks = list(dict.fromkeys([*TASKS.values(), *files_named(words)]))
    except Fault as fault:
        parser.error(str(fault))
    for name in Options.flags():
        add_flag(parser, name, [("", Options)])
    for name in dict.fromkeys(n for task in tasks for n in own_flags(task.options)):
        add_flag(parser, name, [(task.name, task.options) for task in tasks
                                if name in own_flags(task.options)])


def files_named(words: Sequence[str]) -> list[Any]:
    """The tasks in the Python files among the words. The value of a flag is none of them."""
    from comparisons.tasks.registry import TASKS, find

    def valued(options: type[Options]) -> set[str]:
        return {spelled(name) for name, flag in options.flags().items() if flag.parse}
    before, flags = "", {*OWN, *(name for task in TASKS.values() for name in valued(task.options))}
    tasks = []
    for word in words:
        if word.endswith(".py") and not word.startswith("-") and before not in flags:
            tasks.append(find(word))
            flags |= valued(tasks[-1].options)
        before = word
    return tasks


def own_flags(options: type[Options]) -> dict[str, Flag]:
    """The flags of the fields that a task adds."""
    return {name: flag for name, flag in options.flags().items() if name in options.own_names()}


def spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def add_flag(parser: argparse.ArgumentParser, name: str,
             owners: Sequence[tuple[str, type[Options]]]) -> None:
    """Add a flag of one or several tasks. Its word is parsed later, when the tasks are known."""
    told = [(task, options.flags()[name]) for task, options in owners]
    flag = told[0][1]
    for task, other in told:
        if (other.parse is None) != (flag.parse is None):
            parser.error(f"{spelled(name)}: takes a value for one of {told[0][0]} and {task}, and "
                         "none for the other; rename the option of one")
    help = "; ".join(f"{task}: {flag.help}" if task else flag.help for task, flag in told)
    help = help.replace("%", "%%")      # argparse fills in what follows a single one
    if flag.parse is None:
        parser.add_argument(spelled(name), action="store_true", default=None, help=help)
    else:
        words = dict.fromkeys(word for _, flag in told for word in flag.choices)
        parser.add_argument(spelled(name), help=help,
                            metavar=flag.metavar or f"{{{','.join(words)}}}")


def options_of(task: Any, arguments: argparse.Namespace) -> Options:
    """A task's options from the command line; what is not given there keeps its default."""
    values: dict[str, Any] = {}
    for name, flag in task.options.flags().items():
        given = getattr(arguments, name)
        if given is not None:
            try:
                values[name] = given if flag.parse is None else flag.parse(given)
            except ValueError as error:
                arguments.parser.error(f"argument {spelled(name)}: {error}")
    options: Options = task.options(**values, embedded=not arguments.argv)
    return options


def refuse_idle_flags(tasks: Sequence[Any], arguments: argparse.Namespace) -> None:
    """End with status 2 if a flag was given that none of the tasks uses."""
    from comparisons.tasks.registry import TASKS
    every = list({task.name: task for task in (*TASKS.values(), *tasks)}.values())
    for name in dict.fromkeys(n for task in every for n in (*own_flags(task.options), "data")):
        if getattr(arguments, name) is None:
            continue
        owners = [task for task in every
                  if (task.reads if name == "data" else name in own_flags(task.options))]
        users = [task for task in tasks if task in owners]
        if not users:
            arguments.parser.error(
                f"{spelled(name)} is for {', '.join(task.name for task in owners)} only")
        if len(tasks) > 1 and users[0].options.flags()[name].alone:
            arguments.parser.error(
                f"{spelled(name)} requires that {users[0].name} is the only task")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.tasks.registry import find_all
    try:
        tasks = find_all(chosen(arguments.tasks))
    except Fault as fault:
        arguments.parser.error(str(fault))
    refuse_idle_flags(tasks, arguments)
    jobs = [(task, options_of(task, arguments)) for task in tasks]
    common = jobs[0][1]
    if arguments.resume and arguments.out is None:
        arguments.parser.error("--resume needs --out DIR, the folder of the run to continue")
    check_processes(arguments)
    check_device(common.device, tasks, arguments)
    check_pytorchs_flags(common, tasks, arguments)
    count = arguments.seeds or 1
    if common.seed + count - 1 > MOST:
        arguments.parser.error(f"--seeds {count}: the last seed would exceed {MOST}")

    from comparisons import implementations
    from comparisons.files import new_folder, remove_if_empty
    from comparisons.training import processes, runner
    insist_on_data(common.data)
    implementations.set_threads(arguments.threads)
    if not processes.leads():
        runner.train_along(tasks)
        return 0
    from comparisons.report import page, saliency, seeds, table
    from comparisons.training.results import Results
    from minigrad.streams import printable
    impls = implementations.NAMES if arguments.impl == "both" else (arguments.impl,)
    results = Results(arguments.out or new_folder())
    jobs = [(task, task.settled(options, partial(on_gpu, common.device, arguments.impl)))
            for task, options in jobs]
    try:
        done = runner.run_jobs(jobs, impls, results, resume=arguments.resume,
                               command=processes.command(arguments.argv),
                               explain=saliency.pictures, count=count)
    except KeyboardInterrupt:
        again = processes.command(resuming(arguments.argv, results.folder))
        print(f"\nTo go on: {again}", flush=True)
        raise
    finally:
        if arguments.out is None:
            remove_if_empty(results.folder)
    processes.announce(None)
    print(f"\n{table.text(done)}\n")
    if arguments.seeds:
        names = [task.name for task in tasks]
        print(f"{seeds.text([e for e in results.differences if e['task'] in names])}\n")
    if common.quick:
        print("This was a quick test (--quick): its figures mean nothing.\n")
    print(printable(results.path))
    print(printable(page.write(results)))
    return 0


def resuming(argv: Sequence[str], folder: Path) -> list[str]:
    """The words of the command line that continues a run which was interrupted."""
    words = list(argv) or ["run", "all"]
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(folder)]
    return words if "--resume" in words else [*words, "--resume"]


def check_device(device: str, tasks: Sequence[Any], arguments: argparse.Namespace) -> None:
    """End with status 2 if the device is not available, or if nothing would use it."""
    if device in ("auto", "cpu"):
        return
    if arguments.impl == "minigrad":
        arguments.parser.error(f"--device {device}: minigrad runs on the CPU only")
    from comparisons.tasks.registry import TASKS
    every = list({task.name: task for task in (*TASKS.values(), *tasks)}.values())
    if not any(task.any_device for task in tasks):
        arguments.parser.error(
            f"--device {device} is for {', '.join(t.name for t in every if t.any_device)} only; "
            "the others compute in float64, on the CPU")
    import torch
    available = (torch.cuda.is_available() if device == "cuda"
                 else torch.backends.mps.is_available())
    if not available:
        arguments.parser.error(f"--device {device}: not available to PyTorch on this machine")


def check_pytorchs_flags(options: Options, tasks: Sequence[Any], arguments: argparse.Namespace
                         ) -> None:
    """End with status 2 if a flag for PyTorch's side was given and nothing would use it."""
    for name in ("amp", "compile"):
        if getattr(options, name) and arguments.impl == "minigrad":
            arguments.parser.error(f"--{name} is for PyTorch only; minigrad computes as it stands")
    if options.amp and not any(task.any_device for task in tasks):
        arguments.parser.error("--amp: these tasks compute in float64, which mixed precision "
                               "leaves as it is")


def check_processes(arguments: argparse.Namespace) -> None:
    """End with status 2 if torchrun's processes could not share the run."""
    from comparisons.training import processes
    if processes.size() > 1 and arguments.impl != "torch":
        arguments.parser.error("only PyTorch trains in several processes: under torchrun, give "
                               "--impl torch")
    if arguments.out is None and processes.may_restart():
        arguments.parser.error("torchrun may restart this run: give --out DIR, the folder in which "
                               "it is to continue")
    if processes.size() > 1:            # else PyTorch warns that no parameter is unused
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def on_gpu(device: str, impl: str) -> bool:
    """Whether PyTorch is used and trains on a GPU."""
    if impl == "minigrad" or device == "cpu":
        return False
    from torch_impl.train import pick_device
    return pick_device(device).type != "cpu"
