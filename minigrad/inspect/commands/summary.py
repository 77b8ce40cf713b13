"""Print what each layer of a network is made of, and what it costs.

TARGET is one of the examples, or FILE.py:FUNCTION: a function without arguments that returns the
network and its inputs, `return net, x`.
"""

from __future__ import annotations

import argparse

from minigrad.inspect.commands.target import NAMES, TargetError, load, look
from minigrad.inspect.summary import summary
from minigrad.nn import Module


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET",
                        help=f"{', '.join(NAMES)}, or FILE.py:FUNCTION, which returns the network "
                             "and its inputs")


def main(arguments: argparse.Namespace) -> int:
    made = look(lambda function: function(), load(arguments.target, "network"))
    if not (isinstance(made, tuple) and made and isinstance(made[0], Module)):
        raise TargetError(f"{arguments.target} must return a network and its inputs, net, x; got "
                          f"{type(made).__name__}")
    print(look(summary, *made))
    return 0
