"""MNIST with a small convolutional network, two convolutions and two linear layers."""

from __future__ import annotations

from typing import Any

from comparisons.datasets.base import Data
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.mnist_mlp import MnistMlpTask
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.task import Transform
from minigrad.data import transforms

EPOCHS = 4
BATCH_SIZE = 100
LR = 3e-3               # the peak of the cycle
SMALLEST = 4            # pixels
ROTATE, SCALE, SHIFT = 8, 0.1, 0.07     # degrees and fractions of the image, as handwriting varies


class MnistCnnTask(MnistMlpTask):
    """The perceptron's task with another model and with augmentation of the training images."""

    name = "mnist-cnn"
    title = "MNIST, convolutional network"
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    notes = ("Training images are rotated, scaled and shifted a little at random, differently "
             "in each epoch but equally for both implementations.", *MnistMlpTask.notes)

    def transform(self) -> Transform | None:
        return transforms.RandomAffine(ROTATE, (SHIFT, SHIFT), (1 - SCALE, 1 + SCALE))

    def network(self, data: Data) -> str:
        return "convolutional network"

    def model(self, implementation: Implementation, data: Data, options: CalibratedOptions) -> Any:
        height, width = data.x.shape[2:]
        if min(height, width) < SMALLEST:
            raise Fault(f"{data.name}: its images have {height}×{width} pixels; {self.name} halves "
                        f"them twice, so it takes at least {SMALLEST}×{SMALLEST}")
        return implementation.models.CNN(len(data.classes), (height, width))
