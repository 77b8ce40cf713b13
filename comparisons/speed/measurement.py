"""The command `speed`: measures, prints, stores and draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comparisons import implementations
from comparisons.files import check_writable, write_json
from comparisons.speed import (
    against_jax,
    layers,
    models,
    networks,
    ops,
    plots,
    scaling,
    walk,
    zoo,
)
from comparisons.tasks.names import NAMES
from comparisons.tasks.registry import find
from comparisons.training import environment

SCHEMA = 2
NOTES = {"models": models.NOTES, "zoo": zoo.NOTES, "jax": against_jax.NOTES, "ops": ops.NOTES,
         "layers": layers.NOTES, "scaling": scaling.NOTES, "walk": walk.NOTES}


def main(what: str, tasks: Sequence[str], seed: int, threads: Sequence[int] = (),
         json_file: Path | None = None, plot_file: Path | None = None, eager: bool = False
         ) -> int:
    """Measure what is asked for; return 1 if losses or outputs do not agree.

    what: models, zoo, jax (training steps against JAX), ops, layers, scaling or walk.
    threads: the numbers of threads to measure with, one after the other, for BLAS, Numba and
    PyTorch alike. If there are none, each library uses as many as it chooses.
    eager: whether torch.compile is left out.
    """
    for path in (json_file, plot_file):
        if path is not None:
            check_writable(path)
    if what == "jax":
        against_jax.insist_on_jax()
    for name in implementations.NAMES:
        implementations.get(name)       # loaded, so that its threads can be set and shown
    report: dict[str, Any] = {"schema": SCHEMA, "measured": what, "seed": seed,
                              "environment": described(what), "rows": []}
    print(environment.told(report["environment"]))
    for n in threads or (None,):
        implementations.set_threads(n)
        print("threads: " + ", ".join(f"{name} {count}"
                                      for name, count in environment.threads().items()))
        for row in rows(what, tasks, seed, eager, n):
            report["rows"].append(row)
            if json_file is not None:       # at once, so that nothing measured is lost
                report["environment"] = described(what)
                write_json(json_file, report, indent=2)
    print("\n".join([NOTES[what], f"Numba's threads: {environment.threading_layer()}",
                     *models.failures(report["rows"])]))
    if plot_file is not None:
        plots.write(plot_file, report)
    wrong = disagreements(report["rows"])
    print("\n".join(wrong), end="\n" * bool(wrong))
    return int(bool(wrong))


def rows(what: str, tasks: Sequence[str], seed: int, eager: bool, threads: int | None
         ) -> Iterable[dict[str, Any]]:
    """Measure, print and yield each row. tasks: names, or files that define a task; for `walk`,
    names of walks."""
    if what == "walk":
        return walk.run(tasks, seed)
    own = [models.Case(word, find(word).batch_size or models.BATCH) for word in tasks
           if word not in NAMES]

    def of(cases: Iterable[models.Case]) -> list[models.Case]:
        return [case for case in cases if case.task in tasks]
    sides = implementations.NAMES if eager else models.SIDES
    if what == "models":
        return models.run([*of(models.CASES), *own], seed, threads, sides)
    if what == "zoo":
        return zoo.run(networks.ZOO, seed, [side for side in zoo.SIDES
                                            if not (eager and side == "compiled")])
    if what == "jax":
        return against_jax.run(of(models.CASES), set(NAMES) <= {*tasks}, seed)
    if what == "ops":
        return ops.run(seed)
    if what == "layers":
        return layers.run([*of(layers.CASES), *own], seed)
    grown = [replace(case, batch=batch) for case in own for batch in scaling.BATCHES]
    return scaling.run([*of(scaling.BATCH_CASES), *grown], of(scaling.SIZE_CASES), seed)


def disagreements(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the sides do not agree on, in words."""
    lines = []
    for key, bound, what in (
            ("loss_difference", models.LOSS_BOUND,
             f"The losses differ by more than {models.LOSS_BOUND:g} of their own change"),
            ("output_difference", zoo.OUTPUT_BOUND,
             f"The outputs differ by more than {zoo.OUTPUT_BOUND:g} of the largest one")):
        wrong = [row["title"] for row in rows if not row.get(key, 0) <= bound]
        if wrong:
            lines.append(f"{what}: {', '.join(dict.fromkeys(wrong))}")
    return lines


def described(what: str) -> dict[str, Any]:
    """The environment, with JAX's version if it takes part."""
    machine = environment.describe()
    if what == "jax":
        machine["versions"] |= {name: environment.version(name) for name in ("jax", "optax")}
    return machine
