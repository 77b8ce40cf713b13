"""What was found out about a network, in words."""

from __future__ import annotations

from dataclasses import dataclass

from comparisons.audits.parity.drift import Drift
from comparisons.audits.parity.measure import DOUBLE, SINGLE, Line, first_out
from comparisons.audits.parity.recording import BATCH, BROKEN, Subject

BOUNDS = f"float32 {SINGLE:g} a layer, float64 {DOUBLE:g}"


@dataclass(frozen=True)
class Found:
    """What was measured of a network."""

    subject: Subject
    lines: list[Line]
    ties: list[str]                     # sentences, without their full stops
    drifts: dict[str, Drift]
    drops: bool                         # whether dropout was switched off

    @property
    def introduction(self) -> str:
        """What was compared, in a few words."""
        return (f"batch of {BATCH}, seed {self.subject.options.seed}, {self.subject.data.name}"
                + (f", weights of {self.subject.start}" if self.subject.start else "")
                + ", without dropout" * self.drops)

    @property
    def bad(self) -> int:
        """The number of tensors that are out of bounds."""
        return sum(line.out for line in self.lines)

    @property
    def missed(self) -> bool:
        """Whether an error was planted that was not noticed."""
        return bool(self.subject.broken) and not self.bad

    @property
    def verdict(self) -> str:
        """Whether the sides agree, and if not, where they first differ."""
        planted = (f"A relative error of {BROKEN:g} was planted in {self.subject.broken}. "
                   if self.subject.broken else "")
        first = first_out(self.lines)
        if self.missed:
            return f"{planted}It was not noticed, since the layer changes nothing on this batch."
        return " ".join([planted + (
            f"The first place that differs: {first.label}." if first else
            f"All {len(self.lines)} tensors are within their bounds."),
            *(f"{tie}." for tie in self.ties)])

    @property
    def drifted(self) -> list[str]:
        """How far both sides are apart after some steps of training, a line for each dtype."""
        return [f"After {len(of.weights)} training step{'s' * (len(of.weights) > 1)} in {dtype}, "
                f"the weights differ by {of.weights[-1]:.1e} and the loss by {of.losses[-1]:.1e}."
                for dtype, of in self.drifts.items()]
