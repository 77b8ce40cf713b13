"""How the networks for digits are trained: every setting of every recipe, in one place.

docs/digits.md says how they were chosen, and what each ingredient contributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from comparisons.tasks.ingredients import Ingredients
from comparisons.tasks.task import Transform
from minigrad.data import transforms


class Affine(NamedTuple):
    """Rotation in degrees; changes of size, shift and shear as fractions of the image."""

    rotation: float
    size: float
    shift: float
    shear: float = 0.0                  # degrees


class Elastic(NamedTuple):
    """`ElasticTransform`: the strength and the reach of a distortion, in pixels."""

    alpha: float
    sigma: float


class Dropout(NamedTuple):
    """The share of values that is set to zero in training: of pixels, and of hidden values."""

    pixels: float
    hidden: float


@dataclass(frozen=True)
class DigitRecipe(Ingredients):
    """A training on digits."""

    epochs: int
    batch_size: int
    lr: float                           # the peak of the cycle
    hidden: tuple[int, ...] = ()        # the hidden layers of a perceptron
    cycle: bool = False                 # the rate rises to lr and falls to 0; else it is constant
    weight_decay: float = 0.0
    smoothing: float = 0.0              # of labels
    dropout: Dropout | None = None
    norm: bool = False                  # batch norm in each hidden layer of a perceptron
    averaging: float | None = None      # decay of the moving average of the weights, per step
    affine: Affine | None = None
    elastic: Elastic | None = None

    def present(self) -> tuple[str, ...]:
        return tuple(name for name in super().present() if name != "hidden")

    def transform(self) -> Transform | None:
        """The change of each training batch."""
        steps: list[Transform] = []
        if self.elastic is not None:
            steps.append(transforms.ElasticTransform(*self.elastic))
        if self.affine is not None:
            turn, size, shift, shear = self.affine
            steps.append(transforms.RandomAffine(turn, (shift, shift), (1 - size, 1 + size), shear))
        return transforms.Compose(steps) if steps else None


MLP = {
    "plain": DigitRecipe(epochs=50, batch_size=100, lr=2e-3, hidden=(500,), cycle=True,
                         weight_decay=0.01, smoothing=0.1, dropout=Dropout(0.2, 0.3)),
    "augmented": DigitRecipe(epochs=80, batch_size=100, lr=2e-3, hidden=(500,), cycle=True,
                             weight_decay=0.01, affine=Affine(7, 0.07, 0.05, 7),
                             elastic=Elastic(20, 4)),
    "deep": DigitRecipe(epochs=250, batch_size=200, lr=2e-3, hidden=(1500, 1000, 500), cycle=True,
                        weight_decay=0.01, smoothing=0.1, norm=True, averaging=0.999,
                        affine=Affine(8, 0.08, 0.06, 8), elastic=Elastic(25, 4)),
}
CNN = {
    "simple": DigitRecipe(epochs=6, batch_size=100, lr=3e-3, cycle=True, weight_decay=0.01,
                          averaging=0.99, affine=Affine(8, 0.1, 0.07)),
    "strong": DigitRecipe(epochs=24, batch_size=100, lr=4e-3, cycle=True, weight_decay=0.01,
                          smoothing=0.1, averaging=0.995, affine=Affine(8, 0.08, 0.06, 6),
                          elastic=Elastic(16, 4)),
}
