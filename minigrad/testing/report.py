"""What `check_op` says that it found."""

from __future__ import annotations

from dataclasses import dataclass, field

from minigrad.testing.case import Call


class OpCheckError(AssertionError):
    """An op fails some of its checks; `report` has all that was found."""

    def __init__(self, report: OpReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass
class Finding:
    """What one check found.

    problem: what is wrong, "" where nothing is. smallest: the smallest call at which it is.
    excuse: why the check was not tried, "" where it was.
    """

    check: str
    passed: str
    calls: int = 0
    apart: float | None = None
    problem: str = ""
    smallest: Call | None = None
    excuse: str = ""

    def line(self, width: int) -> str:
        if self.problem:
            return f"  ✗ {self.check:{width}}  {self.problem.splitlines()[0]}"
        if self.excuse:
            return f"  · {self.check:{width}}  not tried: {self.excuse}"
        notes = [f"{self.calls} call{'s' * (self.calls != 1)}"] if self.calls else []
        notes += [f"at most {self.apart:.1g} apart"] if self.apart else []
        return f"  ✓ {self.check:{width}}  {self.passed}" + f" ({', '.join(notes)})" * bool(notes)


@dataclass
class OpReport:
    """What `check_op` found; printed, a line for each check, and the first problem in full."""

    name: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.problem]

    @property
    def ok(self) -> bool:
        return not self.failures

    def __getitem__(self, check: str) -> Finding:
        return next(finding for finding in self.findings if finding.check == check)

    def __str__(self) -> str:
        tried = sum(not finding.excuse for finding in self.findings)
        failed = len(self.failures)
        width = max(len(finding.check) for finding in self.findings)
        verdict = f"{failed} of {tried} checks fail" if failed else f"{tried} checks pass"
        lines = [f"{self.name}: {verdict}", "", *(finding.line(width) for finding in self.findings)]
        for finding in self.failures[:1]:
            lines += ["", f"{finding.check}, in full:", _indented(finding.problem)]
            if finding.smallest is not None:
                lines += ["the smallest input found at which it fails:",
                          _indented(_described(finding.smallest))]
        return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def _described(call: Call) -> str:
    lines = []
    for i, x in enumerate(call.arrays):
        body = "None" if x is None else repr(x)
        lines.append(f"inputs[{i}] = {body}".replace("\n", "\n" + " " * 12))
    return "\n".join(lines + [f"{name} = {value!r}" for name, value in call.static.items()])
