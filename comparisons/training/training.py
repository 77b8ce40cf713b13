"""One training, put together as its task describes it. Whoever trains, trains with this."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from comparisons.datasets.base import Array, Data
from comparisons.implementations import Implementation
from comparisons.implementations.protocol import OnEpoch
from comparisons.tasks.task import Loss, OptionsT, Recipe, Split, Task
from minigrad.checkpoint import Checkpoint
from minigrad.data import ArrayDataset, DataLoader


@dataclass(frozen=True)
class Training:
    """Everything that learns from one split, ready to begin."""

    task: Task[Any]
    implementation: Implementation
    recipe: Recipe
    model: Any
    loader: DataLoader
    loss: Loss
    optimizer: Any
    scheduler: Any
    averaged: Any                   # an AveragedModel of the model, or None

    @property
    def judged(self) -> Any:
        """The model that a finished training is judged by."""
        return self.model if self.averaged is None else self.averaged.module

    @property
    def states(self) -> dict[str, Any]:
        """All that changes while it trains, as a checkpoint takes it."""
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler,
                "averaged": self.averaged}

    def fit(self, loader: Any = None, start_epoch: int = 0, on_epoch: OnEpoch | None = None
            ) -> None:
        """Train all epochs of the recipe from `start_epoch` on. loader: in place of its own."""
        self.implementation.fit(
            self.model, loader or self.loader, self.loss, self.optimizer,
            epochs=self.recipe.epochs, scheduler=self.scheduler, averaged=self.averaged,
            start_epoch=start_epoch, on_epoch=on_epoch)

    def outputs(self, x: Array) -> Array:
        """What the judged model says of x."""
        return self.task.outputs(self.implementation, self.judged, x)


def prepare(task: Task[OptionsT], implementation: Implementation, data: Data, split: Split,
            options: OptionsT, seed: int) -> Training:
    """A training of a task on one split; equal seeds give either implementation equal weights."""
    recipe = task.recipe(options, len(split.x))
    model = implementation.new_model(lambda impl: task.model(impl, data, options), seed, task.dtype)
    if (start := task.start(options)) is not None:
        kept = implementation.checkpoint.load(start)
        implementation.checkpoint.restore(Checkpoint(kept.path, kept.weights), model=model)
    loader = DataLoader(ArrayDataset(split.x, split.y), recipe.batch_size, task.shuffle,
                        seed=seed, transform=task.transform())
    steps = recipe.epochs * len(loader)
    optimizer = task.optimizer(implementation, model.parameters(), recipe)
    averaged = None
    if task.averaging is not None:
        # the average of a short training, too, has forgotten the first weights: it looks back
        # over the last fifth at most
        decay = max(0.0, min(task.averaging, 1 - 5 / steps))
        swa = implementation.optim.swa_utils
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(decay),
                                     use_buffers=True)
    return Training(task, implementation, recipe, model, loader,
                    task.loss(implementation, data, split.y), optimizer,
                    task.scheduler(implementation, optimizer, recipe, steps), averaged)


def first_step(task: Task[OptionsT], implementation: Implementation, data: Data, split: Split,
               options: OptionsT, seed: int) -> None:
    """Take one step and predict one batch with a model that is thrown away.

    Kernels are compiled and memory is claimed before the clock starts.
    """
    size = task.recipe(options, len(split.x)).batch_size
    batch = replace(split, x=split.x[:size], y=split.y[:size])
    training = prepare(task, implementation, data, batch, replace(options, epochs=1), seed)
    training.fit()
    training.outputs(split.x_test[:size])
