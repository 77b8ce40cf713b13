"""What results.json and details.json must contain, so that the report can rely on it.

Both may come from somebody else. `minigrad.schema` says how a kind is written down. A user's task
may add any details under names of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from comparisons.implementations import NAMES
from minigrad.schema import Also, Mismatch, check

COUNT = Also(int, lambda n: n >= 0, "a number from 0")
NAME = Also(str, re.compile(r"[a-z0-9]+(-[a-z0-9]+)*").fullmatch,
            "lower-case letters, digits and single hyphens")
"""A task's name, which is also the name of a folder."""
FORMAT = Also(str, re.compile(r"\+?,?(\.\d\d?)?[efg%]?").fullmatch, "a format such as .2%")
PICTURE = Also(str, re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={1,2})?").fullmatch,
               "a picture in base64")
SHARE = Also(float, lambda x: abs(x - 0.5) < 0.500_001, "a number from 0 to 1")
DRAWN = Also(float, lambda x: abs(x) <= 1e100, "a number between -1e100 and 1e100")
"""A number for which axes can be computed; all in float32 are."""

HEADLINE = {"label": str, "metric": str, "reference": str, "baseline": str, "format?": FORMAT,
            "explanation?": str}
RUN = {
    "task": NAME, "impl": Also(str, NAMES.__contains__, " or ".join(NAMES)), "title?": str,
    "dataset": str, "source": str, "seed": int, "epochs": COUNT, "batch_size": COUNT, "lr": float,
    "quick": bool, "device": str, "n_train": COUNT, "n_test": COUNT, "trainings": COUNT,
    "metrics": {str: float}, "baselines": {str: float}, "headlines?": [HEADLINE], "notes?": [str],
    "train_seconds": float, "warm_up_seconds": float, "peak_rss_mb": float,
    "rss_before_mb?": float, "command?": str, "date?": str, "protocol?": str,
    "accumulate?": COUNT, "clip_norm?": (float, None), "processes?": COUNT, "amp?": bool,
    "compile?": bool,
    "folds?": (int, None), "repeats?": (int, None),
    "seeds?": [{"seed": int, "metrics": {str: float}, "test_items": str}]}
ENVIRONMENT = {
    "cpu": str, "cores": (int, None), "platform": str, "python": str, "blas": str,
    "gpu": (str, None), "threads": {str: (int, None)}, "versions": {str: str}, "peak_rss": str,
    "variables?": {str: str}}
DIFFERENCE = {
    "task": NAME, "label": str, "format": FORMAT, "seeds": [int],
    **{f"{impl}?": [float] for impl in NAMES},
    **{f"{key}?": float for key in ("difference", "low", "high", "items_low", "items_high")},
    "verdict?": str}
RESULTS = {"environment": ENVIRONMENT, "runs": [RUN], "differences?": [DIFFERENCE]}

EPOCH = {"fold": COUNT, "epoch": COUNT, "loss": float, "seconds": float}
MAP = [[DRAWN]]
RELIABILITY = {"confidence": [SHARE], "accuracy": [SHARE], "share": [SHARE]}
DETAILS = {
    "coefficients?": {"names": [str], "learned": [DRAWN], "exact": [DRAWN],
                      "half_width?": [DRAWN]},
    "calibration?": {"predicted": [SHARE], "observed": [SHARE], "low": [SHARE], "high": [SHARE]},
    "fit?": {"truth": [DRAWN], "predicted": [DRAWN]},
    "reliability?": {"before": RELIABILITY, "after?": RELIABILITY},
    "risk_coverage?": {"share": [SHARE], "accuracy": [SHARE],
                  "chosen?": Also([SHARE], lambda point: len(point) == 2, "two numbers")},
    "classes?": [str], "targets?": [COUNT], "guesses?": [COUNT], "confidence?": [SHARE],
    "groups?": [COUNT],
    "per_class?": {"count": [COUNT], "recall": [SHARE], "f1": [SHARE]},
    "splits?": [{"accuracy": SHARE, "count": COUNT}],
    "sheet?": [{"class": str, "count": COUNT, "png": [PICTURE]}],
    "samples?": [{"at": COUNT, "png": PICTURE}],
    "examples?": [{"target": COUNT, "guess": COUNT, "confidence": SHARE, "png": PICTURE,
                   "grad_cam": MAP, "occlusion": MAP}],
    "sanity?": {str: [DRAWN]}}
OF_CLASSES = ("targets?", "guesses?", "confidence?", "groups?")     # without, they are a task's own
NEEDED = {"samples": ("classes", "targets", "guesses", "confidence"), "examples": ("classes",),
          "per_class": ("classes",)}
FINITE = Also(float, math.isfinite, "a finite number")
HISTORY = {"history": Also([{str: FINITE}], bool, "at least one epoch")}


def check_results(content: dict[str, Any]) -> None:
    """Check what results.json holds. Raises: Mismatch naming what is wrong."""
    check(content, RESULTS)
    for i, run in enumerate(content["runs"]):
        at, headlines = f"runs[{i}].seeds", run.get("headlines", ())
        needed = {h["metric"]: float for h in headlines}
        check(run, {"metrics": needed,
                    "baselines": {h["baseline"]: float for h in headlines}}, f"runs[{i}]")
        check(run.get("seeds", []), [{"metrics": needed}], at)
        if len({entry["seed"] for entry in run.get("seeds", ())}) < len(run.get("seeds", ())):
            raise Mismatch(f"{at}: expected each seed once")
    for i, entry in enumerate(content.get("differences", ())):
        at = f"differences[{i}]"
        sides = [impl for impl in NAMES if impl in entry]
        of_equal_length(at, {key: entry[key] for key in ("seeds", *sides)})
        if len(entry["seeds"]) < 2:
            raise Mismatch(f"{at}.seeds: expected at least two")
        if "difference" in entry:
            check(entry, {"low": float, "high": float, "p": float, "verdict": str,
                          **{impl: [float] for impl in NAMES}}, at)
        if "items_low" in entry:
            check(entry, {"items_high": float}, at)


def check_history(details: dict[str, Any]) -> None:
    """Check the history among a run's details. Raises: Mismatch naming what is wrong."""
    check(details, HISTORY)
    check(details["history"], [dict.fromkeys(details["history"][0], float) | EPOCH], "history")


def check_details(details: dict[str, Any]) -> None:
    """Check the kinds of all other details that the report draws, and that they fit one another.

    Raises: Mismatch naming the first that is wrong.
    """
    details = {key: value for key, value in details.items() if value}       # others are not drawn
    of_classes = "classes" in details
    check(details, {key: kind for key, kind in DETAILS.items()
                    if of_classes or key not in OF_CLASSES})
    for name, needed in NEEDED.items():
        if lacking := [key for key in needed if name in details and key not in details]:
            raise Mismatch(f"{lacking[0]}: is missing, which {name} needs")
    for name in ("coefficients", "calibration", "fit", "per_class"):
        of_equal_length(name, details.get(name, {}))
    for when, table in details.get("reliability", {}).items():
        of_equal_length(f"reliability.{when}", table)
    of_equal_length("risk_coverage", {
        key: values for key, values in details.get("risk_coverage", {}).items() if key != "chosen"})
    classes, targets = details.get("classes", []), details.get("targets", [])
    for name in ("guesses", "confidence", "groups"):
        if of_classes and name in details and len(details[name]) != len(targets):
            raise Mismatch(f"{name}: {len(details[name]):,} values for {len(targets):,} targets")
    if of_classes:
        below("targets", targets, len(classes), "classes")
        below("guesses", details.get("guesses", ()), len(classes), "classes")
    if "per_class" in details and len(details["per_class"]["count"]) != len(classes):
        raise Mismatch(f"per_class.count: expected {len(classes)} values, one for each class")
    below("samples.at", [s["at"] for s in details.get("samples", ())], len(targets), "targets")
    examples = details.get("examples", ())
    for key in ("target", "guess"):
        below(f"examples.{key}", [e[key] for e in examples], len(classes), "classes")
    for key in ("grad_cam", "occlusion"):
        sizes = {tuple(map(len, e[key])) for e in examples}
        if len(sizes) > 1 or any(len({*size}) != 1 or 0 in size for size in sizes):
            raise Mismatch(f"examples.{key}: expected maps of equal size")


def of_equal_length(name: str, lists: dict[str, Any]) -> None:
    lengths = {key: len(value) for key, value in lists.items() if isinstance(value, list)}
    if len({*lengths.values()}) > 1:
        raise Mismatch(f"{name}: expected lists of equal length; got "
                       + ", ".join(f"{n:,} {key}" for key, n in lengths.items()))


def below(name: str, indices: Sequence[int], n: int, of: str) -> None:
    if indices and max(indices) >= n:
        raise Mismatch(f"{name}: {max(indices)} is not below the number of {of}, {n:,}")
