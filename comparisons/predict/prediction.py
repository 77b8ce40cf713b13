"""The prediction of a network for one face or digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comparisons.datasets.crops import Crop
from comparisons.tasks.calibration import UNSURE

TOLD = 3                                # number of the likeliest classes that a line shows


@dataclass(frozen=True)
class Prediction:
    """One face or digit: where it is, what the network saw, and each class's probability.

    threshold: the confidence below which the answer is "unsure".
    """

    crop: Crop
    probabilities: dict[str, float]
    threshold: float = 0.0

    @property
    def best(self) -> list[tuple[str, float]]:
        """Classes and probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])

    @property
    def answer(self) -> str:
        """The likeliest class, or "unsure"."""
        return answer_of(self.best, self.threshold)


def answer_of(best: Sequence[tuple[str, float]], threshold: float) -> str:
    """The first class, or "unsure" if its probability is below the threshold."""
    name, probability = best[0]
    return name if probability >= threshold else UNSURE


def text_of(best: Sequence[tuple[str, float]], threshold: float) -> str:
    """The likeliest classes and their probabilities, after "unsure" if that is the answer."""
    unsure = f"{UNSURE}: " * (answer_of(best, threshold) == UNSURE)
    return unsure + ", ".join(f"{name} {p:.1%}" for name, p in best[:TOLD])
