"""Images that are kept as uint8 levels train, predict and are hashed as if they were float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from comparisons import implementations
from comparisons.datasets.base import Data, unit
from comparisons.datasets.levels import digest, inputs
from comparisons.tasks import classification
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.task import Trained
from comparisons.training.training import first_step, prepare
from minigrad.data import transforms


class Pictures(ImageTask[CalibratedOptions]):
    name = title = "pictures"
    options, epochs, batch_size, lr = CalibratedOptions, 2, 16, 1e-2

    def __init__(self, augment: bool) -> None:
        self.augment = augment

    def load(self, options: CalibratedOptions) -> Data:
        rng = np.random.default_rng(0)
        x, x_test = (rng.integers(0, 256, (n, 3, 6, 5), np.uint8) for n in (70, 300))
        y, y_test = (x.mean((1, 2, 3)) > 127 for x in (x, x_test))
        return Data("levels", "", x, y.astype(np.int64), x_test, y_test.astype(np.int64),
                    ["dark", "light"])

    def transform(self) -> Any:
        return transforms.RandomAffine(10) if self.augment else None

    def model(self, implementation: Any, data: Data, options: CalibratedOptions) -> Any:
        nn = implementation.nn
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("impl", implementations.NAMES)
def test_all_results_have_the_same_bits(impl: str, augment: bool) -> None:
    task, implementation = Pictures(augment), implementations.get(impl, "cpu")
    options = CalibratedOptions(calibrate=0.2)
    levels = task.load(options)
    assert levels.x_test is not None
    found = []
    for data in (levels, replace(levels, x=unit(levels.x), x_test=unit(levels.x_test))):
        split, = splits = task.splits(data, options)
        assert split.x.dtype == data.x.dtype        # nothing has scaled all of it
        first_step(task, implementation, data, split, options, 0)
        training = prepare(task, implementation, data, split, options, 0)
        training.fit()
        assert split.held is not None
        trained = Trained(split, implementation.weights(training.judged),
                          training.outputs(split.x_test), training.outputs(split.held.x))
        found.append((trained, task.judge(data, [trained]), task.baselines(data, splits),
                      digest((split.x, split.y))))
    (ours, judged, baselines, content), (theirs, *rest) = found
    assert [judged, baselines, content] == rest
    assert ours.outputs.tobytes() == theirs.outputs.tobytes()
    assert ours.held_outputs.tobytes() == theirs.held_outputs.tobytes()
    assert {k: v.tobytes() for k, v in ours.weights.items()} == {
        k: v.tobytes() for k, v in theirs.weights.items()}


@pytest.mark.parametrize("x", [np.ones((2, 3), np.uint8), np.ones((2, 1, 3, 3), np.int64),
                               np.ones((2, 1, 3, 3), np.float32)])
def test_what_is_no_image_of_levels_stays_as_it_is(x: Any) -> None:
    assert inputs(x) is x


def test_a_part_for_the_linear_reference_has_some_of_each_class(
        monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.repeat([2, 0, 1], [900, 98, 2])
    rows = classification.some_of_each(y, 100)
    assert (np.diff(rows) > 0).all()
    counts = np.bincount(y[rows])
    assert 9 <= counts[0] <= 11
    assert counts[1] >= 1
    assert 89 <= counts[2] <= 91
    task, options = Pictures(False), CalibratedOptions()
    data = task.load(options)
    whole = task.baselines(data, task.splits(data, options))
    monkeypatch.setattr(classification, "LINEAR_VALUES", 20 * 90)
    part = task.baselines(data, task.splits(data, options))
    assert part["majority_accuracy"] == whole["majority_accuracy"]
    assert 0.5 < part["linear_accuracy"] < whole["linear_accuracy"]
