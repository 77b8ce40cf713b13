"""Whether two implementations differ by more than chance, from trainings with several seeds.

With one seed, both start from equal weights and see equal batches; only rounding differs, which
training amplifies. The metrics of a seed are therefore a pair, and what is compared are the
differences of the pairs, minigrad - PyTorch. Whatever makes a seed's figures good or bad on both
sides, such as its split of the data, cancels.

**Over the seeds**: Student's t for the mean of the N differences. Its interval and its test hold
for few pairs, where the standard deviation is hardly known. A test by ranks or by signs assumes
less, but with N pairs its least level is 2 / 2^N, so it could not find anything with fewer than 6.
Since seeds are drawn anew and the data are not, the answer holds for these data.

**Over the test items**: if all seeds are tested on the same items of one split, the choice of these
items is another source of chance. For each item, the difference of its shares of correct answers
over the seeds is formed. The variance of their mean is added to that of the mean over the seeds.
Both contain the variance that is due to single answers, so the sum is too large rather than too
small. Its degrees of freedom are an approximation, by which the interval for a few seeds may become
narrower than that over the seeds alone. Another source of chance makes nothing more certain, so it
is widened then until it contains that one. Items of one group (person or clip) tend to be right or
wrong together, so groups count.

Sources: Student 1908; for the degrees of freedom of a sum of variances, Satterthwaite 1946; for
groups, Cameron & Miller 2015, A Practitioner's Guide to Cluster-Robust Inference, II.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from comparisons.datasets.base import Array
from comparisons.errors import Fault
from comparisons.implementations import NAMES, TITLES

ROUNDING = 1e-12        # float64's, in a metric that is computed from thousands of values
OWN = {"impl", "device", "title", "source", "notes", "headlines", "metrics", "baselines", "seeds",
       "checkpoint", "command", "date", "train_seconds", "warm_up_seconds", "rss_before_mb",
       "peak_rss_mb"}
"""What may differ between the runs of a pair: the side itself, results, and how they were got."""

SAME, UNSEEN = "the same", "no difference seen"

Answers = Callable[[dict[str, Any], int], dict[str, Any]]       # from a run and a seed


class Estimate(NamedTuple):
    """A mean, its variance, and how many degrees of freedom that variance has."""

    mean: float
    variance: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean."""
        half = float(stdtrit(self.freedom, 0.975)) * self.variance ** 0.5
        return self.mean - half, self.mean + half

    def level(self) -> float:
        """The chance of a mean at least as far from 0 if there is no difference (p)."""
        if self.variance == 0:
            return float(self.mean == 0)
        return float(2 * stdtr(self.freedom, -abs(self.mean) / self.variance ** 0.5))

    def plus(self, other: Estimate) -> Estimate:
        """The same mean with the variance of another source of chance added."""
        total = self.variance + other.variance
        parts = sum(e.variance ** 2 / e.freedom for e in (self, other))
        return Estimate(self.mean, total, total ** 2 / parts if parts else self.freedom)


def over_seeds(differences: Array, step: float = 0.0) -> Estimate:
    """The mean of the differences of N seeds.

    step: by how much the metric changes with one test item. The standard deviation is taken as at
    least one such step: otherwise a few equal differences would pass for certainty.
    """
    n = len(differences)
    spread = max(float(np.std(differences, ddof=1)), step)
    return Estimate(float(np.mean(differences)), spread ** 2 / n, n - 1)


def over_items(differences: Array, groups: Array | None = None) -> Estimate:
    """The mean of the differences of the test items, of which whole groups are drawn.

    Shapes: differences (items,), groups (items,).
    """
    n, mean = len(differences), float(np.mean(differences))
    group = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    totals = np.bincount(group, differences - mean)
    count = len(totals)
    if count < 2:
        return Estimate(mean, float("inf"), 1)
    return Estimate(mean, float(count / (count - 1) * (totals ** 2).sum() / n ** 2), count - 1)


# ---- from recorded runs --------------------------------------------------------------------------

def of_task(runs: Sequence[dict[str, Any]], answers: Answers) -> list[dict[str, Any]]:
    """An entry of results.json for each headline of a task that ran with several seeds.

    Only runs that train the same are compared: if another command has left the other side in the
    folder, with other settings or other data, the latest side stands alone.
    runs: of the task, one for each implementation. answers: returns the details of a run with one
    of its seeds, which say what was answered right.
    """
    several = [run for run in runs if run.get("seeds")]
    if not several:
        return []
    latest = several[-1]                # a clock may have been set back since the others
    sides = {run["impl"]: run for run in sorted(several, key=lambda run: NAMES.index(run["impl"]))
             if alike(run, latest)}
    some = next(iter(sides.values()))
    entries = {impl: {entry["seed"]: entry for entry in run["seeds"]}
               for impl, run in sides.items()}
    seeds = [seed for seed in next(iter(entries.values()))
             if all(seed in of for of in entries.values())]
    if len(seeds) < 2:
        return []
    items = over_test_items(sides, entries, seeds, answers) if len(sides) == len(NAMES) else None
    found = []
    for headline in some["headlines"]:
        metric, form = headline["metric"], headline["format"]
        values = {impl: np.array([of[seed]["metrics"][metric] for seed in seeds], np.float64)
                  for impl, of in entries.items()}
        entry = {"task": some["task"], "dataset": some["dataset"], "metric": metric,
                 "label": headline["label"], "format": form, "seeds": seeds,
                 **{impl: of.tolist() for impl, of in values.items()}}
        if len(values) == len(NAMES):
            step = 1 / some["n_test"] if form.endswith("%") else 0.0
            entry |= compared(values, step, items if metric == "test_accuracy" else None)
        found.append(entry)
    return found


def alike(run: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two runs train the same on the same data, so that they make a pair."""
    keys = (run.keys() & other.keys()) - OWN
    return all(run[key] == other[key] for key in keys)


def compared(values: dict[str, Array], step: float, items: Estimate | None) -> dict[str, Any]:
    """The difference of the two sides, with its intervals, and what it amounts to."""
    ours, theirs = (values[impl] for impl in NAMES)
    scale = max(1.0, float(np.abs(ours).max()), float(np.abs(theirs).max()))
    same = bool(np.abs(ours - theirs).max() <= ROUNDING * scale)
    mean = over_seeds(ours - theirs, 0.0 if same else step)
    low, high = mean.interval()
    known: dict[str, Any] = {"difference": mean.mean, "low": low, "high": high, "p": mean.level()}
    verdict = SAME if same else UNSEEN
    if not same and not low <= 0 <= high:
        verdict = f"{TITLES[NAMES[0] if mean.mean > 0 else NAMES[1]]} is higher"
    if items is not None and not same:
        wide = mean.plus(items).interval()
        low, high = min(low, wide[0]), max(high, wide[1])
        known |= {"items_low": low, "items_high": high}
        if verdict != UNSEEN and low <= 0 <= high:
            verdict += ", on these test items"
    return known | {"verdict": verdict}


def over_test_items(sides: dict[str, dict[str, Any]],
                    entries: dict[str, dict[int, dict[str, Any]]], seeds: Sequence[int],
                    answers: Answers) -> Estimate | None:
    """The difference of the shares of right answers over the test items.

    None if not all seeds were tested on the same items of one split, or if the details do not say
    which class was predicted for each of them.
    """
    tested = {of[seed]["test_items"] for of in entries.values() for seed in seeds}
    if len(tested) > 1 or any(run["trainings"] > 1 for run in sides.values()):
        return None
    right: dict[str, list[Array]] = {impl: [] for impl in sides}
    groups = None
    for impl, run in sides.items():
        for seed in seeds:
            try:
                details = answers(run, seed)
            except Fault:               # missing or damaged; the figures themselves are known
                return None
            guesses, targets = details.get("guesses", ()), details.get("targets", ())
            groups = details.get("groups")
            if any(not isinstance(of, list) or len(of) != run["n_test"]     # a task's own, perhaps
                   for of in (guesses, targets, targets if groups is None else groups)):
                return None
            if not all(isinstance(group, int | str) for group in groups or ()):
                return None
            right[impl].append(np.array([float(a == b) for a, b in zip(
                guesses, targets, strict=True)]))
    ours, theirs = (np.mean(right[impl], 0) for impl in NAMES)
    return over_items(ours - theirs, None if groups is None else np.array(groups))
