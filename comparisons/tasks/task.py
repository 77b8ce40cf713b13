"""What a task is: its data, model, recipe, metrics and references, for either implementation.

Each of the five systems fills in one `Task`, in a file of its own; a user's task is another such
file, anywhere. A task never asks which implementation it runs with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.crops import Subject
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.options import Options

Transform = Callable[[Array, np.random.Generator], Array]
Loss = Callable[[Any, Any], Any]        # of a model's outputs and their targets
Metrics = dict[str, float]
Details = dict[str, Any]                # whatever JSON can hold
OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a task trains: its own settings, or the command line's."""

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
    """One line of the final table: a metric, the baseline beside it, and how both are printed."""

    label: str
    metric: str
    reference: str                  # what the baseline is, in words
    baseline: str                   # its key
    format: str = ".2%"
    explanation: str = ""           # what the metric and its reference are, for the report


class Task(ABC, Generic[OptionsT]):
    """One system: everything about it that does not depend on the implementation."""

    name: str                       # for files and the command line: small letters, digits, hyphens
    title: str                      # for people
    epochs: int
    batch_size: int | None          # None: all the data at once
    lr: float
    headlines: tuple[Headline, ...]
    options: type[OptionsT]         # `Options`, or what extends them: its own flags
    reads: str = ""                 # what --data may hold for it, in a few words; empty: nothing
    subject: Subject | None = None  # what `predict` looks for in pictures, if it reads pictures
    quick_epochs = 1
    quick_items: int | None = 256   # --quick trains and tests on so many; None: on all
    dtype: Any = np.float32
    checkpoint_every = 1            # epochs
    averaging: float | None = None  # decay of a moving average of the weights, which is judged
    shuffle = True
    notes: tuple[str, ...] = ()     # for the report: how its figures are made, by the sentence

    def recipe(self, options: OptionsT, n_train: int) -> Recipe:
        """The settings of a training on `n_train` items."""
        epochs = options.epochs or (self.quick_epochs if options.quick else self.epochs)
        return Recipe(epochs, options.batch_size or self.batch_size or n_train,
                      options.lr or self.lr)

    def settled(self, options: OptionsT, on_gpu: Callable[[], bool]) -> OptionsT:
        """The options with nothing left open that the machine decides.

        on_gpu: whether PyTorch takes part and trains on a GPU; to ask loads PyTorch.
        """
        return options

    @property
    def variants(self) -> tuple[OptionsT, ...]:
        """Options for each network that the task can be asked for, its usual one first."""
        flag = self.options.flags().get("variant")
        usual = self.options()
        if flag is None:
            return (usual,)
        words = sorted(flag.choices, key=lambda word: word != usual.own()["variant"])
        chosen: list[dict[str, Any]] = [{"variant": word} for word in words]
        return tuple(self.options(**choice) for choice in chosen)

    @abstractmethod
    def load(self, options: OptionsT) -> Data:
        """The data. Raises: NotThereError if --data holds none of this task."""

    def splits(self, data: Data, options: OptionsT) -> list[Split]:
        """One training a split; by default the data's own training and test set."""
        if data.x_test is None or data.y_test is None:
            raise Fault(f"{self.name}: its data have no test part, and the task does not say how "
                        "to split them")
        split = Split(data.x, data.y, data.x_test, data.y_test, np.arange(len(data.x)),
                      np.arange(len(data.x_test)))
        return [self.quickened(split) if options.quick else split]

    def quickened(self, split: Split) -> Split:
        """The first `quick_items` of either side, for a smoke run."""
        n = self.quick_items
        return Split(split.x[:n], split.y[:n], split.x_test[:n], split.y_test[:n],
                     split.train_rows[:n], split.test_rows[:n], split.title)

    def introduction(self, data: Data, splits: Sequence[Split], options: OptionsT) -> list[str]:
        """What is told of the splits before any training, line by line."""
        return []

    def transform(self) -> Transform | None:
        """What is done to each training batch."""
        return None

    @abstractmethod
    def model(self, implementation: Implementation, data: Data, options: OptionsT) -> Any:
        """A new network, of `implementation.models` or of `implementation.nn`'s layers."""

    def start(self, options: OptionsT) -> str | None:
        """A checkpoint whose weights the training begins with, in place of new ones."""
        return None

    @abstractmethod
    def optimizer(self, implementation: Implementation, parameters: Any, recipe: Recipe) -> Any:
        """An optimiser of `implementation.optim`."""

    def scheduler(self, implementation: Implementation, optimizer: Any, recipe: Recipe, steps: int
                  ) -> Any:
        """Steps after each batch, `steps` times in all."""
        return None

    @abstractmethod
    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        """The loss of a training whose targets are y."""

    def outputs(self, implementation: Implementation, model: Any, x: Array) -> Array:
        """What a trained model says of x; for classes, logits."""
        return implementation.predict(model, x)

    def watch(self, implementation: Implementation, model: Any, split: Split) -> Metrics:
        """What the learning curve shows beside the loss, after each epoch."""
        return {}

    @abstractmethod
    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        """The references, from the same data and splits."""

    @abstractmethod
    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        """Metrics for results.json, and details (as JSON) for the report.

        `<metric>_low` and `<metric>_high`, if they are given, are the ends of its 95% interval.
        comparisons/report/section.py says which details are drawn.
        """

    def remarks(self, metrics: Metrics, details: Details) -> list[str]:
        """What is told of a finished run beneath its headlines, line by line."""
        return []
