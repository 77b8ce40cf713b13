"""How the networks for faces are trained, every setting in one place: see docs/dexpression.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from comparisons.tasks.ingredients import Ingredients
from comparisons.tasks.task import Transform
from minigrad.data import transforms


class Affine(NamedTuple):
    """Rotation in degrees; change of size and shift as fractions of the image."""

    rotation: float
    size: float
    shift: float


@dataclass(frozen=True)
class FaceRecipe(Ingredients):
    """A training on faces. The number of epochs, the batch size and the rate are the task's."""

    cycle: bool = False                 # the rate rises to its peak and falls to 0
    weight_decay: float = 0.0
    flip: bool = False                  # every second image is mirrored
    affine: Affine | None = None
    light: float = 0.0                  # the largest change of brightness and of contrast
    noise: float = 0.0                  # standard deviation
    cutout: tuple[float, float] | None = None   # the share that is covered, in every second image
    smoothing: float = 0.0              # of labels: an expression is rarely pure
    balance: float = 0.0                # an image weighs (size of its class)^-balance in the loss
    averaging: float | None = None      # decay of the weights' moving average, per step
    mirror: bool = False                # the mean of an image and its mirror image is evaluated

    def transform(self) -> Transform | None:
        """The change of each training batch."""
        steps: list[Transform] = []
        if self.flip:
            steps.append(transforms.RandomHorizontalFlip())
        if self.affine is not None:
            turn, size, shift = self.affine
            steps.append(transforms.RandomAffine(turn, (shift, shift), (1 - size, 1 + size),
                                                 padding_mode="border"))
        if self.light:
            steps.append(transforms.ColorJitter(self.light, self.light))
        if self.noise:
            steps.append(transforms.GaussianNoise(sigma=self.noise))
        if self.cutout is not None:
            steps.append(transforms.RandomErasing(0.5, self.cutout, value="mean"))
        return transforms.Compose(steps) if steps else None

    def told(self) -> list[str]:
        """The recipe in words, for the report."""
        told = []
        if loss := [words for words, used in (
                ("with smoothed labels", self.smoothing),
                ("in which images of rare classes have more weight", self.balance)) if used]:
            told.append(f"The loss is the cross-entropy {', '.join(loss)}"
                        + "; it is not zero even for perfect predictions" * bool(self.smoothing)
                        + ".")
        if self.cycle:
            told.append("The learning rate rises to the value given below and falls to zero again "
                        "(one cycle).")
        if changes := [words for words, used in (
                ("mirrored", self.flip), ("rotated, scaled, shifted", self.affine),
                ("relit", self.light), ("made noisy", self.noise),
                ("partly covered", self.cutout)) if used]:
            told.append(f"Training images are {', '.join(changes)} at random, differently in each "
                        "epoch, but equally for both implementations.")
        if self.averaging is not None:
            told.append("The network that is evaluated has the moving average of the trained "
                        "weights.")
        if self.mirror:
            told.append("The output is the mean of the logits for an image and for the mirror "
                        "image. The curve of the test accuracy leaves out the mirror image.")
        return told


FACES = FaceRecipe(
    cycle=True, weight_decay=0.01, flip=True, affine=Affine(12, 0.12, 0.08), light=0.2, noise=0.015,
    cutout=(0.02, 0.16), smoothing=0.1, balance=0.5, averaging=0.99, mirror=True)
