"""Linear regression. Least squares has one exact solution, and training must find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.regression import load_regression
from comparisons.implementations import Implementation
from comparisons.tasks.exact import (
    COEFFICIENT_ERROR,
    LinearTask,
    coefficients,
    least_squares,
    with_ones,
)
from comparisons.tasks.options import Options
from comparisons.tasks.statistics import rmse
from comparisons.tasks.task import Details, Headline, Loss, Metrics, Split, Trained

EPOCHS = 300            # an epoch is one step on all the data
QUICK_EPOCHS = 100      # reach every digit but the last
LR = 0.3                # the curvature of the loss is about 2, so steps up to about 1 are stable
MOMENTUM = 0.5


class RegressionTask(LinearTask[Options]):
    name = "regression"
    title = "Linear regression"
    options = Options
    epochs = EPOCHS
    quick_epochs = QUICK_EPOCHS
    quick_items = None
    lr = LR
    momentum = MOMENTUM
    checkpoint_every = 100
    headlines = (
        Headline("test RMSE", "test_rmse", "least squares", "test_rmse_exact", ".6f",
                 "The root of the mean squared error of the predictions on the test items. The "
                 "reference is that of the least-squares solution on the same training items."),
        COEFFICIENT_ERROR,
    )
    notes = (
        "The loss is the mean squared error. Every epoch is one step of gradient descent with "
        "momentum on all training rows, in float64.",
        "The exact coefficients are the least-squares solution on the same rows, from "
        "numpy.linalg.lstsq.",
        "No value is missing, and the columns are used as they were generated: standard normal.",
    )

    def load(self, options: Options) -> Data:
        return load_regression(seed=options.seed)

    def model(self, implementation: Implementation, data: Data, options: Options) -> Any:
        return implementation.models.LinearRegression(data.x.shape[1], data.y.shape[1])

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        loss: Loss = implementation.functional.mse_loss
        return loss

    def exact(self, split: Split) -> Array:
        return least_squares(split)

    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        split = splits[0]
        predicted = with_ones(split.x_test) @ least_squares(split)
        return {"test_rmse_exact": rmse(predicted, split.y_test),
                "test_rmse_mean": rmse(split.y.mean(0, dtype=np.float64), split.y_test),
                "coefficient_error": 0.0}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        (run,) = trained
        learned, best = coefficients(run.weights), least_squares(run.split)
        metrics = {"test_rmse": rmse(run.outputs, run.split.y_test),
                   "coefficient_error": self.error(run.weights, run.split)}
        names = [f"x{i + 1}" for i in range(len(best) - 1)] + ["bias"]
        return metrics, {"coefficients": {"names": names, "learned": learned[:, 0].tolist(),
                                          "exact": best[:, 0].tolist()},
                         "fit": {"truth": run.split.y_test[:, 0].tolist(),
                                 "predicted": run.outputs[:, 0].tolist()}}
