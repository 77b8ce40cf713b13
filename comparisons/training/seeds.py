"""Repeats the runs of a task with further seeds, so that chance can be told from a difference.

A task's run with its first seed is recorded as ever, in `DIR/<task>-<implementation>/`. Those with
further seeds have folders `seed-<N>` in it, and are entries of its list `seeds` in results.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Data
from comparisons.datasets.levels import digest
from comparisons.errors import NotThereError
from comparisons.files import write_json
from comparisons.tasks.options import Options
from comparisons.tasks.protocols import kinds
from comparisons.tasks.task import Details, Split, Task, Trained
from comparisons.training import environment
from comparisons.training.checks import load_checked
from comparisons.training.results import Results

Run = Callable[[Options, Data, Sequence[Split], str, Path, bool],
               tuple[dict[str, Any], Details, list[Trained]]]
First = tuple[dict[str, Any], Details]      # a run with the first seed: its record and its details


def with_further(count: int, task: Task[Any], options: Options, data: Data,
                 splits: Sequence[Split], firsts: dict[str, First], results: Results,
                 resume: bool, run: Run, say: Callable[[str], None]) -> None:
    """Run a task with `count - 1` further seeds, and record each run when it is finished.

    data, splits, firsts: those of the first seed. run: trains and evaluates once.
    """
    for name, (record, details) in firsts.items():
        details |= groups(data, splits)
        remember(record, entry(record, splits, results.run_folder(task.name, name), results))
    for seed in range(options.seed + 1, options.seed + count):
        say(f"  seed {seed}, {seed - options.seed + 1} of {count}")
        again = replace(options, seed=seed)
        data = loaded(task, again)
        splits = task.splits(data, again)
        for name, (first, details_of_first) in firsts.items():
            folder = results.seed_folder(first, seed)
            record, details, _ = run(again, data, splits, name, folder, resume)
            write_json(folder / "details.json", details | groups(data, splits))
            remember(first, entry(record, splits, folder, results))
            results.add(first, details_of_first, environment.describe())
            figures = ", ".join(f"{h.label} {record['metrics'][h.metric]:{h.format}}"
                                for h in task.headlines)
            say(f"  {implementations.TITLES[name]}: {figures}, "
                f"{record['train_seconds']:.1f} s of training")


def finished(results: Results, record: dict[str, Any]) -> dict[str, Any]:
    """The entries of seeds that an interrupted run has finished, as a part of its record."""
    known = [run["seeds"] for run in results.runs if run.get("seeds")
             and all(run[key] == record[key] for key in ("task", "impl", "dataset", "seed"))]
    return {"seeds": known[0]} if known else {}


def remember(record: dict[str, Any], new: dict[str, Any]) -> None:
    """Add an entry to the seeds of a record. It replaces an earlier one of the same seed."""
    kept = [old for old in record.get("seeds", ()) if old["seed"] != new["seed"]]
    record["seeds"] = sorted([*kept, new], key=lambda entry: int(entry["seed"]))


def loaded(task: Task[Any], options: Options) -> Data:
    """The data for a further seed. As for the first, `--data` need not hold any for every task."""
    try:
        return load_checked(task, options)
    except NotThereError:
        return load_checked(task, replace(options, data=None))


def entry(record: dict[str, Any], splits: Sequence[Split], folder: Path, results: Results
          ) -> dict[str, Any]:
    """What results.json says about a run with one of the seeds."""
    return {"seed": record["seed"], "metrics": record["metrics"],
            "train_seconds": record["train_seconds"], "date": record["date"],
            "checkpoint": (folder / Path(record["checkpoint"]).name).relative_to(
                results.folder).as_posix(),
            "test_items": digest(array for split in splits for array in
                                 (split.x_test, split.y_test, split.test_rows))}


def groups(data: Data, splits: Sequence[Split]) -> Details:
    """The group of each test item, whose answers are not independent: its person, else its clip."""
    known = kinds(data)
    if not known:
        return {}
    of = known["person"] if "person" in known else known["clip"]
    rows = np.concatenate([split.test_rows for split in splits])
    return {"groups": np.unique(of, return_inverse=True)[1][rows].tolist()}
