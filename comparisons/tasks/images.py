"""What tasks share that classify images: the optimiser, and test images for the report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.pictures import png
from comparisons.implementations import Implementation
from comparisons.tasks.classification import ClassificationTask, readings
from comparisons.tasks.task import Details, Metrics, OptionsT, Recipe, Trained

SAMPLES = 12            # images shown of those classified correctly, and of the misclassified


class ImageTask(ClassificationTask[OptionsT]):
    """A task that classifies grey images, trained with AdamW and a one-cycle learning rate.

    Source: Smith and Topin 2017, arXiv 1708.07120, for the cycle.
    """

    weight_decay = 0.01

    def optimizer(self, implementation: Implementation, parameters: Any, recipe: Recipe) -> Any:
        return implementation.optim.AdamW(parameters, lr=recipe.lr, weight_decay=self.weight_decay)

    def scheduler(self, implementation: Implementation, optimizer: Any, recipe: Recipe, steps: int
                  ) -> Any:
        return implementation.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr,
                                                            total_steps=steps)

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        metrics, details = super().judge(data, trained)
        rows, truth, probability = readings(trained)
        images = np.concatenate([t.split.x_test for t in trained])
        groups = rows if data.clips is None else data.clips[rows]
        shown = samples(truth, probability.argmax(1), probability.max(1), groups)
        return metrics, details | {
            "samples": [{"at": i, "png": png(images[i])} for i in shown]}


def samples(truth: Array, guesses: Array, confidence: Array, groups: Array) -> list[int]:
    """The images to show: correct ones from each class in turn, then wrong ones, the most confident
    first.

    groups: the group of each image, such as its clip, whose frames are nearly equal. At most one
    correct and one wrong image of a group is shown.
    """
    def apart(items: Array) -> Array:
        """The first item of each group, in the given order."""
        kept: Array = items[np.sort(np.unique(groups[items], return_index=True)[1])]
        return kept

    right, wrong = apart(np.flatnonzero(truth == guesses)), np.flatnonzero(truth != guesses)
    wrong = apart(wrong[np.argsort(-confidence[wrong], kind="stable")])
    turns = zip_longest(*(right[truth[right] == c].tolist() for c in np.unique(truth)))
    in_turn = [i for turn in turns for i in turn if i is not None]
    return [*in_turn[:SAMPLES], *wrong[:SAMPLES].tolist()]
