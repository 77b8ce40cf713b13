"""What `check_op` says that it found."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from minigrad.testing.case import Call

TELLING = ("call", "determinism", "inputs kept", "independence", "gradcheck", "reference")
"""The failures that explain others, which are shown first: an op that writes into its inputs, for
one, fails nearly every check."""

ELSEWHERE = "the inputs that were given pass; the smallest found, made of them, at which it fails:"
NOT_MEANT = "if the op is not meant for inputs like these, let it raise an error for them"


def rank(check: str) -> int:
    """The place of a check's failure among others: the lower, the more it explains."""
    return TELLING.index(check) if check in TELLING else len(TELLING)


def kind(problem: str) -> str:
    """What two problems have in common that differ in their numbers only."""
    return re.sub(r"[^a-z ]", "", problem.partition("\n")[0].lower())


class OpCheckError(AssertionError):
    """An op fails some of its checks; `report` has all that was found."""

    def __init__(self, report: OpReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass
class Finding:
    """What one check found.

    problem: what is wrong, "" where nothing is. smallest: the smallest call at which it is.
    elsewhere: whether the inputs that were given pass, and only others made from them fail.
    excuse: why the check was not tried, "" where it was.
    doubt: what it leaves open, "" where it leaves nothing open.
    """

    check: str
    passed: str
    calls: int = 0
    apart: float | None = None
    problem: str = ""
    smallest: Call | None = None
    elsewhere: bool = False
    excuse: str = ""
    doubt: str = ""

    def line(self, width: int) -> str:
        if self.problem:
            return f"  ✗ {self.check:{width}}  {self.problem.splitlines()[0]}"
        if self.excuse:
            return f"  · {self.check:{width}}  not tried: {self.excuse}"
        notes = [f"{self.calls} call{'s' * (self.calls != 1)}"] if self.calls else []
        notes += [f"at most {self.apart:.1g} apart"] if self.apart else []
        return (f"  {'?' if self.doubt else '✓'} {self.check:{width}}  {self.passed}"
                + f"; {self.doubt}" * bool(self.doubt) + f" ({', '.join(notes)})" * bool(notes))


@dataclass
class OpReport:
    """What `check_op` found; printed, a line for each check, and in full the problem that tells
    most."""

    name: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def failures(self) -> list[Finding]:
        """The checks that failed, the most telling first. What several find in the same words, the
        first of them tells best: it is not what the others look for."""
        failed = [finding for finding in self.findings if finding.problem]
        found = Counter(kind(finding.problem) for finding in failed)
        shared = [finding.check for finding in failed if found[kind(finding.problem)] > 1]
        return sorted(failed, key=lambda finding: rank(
            "gradcheck" if finding.check in shared else finding.check))

    @property
    def ok(self) -> bool:
        return not self.failures

    def __getitem__(self, check: str) -> Finding:
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(f"there is no check {check!r} in this report; there are "
                       f"{', '.join(finding.check for finding in self.findings)}")

    def __str__(self) -> str:
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = [f"{self.name}: {self._verdict()}", ""]
        said: dict[str, str] = {}
        for finding in self.findings:
            first = said.setdefault(kind(finding.problem), finding.check)
            lines.append(finding.line(width) if not finding.problem or first == finding.check else
                         f"  ✗ {finding.check:{width}}  the same as {first}")
        for finding in self.failures[:1]:
            lines += ["", f"{finding.check}, in full:", _indented(finding.problem)]
            if finding.smallest is not None:
                lines += ["at these inputs:" if finding.check in ("call", "raises") else
                          ELSEWHERE if finding.elsewhere else
                          "the smallest inputs found at which it fails:",
                          _indented(_described(finding.smallest))]
            if finding.elsewhere:
                lines += [NOT_MEANT]
        return "\n".join(lines)

    def _verdict(self) -> str:
        tried = sum(not finding.excuse for finding in self.findings)
        if failures := self.failures:
            if failures[0].check == "call":
                return "it cannot be called; nothing else was checked"
            return f"{len(failures)} of {tried} checks fail"
        doubts = sum(bool(finding.doubt) for finding in self.findings)
        left = f", and {doubts} leave{'s' * (doubts == 1)} a doubt" if doubts else ""
        return f"{tried - doubts} checks pass{left}"


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def _described(call: Call) -> str:
    lines = []
    for i, x in enumerate(call.arrays):
        body = "None" if x is None else repr(x)
        lines.append(f"inputs[{i}] = {body}".replace("\n", "\n" + " " * 12))
    return "\n".join(lines + [f"{name} = {value!r}" for name, value in call.static.items()])
