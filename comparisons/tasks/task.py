"""What a task is: data, model, training settings, metrics and references, for both implementations.

Each of the five systems is a subclass of `Task` in a file of its own. A user's task is such a file,
too, in any folder. A task does not know which implementation it runs with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.crops import Subject
from comparisons.datasets.levels import pieces
from comparisons.datasets.stored import Images
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
    """The settings of a training: those of the command line, or else the task's own."""

    epochs: int
    batch_size: int
    lr: float
    clip_norm: float | None = None  # the largest norm of all gradients together
    accumulate: int = 1             # the number of parts in which a batch is computed


@dataclass(frozen=True)
class Held:
    """Items of the training part that are neither trained nor tested on; see `calibration.py`."""

    x: Images
    y: Array


@dataclass(frozen=True, eq=False)       # hashed by identity: exact solutions are cached by split
class Split:
    """The training items and the test items of one training."""

    x: Images
    y: Array
    x_test: Images
    y_test: Array
    train_rows: Array               # the row numbers of the items in the data
    test_rows: Array
    title: str = ""                 # "fold 2/10"; empty if there is only one
    held: Held | None = None


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    split: Split
    weights: dict[str, Array]
    outputs: Array                  # the model's outputs for the split's x_test
    held_outputs: Array | None = None   # those for its held items, if there are any


@dataclass(frozen=True)
class Headline:
    """One line of the final table: a metric, its reference, and how both are printed."""

    label: str
    metric: str
    reference: str                  # the name of the baseline, for people
    baseline: str                   # the baseline's key
    format: str = ".2%"
    explanation: str = ""           # what the metric and its reference are, for the report

    @classmethod
    def recorded(cls, known: Mapping[str, str]) -> Headline:
        """The one that results.json records, perhaps with more than this version knows."""
        return cls(**{f.name: known[f.name] for f in fields(cls) if f.name in known})


class Task(ABC, Generic[OptionsT]):
    """One system: everything that does not depend on the implementation."""

    name: str                       # in files and commands: lower-case letters, digits, hyphens
    title: str                      # for people
    epochs: int
    batch_size: int | None          # None: all the data at once
    lr: float
    clip_norm: float | None = None  # see `Recipe`
    accumulate: int = 1
    headlines: tuple[Headline, ...]
    options: type[OptionsT]         # `Options`, or a subclass with the task's own flags
    reads: str = ""                 # what --data may hold, in a few words; empty if it is not used
    shares_data: str = ""           # tasks with the same word here load the same data, once
    subject: Subject | None = None  # what `predict` looks for in a picture
    quick_epochs = 1
    quick_items: int | None = 256   # number of items used with --quick; None for all
    dtype: Any = np.float32
    checkpoint_every = 1            # epochs
    averaging: float | None = None  # decay of the moving average of the weights that is evaluated
    shuffle = True
    notes: tuple[str, ...] = ()     # sentences for the report on how its figures are made

    def recipe(self, options: OptionsT, n_train: int) -> Recipe:
        """The settings of a training on `n_train` items."""
        epochs = options.epochs or (self.quick_epochs if options.quick else self.epochs)
        return Recipe(epochs, options.batch_size or self.batch_size or n_train,
                      options.lr or self.lr, options.clip_norm or self.clip_norm,
                      options.accumulate or self.accumulate)

    def settled(self, options: OptionsT, on_gpu: Callable[[], bool]) -> OptionsT:
        """The options with a value for each one whose default depends on the machine.

        on_gpu: returns whether PyTorch is used and trains on a GPU; calling it imports PyTorch.
        """
        return options

    def with_options(self, options: OptionsT) -> Task[OptionsT]:
        """The task with the settings that the options choose; usually the task itself.

        All that trains or evaluates asks for it first, so it may differ in everything but its name,
        its data and its options.
        """
        return self

    @property
    def any_device(self) -> bool:
        """Whether PyTorch may use a GPU. In float64, which not every GPU supports, it does not;
        such tasks are small."""
        return bool(np.dtype(self.dtype) != np.float64)

    def title_for(self, data: Data) -> str:
        """The title of a run on these data."""
        return self.title

    def subject_for(self, dataset: str) -> Subject | None:
        """What `predict` looks for in a picture, with a network trained on the dataset."""
        return self.subject

    @property
    def variants(self) -> tuple[OptionsT, ...]:
        """The options that select each of the task's networks, with the default first."""
        flag = self.options.flags().get("variant")
        usual = self.options()
        if flag is None or not flag.choices:
            return (usual,)
        words = sorted(flag.choices, key=lambda word: word != usual.own()["variant"])
        chosen: list[dict[str, Any]] = [{"variant": word} for word in words]
        return tuple(self.options(**choice) for choice in chosen)

    @abstractmethod
    def load(self, options: OptionsT) -> Data:
        """The data. Raises: NotThereError if --data holds none of this task."""

    def splits(self, data: Data, options: OptionsT) -> list[Split]:
        """The splits, each for one training; by default the data's own training and test set."""
        if data.x_test is None or data.y_test is None:
            raise Fault(f"{self.name}: its data have no test set, and the task does not define "
                        "`splits`")
        split = Split(data.x, data.y, data.x_test, data.y_test, np.arange(len(data.x)),
                      np.arange(len(data.x_test)))
        return [self.quickened(split) if options.quick else split]

    def quickened(self, split: Split) -> Split:
        """The split with only its first `quick_items` training and test items, for --quick."""
        n = self.quick_items
        held = split.held and Held(split.held.x[:n], split.held.y[:n])
        return Split(split.x[:n], split.y[:n], split.x_test[:n], split.y_test[:n],
                     split.train_rows[:n], split.test_rows[:n], split.title, held)

    def introduction(self, data: Data, splits: Sequence[Split], options: OptionsT) -> list[str]:
        """Lines to print about the splits before training."""
        return []

    def transform(self) -> Transform | None:
        """The augmentation of each training batch, if any."""
        return None

    @abstractmethod
    def model(self, implementation: Implementation, data: Data, options: OptionsT) -> Any:
        """A new network: one of `implementation.models`, or layers of `implementation.nn`."""

    def start(self, options: OptionsT) -> str | None:
        """A checkpoint whose weights the training starts from, or None for new weights."""
        return None

    @abstractmethod
    def optimizer(self, implementation: Implementation, parameters: Any, recipe: Recipe) -> Any:
        """An optimiser from `implementation.optim`."""

    def scheduler(self, implementation: Implementation, optimizer: Any, recipe: Recipe, steps: int
                  ) -> Any:
        """A learning-rate scheduler, which advances after each of `steps` batches, or None."""
        return None

    @abstractmethod
    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        """The loss function. y: the training targets, for class weights."""

    def weigh(self, data: Data, y: Array) -> Callable[[Array], float]:
        """What some targets count in the mean that the loss is: their number, unless the loss gives
        them weights. Then it is the sum of these.

        It is needed where a batch is divided: into parts, or among processes. y: the training
        targets, for class weights.
        """
        return len

    def views(self, x: Array) -> list[Array]:
        """Items that show the same as x, such as mirror images; `outputs` is the mean over them."""
        return [x]

    def outputs(self, implementation: Implementation, model: Any, x: Images) -> Array:
        """The outputs of a trained model for x; for classification, logits."""
        def of(items: Array) -> Array:
            found = [implementation.predict(model, view) for view in self.views(items)]
            mean: Array = np.mean(found, 0) if len(found) > 1 else found[0]
            return mean
        return np.concatenate([of(piece) for piece in pieces(x)])

    def watch(self, implementation: Implementation, model: Any, split: Split) -> Metrics:
        """Further quantities to record after each epoch, for learning curves."""
        return {}

    @abstractmethod
    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        """The metrics of the references, on the same data and splits."""

    @abstractmethod
    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        """Evaluate the trainings: metrics for results.json, and details (as JSON) for the report.

        The entries `<metric>_low` and `<metric>_high` are the ends of a metric's 95% interval.
        comparisons/report/section.py lists the details that the report draws.
        """

    def learned_about(self, data: Data, trained: Sequence[Trained]) -> list[dict[str, Any]]:
        """What is added to the configuration in the checkpoint of each training, once all are
        finished; for classification, the calibration of its probabilities."""
        return [{} for _ in trained]

    def remarks(self, metrics: Metrics, details: Details) -> list[str]:
        """Lines to print about a finished run, below its headlines."""
        return []
