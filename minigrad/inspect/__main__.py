"""python -m minigrad.inspect COMMAND: look inside a network from the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from minigrad.commandline import run
from minigrad.inspect.commands.target import TargetError

COMMANDS = {
    "step-through": "step_through",
    "draw": "draw",
    "summary": "summary",
    "playground": "playground",
}
"""Each command, and the file in `commands/` that holds it."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigrad.inspect")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: importlib.import_module(f"minigrad.inspect.commands.{file}")
               for name, file in COMMANDS.items()}
    for name, module in modules.items():
        about = (module.__doc__ or "").strip()
        module.flags(commands.add_parser(name, help=about.partition("\n")[0], description=about))
    arguments = parser.parse_args(argv)
    try:
        return int(modules[arguments.command].main(arguments))
    except TargetError as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run(main)
