"""What each ingredient of a recipe gives: the recipe is trained without it, with several seeds.

With a seed, both trainings start from equal weights, as far as their networks are equal, and read
the data in the same order. So their difference is formed seed by seed, and its mean has the
interval of Student's t (comparisons/training/differences.py). A recipe is not a sum of its
ingredients: two of them may do the same work, and then each of them seems to give little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.pictures import png
from comparisons.errors import Fault
from comparisons.files import write_json, write_text
from comparisons.report.templating import TEMPLATES
from comparisons.tasks.task import Headline, Task
from comparisons.training import environment
from comparisons.training.differences import over_seeds
from comparisons.training.results import Results
from comparisons.training.runner import run_jobs
from minigrad.streams import printable

WHOLE = "nothing"           # is left out in the first trial
HEADER = ("left out", "mean", "± sd", "what it gives", "95% interval", "seconds")
SHOWN = 60                  # items that no seed reads right

Trial = tuple[str, Any]     # what is left out, and the options


@dataclass(frozen=True)
class Row:
    """A trial: the metric of each seed, and how much higher it is when nothing is left out."""

    name: str
    values: Array
    seconds: float                      # of training, the mean over the seeds
    gives: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def cells(self, form: str) -> tuple[str, ...]:
        percent = form.endswith("%")

        def size(value: float, sign: str = "") -> str:
            return (f"{100 * value:{sign}{form[:-1]}f}" if percent else f"{value:{sign}{form}}")
        told = (("", "") if self.name == WHOLE else
                (size(self.gives, "+"), f"{size(self.low, '+')} to {size(self.high, '+')}"))
        return (self.name, f"{self.values.mean():{form}}", size(self.values.std(ddof=1)), *told,
                f"{self.seconds:.0f}")


def trials(task: Task[Any], options: Any, only: Sequence[str] | None) -> list[Trial]:
    """The recipe as the options choose it, then without each of its ingredients.

    only: the ingredients to leave out; None for all. Raises: Fault if the recipe lacks one of them.
    """
    recipe = getattr(task.with_options(options), "ingredients", None)
    if recipe is None:
        raise Fault(f"{task.name}: has no `ingredients`")
    if only is not None:
        recipe.without(only)
    names = recipe.present() if only is None else only
    return [(WHOLE, options),
            *((name, replace(options, without=(*options.without, name))) for name in names)]


def main(task: Task[Any], chosen: Sequence[Trial], impl: str, seeds: int, folder: Path,
         resume: bool, page: Path) -> int:
    """Train all trials in folders of their own; print and write the table and the page."""
    runs = []
    for name, options in chosen:
        print("\nthe whole recipe" if name == WHOLE else f"\nwithout {name}", flush=True)
        results = Results(folder / ("whole" if name == WHOLE else f"without-{name}"))
        done = run_jobs([(task, options)], (impl,), results, resume=resume, count=seeds)
        runs.append((name, results, done[0]))
    headline = task.headlines[0]
    rows = rows_of(runs, headline)
    hardest = never_right(runs[0][1], runs[0][2])
    made = environment.describe()
    write_json(folder / "ablation.json", {
        "schema": 1, "environment": made, "task": task.name, "impl": impl,
        "dataset": runs[0][2]["dataset"], "metric": headline.metric,
        "trials": [{"without": None if row.name == WHOLE else row.name,
                    "seeds": [entry["seed"] for entry in run["seeds"]],
                    "values": row.values.tolist(), "gives": row.gives, "low": row.low,
                    "high": row.high, "train_seconds": row.seconds}
                   for row, (_, _, run) in zip(rows, runs, strict=True)],
        "never_right": hardest}, indent=2)
    print(f"\n{text(rows, headline)}\n")
    options = chosen[0][1]
    data = task.load(options)
    write_text(page, TEMPLATES.get_template("ablation.html").render(
        title=task.with_options(options).title_for(data), source=data.source, seeds=seeds,
        label=headline.label, header=HEADER, rows=[row.cells(headline.format) for row in rows],
        bars=bars(rows), hardest=pictures(data, hardest), count=len(hardest),
        tested=runs[0][2]["n_test"], versions=made["versions"], impl=impl))
    print(printable(folder / "ablation.json"))
    print(printable(page))
    return 0


def rows_of(runs: Sequence[tuple[str, Results, dict[str, Any]]], headline: Headline) -> list[Row]:
    """A row for each trial, the whole recipe first."""
    rows = []
    for name, _, run in runs:
        values = np.array([entry["metrics"][headline.metric] for entry in run["seeds"]])
        seconds = float(np.mean([entry["train_seconds"] for entry in run["seeds"]]))
        if name == WHOLE:
            rows.append(Row(name, values, seconds))
            continue
        step = 1 / run["n_test"] if headline.format.endswith("%") else 0.0
        gives = over_seeds(rows[0].values - values, step)
        rows.append(Row(name, values, seconds, gives.mean, *gives.interval()))
    return rows


def text(rows: Sequence[Row], headline: Headline) -> str:
    """The table for a terminal."""
    lines = [HEADER, *(row.cells(headline.format) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    laid = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                      for i, (cell, w) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]
    return "\n".join([f"{headline.label}, {len(rows[0].values)} seeds", laid[0],
                      "─" * max(map(len, laid)), *laid[1:], "",
                      "What an ingredient gives is the mean difference to the whole recipe, paired "
                      "by seed,\nin points for percentages; the interval is that of Student’s t."])


def never_right(results: Results, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The test items that were tested with every seed and answered wrongly each time.

    For each: its row in the data, its class, and the class that most seeds gave.
    """
    guesses: dict[int, list[int]] = {}
    targets: dict[int, int] = {}
    classes: list[str] = []
    for entry in run["seeds"]:
        details = results.details(run, entry["seed"])
        if "guesses" not in details:
            return []
        classes = details["classes"]
        for row, target, guess in zip(details["rows"], details["targets"], details["guesses"],
                                      strict=True):
            guesses.setdefault(row, []).append(guess)
            targets[row] = target
    return [{"row": row, "class": classes[targets[row]],
             "guess": classes[int(np.bincount(given).argmax())]}
            for row, given in sorted(guesses.items())
            if len(given) >= len(run["seeds"]) and targets[row] not in given]


def pictures(data: Data, items: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The first of these items as PNGs, with their classes; none if the data are no images."""
    x = data.x if data.x_test is None else data.x_test
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        return []
    return [(png(*inputs(x[[item["row"]]])), f"{item['class']}, read as {item['guess']}")
            for item in items[:SHOWN]]


def bars(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What each ingredient gives, as places in percent of the width of a picture."""
    parts = rows[1:]
    if not parts:
        return []
    low, high = min(0.0, *(r.low for r in parts)), max(0.0, *(r.high for r in parts))
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low) / span, 2)
    return [{"name": row.name, "zero": place(0), "at": place(row.gives), "left": place(row.low),
             "width": round(place(row.high) - place(row.low), 2)} for row in parts]
