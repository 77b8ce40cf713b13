"""Write report.html for finished runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from comparisons.commands import PATH
from comparisons.errors import Fault


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("folder", type=PATH, metavar="DIR",
                        help="folder of the runs: the one given to `run --out`")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.files import let_temporary_files_be_near
    let_temporary_files_be_near(arguments.folder)
    from comparisons.report import page
    from comparisons.training.results import Results
    from minigrad.streams import printable
    if not (arguments.folder / "results.json").exists():
        raise Fault(f"{arguments.folder / 'results.json'}: no such file; "
                    "`run --out DIR` writes it into DIR")
    print(printable(page.write(Results(arguments.folder))))
    return 0
