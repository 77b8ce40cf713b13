"""Statistics that several tasks use in their evaluation."""

from __future__ import annotations

import numpy as np

from comparisons.datasets.base import Array


def softmax(logits: Array) -> Array:
    """Probabilities in float64: e^logit over the sum of its row, (N, classes)."""
    e = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probability: Array = e / e.sum(1, keepdims=True)
    return probability


def rmse(predicted: Array, truth: Array) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((predicted - truth) ** 2, dtype=np.float64)))


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson 1927): within [0, 1], unlike p ± 1.96·se."""
    z, p = 1.96, successes / n
    middle = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - spread) / (1 + z * z / n)), float((middle + spread) / (1 + z * z / n))


def confusion_matrix(truth: Array, guesses: Array, classes: int) -> Array:
    """How often each true class (row) was predicted as each class (column): (classes, classes)."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, guesses), 1)
    return table


def per_class(confusion: Array) -> dict[str, Array]:
    """For each class: its number of items, recall, precision, and F1, their harmonic mean.

    A quotient whose denominator is 0 is set to 0, as in scikit-learn.
    """
    right, there, guessed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return {"count": there, "recall": right / np.maximum(there, 1),
            "precision": right / np.maximum(guessed, 1),
            "f1": 2 * right / np.maximum(there + guessed, 1)}


def balanced_accuracy(confusion: Array) -> float:
    """The mean recall of the classes that occur, so that every class counts equally."""
    scores = per_class(confusion)
    return float(scores["recall"][scores["count"] > 0].mean())


def group_intervals(truth: Array, guesses: Array, groups: Array,
                    resamples: int = 2000) -> dict[str, tuple[float, float]]:
    """95% intervals of accuracy and balanced accuracy: percentiles of a seeded bootstrap.

    Whole groups (persons) are drawn, not images. The images of one person tend to be right or wrong
    together, so an interval that assumes independent images is too narrow.
    Source: Davison & Hinkley, Bootstrap Methods and their Application, 1997, 3.8.
    """
    names, group = np.unique(groups, return_inverse=True)
    count = np.zeros((2, len(names), truth.max() + 1))      # of all, and of the correct ones
    np.add.at(count[0], (group, truth), 1)
    np.add.at(count[1], (group, truth), guesses == truth)
    n = len(names)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples)
    total, right = drawn @ count                            # (resamples, classes) each
    recall = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
    return {name: tuple(np.percentile(values, [2.5, 97.5]).tolist()) for name, values in (
        ("accuracy", right.sum(1) / total.sum(1)),
        ("balanced_accuracy", np.nanmean(recall, axis=1)))}


def auc(truth: Array, score: Array) -> float:
    """The chance that a positive item scores above a negative one; a tie counts half."""
    order = np.argsort(score)
    _, place, count = np.unique(score[order], return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(place + (count + 1) / 2, count)       # tied scores share their rank
    positive = truth > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def auc_interval(truth: Array, score: Array, resamples: int = 1000) -> tuple[float, float]:
    """The 95% interval of `auc`: percentiles of a seeded bootstrap over the items."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(truth), (resamples, len(truth)))
    known = (i for i in draws if 0 < (truth[i] > 0.5).sum() < len(i))   # both classes occur
    low, high = np.percentile([auc(truth[i], score[i]) for i in known], [2.5, 97.5])
    return float(low), float(high)


def calibration(truth: Array, probability: Array, bins: int = 10) -> dict[str, list[float]]:
    """The mean prediction and the observed frequency in `bins` groups of equal size."""
    groups = np.array_split(np.argsort(probability, kind="stable"), bins)
    intervals = [wilson(int(truth[i].sum()), len(i)) for i in groups]
    return {"predicted": [float(probability[i].mean()) for i in groups],
            "observed": [float(truth[i].mean()) for i in groups],
            "low": [low for low, _ in intervals], "high": [high for _, high in intervals],
            "count": [len(i) for i in groups]}
