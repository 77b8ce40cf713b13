"""python -m minigrad.testing mutate --source: change the source of ops; which changes go unnoticed?
"""

from __future__ import annotations

import difflib
import importlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import minigrad.ops
from minigrad.testing import users
from minigrad.testing.case import OpCase
from minigrad.testing.source import Mutant, functions_of, mutants_of
from minigrad.testing.trials import Laboratory

Declared = Mapping[str, Mapping[str, Sequence[str]]]
"""Mutants that make no difference: why → file.py:function → the changes, "before → after"."""

OPS = Path(minigrad.ops.__file__).parent
Table = Callable[[], tuple[list[OpCase], Declared]]


@dataclass
class Row:
    """One mutant: the trial that notices it ("" for none), how many were made, and why it makes no
    difference, if that is declared."""

    mutant: Mutant
    noticed_by: str
    tried: int
    reason: str

    @property
    def verdict(self) -> str:
        return "caught" if self.noticed_by else "declared" if self.reason else "escaped"

    @property
    def check(self) -> str:
        """The name of the check that notices it."""
        return self.noticed_by.partition(",")[0].partition(" ")[2] or self.noticed_by


@dataclass
class Survey:
    """What became of the mutants; stale: declarations that are not so, or no longer."""

    rows: list[Row] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not (self.stale or self.broken or self.count("escaped"))

    def count(self, verdict: str, file: str = "") -> int:
        return sum(row.verdict == verdict and file in ("", row.mutant.file) for row in self.rows)

    def line(self, file: str) -> str:
        """What became of the mutants of one file."""
        n = sum(row.mutant.file == file for row in self.rows)
        return (f"{Path(file).name:16} {n:5,} mutants: {self.count('caught', file):5,} caught, "
                f"{self.count('declared', file):3} declared, {self.count('escaped', file):3} "
                "escaped")

    def __str__(self) -> str:
        files = {row.mutant.file for row in self.rows}
        checks = Counter(row.check for row in self.rows if row.noticed_by)
        lines = [f"caught by: {', '.join(f'{name} {n:,}' for name, n in checks.most_common())}"]
        lines += [f"stale declaration: {line}" for line in self.stale]
        lines += [f"fails without any mutant: {line}" for line in self._broken_ops()]
        return "\n".join([*lines, (
            f"{len(self.rows):,} mutants of the source of {len(files)} "
            f"file{'s' * (len(files) != 1)}: {self.count('caught'):,} caught, "
            f"{self.count('declared'):,} declared equivalent, {self.count('escaped'):,} escaped")])

    def _broken_ops(self) -> Iterator[str]:
        """A line for each op that has trials which fail as it is: the first, and how many more."""
        ops: dict[str, list[str]] = {}
        for name in self.broken:
            ops.setdefault(name.partition(" ")[0], []).append(name)
        for op, (first, *others) in ops.items():
            more = (f" (and {len(others)} more of {op}: check_op says what is wrong with it)"
                    if others else "")
            yield f"{first}: {self.broken[first]}{more}"


@dataclass
class Group:
    """Modules, the cases that are to notice mutants of them, and what is declared."""

    modules: list[ModuleType]
    cases: list[OpCase]
    declared: Declared
    chosen: list[Mutant] = field(default_factory=list)


def command(names: Sequence[str], table: Table, limit: int | None, seed: int) -> int:
    """Survey the functions with these names, FILE.py or FILE.py:FUNCTION; all of minigrad.ops for
    none. The exit status: 0 where no mutant escapes, 130 after Ctrl-C.

    table: the op table, and what it declares to make no difference.
    limit: take a sample of so many, drawn with the seed.
    """
    groups = list(_groups(names, table))
    mutants = [mutant for group in groups for mutant in group.chosen]
    if limit is not None and limit < len(mutants):
        sample = set(random.Random(seed).sample(range(len(mutants)), limit))
        drawn = {id(mutant) for i, mutant in enumerate(mutants) if i in sample}
        for group in groups:
            group.chosen = [mutant for mutant in group.chosen if id(mutant) in drawn]
    total, survey = sum(len(group.chosen) for group in groups), Survey()
    try:
        for group in groups:
            if group.chosen:
                _survey(group, survey, total)
            if limit is None:
                survey.stale += _without_mutant(group)
    except KeyboardInterrupt:
        print(f"\nstopped after {len(survey.rows):,} of {total:,} mutants")
        print(survey)
        return 130
    print(survey)
    return 0 if survey.ok else 1


def _survey(group: Group, survey: Survey, total: int) -> None:
    reasons = {(where, change): reason for reason, places in group.declared.items()
               for where, changes in places.items() for change in changes}
    laboratory = Laboratory(group.cases, group.modules)
    for i, mutant in enumerate(group.chosen):
        _progress(f"{len(survey.rows):,} of {total:,}: {mutant}")
        row = Row(mutant, *laboratory.noticed_by(mutant),
                  reasons.get((mutant.where, mutant.change), ""))
        survey.rows.append(row)
        if row.verdict == "escaped":
            _say(f"  {mutant}   " + (f"escapes {row.tried} trials" if row.tried else
                                     "no trial runs this line"))
        elif row.noticed_by and row.reason:
            survey.stale.append(f"{mutant}: noticed by {row.noticed_by}")
        if i + 1 == len(group.chosen) or group.chosen[i + 1].module is not mutant.module:
            _say(survey.line(mutant.file))
    survey.broken |= laboratory.broken


def _without_mutant(group: Group) -> list[str]:
    """Declarations for the functions chosen that no mutant of them answers to."""
    there = {(mutant.where, mutant.change) for mutant in group.chosen}
    chosen = {where for where, _ in there}
    return [f"{where}: {change}: there is no such mutant" for places in group.declared.values()
            for where, changes in places.items() if where in chosen
            for change in changes if (where, change) not in there]


def _progress(line: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{line[:78]}", end="", flush=True)


def _say(line: str) -> None:
    print("\r\033[K" * sys.stdout.isatty() + line, flush=True)


# ---- what is to be changed -----------------------------------------------------------------------

def _groups(names: Sequence[str], table: Table) -> Iterator[Group]:
    """The modules by whose cases they are judged: those of minigrad by the op table, a user's file
    by its own.

    Raises: LookupError for a file or function that is not there.
    """
    ours: dict[str, list[str]] = {}
    for name in names or sorted(path.name for path in OPS.glob("[!_]*.py")):
        path, _, function = name.partition(".py:")
        file = _file(path if path.endswith(".py") else f"{path}.py")
        if file.is_relative_to(OPS.parent):
            dotted = ".".join(file.relative_to(OPS.parent.parent).with_suffix("").parts)
            ours.setdefault(dotted, []).append(function)
            continue
        module = users.load(str(file))
        cases = users.cases_of(module, [])
        yield Group([module], cases, getattr(module, "EQUIVALENT", {}),
                    list(_chosen(module, [function] if function else [])))
    if ours:
        modules = [importlib.import_module(name) for name in ours]
        chosen = [mutant for module, functions in zip(modules, ours.values(), strict=True)
                  for mutant in _chosen(module, [] if "" in functions else functions)]
        yield Group(modules, *table(), chosen)


def _file(name: str) -> Path:
    places = (Path(name), OPS / name)
    for path in places:
        if path.is_file():
            return path.resolve()
    raise LookupError(f"{name}: there is no such file, here or in {OPS}")


def _chosen(module: ModuleType, names: list[str]) -> Iterator[Mutant]:
    there = functions_of(module)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise LookupError(f"{Path(str(module.__file__)).name}: no function is called {name!r}"
                              f"{hint}")
    return mutants_of(module, names)
