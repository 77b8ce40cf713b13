"""How far two trainings that are equal but for rounding move apart, step by step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.audits.parity.recording import Subject, batches
from comparisons.datasets.base import Array
from comparisons.implementations import Implementation

LINE_EVERY = 100        # steps, where there is no bar
DTYPES = {"float32": np.float32, "float64": np.float64}


@dataclass(frozen=True)
class Drift:
    """The differences after each step.

    weights: |a - b| / |b| over all parameters together, in the Euclidean norm. losses: of the batch
    of the step, |a - b| / |b|.
    """

    weights: list[float]
    losses: list[float]


def drift(subject: Subject, steps: int) -> dict[str, Drift]:
    """Train both sides on the same batches, in each dtype."""
    return {name: apart(subject, name, steps) for name in DTYPES}


def apart(subject: Subject, name: str, steps: int) -> Drift:
    """The differences in one dtype, with progress: a bar on a terminal, lines elsewhere."""
    from tqdm import tqdm
    title, dtype = f"{subject.title}, {name}", DTYPES[name]
    bar = sys.stderr is not None and sys.stderr.isatty()
    sides = (walk(subject, implementations.get(side, "cpu"), dtype)
             for side in implementations.NAMES)
    found = Drift([], [])
    with tqdm(total=steps, desc=title, unit=" steps", leave=False, disable=not bar) as progress:
        for (a, loss_a), (b, loss_b) in islice(zip(*sides, strict=False), steps):
            found.weights.append(relative(a, b))
            found.losses.append(relative(np.array(loss_a), np.array(loss_b)))
            progress.update()
            if not bar and len(found.weights) % LINE_EVERY == 0:
                print(f"  {title}: {len(found.weights):,} training steps", flush=True)
    return found


def relative(a: Array, b: Array) -> float:
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / (size or 1)


def walk(subject: Subject, impl: Implementation, dtype: Any) -> Iterator[tuple[Array, float]]:
    """All parameters as one vector, and the loss, after each step of the task's training."""
    training = subject.training(impl, dtype)
    model = training.model
    most = training.recipe.epochs * len(training.loader)        # the schedule is not longer
    for x, y in islice(batches(training, dtype), most):
        training.optimizer.zero_grad()
        loss = training.loss(model(impl.tensor(x)), impl.tensor(y))
        loss.backward()
        training.optimizer.step()
        if training.scheduler is not None:
            training.scheduler.step()
        yield np.concatenate([np.ravel(p.detach().numpy()).astype(np.float64)
                              for p in model.parameters()]), loss.item()
