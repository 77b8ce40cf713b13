"""Draw the graph of a computation as an SVG or a page.

TARGET is one of the examples, or FILE.py:FUNCTION: a function without arguments that returns
Tensors.
"""

from __future__ import annotations

import argparse

from minigrad.inspect.commands.target import NAMES, load, look, save
from minigrad.inspect.draw import draw


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET",
                        help=f"{', '.join(NAMES)}, or FILE.py:FUNCTION, which returns Tensors")
    parser.add_argument("-o", "--out", metavar="FILE", default="graph.svg",
                        help="the picture, .svg or .html (default: graph.svg)")
    parser.add_argument("--depth", metavar="N", type=int,
                        help="how many levels of modules are unfolded at first")


def main(arguments: argparse.Namespace) -> int:
    save(look(draw, load(arguments.target), depth=arguments.depth), arguments.out)
    return 0
