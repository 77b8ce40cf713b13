"""MNIST with a small convolutional network, two convolutions and two linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comparisons.datasets.base import Data
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.digit_recipes import CNN
from comparisons.tasks.digits import DigitTask
from comparisons.tasks.ingredients import RecipeOptions
from comparisons.tasks.options import choice

SMALLEST = {"simple": 4, "strong": 8}       # pixels


@dataclass(frozen=True)
class CnnOptions(RecipeOptions):
    variant: str = choice("simple", tuple(CNN), "two convolutions, or five with batch norm "
                          "(default: simple)")


class MnistCnnTask(DigitTask[CnnOptions]):
    name = "mnist-cnn"
    title = "MNIST, convolutional network"
    options = CnnOptions
    recipes = CNN

    def network(self, data: Data) -> str:
        return "convolutional network" + ", strong" * (self.variant == "strong")

    def model(self, implementation: Implementation, data: Data, options: CnnOptions) -> Any:
        height, width = data.x.shape[2:]
        least = SMALLEST[options.variant]
        if min(height, width) < least:
            raise Fault(f"{data.name}: its images have {height}×{width} pixels; the network of "
                        f"{self.name} halves them several times, so it takes at least "
                        f"{least}×{least}")
        kind = (implementation.models.StrongCNN if options.variant == "strong"
                else implementation.models.CNN)
        return kind(len(data.classes), (height, width))
