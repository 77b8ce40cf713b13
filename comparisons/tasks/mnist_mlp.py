"""MNIST with a multi-layer perceptron, 784-500-10, the network of the textbooks.

Other data in the same format are trained on as well: the first layer has as many inputs as an image
has pixels, and the last one as many outputs as there are classes.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from comparisons.datasets.base import Data
from comparisons.datasets.crops import Subject
from comparisons.datasets.digits import digits, whole_digit
from comparisons.datasets.idx import KNOWN
from comparisons.datasets.mnist import download_mnist, load_mnist, load_subset
from comparisons.errors import DataError
from comparisons.implementations import Implementation
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import CalibratedOptions

EPOCHS = 10             # one cycle of the learning rate
BATCH_SIZE = 100
LR = 2e-3               # the peak of the cycle
HIDDEN = 500
DIGITS = ("mnist", "mnist-subset")
TITLES = {"mnist-subset": "MNIST", **{known.name: known.title for known in KNOWN}}
IMAGE = Subject("image", whole_digit, whole_digit)
"""What `predict` expects if the network was not trained on digits: one item, in the middle."""


class MnistMlpTask(ImageTask[CalibratedOptions]):
    name = "mnist-mlp"
    title = "MNIST, perceptron 784-500-10"
    options = CalibratedOptions
    reads = "digits or other images in IDX files, the format of MNIST"
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

    def load(self, options: CalibratedOptions) -> Data:
        """The user's IDX files, or else a download of MNIST, or else, without internet, the
        embedded digits."""
        if options.embedded:
            return load_subset()
        data = load_mnist(options.data)
        if data.name == "mnist-subset" and not options.quick:
            with contextlib.suppress(DataError):
                data = load_mnist(download_mnist())
        return data

    def title_for(self, data: Data) -> str:
        return f"{TITLES.get(data.name, data.name)}, {self.network(data)}"

    def network(self, data: Data) -> str:
        """The network for these data, in words."""
        return f"perceptron {'-'.join(map(str, sizes(data)))}"

    def subject_for(self, dataset: str) -> Subject:
        return self.subject if dataset in DIGITS else IMAGE

    def model(self, implementation: Implementation, data: Data, options: CalibratedOptions) -> Any:
        return implementation.models.MLP(sizes(data))


def sizes(data: Data) -> tuple[int, ...]:
    """The number of inputs, of hidden units and of outputs."""
    return math.prod(data.x.shape[1:]), HIDDEN, len(data.classes)
