"""python -m minigrad warmup: compile every kernel now instead of on its first use."""

from __future__ import annotations

import argparse
import time

from minigrad import kernels


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigrad")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("warmup", help="compile every kernel for float32 and float64")
    parser.parse_args(argv)
    started = time.perf_counter()
    every = kernels.load_all()
    for number, (name, kernel) in enumerate(every.items(), 1):
        for dtype in ("float32", "float64"):
            kernel.warmup(dtype)
        print(f"{number}/{len(every)} {name}", flush=True)
    print(f"{len(every)} kernels ready in {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
