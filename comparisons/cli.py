"""The command line: the first word names a file in `commands/`, which does the rest.

A command is a module with a docstring, whose first line is the summary, and two functions:
`flags(parser, words)` adds its flags, and `main(arguments)` returns the exit status. Whatever is
heavy is imported in `main`, once the arguments are known to be good.
"""

from __future__ import annotations

import argparse
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from comparisons import commands


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2)


def command_names() -> list[str]:
    """One for each file in `commands/`."""
    return [module.name for module in pkgutil.iter_modules(commands.__path__)]


def parser(words: Sequence[str]) -> Parser:
    """The parser of a command line: every command's name, and the flags of the one it names."""
    top = Parser(prog="python -m comparisons", description="Five systems in minigrad and in "
                 "PyTorch, side by side. Without arguments: all of them on the data that ship "
                 "with the project, a table, and a page.",
                 epilog="MINIGRAD_DEBUG=1 shows the traceback of a fault.")
    below = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in command_names():
        module = import_module(f"comparisons.commands.{name}")
        summary = (module.__doc__ or "").splitlines()[0].rstrip(".")
        sub = below.add_parser(name, help=summary, description=summary)
        if words[:1] == [name]:
            module.flags(sub, words[1:])
            sub.set_defaults(main=module.main, parser=sub)
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")    # a rule or a dash that a code page lacks
    words = list(argv) or ["run", "all"]
    try:
        arguments = parser(words).parse_args(words)
        arguments.argv = list(argv)
        status: int = arguments.main(arguments)
        return status
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:             # as of `| head`: nobody reads on
        sys.stdout = open(os.devnull, "w")      # noqa: SIM115  what is unsaid would fail at exit
        print("comparisons: standard output was closed; what was finished is kept",
              file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("MINIGRAD_DEBUG"):
            raise
        print(f"comparisons: {one_line(error)}", file=sys.stderr)
        return 1


def one_line(error: Exception) -> str:
    """What went wrong: the message of a fault that we know, with its type for one we do not."""
    from comparisons.errors import Fault
    from minigrad.checkpoint import CheckpointError
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = " ".join(str(error).split())
    if isinstance(error, Fault | CheckpointError):
        return message
    return f"{type(error).__name__}: {message}"
