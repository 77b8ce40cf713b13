"""python -m minigrad.testing mutate [OP…]: break each op's gradient; which check notices?
python -m minigrad.testing puzzle [N [FILE]]: find the mistake in an op's gradient."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from minigrad import commandline
from minigrad.testing import users
from minigrad.testing.battery import lab
from minigrad.testing.case import OpCase
from minigrad.testing.checks.running import cotangents, run, vjp
from minigrad.testing.mutation import LEGEND, Report, Row
from minigrad.testing.puzzle import cli as puzzle

TESTS = Path(__file__).resolve().parents[2] / "tests"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigrad.testing")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("mutate", help="break each op's gradient: which check notices?")
    command.add_argument("ops", nargs="*", metavar="OP",
                         help="ops of the table in tests/op_cases, say mul (default: all of them), "
                              "or of a file of yours: my_ops.py:my_op, my_ops.py")
    command.add_argument("--module", metavar="NAME",
                         help="the ops are those of this module instead, say my_package.ops")
    command.add_argument("--source", action="store_true",
                         help="change the source instead, one operator, constant, comparison or "
                              "dim at a time, of norm.py or norm.py:_slope in minigrad/ops "
                              "(default: all of it), or of a file of yours with its OpCases")
    command.add_argument("--limit", type=int, metavar="N",
                         help="with --source: a sample of N mutants")
    command.add_argument("--seed", type=int, default=0, metavar="S",
                         help="with --limit: which sample (default: 0)")
    puzzle.add_parser(commands)
    arguments = parser.parse_args(argv)
    if arguments.command == "puzzle":
        return puzzle.main(arguments)
    names = arguments.ops
    try:
        if arguments.source:
            return mutate_source(names, arguments.limit, arguments.seed)
        if arguments.module is not None:
            chosen = users.cases_of(users.load(arguments.module), names)
        elif any(".py" in name for name in names):
            chosen = [case for name in names for case in of_file(name)]
        else:
            chosen = choose(names, [case for case in op_table() if case.differentiable])
    except LookupError as error:
        print(f"mutate: {error.args[0]}", file=sys.stderr)
        return 2
    if names or arguments.module:
        reports = [lab(case) for case in chosen]
        print("\n\n".join(in_full(report) for report in reports))
        if any(report.rows for report in reports):
            print(LEGEND)
    else:
        reports = summary(chosen)
    print(verdict(reports))
    return 0 if all(report.ok for report in reports) else 1


def in_full(report: Report) -> str:
    """The table; of an op that is wrong as it is, where and why."""
    return "\n".join([report.table(), *("    " + line for line in report.why.splitlines())])


def mutate_source(names: Sequence[str], limit: int | None, seed: int) -> int:
    """The exit status of mutate --source."""
    if not hasattr(os, "fork"):
        raise LookupError("--source needs os.fork, which this system does not have")
    from minigrad.testing.survey import command

    def table() -> tuple[list[OpCase], Any]:
        return op_table(), importlib.import_module("op_cases.equivalent").EQUIVALENT
    return command(names, table, limit, seed)


def of_file(name: str) -> list[OpCase]:
    """The ops that my_ops.py:my_op, or my_ops.py, stands for."""
    path, colon, op = name.partition(".py:")
    if not colon and not name.endswith(".py"):
        raise LookupError(f"{name}: ops of the table and of files cannot be mixed; a file's op is "
                          "my_ops.py:my_op")
    return users.cases_of(users.load(f"{path}.py" if colon else name), [op] if colon else [])


def op_table() -> list[OpCase]:
    """The cases of the checkout's op table."""
    if not (TESTS / "op_cases").is_dir():
        raise LookupError(f"the op table is not there: looked for {TESTS / 'op_cases'}; it comes "
                          "with the source, not with the installed package. Your own op needs "
                          "none: minigrad.testing.mutate(fn, inputs)")
    sys.path.insert(0, str(TESTS))
    try:
        cases: list[OpCase] = importlib.import_module("op_cases").CASES
        return cases
    except ModuleNotFoundError as error:
        raise LookupError(f"the op table needs {error.name}, which is not installed: "
                          "pip install -e '.[test]'") from None
    finally:
        sys.path.remove(str(TESTS))


def choose(names: Sequence[str], cases: Sequence[OpCase]) -> list[OpCase]:
    """The cases with these names, in their own order; all of them for none.

    The name of a private function of minigrad.ops stands for the ops that use it, which are
    printed.
    """
    known: dict[str, list[OpCase]] = {}
    for case in cases:
        for name in {case.id, case.id.partition(".")[2], case.op.__name__}:
            known.setdefault(name, []).append(case)
    for name in names:
        if name not in known and (users_of := [case for case in cases if uses(case, name)]):
            print(f"{name} is used by {', '.join(case.id for case in users_of)}")
            known[name] = users_of
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            module, _, op = name.partition(":")
            if op or Path(f"{module}.py").is_file():
                hint = (f"; an op of a file is {module}.py:{op or 'my_op'}, one of a module "
                        f"--module {module} {op or 'my_op'}")
            raise LookupError(f"no op with a gradient is called {name!r} in the op table{hint}")
    return [case for case in cases if not names or any(case in known[name] for name in names)]


def uses(case: OpCase, name: str) -> bool:
    """Whether a function of minigrad.ops with this name runs in the op or in its gradient."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if frame.f_globals.get("__name__", "").startswith("minigrad.ops."):
            seen.add(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for call in case.examples:
            xs, ys = run(case, call)
            vjp(xs, ys, cotangents(ys), create_graph=True)
    finally:
        sys.setprofile(before)
    return name in seen


def summary(cases: Sequence[OpCase]) -> list[Report]:
    """A line for each op: how many of its mutants each check catches. What escapes, in full."""
    width = max(len(case.id) for case in cases)
    checks: list[str] = []
    reports: list[Report] = []

    def line(name: str, rows: Sequence[Row]) -> str:
        counts = "".join(f"  {sum(row.caught.get(check, False) for row in rows):{len(check)}}"
                         for check in checks)
        return f"{name:{width}}  {len(rows):7}{counts}"

    for case in cases:
        report = lab(case)
        if not reports:
            checks = report.checks
            print(f"{'op':{width}}  mutants  {'  '.join(checks)}")
        print(line(case.id, report.rows), flush=True)
        reports.append(report)
    print(line("all", [row for report in reports for row in report.rows]))
    reasons: dict[str, list[str]] = {}
    for report in reports:
        for row in report.rows:
            if row.reason and report.name not in reasons.setdefault(row.reason, []):
                reasons[row.reason].append(report.name)
    for reason, names in reasons.items():
        print(f"declared to be no mistake: {reason}: {', '.join(names)}")
    for report in reports:
        if not report.ok:
            print(f"\n{report}")
    return reports


def verdict(reports: Sequence[Report]) -> str:
    rows = [row for report in reports for row in report.rows]
    declared = sum(bool(row.reason) for row in rows)
    escaped = sum(len(report.escaped) for report in reports)
    stale = sum(len(report.stale) for report in reports)
    failing = [report.name for report in reports if report.failing]
    caught = len(rows) - declared - escaped
    parts = [f"{len(rows):,} mutants of {len(reports)} op{'s' * (len(reports) != 1)}",
             f"{caught:,} caught", f"{declared} declared", f"{escaped} escaped"]
    if stale:
        parts.append(f"{stale} declared, and yet caught")
    if failing:
        parts.append(f"checks that fail on the op itself: {', '.join(failing)}")
    return "; ".join(parts)


if __name__ == "__main__":
    commandline.run(main)
