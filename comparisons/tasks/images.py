"""What tasks share that classify images: how they are trained, and test images for the report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.pictures import png
from comparisons.tasks.classification import ClassificationTask, readings
from comparisons.tasks.one_cycle import OneCycleTask
from comparisons.tasks.task import Details, Metrics, OptionsT, Trained

SAMPLES = 12            # images shown of those classified correctly, and of the misclassified


class ImageTask(OneCycleTask[OptionsT], ClassificationTask[OptionsT]):
    """A task that classifies grey images."""

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        metrics, details = super().judge(data, trained)
        rows, truth, probability = readings(trained)
        groups = rows if data.clips is None else data.clips[rows]
        shown = samples(truth, probability.argmax(1), probability.max(1), groups)
        return metrics, details | {
            "samples": [{"at": i, "png": png(*inputs(image_at(trained, i)))} for i in shown]}


def image_at(trained: Sequence[Trained], at: int) -> Array:
    """One of the test images of all trainings together: (1, C, H, W)."""
    for t in trained:
        if at < len(t.split.x_test):
            break
        at -= len(t.split.x_test)
    return np.asarray(t.split.x_test[at:at + 1])


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
