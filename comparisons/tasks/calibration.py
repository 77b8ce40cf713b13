"""Calibration: whether a network is right as often as it claims, and when it had better not answer.

A network that gives its answers a probability of 90% should be right nine times out of ten. One
number, the temperature T, by which all logits are divided, corrects most of the difference (Guo et
al. 2017, arXiv 1706.04599). It changes no answer, since it keeps the order of the classes.

T must be fitted to items that the network was not trained on, or it learns that the network is
always right; and not to the test items, or the test flatters it. There are two ways:

- In a cross-validation, the test items of the other folds are at hand. The network of each of those
  has not seen them, and they belong to persons in the training part of this fold. So T for fold k
  is fitted to the answers of the other folds' networks, with no training in addition and no item
  taken away. Those networks did see the persons of fold k in training; but what passes from them to
  fold k is one number, and a threshold.
- `set_apart` takes whole persons out of the training part. Here the network itself has not seen
  them, but there are fewer persons to train on, which costs accuracy.

The threshold of confidence below which an answer is "unsure" is chosen on the same items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.splits import share_split
from comparisons.datasets.stored import taken
from comparisons.errors import Fault
from comparisons.tasks.statistics import softmax
from comparisons.tasks.task import Details, Held, Metrics, Split, Trained

SURE = 0.95             # the accuracy that answers should have, unless another one is asked for
FEWEST = 20             # held-out items; the accuracy of fewer answers says little
BINS = 15               # of equal width, as in Guo et al.
COLDEST, HOTTEST = 0.05, 20.0           # limits of T, for networks that are never or always wrong
POINTS = 200            # of the curve in the report
UNSURE = "unsure"


@dataclass(frozen=True)
class Calibration:
    """What held-out items say about the probabilities of a network.

    items: their number. steps: (threshold, accuracy), both ascending: the held-out items whose
    confidence is at least the threshold were classified with this accuracy, and no lower threshold
    reaches it.
    """

    temperature: float = 1.0
    items: int = 0
    steps: tuple[tuple[float, float], ...] = ()

    @classmethod
    def fitted(cls, logits: Array, truth: Array) -> Self:
        """The calibration for the outputs of networks for items that they were not trained on."""
        t = temperature(logits, truth)
        probability = softmax(logits / t)
        return cls(t, len(truth), steps(probability.max(1), probability.argmax(1) == truth))

    @classmethod
    def restored(cls, kept: dict[str, Any] | None) -> Self:
        """The calibration that a checkpoint keeps. An old one has none: its temperature is 1."""
        return cls() if kept is None else cls(kept["temperature"], kept["items"],
                                              tuple((t, a) for t, a in kept["steps"]))

    def kept(self) -> dict[str, Any]:
        """The calibration as a checkpoint keeps it."""
        return {"temperature": self.temperature, "items": self.items,
                "steps": [list(step) for step in self.steps]}

    def probabilities(self, logits: Array) -> Array:
        """The calibrated probabilities, (N, classes)."""
        return softmax(logits / self.temperature)

    def threshold(self, sure: float = SURE) -> float:
        """The lowest confidence with which held-out answers had the accuracy `sure`.

        It is infinite if none reached it, and 0 if nothing was held out, or nothing is asked for.
        """
        if not self.items or sure <= 0:
            return 0.0
        return next((threshold for threshold, accuracy in self.steps if accuracy >= sure), np.inf)

    def told(self, sure: float = SURE) -> str:
        """What `predict` says about the answers after it has named the network."""
        if not self.items:
            return ""
        threshold = self.threshold(sure)
        return f"; temperature {self.temperature:.2f}, " + (
            "every answer is given" if threshold == 0 else
            f"unsure below {threshold:.1%}" if np.isfinite(threshold) else
            f"unsure of everything: no confidence was enough for {sure:.1%} on held-out items")

    def why_unsure(self, sure: float = SURE) -> str:
        """What the demo says about an answer that is "unsure"; empty if none ever is."""
        threshold = self.threshold(sure)
        if threshold == 0:
            return ""
        return (f"No class reaches {threshold:.1%}. Only from there on, {sure:.1%} of the answers "
                "were right on held-out items." if np.isfinite(threshold) else
                f"No confidence was enough for {sure:.1%} right answers on held-out items.")

    def described(self, sure: float = SURE) -> dict[str, Any]:
        """The same for JSON; the threshold is null if no confidence is enough."""
        threshold = self.threshold(sure)
        return {"temperature": self.temperature, "sure": sure if self.items else None,
                "threshold": threshold if np.isfinite(threshold) else None}


def temperature(logits: Array, truth: Array) -> float:
    """The T that minimises the mean of -log softmax(logits / T)[truth].

    The loss is convex in 1/T, and its derivative, mean(Σ p (z - z[truth])), rises with it:
    bisection finds where it is zero.
    """
    z = logits.astype(np.float64)
    z = z - z[np.arange(len(z)), truth][:, None]        # 0 for the truth

    def slope(inverse: float) -> float:
        return float(np.mean((softmax(z * inverse) * z).sum(1)))

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(1 / np.sqrt(low * high))


def steps(confidence: Array, right: Array) -> tuple[tuple[float, float], ...]:
    """The thresholds of confidence at which the accuracy of the answers rises; see `Calibration`.

    Fewer than FEWEST answers are not counted.
    """
    found: list[tuple[float, float]] = []
    for threshold, accuracy, share in zip(*(values[::-1] for values in by_confidence(
            confidence, right)), strict=True):
        if round(share * len(right)) < FEWEST:
            break
        if not found or accuracy > found[-1][1]:
            found.append((float(threshold), float(accuracy)))
    return tuple(found)


def by_confidence(confidence: Array, right: Array) -> tuple[Array, Array, Array]:
    """For each confidence, from the highest on: it, and the accuracy and the share of the items
    that have at least this confidence."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))    # equal ones together
    threshold: Array = confidence[order][ends]
    return threshold, np.cumsum(right[order])[ends] / (ends + 1), (ends + 1) / len(right)


def reliability(confidence: Array, right: Array) -> dict[str, list[float]]:
    """The mean confidence and the accuracy of the items in each of BINS intervals of confidence
    that holds any, and the share of the items that are in it."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count, total, good = (np.bincount(place, w, BINS) for w in (None, confidence, right))
    there = count > 0
    return {"confidence": (total[there] / count[there]).tolist(),
            "accuracy": (good[there] / count[there]).tolist(),
            "share": (count[there] / len(right)).tolist()}


def calibration_error(table: dict[str, list[float]]) -> float:
    """The expected calibration error: Σ share · |accuracy - confidence|, of `reliability`.

    Source: Naeini et al. 2015; Guo et al. 2017, equation 3.
    """
    share, accuracy, confidence = (np.array(table[k]) for k in ("share", "accuracy", "confidence"))
    return float(np.sum(share * np.abs(accuracy - confidence)))


def log_loss(probability: Array, truth: Array) -> float:
    """The mean negative log-likelihood of the true classes."""
    return float(-np.log(np.maximum(probability[np.arange(len(truth)), truth], 1e-300)).mean())


# ---- held-out items ------------------------------------------------------------------------------

def set_apart(split: Split, groups: Array, share: float, seed: int) -> Split:
    """The split with about this share of its training items held out, in whole groups.

    groups: the group of each row of the data, such as the person.
    Raises: Fault if there are too few groups.
    """
    mine = groups[split.train_rows]
    try:
        rest, held = share_split(mine, split.y, share, seed)
    except ValueError:
        raise Fault(f"--calibrate {share:g}: there are only {len(np.unique(mine))} persons, "
                    "recordings or items to train on, too few to set this share apart") from None
    return Split(taken(split.x, rest), split.y[rest], split.x_test, split.y_test,
                 split.train_rows[rest], split.test_rows, split.title,
                 Held(taken(split.x, held), split.y[held]))


def calibrations(data: Data, trained: Sequence[Trained]) -> list[Calibration | None]:
    """A calibration for each training, or None where no items were held out of it."""
    return [calibration(data, t, [other for other in trained if other is not t]) for t in trained]


def calibration(data: Data, own: Trained, others: Sequence[Trained]) -> Calibration | None:
    """The calibration of one training, by items that were set apart, or else by other folds."""
    if own.split.held is not None and own.held_outputs is not None:
        return Calibration.fitted(own.held_outputs, own.split.held.y)
    if data.x_test is not None:             # then the rows of test items are not those of training
        return None
    logits, truth = [], []
    for other in others:
        mine = np.isin(other.split.test_rows, own.split.train_rows)
        logits.append(other.outputs[mine])
        truth.append(other.split.y_test[mine])
    if not sum(map(len, truth)):
        return None
    return Calibration.fitted(np.concatenate(logits), np.concatenate(truth))


# ---- evaluation ----------------------------------------------------------------------------------

def judged(data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
    """How well calibrated the trainings are on their test items, before and after."""
    truth = np.concatenate([t.split.y_test for t in trained])
    before = softmax(np.concatenate([t.outputs for t in trained]))
    if not np.isfinite(before).all():       # the training has diverged
        return {"calibration_error": float("nan")}, {}
    right = before.argmax(1) == truth
    table = reliability(before.max(1), right)
    metrics = {"calibration_error": calibration_error(table)}
    details: Details = {"reliability": {"before": table}}
    found = calibrations(data, trained)
    if any(c is None for c in found):
        return metrics, details | {"risk_coverage": curve(before.max(1), right)}
    known = [c for c in found if c is not None]
    after = np.concatenate([c.probabilities(t.outputs)
                            for c, t in zip(known, trained, strict=True)])
    sure = after.max(1) >= np.repeat([c.threshold() for c in known],
                                     [len(t.outputs) for t in trained])
    table = reliability(after.max(1), right)
    metrics |= {"temperature": float(np.exp(np.mean([np.log(c.temperature) for c in known]))),
                "calibrated_error": calibration_error(table),
                "calibrated_loss": log_loss(after, truth), "coverage": float(sure.mean())}
    chosen = curve(after.max(1), right)
    if sure.any():
        metrics["answered_accuracy"] = float(right[sure].mean())
        chosen["chosen"] = [metrics["coverage"], metrics["answered_accuracy"]]
    details["reliability"]["after"] = table
    return metrics, details | {"risk_coverage": chosen}


def curve(confidence: Array, right: Array) -> dict[str, list[float]]:
    """The accuracy of the most confident answers, for growing shares of the items."""
    _, accuracy, share = by_confidence(confidence, right)
    shown = np.unique(np.linspace(0, len(share) - 1, POINTS).round().astype(int))
    return {"share": share[shown].tolist(), "accuracy": accuracy[shown].tolist()}


def told(metrics: Metrics) -> str:
    """A line on the calibration of a run."""
    error, loss = metrics["calibration_error"], metrics["test_loss"]
    if "temperature" not in metrics:
        return (f"calibration: expected error {error:.1%}, negative log-likelihood {loss:.3f}; "
                "without --folds or --calibrate, no persons are left to fit a temperature to")
    line = (f"calibration: temperature {metrics['temperature']:.2f}; expected error {error:.1%} "
            f"before, {metrics['calibrated_error']:.1%} after; negative log-likelihood "
            f"{loss:.3f} before, {metrics['calibrated_loss']:.3f} after")
    if "answered_accuracy" not in metrics:
        return f"{line}; sure of no answer"
    return (f"{line}; sure of {metrics['coverage']:.1%}, and {metrics['answered_accuracy']:.1%} of "
            f"these are right ({SURE:.0%} was aimed at)")
