"""The tests that take minutes, with a summary: `python tests/battery.py [SECTION…]`.

Each section is a module in tests/batteries/. The suite tries a sample of each.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def main(argv: list[str]) -> int:
    sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "comparisons")]
    from batteries import about, sections
    known = sections()
    parser = argparse.ArgumentParser(
        prog="python tests/battery.py", description="Tests that take minutes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<14}{about(section)}" for name, section in known.items()))
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--share", type=float, default=1.0, metavar="F",
                        help="try this share of the whole (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--show", type=int, default=5, metavar="N",
                        help="show at most N faults of a part in full (default: 5)")
    chosen = parser.parse_args(argv)
    if unknown := [name for name in chosen.sections if name not in known]:
        parser.error(f"unknown section {unknown[0]!r}; choose from {', '.join(known)}")
    tried = faults = 0
    for name in chosen.sections or known:
        print(f"{name}: {about(known[name])}")
        began = time.perf_counter()
        for part in known[name].parts(chosen.share, chosen.seed):
            now = time.perf_counter()
            print(f"  {part.name:<24} {part.tried:>6,} tried  {len(part.faults):>4,} faults "
                  f"{now - began:>7.1f} s  {part.note}".rstrip(), flush=True)
            for line in part.faults[:chosen.show]:
                print(f"    {line}")
            if len(part.faults) > chosen.show:
                print(f"    and {len(part.faults) - chosen.show:,} more")
            began, tried, faults = now, tried + part.tried, faults + len(part.faults)
    print(f"{tried:,} tried, {faults:,} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
