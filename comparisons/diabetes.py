"""Logistic regression on the Pima diabetes table, in 10-fold cross-validation.

What was not measured is filled in with the median of the fold's training rows, never of its test
rows. The problem is convex, so there is one exact answer, and training must find it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from comparisons.datasets import Data, impute_and_scale, load_diabetes, stratified_folds
from comparisons.implementations import Implementation
from comparisons.statistics import auc, auc_interval, calibration, wilson
from comparisons.task import Array, Headline, Loss, Options, Recipe, Split, Task, Trained

EPOCHS = 300            # steps: each epoch is one step on all the rows, to convergence
LR = 2.0                # standardised columns: the curvature lies between about 0.05 and 0.5
MOMENTUM = 0.8
FOLDS = 10


class DiabetesTask(Task):
    name = "diabetes"
    title = "Diabetes, logistic regression"
    epochs = EPOCHS
    quick_epochs = EPOCHS
    batch_size = None
    lr = LR
    dtype = np.float64
    checkpoint_every = EPOCHS
    shuffle = False
    headlines = (
        Headline(f"accuracy, {FOLDS}-fold", "test_accuracy", "IRLS", "test_accuracy_irls"),
        Headline("area under the ROC curve", "auc", "IRLS", "auc_irls", ".4f"),
        Headline("off the exact coefficients", "coefficient_error", "exact", "coefficient_error",
                 ".1e"),
    )

    def load(self, options: Options) -> Data:
        return load_diabetes()

    def splits(self, data: Data, options: Options) -> list[Split]:
        """Ten stratified folds, then all rows: the coefficients that the report shows."""
        folds = [prepared(data, train, test, f"fold {k}/{FOLDS}") for k, (train, test) in
                 enumerate(stratified_folds(data.y, FOLDS, seed=options.seed), 1)]
        everyone = np.arange(len(data.y))
        return [*folds, prepared(data, everyone, everyone, "all rows")]

    def model(self, models: Any, data: Data, options: Options) -> Any:
        return models.LogisticRegression(data.x.shape[1])

    def optimizer(self, optim: Any, parameters: Any, recipe: Recipe) -> Any:
        return optim.SGD(parameters, lr=recipe.lr, momentum=MOMENTUM)

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        return implementation.functional.binary_cross_entropy_with_logits

    def watch(self, implementation: Implementation, model: Any, split: Split) -> dict[str, float]:
        learned = coefficients(implementation.weights(model))
        return {"coefficient_error": float(np.abs(learned - exact(split)[0]).max())}

    def baselines(self, data: Data, splits: Sequence[Split]) -> dict[str, float]:
        folds = splits[:-1]
        logits = np.concatenate([with_ones(s.x_test) @ exact(s)[0] for s in folds])
        truth = np.concatenate([s.y_test for s in folds])
        majority = np.concatenate([s.y_test == (s.y.mean() > 0.5) for s in folds])
        return {"test_accuracy_irls": float(np.mean((logits > 0) == truth)),
                "auc_irls": auc(truth, logits), "majority_accuracy": float(majority.mean()),
                "coefficient_error": 0.0}

    def particulars(self, options: Options) -> dict[str, Any]:
        return {"folds": FOLDS}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[dict[str, float],
                                                                     dict[str, Any]]:
        *folds, whole = trained
        logits = np.concatenate([t.outputs for t in folds])
        truth = np.concatenate([t.split.y_test for t in folds])
        probability = 1 / (1 + np.exp(-logits))
        right = (logits > 0) == truth
        low, high = wilson(int(right.sum()), len(right))
        area = auc(truth, logits)
        area_low, area_high = auc_interval(truth, logits)
        table = calibration(truth, probability)
        best, error = exact(whole.split)
        learned = coefficients(whole.weights)
        metrics = {
            "test_accuracy": float(right.mean()), "test_accuracy_low": low,
            "test_accuracy_high": high, "auc": area, "auc_low": area_low, "auc_high": area_high,
            "brier": float(np.mean((probability - truth) ** 2)),
            "calibration_error": float(np.average(
                np.abs(np.subtract(table["predicted"], table["observed"])),
                weights=table["count"])),
            "coefficient_error": max(
                float(np.abs(coefficients(t.weights) - exact(t.split)[0]).max())
                for t in trained)}
        return metrics, {
            "classes": list(data.classes), "calibration": table,
            "targets": truth.astype(int).tolist(), "guesses": (logits > 0).astype(int).tolist(),
            "coefficients": {"names": [*FEATURES, "bias"], "learned": learned.tolist(),
                             "exact": best.tolist(), "half_width": (1.96 * error).tolist()}}


FEATURES = ("pregnancies", "glucose", "blood pressure", "skin fold", "insulin", "body mass index",
            "pedigree", "age")


def prepared(data: Data, train: Array, test: Array, title: str) -> Split:
    """A split with its gaps filled in and its columns standardised, from its training rows only."""
    x, x_test = impute_and_scale(data.x[train], data.x[test])
    y = data.y.astype(np.float64)
    return Split(x, y[train], x_test, y[test], train, test, title)


def with_ones(x: Array) -> Array:
    return np.column_stack([x, np.ones(len(x))])


@functools.lru_cache(maxsize=16)
def exact(split: Split) -> tuple[Array, Array]:
    """The maximum-likelihood coefficients, the bias last, and their standard errors.

    Iteratively reweighted least squares: Newton's method, w += (XᵀSX)⁻¹ Xᵀ(y - p), S = p(1-p).
    """
    x, w = with_ones(split.x), np.zeros(split.x.shape[1] + 1)
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ w))
        curvature = (x * (p * (1 - p))[:, None]).T @ x
        step = np.linalg.solve(curvature, x.T @ (split.y - p))
        w = w + step
        if np.abs(step).max() < 1e-13:
            break
    return w, np.sqrt(np.diag(np.linalg.inv(curvature)))


def coefficients(weights: dict[str, Array]) -> Array:
    """The model's coefficients in the same order."""
    (weight,), (bias,) = ([v for k, v in weights.items() if k.endswith(end)]
                          for end in ("weight", "bias"))
    return np.append(weight.ravel(), bias)
