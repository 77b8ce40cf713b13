"""Measure how much test sets of faces share with training, for each protocol."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH, add_seed, insist_on_data, word
from comparisons.tasks.options import at_least


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("--data", type=PATH, metavar="PATH",
                        help="folder or table with faces (default: the faces that `data` finds, "
                        "or else the generated ones)")
    parser.add_argument("--folds", type=word(at_least(2)), default=10, metavar="K",
                        help="number of folds of the cross-validation (default: 10)")
    add_seed(parser)
    parser.add_argument("--persons", type=PATH, metavar="FILE",
                        help="also write the persons of each fold of --protocol person to a JSON "
                        "file, so that others can test on the same ones")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.audits import leakage
    from comparisons.files import check_writable, write_json
    from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
    insist_on_data(arguments.data)
    options = DexpressionOptions(data=arguments.data, folds=arguments.folds, seed=arguments.seed)
    if arguments.persons is not None:
        check_writable(arguments.persons)
    data = DexpressionTask().load(options)
    print(leakage.text(data, options), flush=True)
    if arguments.persons is not None:
        write_json(arguments.persons, leakage.persons(data, options), indent=1)
    return 0
