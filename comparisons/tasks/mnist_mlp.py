"""MNIST with a multi-layer perceptron, 784-500-10, the network of the textbooks."""

from __future__ import annotations

import contextlib
from typing import Any

from comparisons.datasets.base import Data
from comparisons.datasets.crops import Subject
from comparisons.datasets.digits import digits, whole_digit
from comparisons.datasets.mnist import download_mnist, load_mnist, load_subset
from comparisons.errors import DataError
from comparisons.implementations import Implementation
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import Options

EPOCHS = 10             # one cycle of the learning rate
BATCH_SIZE = 100
LR = 2e-3               # the peak of the cycle


class MnistMlpTask(ImageTask[Options]):
    name = "mnist-mlp"
    title = "MNIST, perceptron 784-500-10"
    options = Options
    reads = "digits in MNIST's IDX files"
    shares_data = "digits"
    subject = Subject("digit", digits, whole_digit)
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    notes = ("The loss is the cross-entropy: the mean of −ln p, where p is the probability that "
             "the network gives to the true class.",
             "The learning rate rises to the value given below and falls to zero again (one "
             "cycle).",
             *ImageTask.notes)

    def load(self, options: Options) -> Data:
        """The user's MNIST, or else a download, or else, without internet, the embedded digits."""
        if options.embedded:
            return load_subset()
        data = load_mnist(options.data)
        if data.name == "mnist-subset" and not options.quick:
            with contextlib.suppress(DataError):
                data = load_mnist(download_mnist())
        return data

    def model(self, implementation: Implementation, data: Data, options: Options) -> Any:
        return implementation.models.MLP((784, 500, 10))
