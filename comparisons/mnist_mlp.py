"""MNIST with a multi-layer perceptron, 784-500-10: the textbook network, plain pixels in."""

from __future__ import annotations

import contextlib
from typing import Any

from comparisons.classification import ImageTask
from comparisons.datasets import Data, DataError, download_mnist, load_mnist
from comparisons.datasets.mnist import load_subset
from comparisons.task import Headline, Options, Recipe, Split, shortened

EPOCHS = 10             # enough for the one-cycle rate to come down to zero
BATCH_SIZE = 100
LR = 2e-3               # the peak of the cycle
WEIGHT_DECAY = 0.01     # AdamW's


class MnistMlpTask(ImageTask):
    name = "mnist-mlp"
    title = "MNIST, perceptron 784-500-10"
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    headlines = (Headline("accuracy", "test_accuracy", "linear classifier", "linear_accuracy"),)

    def load(self, options: Options) -> Data:
        """What the user has; else a download where there is internet; else the embedded digits."""
        if options.embedded:
            return load_subset()
        data = load_mnist(options.data)
        if data.name == "mnist-subset" and not options.quick:
            with contextlib.suppress(DataError):
                data = load_mnist(download_mnist())
        return data

    def splits(self, data: Data, options: Options) -> list[Split]:
        splits = super().splits(data, options)
        return [shortened(s, self.quick_items) for s in splits] if options.quick else splits

    def model(self, models: Any, data: Data, options: Options) -> Any:
        return models.MLP((784, 500, 10))

    def optimizer(self, optim: Any, parameters: Any, recipe: Recipe) -> Any:
        return optim.AdamW(parameters, lr=recipe.lr, weight_decay=WEIGHT_DECAY)

    def scheduler(self, optim: Any, optimizer: Any, recipe: Recipe, steps: int) -> Any:
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=steps)
