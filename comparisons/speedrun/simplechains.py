"""Two tasks that the authors of SimpleChains.jl have published, with their settings.

The post: C. Elrod, N. Korsbo, C. Rackauckas, "Doing small network scientific machine learning in
Julia 5x faster than PyTorch", julialang.org, 14 April 2022. What it leaves open is taken from the
PyTorch scripts that it names, chriselrod/MatrixExponentialTorch and chriselrod/LeNetTorch, as
docs/speedrun.md explains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.mnist import load_mnist
from comparisons.files import check_writable, write_json
from comparisons.implementations import TITLES, Implementation
from comparisons.speed.models import LOSS_BOUND, difference
from comparisons.speedrun.record import SCHEMA, announce, needed
from comparisons.speedrun.step import Step, stepper
from comparisons.training import environment
from minigrad.data import ArrayDataset, DataLoader

MATRICES = 10_000
TURNS = 10              # blocks of epochs in which the sides alternate
WARM_UP = 5             # steps that compile the kernels, and whose losses are compared

NOTES = """\
Seconds for all epochs, after a warm-up. The published ones are of other machines, in 2022: the best
of two or three runs, without compilation."""


@dataclass(frozen=True)
class Task:
    """A published task. batch: the digits of a batch; None means all examples at once.

    network, loss: the network of an implementation, and the name of its loss. score: what is told
    of the trained network, from its outputs and the targets of the test set. published: seconds.
    """

    name: str
    title: str
    data: tuple[Array, Array, Array, Array]             # x, y, x_test, y_test
    network: Callable[[Implementation], Any]
    loss: str
    lr: float
    epochs: int
    batch: int | None
    score: tuple[str, Callable[[Array, Array], float]]
    published: tuple[tuple[str, float], ...]


def exponentials(seed: int) -> Task:
    """A perceptron learns the exponentials of 2 × 2 matrices; an epoch is one step with all."""
    return Task("exponentials", "exponentials of 2 × 2 matrices, 4-32-16-4, 10,000 epochs",
                (*matrices(seed), *matrices(seed + 1)), perceptron, "mse_loss", 1e-3, 10_000, None,
                ("test_error", lambda outputs, y: float(np.mean((outputs - y) ** 2))),
                (("SimpleChains.jl, Core i9-10980XE, 18 cores", 0.41),
                 ("SimpleChains.jl, EPYC 7513, 32 cores", 0.72),
                 ("PyTorch, Core i9-10980XE, 18 cores", 15.22),
                 ("PyTorch, EPYC 7513, 32 cores", 68.02)))


def digits(data: Data) -> Task:
    """LeNet-5 learns MNIST in ten epochs."""
    assert data.x_test is not None      # IDX files have a test set
    assert data.y_test is not None
    return Task("digits", "MNIST, LeNet-5, ten epochs",
                (inputs(data.x), data.y, inputs(data.x_test), data.y_test), lenet,
                "cross_entropy", 3e-4, 10, 128,
                ("test_accuracy", lambda outputs, y: float(np.mean(outputs.argmax(1) == y))),
                (("SimpleChains.jl, Core i9-10980XE, 18 cores", 1.23),
                 ("SimpleChains.jl, EPYC 7513, 32 cores", 3.08),
                 ("SimpleChains.jl, Core i7-1165G7, 4 cores", 5.32),
                 ("PyTorch, Core i9-10980XE, 18 cores", 10.78),
                 ("PyTorch, EPYC 7513, 32 cores", 14.86)))


def matrices(seed: int) -> tuple[Array, Array]:
    """Matrices of standard normal numbers, and their exponentials: (MATRICES, 4) each.

    With A = s + B, where s is half the trace, B² is a number q² (Cayley and Hamilton), and

        exp A = e^s (cosh q + sinh q / q · B).
    """
    a = np.random.default_rng(seed).standard_normal((MATRICES, 2, 2))
    one = np.eye(2)
    s = np.trace(a, axis1=1, axis2=2)[:, None, None] / 2
    b = a - s * one
    q = np.sqrt(-np.linalg.det(b).astype(complex))[:, None, None]
    exponential = np.exp(s) * (np.cosh(q) * one + np.sinh(q) / q * b).real
    return a.reshape(-1, 4).astype(np.float32), exponential.reshape(-1, 4).astype(np.float32)


def perceptron(implementation: Implementation) -> Any:
    nn = implementation.nn
    return started(implementation, nn.Sequential(
        nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 4)))


def lenet(implementation: Implementation) -> Any:
    nn = implementation.nn
    return started(implementation, nn.Sequential(                               # 1 × 28 × 28
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),                         # 6 × 12 × 12
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),          # 16 × 4 × 4
        nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)))


def started(implementation: Implementation, model: Any) -> Any:
    """The model with the published initial weights: uniform for convolutions, else normal."""
    init = implementation.nn.init
    for parameter in model.parameters():
        if parameter.ndim > 1:
            (init.xavier_uniform_ if parameter.ndim == 4 else init.xavier_normal_)(parameter)
    return model


def main(names: Sequence[str], seed: int, data_place: Path | None, threads: int | None,
         json_file: Path | None) -> int:
    """Train both tasks once with each implementation; return 1 if their losses differ."""
    if json_file is not None:
        check_writable(json_file)
    data = needed(load_mnist(data_place))
    sides = {name: implementations.get(name, "cpu") for name in names}
    announce(data, threads)
    report: dict[str, Any] = {"schema": SCHEMA, "measured": "simplechains", "seed": seed,
                              "data": data.source, "tasks": {}}
    wrong = []
    for task in (exponentials(seed), digits(data)):
        found = raced(task, sides, seed)
        print(text(task, found["sides"]), flush=True)
        report["tasks"][task.name] = found
        if found["loss_difference"] is not None and not found["loss_difference"] <= LOSS_BOUND:
            wrong.append(task.title)
    print(NOTES)
    if json_file is not None:
        write_json(json_file, report | {"environment": environment.describe()}, indent=2)
    if wrong:
        print(f"The losses differ by more than {LOSS_BOUND:g} of their own change: "
              f"{', '.join(wrong)}")
    return int(bool(wrong))


def raced(task: Task, sides: Mapping[str, Implementation], seed: int) -> dict[str, Any]:
    """Train the sides in turn, a block of epochs each; time and judge them."""
    first = {name: warmed_up(task, side, seed) for name, side in sides.items()}
    models, blocks = {}, {}
    for name, side in sides.items():
        models[name], step = prepare(task, side, seed)
        blocks[name] = trained(task, step, seed)
    seconds = dict.fromkeys(sides, 0.0)
    for _ in range(TURNS):
        for name in sides:
            start = time.perf_counter()
            next(blocks[name])
            seconds[name] += time.perf_counter() - start
    x_test, y_test = task.data[2:]
    key, score = task.score
    return {"title": task.title, "epochs": task.epochs, "batch": task.batch, "lr": task.lr,
            "loss_difference": difference(first) if len(first) > 1 else None,
            "sides": {name: {"seconds": seconds[name],
                             key: score(side.predict(models[name], x_test), y_test)}
                      for name, side in sides.items()}}


def prepare(task: Task, implementation: Implementation, seed: int) -> tuple[Any, Step]:
    """A network with its initial weights, and its training step."""
    model = implementation.new_model(task.network, seed, np.float32)
    optimizer = implementation.optim.Adam(model.parameters(), lr=task.lr)
    return model, stepper(implementation, model, optimizer,
                          getattr(implementation.functional, task.loss))


def warmed_up(task: Task, implementation: Implementation, seed: int) -> list[float]:
    """The losses of the first steps, taken to have everything compiled and loaded."""
    _, step = prepare(task, implementation, seed)
    batches = (batch for epoch in range(WARM_UP) for batch in batches_of(task, seed)(epoch))
    return [float(step(*batch).item()) for batch, _ in zip(batches, range(WARM_UP), strict=False)]


def trained(task: Task, step: Step, seed: int) -> Iterator[None]:
    """Take all steps, and pause after each of TURNS blocks of epochs."""
    batches = batches_of(task, seed)
    for epoch in range(task.epochs):
        for batch in batches(epoch):
            step(*batch)
        if (epoch + 1) % (task.epochs // TURNS) == 0:
            yield


def batches_of(task: Task, seed: int) -> Callable[[int], Iterable[tuple[Array, ...]]]:
    """The batches of an epoch, given its number."""
    x, y = task.data[:2]
    if task.batch is None:
        return lambda epoch: ((x, y),)
    loader = DataLoader(ArrayDataset(x, y), task.batch, shuffle=True, seed=seed)

    def batches(epoch: int) -> DataLoader:
        loader.set_epoch(epoch)
        return loader
    return batches


def text(task: Task, sides: Mapping[str, Mapping[str, float]]) -> str:
    """The seconds of a task, ours and the published ones."""
    key = task.score[0]
    lines = [f"\n{task.title}"]
    for name, side in sides.items():
        worth = (f"mean squared error on the test set {side[key]:.4f}" if key == "test_error" else
                 f"test accuracy {side[key]:.2%}")
        lines.append(f"  {TITLES[name] + ', here':54}{side['seconds']:>8.2f} s, {worth}")
    lines += [f"  {who + ' (published)':54}{seconds:>8.2f} s" for who, seconds in task.published]
    return "\n".join(lines)
