"""The command `speed`: measures, prints, stores and draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comparisons import implementations
from comparisons.files import check_writable, write_json
from comparisons.speed import layers, models, plots, scaling, walk
from comparisons.tasks.names import NAMES
from comparisons.tasks.registry import find
from comparisons.training import environment

SCHEMA = 2
NOTES = {"models": models.NOTES, "layers": layers.NOTES, "scaling": scaling.NOTES,
         "walk": walk.NOTES}


def main(what: str, tasks: Sequence[str], seed: int, threads: Sequence[int] = (),
         json_file: Path | None = None, plot_file: Path | None = None) -> int:
    """Measure models, layers, scaling or the walk; return 1 if the losses do not agree.

    threads: the numbers of threads to measure with, one after the other, for BLAS, Numba and
    PyTorch alike. If there are none, each library uses as many as it chooses.
    """
    for path in (json_file, plot_file):
        if path is not None:
            check_writable(path)
    for name in implementations.NAMES:
        implementations.get(name)       # loaded, so that its threads can be set and shown
    report: dict[str, Any] = {"schema": SCHEMA, "measured": what, "seed": seed,
                              "environment": environment.describe(), "rows": []}
    print(told(report["environment"]))
    for n in threads or (None,):
        implementations.set_threads(n)
        print("threads: " + ", ".join(f"{name} {count}"
                                      for name, count in environment.threads().items()))
        for row in rows(what, tasks, seed, n):
            report["rows"].append(row)
            if json_file is not None:       # at once, so that nothing measured is lost
                report["environment"] = environment.describe()
                write_json(json_file, report, indent=2)
    print("\n".join([NOTES[what], f"Numba's threads: {environment.threading_layer()}",
                     *models.failures(report["rows"])]))
    if plot_file is not None:
        plots.write(plot_file, report)
    wrong = [row["title"] for row in report["rows"]
             if not row.get("loss_difference", 0) <= models.LOSS_BOUND]
    if wrong:
        print(f"The losses differ by more than {models.LOSS_BOUND:g} of their own change: "
              f"{', '.join(wrong)}")
    return int(bool(wrong))


def rows(what: str, tasks: Sequence[str], seed: int, threads: int | None
         ) -> Iterable[dict[str, Any]]:
    """Measure, print and yield each row. tasks: names, or files that define a task."""
    own = [models.Case(word, find(word).batch_size or models.BATCH) for word in tasks
           if word not in NAMES]

    def of(cases: Iterable[models.Case]) -> list[models.Case]:
        return [case for case in cases if case.task in tasks]
    if what == "models":
        return models.run([*of(models.CASES), *own], seed, threads)
    if what == "layers":
        return layers.run([*of(layers.CASES), *own], seed)
    if what == "walk":
        return walk.run(seed)
    grown = [replace(case, batch=batch) for case in own for batch in scaling.BATCHES]
    return scaling.run([*of(scaling.BATCH_CASES), *grown], of(scaling.SIZE_CASES), seed)


def told(machine: dict[str, Any]) -> str:
    """The environment in words."""
    versions = ", ".join(f"{name} {machine['versions'][name]}"
                         for name in ("numpy", "numba", "torch"))
    variables = "".join(f"\n{name}={value}" for name, value in machine["variables"].items())
    return (f"{machine['cpu']}, {machine['cores']} cores; NumPy's BLAS {machine['blas']}\n"
            f"Python {machine['python']}, {versions}{variables}")
