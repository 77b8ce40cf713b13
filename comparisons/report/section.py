"""The data that the page shows about one task.

They come from the records of its runs and from their details, never from the task itself.

The details of a user's task may have any keys. The report draws these if they are present:
`coefficients` (names, learned, exact, half_width), `calibration`, `fit` (truth, predicted),
`reliability`, `risk_coverage`, `targets` and `guesses` with `classes`, `per_class`, `splits`, and
every quantity of the history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from comparisons.implementations import NAMES, TITLES
from comparisons.report import calibration, figures, gallery
from comparisons.report.table import shown, unusual
from comparisons.tasks.task import Headline

Runs = dict[str, dict[str, Any]]        # by implementation

CURVES = {
    "loss": ("Training loss", "The mean loss of the training examples in each epoch."),
    "test_accuracy": ("Test accuracy", "The accuracy on the test items after each epoch. It is "
                      "only recorded: the model is evaluated after the last epoch in any case."),
    "coefficient_error": ("Distance from the exact coefficients", "The largest absolute "
                          "difference between a learned coefficient and the exact one, after each "
                          "epoch. Near 1e-15, only rounding errors are left."),
}
SEVERAL = " Thin lines are single trainings, thick ones their {}mean."
HELD_OUT = {"person": "Whole persons are held out for the test.",
            "clip": "Whole recordings are held out for the test.",
            "random": "Single images are held out for the test.",
            "given": "The split is the one that comes with the data."}
KEPT = ("fold", "epoch", "seconds")     # keys of the history that are not quantities
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Tile:
    """A large figure and the name of what it belongs to."""

    figure: str
    who: str
    impl: str = ""
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure, its title, and a sentence or two on how to read it."""

    title: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class Fact:
    """A fact about each run; a single value if it is equal for both."""

    name: str
    values: list[str]


@dataclass(frozen=True)
class Section:
    """A task on the page."""

    name: str
    title: str
    source: str
    quick: bool
    label: str                      # the heading of the tiles
    tiles: list[Tile]
    overlap: str
    charts: list[Chart]
    sheet: gallery.Sheet | None
    samples: gallery.Samples | None
    maps: gallery.Maps | None
    sanity: list[gallery.Check]
    notes: list[str]
    impls: list[str]
    facts: list[Fact]


def section(name: str, runs: Runs, details: Runs, *, sheet: bool) -> Section:
    """The section of a task. sheet: whether it shows the contact sheet of its dataset."""
    runs, details = ({impl: of[impl] for impl in NAMES if impl in of} for of in (runs, details))
    some, known = next(iter(runs.values())), next(iter(details.values()))
    headline = Headline.recorded(some["headlines"][0]) if some["headlines"] else None
    source = some["source"].rstrip(".")
    return Section(
        name, some["title"], source[:1].upper() + source[1:], some["quick"],
        capital(headline.label) if headline else "", tiles(headline, runs) if headline else [],
        overlap(some), list(charts(name, details)),
        gallery.contact_sheet(known, some["dataset"]) if sheet else None,
        gallery.samples(details), gallery.maps(details), gallery.sanity(details),
        some["notes"], list(runs), facts(list(runs.values())))


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def tiles(headline: Headline, runs: Runs) -> list[Tile]:
    """A metric for each implementation, with its interval if known, and the references."""
    made = []
    for impl, run in runs.items():
        metrics = run["metrics"]
        low, high = (metrics.get(f"{headline.metric}_{end}") for end in ("low", "high"))
        width = ".1%" if headline.format.endswith("%") else headline.format
        value = shown(metrics, headline)
        made.append(Tile(value, TITLES[impl], impl,
                         "" if low is None or high is None else
                         f"95% interval {low:{width}} to {high:{width}}"))
    baselines = next(iter(runs.values()))["baselines"]
    made.append(Tile(f"{baselines[headline.baseline]:{headline.format}}", headline.reference))
    if headline.metric == "test_accuracy" and "majority_accuracy" in baselines:
        made.append(Tile(f"{baselines['majority_accuracy']:{headline.format}}",
                         "always the commonest class"))
    return made


def overlap(run: dict[str, Any]) -> str:
    """A sentence on what test images share with training images, if that is known."""
    words = {"person": "show a person who is also in the training images",
             "clip": "come from a recording that is also in the training images"}
    shares = [f"{run['metrics'][f'{kind}_overlap']:.1%} {what}" for kind, what in words.items()
              if f"{kind}_overlap" in run["metrics"]]
    told = [HELD_OUT.get(run.get("protocol", ""), ""),
            f"Of the test images, {' and '.join(shares)}." if shares else ""]
    return " ".join(filter(None, told))


# ---- figures -------------------------------------------------------------------------------------

def charts(name: str, details: Runs) -> Iterator[Chart]:
    """The figures for which the details of a task contain the data."""
    def having(*keys: str) -> Runs:
        return {impl: found for impl, found in details.items() if all(map(found.get, keys))}

    yield from curves(name, details)
    if found := having("coefficients"):
        bars = any("half_width" in d["coefficients"] for d in found.values())
        yield Chart("Coefficients", "The learned coefficients and the exact ones."
                    + " Grey bars are the 95% intervals of the exact ones." * bars,
                    figures.coefficients(found, f"{name}: coefficients"))
    if found := having("calibration"):
        yield Chart("Calibration", "Whether predicted probabilities agree with observed "
                    "frequencies. The test items are sorted by their predicted probability and "
                    "divided into groups of equal size; on the diagonal, the mean prediction of a "
                    "group equals the share of the positive class in it. Grey bars are Wilson’s "
                    "95% intervals of that share.",
                    figures.calibration(found, f"{name}: calibration"))
    for title, note, picture in calibration.charts(name, details):
        yield Chart(title, note, picture)
    if found := having("fit"):
        yield Chart("Predicted and true values", "Each dot is a test item; on the line, "
                    "the prediction is exact.",
                    figures.predicted(found, f"{name}: predicted and true"))
    for impl, d in having("targets", "guesses", "classes").items():
        title = f"Confusion matrix, {TITLES[impl]}"
        yield Chart(title, "The number of test items of the true class (row) for "
                    "which the model predicted the class below (column). The darker a field, the "
                    "larger its share of its row.",
                    figures.confusion(d["targets"], d["guesses"], d["classes"],
                                      f"{name}: {title}"))
    if found := having("per_class", "classes"):
        yield Chart("Recall and F1 of each class", "Recall (dot) is the share of a class’s "
                    "items that were recognised. Precision is the share of correct predictions "
                    "among all predictions of the class. F1 (ring) is the harmonic mean of the "
                    "two. The number after each class is the number of its test items.",
                    figures.per_class(found, f"{name}: recall and F1"))
    if found := {impl: d for impl, d in details.items() if len(d.get("splits", ())) > 1}:
        yield Chart("Test accuracy of each split", "Each dot is one training, evaluated on "
                    "its own test items. The line is the accuracy on all test items together.",
                    figures.split_accuracies(found, f"{name}: accuracy of each split"))


def curves(name: str, details: Runs) -> Iterator[Chart]:
    """A learning curve for each quantity in the history."""
    first = {impl: d["history"][0] for impl, d in details.items()}
    for key in dict.fromkeys(k for entry in first.values() for k in entry if k not in KEPT):
        found = {impl: details[impl] for impl, entry in first.items() if key in entry}
        values = [entry[key] for d in found.values() for entry in d["history"]]
        several = any(entry["fold"] != first[impl]["fold"]
                      for impl, d in found.items() for entry in d["history"])
        title, note = CURVES.get(key, (capital(key.replace("_", " ")),
                                       "The values after each epoch."))
        log = key.endswith(("loss", "error")) and min(values) >= 0
        yield Chart(title, note + SEVERAL.format("geometric " * log) * several,
                    figures.learning_curve(found, key, f"{name}: {title}", log=log))


# ---- what to know of the runs --------------------------------------------------------------------

def facts(runs: list[dict[str, Any]]) -> list[Fact]:
    """How each run was trained, how long it took, and which command started it."""
    told = {
        "Trainings": [trainings(r) for r in runs],
        "Batch size": [batch_size(r) for r in runs],
        "Learning rate": [f"{r['lr']:g}" for r in runs],
        "Seed": [str(r["seed"]) for r in runs],
        "Gradient clipping": [clipping(r) for r in runs],
        "Device": [", ".join(filter(None, (r["device"], unusual(r)))) for r in runs],
        "Training time": [f"{r['train_seconds']:.1f} s" for r in runs],
        "Warm-up": [f"{r['warm_up_seconds']:.1f} s" for r in runs],
        "Peak memory": [memory(r) for r in runs],
        "Finished": [r.get("date", UNKNOWN) for r in runs],
        "Command": [r.get("command") or UNKNOWN for r in runs]}
    return [Fact(name, values[:1] if len(set(values)) == 1 else values)
            for name, values in told.items() if any(values)]


def trainings(run: dict[str, Any]) -> str:
    epochs = f"of {run['epochs']:,} epoch{'s' * (run['epochs'] != 1)}"
    return f"{run['trainings']:,}, {epochs}{' each' * (run['trainings'] > 1)}"


def batch_size(run: dict[str, Any]) -> str:
    parts: int = run.get("accumulate", 1)
    return f"{run['batch_size']:,}" + f", computed in {parts} parts" * (parts > 1)


def clipping(run: dict[str, Any]) -> str:
    """What the gradients were clipped to; empty if they were not."""
    limit: float | None = run.get("clip_norm")
    return "" if limit is None else f"to a norm of {limit:g}"


def memory(run: dict[str, Any]) -> str:
    before = run.get("rss_before_mb")
    return f"{run['peak_rss_mb']:,.0f} MB" + (
        "" if before is None else f", of which {before:,.0f} MB held before the run")
