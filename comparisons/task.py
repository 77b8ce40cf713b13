"""What a task is: its data, model, recipe, metrics and references, for either implementation.

Each task module (`regression.py`, `diabetes.py`, `mnist_mlp.py`, `mnist_cnn.py`, `dexpression.py`)
fills in one `Task`. A task never asks which implementation it runs with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.datasets import Data
from comparisons.implementations import Implementation

Array = NDArray[Any]
Transform = Callable[[Array, np.random.Generator], Array]
Loss = Callable[[Any, Any], Any]        # of a model's outputs and their targets


class Fault(Exception):
    """Something that ends the program in one line: the message names the file or the flag."""


@dataclass(frozen=True)
class Options:
    """What the command line says about how to run; None leaves it to the task."""

    data: Path | None = None
    embedded: bool = False          # only what ships with the repository
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    device: str = "auto"
    quick: bool = False
    protocol: str = "person"
    folds: int | None = None
    repeats: int = 1
    size: int = 48
    frames: str | None = None
    variant: str = "compact"
    casts: int | None = None        # sets of generated faces, each with other persons
    start: str | None = None        # a checkpoint whose weights training starts from


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a task trains: its own knobs, or the command line's."""

    epochs: int
    batch_size: int
    lr: float


@dataclass(frozen=True, eq=False)       # hashed by identity: an exact answer is cached by its split
class Split:
    """One training: what it learns from and what it is judged by."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    train_rows: Array               # where the items stand in the data's own order
    test_rows: Array
    title: str = ""                 # "fold 2/10"; empty for the only one


@dataclass(frozen=True)
class Trained:
    """What one training left behind."""

    split: Split
    weights: dict[str, Array]
    outputs: Array                  # the model's outputs for the split's x_test


@dataclass(frozen=True)
class Headline:
    """One line of the final table: which metric, which baseline it stands beside, how to print."""

    label: str
    metric: str
    reference: str                  # what the baseline is, in words
    baseline: str                   # its key
    format: str = ".2%"


class Task:
    """One system: everything about it that does not depend on the implementation."""

    name: str
    title: str
    epochs: int
    batch_size: int | None          # None: all the data at once
    lr: float
    headlines: tuple[Headline, ...]
    quick_epochs = 1
    quick_items = 256               # --quick trains and tests on so many
    dtype: Any = np.float32
    reads_data = False              # whether it looks into --data
    checkpoint_every = 1            # epochs
    averaging: float | None = None  # decay of a moving average of the weights, which is judged
    shuffle = True

    def recipe(self, options: Options, n_train: int) -> Recipe:
        epochs = options.epochs or (self.quick_epochs if options.quick else self.epochs)
        return Recipe(epochs, options.batch_size or self.batch_size or n_train,
                      options.lr or self.lr)

    def load(self, options: Options) -> Data:
        raise NotImplementedError

    def splits(self, data: Data, options: Options) -> list[Split]:
        """One training a split; by default the data's own training and test set."""
        return [Split(data.x, data.y, data.x_test, data.y_test, np.arange(len(data.x)),
                      np.arange(len(data.x_test)))]

    def introduction(self, data: Data, splits: Sequence[Split], options: Options) -> list[str]:
        """What is told of the splits before any training, line by line."""
        return []

    def transform(self) -> Transform | None:
        """What is done to each training batch."""
        return None

    def model(self, models: Any, data: Data, options: Options) -> Any:
        raise NotImplementedError

    def optimizer(self, optim: Any, parameters: Any, recipe: Recipe) -> Any:
        raise NotImplementedError

    def scheduler(self, optim: Any, optimizer: Any, recipe: Recipe, steps: int) -> Any:
        """Steps after each batch, `steps` times in all."""
        return None

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        """The loss of a training whose targets are y."""
        raise NotImplementedError

    def outputs(self, implementation: Implementation, model: Any, x: Array) -> Array:
        """What a trained model says of x; for classes, logits."""
        return implementation.predict(model, x)

    def watch(self, implementation: Implementation, model: Any, split: Split) -> dict[str, float]:
        """What the learning curve shows beside the loss, after each epoch."""
        return {}

    def baselines(self, data: Data, splits: Sequence[Split]) -> dict[str, float]:
        """The references, from the same data and splits."""
        raise NotImplementedError

    def particulars(self, options: Options) -> dict[str, Any]:
        """What else results.json should say about a run; `folds` if it was cross-validated."""
        return {}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[dict[str, float],
                                                                     dict[str, Any]]:
        """Metrics for results.json, and details (as JSON) for the report."""
        raise NotImplementedError

    def remarks(self, metrics: dict[str, float], details: dict[str, Any]) -> list[str]:
        """What is told of a finished run beneath its headlines, line by line."""
        return []


def shortened(split: Split, n: int) -> Split:
    """The first n items of either side, for a smoke run."""
    return Split(split.x[:n], split.y[:n], split.x_test[:n], split.y_test[:n],
                 split.train_rows[:n], split.test_rows[:n], split.title)
