"""MNIST with a multi-layer perceptron, 784-500-10, the network of the textbooks.

Other data in the same format are trained on as well: the first layer has as many inputs as an image
has pixels, and the last one as many outputs as there are classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from comparisons.datasets.base import Data
from comparisons.implementations import Implementation
from comparisons.tasks.digit_recipes import MLP
from comparisons.tasks.digits import DigitTask
from comparisons.tasks.ingredients import RecipeOptions
from comparisons.tasks.options import choice


@dataclass(frozen=True)
class MlpOptions(RecipeOptions):
    variant: str = choice("plain", tuple(MLP), "784-500-10 on the images as they are, the same on "
                          "distorted images, or a wide and deep perceptron on distorted images "
                          "(default: plain)")


class MnistMlpTask(DigitTask[MlpOptions]):
    name = "mnist-mlp"
    title = "MNIST, perceptron 784-500-10"
    options = MlpOptions
    recipes = MLP

    @property
    def variants(self) -> tuple[MlpOptions, ...]:
        """The recipes that differ in their networks, not only in their training."""
        return MlpOptions(), MlpOptions(variant="deep")

    def network(self, data: Data) -> str:
        return f"perceptron {'-'.join(map(str, self.sizes(data)))}"

    def model(self, implementation: Implementation, data: Data, options: MlpOptions) -> Any:
        task = self.with_options(options)
        recipe = task.ingredients
        return implementation.models.MLP(task.sizes(data), recipe.dropout or (0.0, 0.0),
                                         recipe.norm)

    def sizes(self, data: Data) -> tuple[int, ...]:
        """The number of inputs, of units in each hidden layer, and of outputs."""
        return (math.prod(data.x.shape[1:]), *self.ingredients.hidden, len(data.classes))
