"""Logistic regression on the Pima diabetes table, in 10-fold cross-validation.

A missing measurement is replaced by the median of the fold's training rows; test rows do not
contribute to it. The problem is convex, so there is one exact answer, and training must find it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.diabetes import FEATURES, impute_and_scale, load_diabetes
from comparisons.datasets.diabetes_table import find_diabetes
from comparisons.datasets.splits import stratified_folds
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.exact import (
    COEFFICIENT_ERROR,
    LinearTask,
    coefficients,
    maximum_likelihood,
    with_ones,
)
from comparisons.tasks.options import Options
from comparisons.tasks.statistics import auc, auc_interval, calibration, wilson
from comparisons.tasks.task import Details, Headline, Loss, Metrics, Split, Trained

EPOCHS = 300            # an epoch is one step on all the rows; this many reach convergence
QUICK_EPOCHS = 150      # reach five digits
LR = 2.0                # with standardised columns, the curvature is between about 0.05 and 0.5
MOMENTUM = 0.8
FOLDS = 10


@dataclass(frozen=True)
class DiabetesOptions(Options):
    folds: int = FOLDS                  # the usual number; it has no flag


class DiabetesTask(LinearTask[DiabetesOptions]):
    name = "diabetes"
    title = "Diabetes, logistic regression"
    options = DiabetesOptions
    reads = "a diabetes table"
    epochs = EPOCHS
    quick_epochs = QUICK_EPOCHS
    lr = LR
    momentum = MOMENTUM
    checkpoint_every = EPOCHS
    headlines = (
        Headline(f"accuracy, {FOLDS}-fold", "test_accuracy", "IRLS", "test_accuracy_irls",
                 explanation=f"The share of rows that are classified correctly in {FOLDS}-fold "
                 "cross-validation: each row is predicted once, by the model that was trained "
                 "without its fold. The reference, iteratively reweighted least squares (IRLS), "
                 "is Newton’s method: it finds the exact solution of the same problems."),
        Headline("area under the ROC curve", "auc", "IRLS", "auc_irls", ".4f",
                 "The chance that the model gives a higher probability to a row with diabetes "
                 "than to a row without; 0.5 is guessing, 1 is perfect. The reference is that of "
                 "IRLS."),
        COEFFICIENT_ERROR,
    )
    notes = (
        f"There are {FOLDS + 1} trainings: one for each of {FOLDS} folds, which have equal "
        "shares of both classes, and one on all rows. Accuracy, area under the ROC curve, "
        "calibration and confusion matrix are those of the folds; the coefficients shown are "
        "those of all rows.",
        "The loss is the binary cross-entropy. Every epoch is one step of gradient descent with "
        "momentum on all training rows, in float64.",
        "A zero for glucose, blood pressure, skin fold, insulin or body mass index means “not "
        "measured”, as does an empty cell. It is replaced by the median of the training rows. Then "
        "each column is standardised: its mean is subtracted, and it is divided by its standard "
        "deviation. Test rows are treated with the statistics of the training rows and do not "
        "contribute to them.",
        "A coefficient is the change of the log-odds, ln(p / (1 − p)) for a probability p, as its "
        "column grows by one standard deviation. The interval of an exact coefficient is ±1.96 "
        "standard errors, from the curvature of the likelihood.",
        "The interval of the accuracy is Wilson’s (1927), which treats the rows as independent. "
        "That of the area under the ROC curve, in results.json, holds the middle 95% of a "
        "bootstrap: 1,000 resamples of the rows, with a fixed seed.",
        "“Always the commonest class” is the accuracy of predicting, for every row, the class "
        "that most training rows have.",
    )

    def load(self, options: DiabetesOptions) -> Data:
        return load_diabetes() if options.embedded else find_diabetes(options.data)

    def splits(self, data: Data, options: DiabetesOptions) -> list[Split]:
        """Stratified folds, and then all rows, for the coefficients that the report shows."""
        folds = [prepared(data, train, test, f"fold {k}/{options.folds}")
                 for k, (train, test) in enumerate(
                     stratified_folds(data.y, options.folds, seed=options.seed), 1)]
        everyone = np.arange(len(data.y))
        return [*folds, prepared(data, everyone, everyone, "all rows")]

    def model(self, implementation: Implementation, data: Data, options: DiabetesOptions) -> Any:
        return implementation.models.LogisticRegression(data.x.shape[1])

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        loss: Loss = implementation.functional.binary_cross_entropy_with_logits
        return loss

    def exact(self, split: Split) -> Array:
        return maximum_likelihood(split)[0]

    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        folds = splits[:-1]
        logits = np.concatenate([(with_ones(s.x_test) @ self.exact(s))[:, 0]
                                 for s in folds])
        truth = np.concatenate([s.y_test for s in folds])
        majority = np.concatenate([s.y_test == (s.y.mean() > 0.5) for s in folds])
        return {"test_accuracy_irls": float(np.mean((logits > 0) == truth)),
                "auc_irls": auc(truth, logits), "majority_accuracy": float(majority.mean()),
                "coefficient_error": 0.0}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        *folds, whole = trained
        logits = np.concatenate([t.outputs for t in folds])
        truth = np.concatenate([t.split.y_test for t in folds])
        probability = 1 / (1 + np.exp(-logits))
        right = (logits > 0) == truth
        low, high = wilson(int(right.sum()), len(right))
        area = auc(truth, logits)
        area_low, area_high = auc_interval(truth, logits)
        table = calibration(truth, probability)
        best, error = maximum_likelihood(whole.split)
        metrics = {
            "test_accuracy": float(right.mean()), "test_accuracy_low": low,
            "test_accuracy_high": high, "auc": area, "auc_low": area_low, "auc_high": area_high,
            "brier": float(np.mean((probability - truth) ** 2)),
            "calibration_error": float(np.average(
                np.abs(np.subtract(table["predicted"], table["observed"])),
                weights=table["count"])),
            "coefficient_error": max(self.error(t.weights, t.split) for t in trained)}
        return metrics, {
            "classes": list(data.classes), "calibration": table,
            "targets": truth.astype(int).tolist(), "guesses": (logits > 0).astype(int).tolist(),
            "coefficients": {"names": [*FEATURES, "bias"],
                             "learned": coefficients(whole.weights)[:, 0].tolist(),
                             "exact": best[:, 0].tolist(), "half_width": (1.96 * error).tolist()}}


def prepared(data: Data, train: Array, test: Array, title: str) -> Split:
    """A split with missing values replaced and columns standardised by its training rows alone."""
    try:
        x, x_test = impute_and_scale(data.x[train], data.x[test])
    except ValueError as error:         # too few rows have a value in some column
        raise Fault(f"{data.name}, {title}: {error}") from None
    y = data.y.astype(np.float64)
    return Split(x, y[train], x_test, y[test], train, test, title)
