"""The command: compares the networks of tasks, prints a table of each, and writes the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comparisons.audits.parity import page
from comparisons.audits.parity.drift import drift
from comparisons.audits.parity.findings import BOUNDS, Found
from comparisons.audits.parity.measure import measured
from comparisons.audits.parity.recording import BATCH, Subject
from comparisons.datasets.base import Data
from comparisons.errors import Fault
from comparisons.tasks.kept import blamed_on, options_of, settings_of
from comparisons.tasks.task import Task
from comparisons.training import runner
from minigrad import checkpoint
from minigrad.streams import printable


def subjects(tasks: Sequence[Task[Any]], seed: int, data: Path | None, start: Path | None
             ) -> list[Subject]:
    """The networks of the tasks. start: a checkpoint of the only task, or None for new weights."""
    jobs = [(task, replace(options, embedded=data is None, data=data, seed=seed, batch_size=BATCH))
            for task in tasks for options in (task.variants if start is None
                                              else [trained_with(task, start)])]
    loaded = runner.load(jobs)
    found = []
    for task, options in jobs:
        of = loaded[runner.source_of(task, options)]
        if start is not None:
            insist_on_fit(start, of)
        network = options.own().get("variant")
        found.append(Subject(f"{task.name}, {network}" if network else task.name, task, options, of,
                             task.splits(of, options)[0], start))
    return found


def trained_with(task: Task[Any], start: Path) -> Any:
    """The options that a checkpoint was trained with. Raises: Fault if the task has none such."""
    kept = checkpoint.load(start)
    config = settings_of(kept)
    if config.get("task") != task.name:
        raise Fault(f"{start}: is a checkpoint of {config.get('task')}, not of {task.name}")
    options = options_of(kept, task.options)
    with blamed_on(kept, "its options cannot be used"):
        task.with_options(options)
    return options


def insist_on_fit(start: Path, data: Data) -> None:
    """Say if a checkpoint was trained on other data. Raises: Fault if its network does not fit."""
    config = settings_of(checkpoint.load(start))
    known = config.get("dataset")
    if (config.get("shape"), config.get("classes")) != (list(data.x.shape[1:]), list(data.classes)):
        raise Fault(f"{start}: was trained on {known}, whose items or classes are not those of "
                    f"{data.name}; name its data with --data")
    if known != data.name:
        print(f"{printable(start)}: was trained on {known}; it is compared on {data.name}")


def broken_in(found: Sequence[Subject], layer: str) -> list[Subject]:
    """The networks that have this layer, with an error in it.

    Raises: Fault if none has it, or if it does not run there.
    """
    having = [subject for subject in found if layer in dict(subject.modules())]
    if not having:
        raise Fault(f"--break {layer}: no such layer; " + "; ".join(
            f"{subject.title} has {', '.join(name for name, _ in subject.modules())}"
            for subject in found))
    running = [subject for subject in having if subject.runs(layer)]
    if not running:
        raise Fault(f"--break {layer}: this layer does not run in the forward pass, so an error in "
                    "it would change nothing")
    return [replace(subject, broken=layer) for subject in running]


def main(tasks: Sequence[Task[Any]], seed: int, data: Path | None = None, start: Path | None = None,
         layer: str | None = None, steps: int = 10, path: Path | None = None) -> int:
    """Print a table for each network of each task; return 1 if anything is out of bounds, or if an
    error that was planted is not noticed."""
    compared = subjects(tasks, seed, data, start)
    if layer is not None:
        compared = broken_in(compared, layer)
    found = []
    for subject in compared:
        found.append(Found(subject, *measured(subject), drift(subject, steps), subject.drops))
        print(f"{text(found[-1])}\n", flush=True)
        if path is not None:
            page.write(found, path)     # after each network, so that an interruption keeps it
    bad, missed = sum(of.bad for of in found), any(of.missed for of in found)
    print(f"{bad} out of bounds ({BOUNDS})" if bad else f"all within bounds ({BOUNDS})")
    if path is not None:
        print(printable(path))
    return int(bad > 0 or missed)


def text(found: Found) -> str:
    """The table of a network for a terminal."""
    subject = found.subject
    lines = [f"{subject.title}: {found.introduction}",
             f"  {'':44}{'shape':>20}{'float32':>11}{'PyTorch’s':>11}{'float64':>11}"]
    for line in found.lines:
        shape = "×".join(map(str, line.shape)) or "scalar"
        lines.append(f"  {line.label:44}{shape:>20}{line.minigrad:11.1e}{line.torch:11.1e}"
                     f"{line.double:11.1e}{'  OUT OF BOUNDS' if line.out else ''}")
    return "\n".join([*lines, f"  {found.verdict}", *(f"  {told}" for told in found.drifted)])
