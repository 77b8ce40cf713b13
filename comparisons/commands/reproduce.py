"""Run the commands again whose output README and docs quote, and print what differs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, insist_on_data


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run again, as --list "
                        "names it (default: everything that needs no data of yours)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--list", action="store_true", help="list the commands, their numbers, and "
                      "what is left out, with the reason")
    kind.add_argument("--quick", action="store_true", help="only what takes less than a minute")
    parser.add_argument("--data", type=PATH, metavar="PATH", help="folder with the data of the "
                        "named commands that need some")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.audits import reproduce
    if arguments.names and (arguments.quick or arguments.list):
        arguments.parser.error("--quick and --list take no NAME")
    if wrong := reproduce.wrong(arguments.names, arguments.data):
        arguments.parser.error(wrong)
    if arguments.list:
        print(reproduce.text())
        return 0
    insist_on_data(arguments.data)
    data = arguments.data and arguments.data.resolve()
    return reproduce.main(arguments.names, arguments.quick, data)
