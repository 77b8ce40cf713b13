"""The prediction of a network for one face or digit."""

from __future__ import annotations

from dataclasses import dataclass

from comparisons.datasets.crops import Crop


@dataclass(frozen=True)
class Prediction:
    """One face or digit: where it is, what the network saw, and each class's probability."""

    crop: Crop
    probabilities: dict[str, float]

    @property
    def best(self) -> list[tuple[str, float]]:
        """Classes and probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])
