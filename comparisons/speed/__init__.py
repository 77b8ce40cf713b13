"""How long a training step takes: minigrad and PyTorch in turn, in one process, on the same batch.

A step is zero_grad, forward, loss, backward and an Adam step, in float32. Compilation and warm-up
come before the clock starts. The two alternate, so that a machine that slows down slows both. At
each change a block of steps goes untimed: the other's threads still spin, its data fill the cache.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import environment, implementations
from comparisons.registry import TASKS
from comparisons.results import write_json
from comparisons.task import Options

BATCH = {"dexpression": 32}             # the others: 100
WARM_UP, SECONDS = 5, 6.0               # steps before the clock; time spent on each task
MIN_ROUNDS, MAX_ROUNDS = 15, 400
SHORTEST = 4e-3                         # s: faster steps are timed in blocks of at least this
ADAM_LR = 1e-3


def main(names: Sequence[str], seed: int, json_file: Path | None) -> int:
    implementations.get("torch")            # loaded, so that its threads can be told
    machine = environment.describe()
    print(f"{machine['cpu']}, {machine['cores']} cores; NumPy's BLAS {machine['blas']}; threads "
          + ", ".join(f"{k} {v}" for k, v in machine["threads"].items()))
    print(f"{'task':14}{'batch':>6}{'minigrad ms':>28}{'PyTorch ms':>28}{'ratio':>8}"
          f"{'loss differs':>14}{'memory MB':>14}")
    measured = []
    for name in names:
        row = measure(name, seed)
        measured.append(row)
        ours, theirs = row["minigrad"], row["torch"]
        print(f"{name:14}{row['batch']:6}{spread(ours):>28}{spread(theirs):>28}"
              f"{row['ratio']:8.2f}{row['loss_difference']:14.1e}"
              f"{ours['peak_rss_mb']:9.0f}/{theirs['peak_rss_mb']:.0f}", flush=True)
    print("median (quarter … three quarters); ratio: PyTorch's time over minigrad's, above 1 "
          "minigrad is faster;\nmemory: peak of a process that takes a few steps with that "
          "implementation alone")
    if json_file is not None:
        write_json(json_file, {"schema": 1, "environment": machine, "seed": seed,
                               "tasks": measured}, indent=2)
    return 0


def spread(figures: dict[str, Any]) -> str:
    return f"{figures['median_ms']:.3f} ({figures['q1_ms']:.2f} … {figures['q3_ms']:.2f})"


def measure(name: str, seed: int) -> dict[str, Any]:
    """Times in ms, the ratio of medians, how far the losses came apart, peak memory of each."""
    steps = {impl: stepper(name, impl, seed) for impl in implementations.NAMES}
    losses = {impl: [step() for _ in range(WARM_UP)] for impl, step in steps.items()}
    block = max(1, round(SHORTEST / max(min(timed(step, 1) for step in steps.values()), 1e-6)))
    times: dict[str, list[float]] = {impl: [] for impl in steps}
    start = time.perf_counter()
    while len(times["torch"]) < MAX_ROUNDS and (len(times["torch"]) < MIN_ROUNDS
                                                or time.perf_counter() - start < SECONDS):
        for impl, step in steps.items():
            timed(step, block)
            times[impl].append(timed(step, block))
    row: dict[str, Any] = {"task": name, "batch": BATCH.get(name, 100), "rounds":
                           len(times["torch"]), "steps_a_round": block}
    for impl, values in times.items():
        q1, median, q3 = np.percentile(values, [25, 50, 75]) * 1e3
        row[impl] = {"median_ms": median, "q1_ms": q1, "q3_ms": q3,
                     "peak_rss_mb": peak_memory(name, impl, seed)}
    row["ratio"] = row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
    ours, theirs = (np.array(losses[impl]) for impl in implementations.NAMES)
    row["loss_difference"] = float(np.max(np.abs(ours - theirs) / np.abs(theirs)))
    return row


def timed(step: Callable[[], float], block: int) -> float:
    """Seconds a step, over a block of them."""
    start = time.perf_counter()
    for _ in range(block):
        step()
    return (time.perf_counter() - start) / block


def stepper(name: str, impl_name: str, seed: int) -> Callable[[], float]:
    """A function that takes one training step and returns its loss."""
    task, impl = TASKS[name], implementations.get(impl_name, "cpu")
    options = Options(embedded=True, seed=seed)
    data = task.load(options)
    split = task.splits(data, options)[0]
    model = impl.new_model(lambda models: task.model(models, data, options), seed, np.float32)
    optimizer = impl.optim.Adam(model.parameters(), lr=ADAM_LR)
    loss_fn = task.loss(impl.functional)
    n = BATCH.get(name, 100)
    x = impl.tensor(split.x[:n].astype(np.float32))
    y = impl.tensor(split.y[:n].astype(np.float32) if split.y.dtype.kind == "f" else split.y[:n])

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value
    return step


def peak_memory(name: str, impl_name: str, seed: int) -> float:
    """The peak, in MB, of a new process that takes a few steps with one implementation."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of_a_few_steps, (name, impl_name, seed))


def _peak_of_a_few_steps(name: str, impl_name: str, seed: int) -> float:
    step = stepper(name, impl_name, seed)
    for _ in range(WARM_UP):
        step()
    return environment.peak_rss_mb()
