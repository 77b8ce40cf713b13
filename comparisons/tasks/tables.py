"""What tasks share that predict a column of the user's own table: a class, or a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.tables import load_table
from comparisons.implementations import Implementation
from comparisons.tasks.classification import ClassificationTask
from comparisons.tasks.one_cycle import OneCycleTask
from comparisons.tasks.statistics import rmse
from comparisons.tasks.task import Details, Headline, Loss, Metrics, OptionsT, Split, Trained

READ = ("Each column of numbers is standardised, and each word has an input of its own. Missing "
        "numbers are replaced by the median. All of this uses the training records alone. One "
        "fifth of the records is the test set.")


class TableTask(OneCycleTask[OptionsT]):
    """A task on a table."""

    reads = "a table"
    table: Path                         # the file, unless --data names another one
    target: str                         # the column to predict
    regression = False                  # whether it is a number
    categorical: Sequence[str] = ()     # columns whose numbers are codes
    unused: Sequence[str] = ()          # columns that the network must not see

    def load(self, options: OptionsT) -> Data:
        return load_table(options.data or self.table, self.target, regression=self.regression,
                          categorical=self.categorical, unused=self.unused, seed=options.seed)


class TableClassifier(TableTask[OptionsT], ClassificationTask[OptionsT]):
    """A task that predicts a class. The outputs of its model are logits, (N, classes)."""

    linear_c = 1.0
    notes = (READ, *ClassificationTask.notes)


class TableRegressor(TableTask[OptionsT]):
    """A task that predicts a number. Its model has one output, the standardised number, (N, 1)."""

    regression = True
    headlines = (
        Headline("test RMSE", "test_rmse", "linear model", "rmse_linear", ".5g",
                 "The root of the mean squared error of the predictions on the test records, in "
                 "the unit of the target. The reference is that of the linear model with the least "
                 "squared error on the same training records."),
        Headline("R²", "r2", "linear model", "r2_linear", ".4f",
                 "The share of the target’s variance on the test records that the predictions "
                 "explain: 1 is perfect, 0 is as good as always predicting the mean of the test "
                 "records. The reference is that of the same linear model."))
    notes = (READ, "The loss is the mean squared error of the standardised target.")

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        loss: Loss = implementation.functional.mse_loss
        return loss

    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        (split,) = splits
        scale = scale_of(data)
        design, design_test = (np.column_stack([x.astype(np.float64), np.ones(len(x))])
                               for x in (split.x, split.x_test))
        weights = np.linalg.lstsq(design, split.y.astype(np.float64))[0]
        found = scored(design_test @ weights, split.y_test, scale)
        return {"rmse_linear": found["test_rmse"], "r2_linear": found["r2"],
                "rmse_mean": scale[1] * rmse(split.y.mean(0), split.y_test)}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        (run,) = trained
        mean, std = scale = scale_of(data)
        return scored(run.outputs, run.split.y_test, scale), {
            "fit": {"truth": (mean + std * run.split.y_test[:, 0]).tolist(),
                    "predicted": (mean + std * run.outputs[:, 0]).tolist()}}


def scale_of(data: Data) -> tuple[float, float]:
    """The mean and the standard deviation by which the target was standardised."""
    assert data.encoding is not None
    mean, std = data.encoding["scale"]
    return mean, std


def scored(predicted: Array, truth: Array, scale: tuple[float, float]) -> Metrics:
    """The root of the mean squared error, in the target's unit, and the coefficient R²."""
    predicted, truth = predicted.astype(np.float64), truth.astype(np.float64)
    error, spread = rmse(predicted, truth), float(truth.std())
    return {"test_rmse": scale[1] * error, "r2": 1 - (error / spread) ** 2 if spread else 0.0}
