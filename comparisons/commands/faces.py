"""Write the generated faces to files, in one of the layouts of CK+."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, add_seed, word
from comparisons.tasks.options import at_least


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--out", type=PATH, metavar="DIR", required=True,
                        help="folder to write to; it must be empty or new")
    parser.add_argument("--layout", choices=("ck48", "ck"), default="ck48",
                        help="ck48: folders named after expressions; ck: CK+'s own tree "
                        "(default: ck48)")
    parser.add_argument("--size", type=word(at_least(16, 512)), default=48, metavar="PX",
                        help="height and width of the pictures in pixels (default: 48)")
    add_seed(parser)


def main(arguments: argparse.Namespace) -> int:
    from comparisons.datasets.drawn.writer import write_faces
    n = write_faces(arguments.out, arguments.layout, arguments.size, arguments.seed)
    print(f"{arguments.out}: {n:,} pictures of {arguments.size} px, of persons who do not exist\n"
          f"python -m comparisons run dexpression --data {arguments.out}")
    return 0
