"""Trains by the recipe with several seeds, and says whether it reads 99% on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.mnist import load_mnist
from comparisons.errors import Fault
from comparisons.files import check_writable, write_json
from comparisons.implementations import TITLES, Implementation
from comparisons.speed.models import LOSS_BOUND, difference
from comparisons.speedrun import recipe
from comparisons.training import environment
from comparisons.training.differences import over_seeds

SCHEMA = 1
GOAL = 0.99
WARM_UP = 5             # steps that compile the kernels, and whose losses are compared
HELD_OUT = 10_000       # training digits, by which a recipe is chosen
HOLDS, OPEN, FAILS = "holds", "open", "fails"

NOTES = f"""\
Seconds of training from the initial weights to the final ones: median (first … third quartile),
mean. Accuracy on the 10,000 test digits after the last step, mean over the seeds with the 95%
interval of that mean (Student's t). The claim “{GOAL:.1%} on average” holds if the whole interval
lies above."""


def main(names: Sequence[str], seed: int, data_place: Path | None, threads: int | None,
         json_file: Path | None, count: int, validate: bool) -> int:
    """Train `count` times with each implementation, in turn; return 1 if their losses differ.

    validate: whether to leave the test digits alone, and test on training digits held out.
    """
    if json_file is not None:
        check_writable(json_file)
    data = needed(load_mnist(data_place))
    if validate:
        data = held_out(data)
    sides = {name: implementations.get(name, "cpu") for name in names}
    announce(data, threads)
    first = warmed_up(sides, data, seed)
    apart = difference(first) if len(first) > 1 else None
    print(f"{'seed':>6}" + "".join(f"{TITLES[name]:>22}" for name in sides))
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    seeds = range(seed, seed + count)
    for each in seeds:
        for name, implementation in sides.items():
            runs[name].append(run(implementation, data, each))
        print(f"{each:>6}" + "".join(f"{runs[name][-1][0]:>12.2%}{runs[name][-1][1]:>8.2f} s"
                                     for name in sides), flush=True)
    found = {name: summary([share for share, _ in runs[name]], [sec for _, sec in runs[name]],
                           tested(data)) for name in sides}
    print(text(found))
    report = {"schema": SCHEMA, "measured": "speedrun", "environment": environment.describe(),
              "data": data.source, "goal": GOAL, "seeds": list(seeds),
              "recipe": recipe.SETTINGS, "loss_difference": apart, "sides": found}
    if json_file is not None:
        write_json(json_file, report, indent=2)
    if apart is None or apart <= LOSS_BOUND:
        return 0
    print(f"The losses of the first steps differ by more than {LOSS_BOUND:g} of their own change")
    return 1


def announce(data: Data, threads: int | None) -> None:
    """Set the number of threads; print the machine, the versions, the threads and the data."""
    implementations.set_threads(threads)
    machine = environment.describe()
    counts = ", ".join(f"{name} {count}" for name, count in machine["threads"].items()
                       if count is not None)
    print(f"{environment.told(machine)}\nthreads: {counts}\ndata: {data.source}", flush=True)


def needed(data: Data) -> Data:
    """The data as float32, if they are those that the record is about.

    Raises: Fault if they are not, which says how to get MNIST.
    """
    if data.name != "mnist":
        raise Fault(f"speedrun: the record is about MNIST's 60,000 + 10,000 digits; got "
                    f"{data.source}. Pass the folder of MNIST's four IDX files with --data DIR; "
                    "`python -m comparisons run mnist-mlp` downloads them if it can")
    assert data.x_test is not None      # IDX files have a test set
    return replace(data, x=inputs(data.x), x_test=inputs(data.x_test))      # not under the clock


def held_out(data: Data) -> Data:
    """The training digits without the last ones, which take the place of the test digits."""
    return replace(data, x=data.x[:-HELD_OUT], y=data.y[:-HELD_OUT],
                   x_test=data.x[-HELD_OUT:], y_test=data.y[-HELD_OUT:],
                   source=f"training digits of {data.source}; the last {HELD_OUT:,} of them are "
                   "held out, and take the place of the test digits")


def tested(data: Data) -> int:
    """The number of test digits."""
    assert data.y_test is not None      # IDX files have a test set
    return len(data.y_test)


def warmed_up(sides: Mapping[str, Implementation], data: Data, seed: int
              ) -> dict[str, list[float]]:
    """The losses of the first steps of each side, taken to have everything compiled and loaded."""
    losses: dict[str, list[float]] = {}
    for name, implementation in sides.items():
        model, step = recipe.prepare(implementation, seed)
        losses[name] = [float(step(*batch).item()) for batch, _ in zip(
            recipe.batches(inputs(data.x), data.y, seed), range(WARM_UP), strict=False)]
        recipe.accuracy(implementation, model, inputs(data.x[:recipe.BATCH]),
                        data.y[:recipe.BATCH])
    return losses


def run(implementation: Implementation, data: Data, seed: int) -> tuple[float, float]:
    """The test accuracy of one training, and its seconds."""
    model, seconds = recipe.train(implementation, inputs(data.x), data.y, seed)
    assert data.x_test is not None
    assert data.y_test is not None
    return recipe.accuracy(implementation, model, inputs(data.x_test), data.y_test), seconds


def summary(accuracies: Sequence[float], seconds: Sequence[float], digits: int) -> dict[str, Any]:
    """What the runs of one side say. digits: the number of test digits.

    A single run has no interval. The standard deviation of several is taken as at least one digit,
    because a few equal accuracies are no certainty.
    """
    low = high = None
    mean = float(np.mean(accuracies))
    if len(accuracies) > 1:
        low, high = over_seeds(np.array(accuracies), 1 / digits).interval()
    q1, median, q3 = (float(q) for q in np.percentile(seconds, [25, 50, 75]))
    return {"accuracies": list(accuracies), "mean_accuracy": mean, "low": low, "high": high,
            "claim": claim(mean, low), "seconds": list(seconds), "median_seconds": median,
            "q1_seconds": q1, "q3_seconds": q3, "mean_seconds": float(np.mean(seconds))}


def claim(mean: float, low: float | None) -> str:
    """Whether the mean accuracy over all seeds is at least GOAL, as far as these seeds tell."""
    if mean < GOAL:
        return FAILS
    return HOLDS if low is not None and low >= GOAL else OPEN


VERDICTS = {HOLDS: "holds with {}", FAILS: "does not hold: the mean of {} is lower",
            OPEN: "may hold, but {} cannot show it: pass a larger number to --seeds"}


def verdict(side: Mapping[str, Any]) -> str:
    """The verdict of a summary, in words."""
    count = len(side["seconds"])
    return VERDICTS[side["claim"]].format(f"{count} seed{'s' * (count > 1)}")


def text(sides: Mapping[str, dict[str, Any]]) -> str:
    """The summary of all sides, for a terminal."""
    lines = [f"{'':10}{'seconds':>24}{'mean':>8}{'accuracy':>11}{'95% interval':>20}"]
    for name, side in sides.items():
        median, q1, q3, mean = (side[f"{key}_seconds"] for key in ("median", "q1", "q3", "mean"))
        spread = f"{median:.2f} ({q1:.2f} … {q3:.2f})"
        interval = "–" if side["low"] is None else f"{side['low']:.3%} … {side['high']:.3%}"
        lines.append(f"{TITLES[name]:10}{spread:>24}{mean:>8.2f}{side['mean_accuracy']:>11.3%}"
                     f"{interval:>20}")
    if len(sides) > 1:
        ours, theirs = (sides[name]["median_seconds"] for name in ("minigrad", "torch"))
        lines.append(f"PyTorch's time over minigrad's: {theirs / ours:.2f}")
    lines += [f"{TITLES[name]}: “{GOAL:.1%} on average” {verdict(side)}"
              for name, side in sides.items()]
    return "\n".join([*lines, NOTES])
