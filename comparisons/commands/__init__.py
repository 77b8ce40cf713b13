"""The commands. Each has a module of its name; this file holds what several of them share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from comparisons.errors import Fault
from comparisons.tasks.names import NAMES
from comparisons.tasks.options import SEED, at_least, path, share

OUTPUTS = ("out", "json", "plot", "persons", "file")    # arguments that name what is written
THREADS = 1024          # more than a machine has; far more overflow in the libraries


def word(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The parser in the form that argparse expects, so that argparse shows its error message."""
    def converted(given: str) -> Any:
        try:
            return parse(given)
        except (ValueError, Fault) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return converted


PATH = word(path)        # for arguments that name a file or a folder


def add_tasks(parser: argparse.ArgumentParser, count: str) -> None:
    """Add the argument for tasks. count: how many there may be, as `nargs` of argparse."""
    parser.add_argument("tasks", nargs=count, type=word(known_task), metavar="TASK",
                        help=f"{', '.join(NAMES)}, all, or the path of a Python file that defines "
                        f"a task{' (default: all)' * (count == '*')}")


def known_task(given: str) -> str:
    """Return the word if it names a task.

    Raises: ValueError or Fault if it does not.
    """
    if given in (*NAMES, "all"):
        return given
    if given.endswith(".py") or Path(given).exists():
        from comparisons.tasks.registry import find
        find(given)
    else:
        raise ValueError(f"unknown task {given!r}; choose from {', '.join(NAMES)}, all, or the "
                         "path of a Python file that defines one")
    return given


def chosen(words: Sequence[str]) -> list[str]:
    """The tasks to run, each once: the five in their usual order, then those in files."""
    five = [name for name in NAMES if name in words or "all" in words or not words]
    return five + [given for given in dict.fromkeys(words) if given not in (*NAMES, "all")]


def add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=word(SEED), default=0, metavar="N",
                        help="seed of all random numbers (default: 0)")


def add_threads(parser: argparse.ArgumentParser, count: str | None = None) -> None:
    several = "; several numbers are measured one after the other" * (count is not None)
    parser.add_argument("--threads", type=word(at_least(1, THREADS)), metavar="N", nargs=count,
                        help="number of threads of BLAS, Numba and PyTorch (default: each "
                        f"library's own choice){several}")


def insist_on_threads(parser: argparse.ArgumentParser, counts: Sequence[int]) -> None:
    """Refuse more threads than Numba has: PyTorch would use them, and minigrad would not."""
    from minigrad.kernels import load_numba
    most = load_numba().config.NUMBA_NUM_THREADS
    for n in counts:
        if n > most:
            parser.error(f"--threads {n}: Numba has at most {most} on this machine")


def add_sure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sure", type=word(share), metavar="SHARE",
                        help="answer \"unsure\" wherever the confidence is too low for this share "
                        "of the answers to be right, by the items that were held out when the "
                        "network was trained (default: 0.95); 0 answers always")


def insist_on_data(data: Path | None) -> None:
    """Check --data.

    Raises: Fault if it names something that does not exist, or that is neither file nor folder.
    """
    from comparisons.files import insist_on_file
    if data is not None and not data.exists():
        raise Fault(f"{data}: no such file or folder (--data)")
    if data is not None:
        insist_on_file(data)


def insist_on_other_files(arguments: argparse.Namespace) -> None:
    """Refuse to write a file that another argument names, which would be lost."""
    named = [(name, Path(value)) for name, given in vars(arguments).items() if name != "argv"
             for value in (given if isinstance(given, list | tuple) else [given])
             if isinstance(value, Path | str)]
    for output, place in named:
        if output in OUTPUTS and (place.is_file() or not place.exists()):
            for other, another in named:
                if other != output and same_place(place, another):
                    arguments.parser.error(f"{place}: is to be written, and is named twice")


def same_place(place: Path, other: Path) -> bool:
    return os.path.realpath(place) == os.path.realpath(other) or (
        place.exists() and other.exists() and place.samefile(other))
