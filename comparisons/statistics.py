"""Small statistics that several tasks judge by."""

from __future__ import annotations

import numpy as np

from comparisons.task import Array


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson 1927): within [0, 1], unlike p ± 1.96·se."""
    z, p = 1.96, successes / n
    middle = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - spread) / (1 + z * z / n)), float((middle + spread) / (1 + z * z / n))


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
    """Its 95% interval: the percentiles of a seeded bootstrap over the items."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(truth), (resamples, len(truth)))
    low, high = np.percentile([auc(truth[i], score[i]) for i in draws], [2.5, 97.5])
    return float(low), float(high)


def calibration(truth: Array, probability: Array, bins: int = 10) -> dict[str, list[float]]:
    """Predicted against observed frequency, in `bins` groups of equal size."""
    groups = np.array_split(np.argsort(probability, kind="stable"), bins)
    intervals = [wilson(int(truth[i].sum()), len(i)) for i in groups]
    return {"predicted": [float(probability[i].mean()) for i in groups],
            "observed": [float(truth[i].mean()) for i in groups],
            "low": [low for low, _ in intervals], "high": [high for _, high in intervals],
            "count": [len(i) for i in groups]}
