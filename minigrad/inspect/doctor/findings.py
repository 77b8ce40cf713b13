"""What a diagnosis has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """One mistake, or what looks like one.

    kind: a short name, such as "softmax_twice". severity: "error" for what keeps a network from
    learning, "warning" for what makes it harder or may be meant. place: the module's path, a
    parameter's name or a line, "" for the whole. numbers: what was measured. message, advice: what
    is wrong, and what to try, in sentences.
    """

    kind: str
    severity: str
    message: str
    advice: str
    place: str = ""
    numbers: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


@dataclass
class Report:
    """The findings of a diagnosis, the gravest first, and what was measured on the way.

    findings: a list of `Finding`; empty where nothing is wrong. measured: loss, gradient norm and
    others by name. checked: what was looked at, a line each.
    """

    findings: list[Finding]
    measured: dict[str, float]
    checked: list[str]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.findings]

    def headline(self) -> str:
        if self.ok:
            return f"Nothing is wrong, as far as {len(self.checked)} checks can tell."
        errors = sum(finding.severity == ERROR for finding in self.findings)
        parts = [f"{n} {word}{'s' * (n > 1)}" for n, word in
                 ((errors, ERROR), (len(self.findings) - errors, WARNING)) if n]
        return f"Found {' and '.join(parts)}."

    def measures(self) -> str:
        told = ", ".join(f"{name} {value:.4g}" for name, value in self.measured.items())
        return f"Measured: {told}." if told else ""

    def __str__(self) -> str:
        lines = [self.headline()]
        for i, finding in enumerate(self.findings, 1):
            place = f" at {finding.place}" if finding.place else ""
            lines += ["", f"{i}. {finding.severity}, {finding.kind}{place}",
                      f"   {finding.message}", f"   What to try: {finding.advice}"]
        if self.measured:
            lines += ["", self.measures()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{escape(f.kind)}</b> ({escape(f.severity)}"
            f"{', ' + escape(f.place) if f.place else ''})<br>{escape(f.message)}<br>"
            f"<i>What to try:</i> {escape(f.advice)}</li>" for f in self.findings)
        return (f"<div><p><b>{escape(self.headline())}</b></p>"
                f"{f'<ol>{items}</ol>' if items else ''}<p>{escape(self.measures())}</p></div>")
