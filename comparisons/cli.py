"""The command line: its first word is a command, the name of a module in `commands/`.

The first line of the module's docstring is the summary of the command. The module has two
functions: `flags(parser, words)` adds the command's flags, and `main(arguments)` does the work and
returns the exit status. Large packages are imported in `main`, after the arguments were checked.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from comparisons import commands
from comparisons.errors import Fault, is_ours, one_line, told, where_in_a_task
from comparisons.training import processes

if TYPE_CHECKING:
    from minigrad.streams import Output

WRITING = ("run", "parity", "ablation")     # the commands that write files without being told to


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help. Argparse's own method goes on if the stream is full."""
        if (stream := file or sys.stderr) is None:
            return
        try:
            print(message, end="", file=stream, flush=True)
        except OSError as error:
            sys.stdout = None       # so that Python does not try again when it ends
            raise Fault(f"standard output: {error.strerror}") from None

    def error(self, message: str) -> NoReturn:
        processes.tell(f"{self.prog}: {' '.join(message.split())}")
        raise SystemExit(2)


def command_names() -> list[str]:
    """The names of the commands: one for each module in `commands/`, with hyphens."""
    names = [module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__)]
    return sorted(names, key=lambda name: name != "run")        # `run` first


def parser(words: Sequence[str]) -> Parser:
    """The parser of a command line. It knows every command, and the flags of the one in `words`."""
    top = Parser(prog="python -m comparisons", description="Compares five systems in minigrad and "
                 "in PyTorch. Without a command, it trains all of them on the data that come with "
                 "the project, prints a table of the results, and writes a page for a browser.",
                 epilog="COMMAND --help describes the flags of a command. With MINIGRAD_DEBUG=1 "
                 "in the environment, an error shows its traceback.")
    below = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in command_names():
        module = import_module(f"comparisons.commands.{name.replace('-', '_')}")
        summary = (module.__doc__ or name).splitlines()[0].rstrip(".")      # -OO drops it
        sub = below.add_parser(name, help=summary, description=summary)
        if words[:1] == [name]:
            module.flags(sub, words[1:])
            sub.set_defaults(main=module.main, parser=sub)
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit status.

    A command that writes files goes on when standard output is full, or has no reader any more.
    """
    if {"-h", "--help"} & {*argv}:              # help comes at once, without NumPy
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        return outcome(argv)
    # it would say where it keeps its fonts if it cannot do so in the home folder
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from minigrad.streams import lenient
    with lenient() as output:
        status = outcome(argv, output)
        with suppress(BrokenPipeError):
            output.flush()
        if output.fault is None:
            return status
        closed = isinstance(output.fault, BrokenPipeError)      # by `| head`, for example
        return fault(f"standard output{' was closed' if closed else f': {output.fault.strerror}'}; "
                     "finished results are kept")


def outcome(argv: Sequence[str], output: Output | None = None) -> int:
    """Run the command line; return the exit status. Printing is a BrokenPipeError only for a
    command that writes no files, and whose output nobody reads any more."""
    words = list(argv) or ["run", "all"]
    try:
        top = parser(words)
        arguments = top.parse_args(words)
        if processes.size() > 1 and arguments.command != "run":
            top.error(f"{arguments.command}: only `run` works in several processes, under torchrun")
        arguments.argv = list(argv)
        if output is not None:
            output.stops = arguments.command not in WRITING and not any(
                getattr(arguments, flag, None) for flag in ("out", "json"))
        if place := getattr(arguments, "out", None):
            from comparisons.files import let_temporary_files_be_near
            let_temporary_files_be_near(place)
        commands.insist_on_other_files(arguments)
        status: int = arguments.main(arguments)
        return status
    except SystemExit as stop:
        if where := where_in_a_task(stop):
            return fault(f"{where}{told(stop)}")
        return int(stop.code or 0)
    except KeyboardInterrupt:
        if processes.leads():
            print("\ninterrupted; finished results are kept", file=sys.stderr)
        return 130
    except BaseException as error:      # a user's task may raise anything
        if output is not None and error is output.fault:
            return 1
        if os.environ.get("MINIGRAD_DEBUG"):
            raise
        line = one_line(error)
        if processes.size() > 1 and re.search("gloo|NCCL", line):
            return fault("the connection to another process is lost: it has ended, or it cannot be "
                         "reached")
        return fault(f"{'' if is_ours(error) else where_in_a_task(error)}{line}")


def fault(line: str) -> int:
    """Report a fault; return the exit status."""
    processes.tell(f"comparisons: {line}")
    return 1
