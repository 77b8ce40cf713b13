"""Check PyTorch's side on a GPU against minigrad's values, and measure its speed there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("networks", nargs="*", metavar="NETWORK",
                        help="part of the names of the networks to check (default: all)")
    parser.add_argument("--rehearse", action="store_true",
                        help="run the same check on the CPU, on a machine without a GPU; the "
                        "output says that it was none")


def main(arguments: argparse.Namespace) -> int:
    from comparisons.audits import gpu
    return gpu.main(arguments.networks, arguments.rehearse)
