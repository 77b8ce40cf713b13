"""The final table: the metrics of each task in minigrad, in PyTorch and for the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from comparisons.implementations import NAMES, TITLES
from comparisons.tasks.names import NAMES as TASK_NAMES
from comparisons.tasks.task import Headline

HEADER = ("task", "data", "metric", "minigrad", "PyTorch", "reference", "minigrad s", "PyTorch s")


class Row(NamedTuple):
    """One line of the table, with a cell for each column of HEADER."""

    task: str
    data: str
    metric: str
    minigrad: str
    torch: str
    reference: str
    minigrad_seconds: str
    torch_seconds: str


def by_task(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The runs as {task: {implementation: run}}, the five systems first and in their order.

    If the implementations were trained on different data, they do not stand side by side: then
    there is an entry for each dataset, under "task:dataset".
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    datasets: dict[str, set[str]] = {}
    for run in runs:
        datasets.setdefault(run["task"], set()).add(run["dataset"])
    for run in sorted(runs, key=lambda run: (
            TASK_NAMES.index(run["task"]) if run["task"] in TASK_NAMES else len(TASK_NAMES))):
        name = run["task"]
        if len(datasets[name]) > 1:
            name += ":" + "-".join(run["dataset"].split())      # no space, since it is an HTML id
        found.setdefault(name, {})[run["impl"]] = run
    return found


def rows(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each metric of each task. Only the first shows the task, the data and the times."""
    lines = []
    for name, impls in by_task(runs).items():
        some = next(iter(impls.values()))
        seconds = [f"{impls[impl]['train_seconds']:.1f}" if impl in impls else "–"
                   for impl in NAMES]
        cells = [of_headline(Headline.recorded(h), impls, some) for h in some["headlines"]]
        for i, (metric, minigrad, torch, reference) in enumerate(cells or [("", "–", "–", "")]):
            lines.append(Row(name if i == 0 else "", counts(some) if i == 0 else "", metric,
                             minigrad, torch, reference, *(seconds if i == 0 else ("", ""))))
    return lines


def of_headline(headline: Headline, impls: dict[str, dict[str, Any]], some: dict[str, Any]
                ) -> tuple[str, str, str, str]:
    """The name of a metric, its value for each implementation, and its reference."""
    minigrad, torch = (shown(impls[impl]["metrics"], headline) if impl in impls else "–"
                       for impl in NAMES)
    reference = some["baselines"][headline.baseline]
    return (headline.label, minigrad, torch, "0" if reference == 0 else
            f"{reference:{headline.format}} {headline.reference}")


def shown(metrics: dict[str, float], headline: Headline) -> str:
    """A metric in its format. A run by another version may lack it."""
    value = metrics.get(headline.metric)
    return "–" if value is None else f"{value:{headline.format}}"


def counts(run: dict[str, Any]) -> str:
    """The dataset and the numbers of training and test items, in a few words."""
    items = (f"{run['n_test']:,} in {run['folds']} folds" if run.get("folds")
             else f"{run['n_train']:,} + {run['n_test']:,}")
    if (run.get("repeats") or 1) > 1:
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
    return "\n".join([laid[0], "─" * max(map(len, laid)), *laid[1:], *settings(runs)])


def settings(runs: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each unusual way in which some runs were computed."""
    found: dict[str, list[str]] = {}
    for name, impls in by_task(runs).items():
        for impl, run in impls.items():
            if told := unusual(run):
                found.setdefault(f"{TITLES[impl]} {told}", []).append(name)
    return [f"{', '.join(tasks)}: {told}" for told, tasks in found.items()]


def unusual(run: dict[str, Any]) -> str:
    """How a run was computed, if not in one process, in the data's precision, step by step."""
    count = run.get("processes", 1)
    return ", ".join(told for told, so in (
        ("in mixed precision (bfloat16)", run.get("amp")),
        ("compiled by torch.compile", run.get("compile")),
        (f"in {count} processes", count > 1)) if so)
