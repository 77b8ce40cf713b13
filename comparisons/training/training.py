"""One training, built as its task describes. All commands that train use this module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import are_levels, inputs
from comparisons.datasets.stored import Images, Stored
from comparisons.implementations import Implementation
from comparisons.implementations.protocol import OnEpoch
from comparisons.tasks.task import Loss, OptionsT, Recipe, Split, Task, Transform
from comparisons.training.checks import returned
from minigrad.checkpoint import Checkpoint
from minigrad.data import ArrayDataset, DataLoader, transforms


@dataclass(frozen=True)
class Training:
    """Everything that is needed to train on one split."""

    task: Task[Any]
    implementation: Implementation
    recipe: Recipe
    model: Any
    loader: DataLoader
    loss: Loss
    optimizer: Any
    scheduler: Any
    averaged: Any                   # an AveragedModel of the model, or None
    weigh: Callable[[Array], float]     # what some targets count in the loss

    @property
    def judged(self) -> Any:
        """The model to evaluate: the average of the weights if there is one."""
        return self.model if self.averaged is None else self.averaged.module

    @property
    def states(self) -> dict[str, Any]:
        """Everything that changes during training, as arguments for a checkpoint."""
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler,
                "averaged": self.averaged}

    def fit(self, loader: Any = None, start_epoch: int = 0, on_epoch: OnEpoch | None = None
            ) -> None:
        """Train the epochs of the recipe from `start_epoch` on. loader: replaces the usual one."""
        self.implementation.fit(
            self.model, loader or self.loader, self.loss, self.optimizer,
            epochs=self.recipe.epochs, scheduler=self.scheduler, averaged=self.averaged,
            start_epoch=start_epoch, on_epoch=on_epoch, clip_norm=self.recipe.clip_norm,
            accumulate=self.recipe.accumulate, weigh=self.weigh)

    def outputs(self, x: Images) -> Array:
        """The outputs for x of the model to evaluate."""
        return self.task.outputs(self.implementation, self.judged, x)


class Items(ArrayDataset):
    """The items of a split. Images that are stored in a file are read with their batch."""

    @staticmethod
    def kept(array: Any) -> Any:
        return array if isinstance(array, Stored) else np.asarray(array)


def prepare(task: Task[OptionsT], implementation: Implementation, data: Data, split: Split,
            options: OptionsT, seed: int) -> Training:
    """A training of a task on one split. Equal seeds give equal weights in both implementations."""
    task = task.with_options(options)
    recipe = task.recipe(options, len(split.x))
    model = implementation.new_model(lambda impl: returned(
        task, "model", task.model(impl, data, options), "a Module", ("parameters", "state_dict")),
        seed, task.dtype)
    if (start := task.start(options)) is not None:
        kept = implementation.checkpoint.load(start)
        implementation.checkpoint.restore(Checkpoint(kept.path, kept.weights), model=model)
    loader = DataLoader(Items(split.x, split.y), recipe.batch_size, task.shuffle,
                        seed=seed, transform=transform_of(task, split.x))
    steps = recipe.epochs * len(loader)
    optimizer = returned(task, "optimizer", task.optimizer(
        implementation, model.parameters(), recipe), "an Optimizer", ("step", "zero_grad"))
    averaged = None
    if task.averaging is not None:
        # the average spans at most the last fifth of the steps, so that even in a short training
        # the first weights do not count
        decay = max(0.0, min(task.averaging, 1 - 5 / steps))
        swa = implementation.optim.swa_utils
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(decay),
                                     use_buffers=True)
    return Training(task, implementation, recipe, model, loader,
                    task.loss(implementation, data, split.y), optimizer,
                    task.scheduler(implementation, optimizer, recipe, steps), averaged,
                    task.weigh(data, split.y))


def transform_of(task: Task[Any], x: Images) -> Transform | None:
    """The task's transform; if the images x are kept as levels, it is given them scaled."""
    own = task.transform()
    if not are_levels(x):
        return own
    steps: list[Transform] = [lambda batch, rng: inputs(batch)]
    return transforms.Compose(steps if own is None else [*steps, own])


def first_step(task: Task[OptionsT], implementation: Implementation, data: Data, split: Split,
               options: OptionsT, seed: int) -> None:
    """Take one step and predict one batch with a model that is then discarded.

    This compiles the kernels and allocates memory before the time is measured. If the last batch
    of an epoch is smaller, there is a step of that size, too: torch.compile treats it as another
    program.
    """
    size = task.with_options(options).recipe(options, len(split.x)).batch_size
    first = size + len(split.x) % size
    batches = replace(split, x=split.x[:first], y=split.y[:first])
    training = prepare(task, implementation, data, batches, replace(options, epochs=1), seed)
    training.fit()
    training.outputs(split.x_test[:size])


def switch_off_dropout(model: Any) -> None:
    """Put a model's dropout into evaluation mode, so that nothing depends on random numbers.

    Only in `fit` do both implementations drop the same values.
    """
    for module in model.modules():
        if is_dropout(module):
            module.eval()


def is_dropout(module: Any) -> bool:
    return "Dropout" in type(module).__name__
