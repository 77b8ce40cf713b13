"""The final table: each task's metrics by minigrad, by PyTorch and by the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comparisons.implementations import NAMES
from comparisons.tasks.names import NAMES as TASK_NAMES
from comparisons.tasks.task import Headline

HEADER = ("task", "data", "metric", "minigrad", "PyTorch", "reference", "minigrad s", "PyTorch s")


def by_task(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Runs as {task: {implementation: run}}: the five systems in their order, then the others."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: (
            TASK_NAMES.index(run["task"]) if run["task"] in TASK_NAMES else len(TASK_NAMES))):
        found.setdefault(run["task"], {})[run["impl"]] = run
    return found


def rows(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a headline of each task; task, data and seconds stand in its first."""
    lines = []
    for name, impls in by_task(runs).items():
        some = next(iter(impls.values()))
        for i, headline in enumerate(Headline(**h) for h in some["headlines"]):
            values = [f"{impls[impl]['metrics'][headline.metric]:{headline.format}}"
                      if impl in impls else "–" for impl in NAMES]
            reference = some["baselines"][headline.baseline]
            seconds = [f"{impls[impl]['train_seconds']:.1f}" if impl in impls else "–"
                       for impl in NAMES]
            lines.append((
                name if i == 0 else "", counts(some) if i == 0 else "", headline.label, *values,
                "0" if reference == 0 else f"{reference:{headline.format}} {headline.reference}",
                *(seconds if i == 0 else ("", ""))))
    return lines


def counts(run: dict[str, Any]) -> str:
    """What was learned from and tested on, in a few words."""
    items = (f"{run['n_test']:,} in {run['folds']} folds" if run.get("folds")
             else f"{run['n_train']:,} + {run['n_test']:,}")
    if run.get("repeats", 1) > 1:
        items += f", {run['repeats']} times"
    protocol = f", by {run['protocol']}" if "protocol" in run else ""
    return f"{run['dataset']}, {items}{protocol}"


def text(runs: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal."""
    lines = [HEADER, *rows(runs)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    numbers = (3, 4, 6, 7)
    laid = ["  ".join(cell.rjust(w) if i in numbers else cell.ljust(w)
                      for i, (cell, w) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]
    return "\n".join([laid[0], "─" * max(map(len, laid)), *laid[1:]])
