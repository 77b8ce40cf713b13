"""Write a page on which one goes through a computation, forward and backward.

TARGET is one of the examples, or FILE.py:FUNCTION: a function without arguments that returns a
loss.
"""

from __future__ import annotations

import argparse

from minigrad.inspect.commands.target import NAMES, load, look, save
from minigrad.inspect.step_through import step_through


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET",
                        help=f"{', '.join(NAMES)}, or FILE.py:FUNCTION, which returns a loss")
    parser.add_argument("-o", "--out", metavar="FILE", default="steps.html",
                        help="the page (default: steps.html)")


def main(arguments: argparse.Namespace) -> int:
    page = look(step_through, load(arguments.target),
                title=f"Backpropagation, step by step: {arguments.target}")
    save(page, arguments.out)
    return 0
