"""What classification tasks share: the loss, the linear reference and the evaluation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs, parts
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks import calibration
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.statistics import (
    balanced_accuracy,
    confusion_matrix,
    per_class,
    softmax,
    wilson,
)
from comparisons.tasks.task import Details, Headline, Loss, Metrics, OptionsT, Split, Task, Trained

ACCURACY = Headline(
    "accuracy", "test_accuracy", "linear classifier", "linear_accuracy",
    explanation="The share of test items that are classified correctly. The reference is a linear "
    "classifier: multinomial logistic regression on the values of the items (the pixels of an "
    "image), fitted by scikit-learn to the same training items, with an L2 penalty. Of items with "
    "more than 50 million values together, it is fitted to a part of them, drawn at random.")
WILSON = ("The interval of the accuracy is Wilson’s (1927), which treats the test items as "
          "independent.")
COMMONEST = ("“Always the commonest class” is the accuracy of predicting, for every test item, the "
             "class that most training items have.")


LINEAR_VALUES = 50_000_000      # 200 MB in float32; all of MNIST is 47 million


class ClassificationTask(Task[OptionsT]):
    """A task whose model assigns each item to a class. Its outputs are logits, (N, classes)."""

    headlines: tuple[Headline, ...] = (ACCURACY,)
    notes: tuple[str, ...] = (WILSON, COMMONEST)
    linear_c = 0.1      # inverse strength of the linear reference's penalty. Of 0.01, 0.1 and 1,
                        # it is the best for digits, by validation on training images, and nearly
                        # the best for faces

    def splits(self, data: Data, options: OptionsT) -> list[Split]:
        splits = super().splits(data, options)
        if not isinstance(options, CalibratedOptions) or options.calibrate is None:
            return splits
        items = np.arange(len(data.x))
        return [calibration.set_apart(s, items, options.calibrate, options.seed) for s in splits]

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        loss: Loss = implementation.functional.cross_entropy
        return loss

    def watch(self, implementation: Implementation, model: object, split: Split) -> Metrics:
        # not `outputs`, which may compute everything twice, and would do so after every epoch
        guesses = implementation.predict(model, split.x_test).argmax(1)
        return {"test_accuracy": float(np.mean(guesses == split.y_test))}

    def baselines(self, data: Data, splits: Sequence[Split]) -> Metrics:
        """The accuracy of the commonest class, and that of a linear classifier."""
        if len(data.classes) < 2:
            raise Fault(f"{self.name}: {data.name} has {len(data.classes)} class; at least two "
                        "are needed")
        truth = np.concatenate([s.y_test for s in splits])
        majority = np.concatenate([np.full(len(s.y_test), np.bincount(s.y).argmax())
                                   for s in splits])
        linear = np.concatenate([linear_guesses(s, self.linear_c) for s in splits])
        confusion = confusion_matrix(truth, linear, len(data.classes))
        return {"majority_accuracy": float(np.mean(majority == truth)),
                "linear_accuracy": float(np.mean(linear == truth)),
                "linear_balanced_accuracy": balanced_accuracy(confusion)}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        rows, truth, probability = readings(trained)
        guesses, confidence = probability.argmax(1), probability.max(1)
        right = guesses == truth
        known = len(np.unique(rows))            # repetitions do not make more items
        low, high = wilson(round(right.mean() * known), known)
        confusion = confusion_matrix(truth, guesses, len(data.classes))
        scores = per_class(confusion)
        metrics = {"test_accuracy": float(right.mean()), "test_accuracy_low": low,
                   "test_accuracy_high": high,
                   "balanced_accuracy": balanced_accuracy(confusion),
                   "macro_f1": float(scores["f1"][scores["count"] > 0].mean()),
                   "test_loss": calibration.log_loss(probability, truth)}
        calibrated, curves = calibration.judged(data, trained)
        return metrics | calibrated, curves | {
            "classes": list(data.classes), "rows": rows.tolist(), "targets": truth.tolist(),
            "guesses": guesses.tolist(), "confusion": confusion.tolist(),
            "per_class": {key: values.tolist() for key, values in scores.items()},
            "confidence": np.round(confidence, 4).tolist()}

    def introduction(self, data: Data, splits: Sequence[Split], options: OptionsT) -> list[str]:
        return [f"{len(s.y):,} training items, {len(s.held.y):,} set apart for the calibration"
                for s in splits if s.held is not None]

    def remarks(self, metrics: Metrics, details: Details) -> list[str]:
        return [calibration.told(metrics)] if "temperature" in metrics else []

    def learned_about(self, data: Data, trained: Sequence[Trained]) -> list[dict[str, Any]]:
        return [{} if found is None else {"calibration": found.kept()}
                for found in calibration.calibrations(data, trained)]


def readings(trained: Sequence[Trained]) -> tuple[Array, Array, Array]:
    """The test items of all trainings: their rows in the data, their true classes, and the
    predicted probabilities, (N, classes)."""
    return (np.concatenate([t.split.test_rows for t in trained]),
            np.concatenate([t.split.y_test for t in trained]),
            softmax(np.concatenate([t.outputs for t in trained])))


def linear_guesses(split: Split, c: float) -> Array:
    """The classes that multinomial logistic regression predicts for the split's test items.

    It is fitted to at most LINEAR_VALUES values, so that its memory is bounded.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    count = LINEAR_VALUES // math.prod(split.x.shape[1:])
    rows = slice(None) if len(split.y) <= count else some_of_each(split.y, count)
    with warnings.catch_warnings():     # full convergence would take minutes and change little
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(C=c, max_iter=100, tol=1e-3)
        classifier.fit(flat(inputs(split.x[rows])), split.y[rows])
    return np.concatenate([classifier.predict(flat(part)) for part in parts(split.x_test)])


def flat(x: Array) -> Array:
    """Shapes: (N, …) → (N, values of an item)."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def some_of_each(y: Array, count: int) -> Array:
    """About `count` row numbers, ascending and drawn at random, always equally: of each class the
    same share, and at least one row."""
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]          # each class together
    spread = order[np.arange(count) * len(y) // count]
    return np.union1d(spread, np.unique(y, return_index=True)[1])
