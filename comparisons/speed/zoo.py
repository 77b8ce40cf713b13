"""The zoo: usual networks that minigrad was not tuned for, in minigrad and in PyTorch.

Each network is timed as a training step (forward, loss, backward, AdamW) and as the prediction of a
batch, of four items and of a single one, in float32. All sides start from the same weights and see
the same items. Before the times, their outputs in evaluation and the losses of their first steps
are compared. Dropout is off meanwhile, because the frameworks draw different numbers; it is on when
the steps are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import minigrad
from comparisons import implementations
from comparisons.datasets.base import Array
from comparisons.speed.clock import in_turn, repeated
from comparisons.speed.models import (
    ADAM_LR,
    compared,
    compiled,
    difference,
    ratio_to,
    time_of,
    warmed_up,
)
from comparisons.speed.networks import Network
from comparisons.training import environment

SIDES = ("minigrad", "torch", "recorded", "compiled")
SECONDS = 1.0                           # to spend on each kind of each network
OUTPUT_BOUND = 1e-4                     # of the outputs' largest difference, over the largest one
KINDS = {"step": "AdamW step", "batch": "prediction of a batch", "four": "prediction of 4",
         "single": "prediction of 1"}


class Contestant:
    """A network on one side: in minigrad, in PyTorch, or as either's `compile` makes it. minigrad's
    makes the whole step, or the prediction, and is "recorded" here."""

    def __init__(self, network: Network, side: str, seed: int) -> None:
        implementation = implementations.get(
            "torch" if side in ("torch", "compiled") else "minigrad", "cpu")
        functional = implementation.functional
        self.module = implementation.new_model(
            lambda each: network.make(each.nn, each.functional), seed, np.float32)
        self.model = compiled(self.module) if side == "compiled" else self.module
        self.optimizer = implementation.optim.AdamW(self.module.parameters(), lr=ADAM_LR)
        self.loss = functional.mse_loss if network.reconstructs else functional.cross_entropy
        self.no_grad, self.tensor = implementation.package.no_grad, implementation.tensor
        self.items, targets = network.items(network.batch, seed)
        self.x, self.y = self.tensor(self.items), self.tensor(targets)
        self.side, self.run, self.predict = side, self.whole_step, self.outputs_for
        if side == "recorded":
            self.predict = minigrad.compile(self.outputs_for)

    def training(self, dropout: bool) -> None:
        """Prepare for `step`. dropout: whether the network's dropout layers, if any, drop."""
        self.module.train()
        for layer in self.module.modules():
            if type(layer).__name__.startswith("Dropout"):
                layer.train(dropout)
        if self.side == "recorded":
            self.run = minigrad.compile(self.whole_step)

    def whole_step(self) -> Any:
        """Take a training step on the whole batch; return the loss as a tensor."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self) -> float:
        """Take a training step, recorded or not; return the loss."""
        return float(self.run().item())

    def outputs_for(self, x: Any) -> Any:
        """The outputs for x; the model is in evaluation mode."""
        with self.no_grad():
            return self.model(x)

    def outputs(self) -> Array:
        """The outputs for the whole batch as an array."""
        self.module.eval()
        array: Array = np.asarray(self.predict(self.x).detach().numpy())
        return array


def measure(network: Network, seed: int, sides: Sequence[str] = SIDES) -> Iterator[dict[str, Any]]:
    """A row for each kind: the times, the ratios, and how far the sides agree."""
    contestants = {side: Contestant(network, side, seed) for side in sides}
    outputs, failed = warmed_up({side: each.outputs for side, each in contestants.items()}, 1)
    contestants = {side: contestants[side] for side in outputs}
    for each in contestants.values():
        each.training(dropout=False)
    losses, failed_to_train = warmed_up({side: each.step for side, each in contestants.items()})
    failed |= failed_to_train
    agreement = {"output_difference": apart([first for first, in outputs.values()]),
                 "loss_difference": difference(losses)}
    for kind in KINDS:
        items = {"four": 4, "single": 1}.get(kind, network.batch)
        calls = {side: call(contestants[side], kind, items) for side in losses}
        ready, failed_now = warmed_up(calls, 1)
        block, times = in_turn({side: repeated(calls[side]) for side in ready}, SECONDS)
        yield {"title": network.title, "kind": kind, "batch": items,
               "threads": environment.threads(), "steps_a_round": block,
               "rounds": len(times["minigrad"]), **agreement,
               **with_recorded(compared(times, failed | failed_now))}


def with_recorded(row: dict[str, Any]) -> dict[str, Any]:
    """The row with PyTorch's time over that of minigrad's recording."""
    row["ratio_torch_recorded"] = row["torch"]["median_ms"] / row["recorded"]["median_ms"]
    return row


def call(contestant: Contestant, kind: str, items: int) -> Callable[[], object]:
    """What is timed: a step, or a prediction of the first items."""
    if kind == "step":
        contestant.training(dropout=True)
        return contestant.step
    contestant.module.eval()
    x = contestant.tensor(contestant.items[:items])
    return lambda: contestant.predict(x)


def apart(outputs: Sequence[Array]) -> float:
    """The largest difference between two sides' outputs, over the largest output."""
    return float(np.max(np.ptp(np.array(outputs), 0)) / np.abs(outputs[0]).max())


# ---- the table ---------------------------------------------------------------------------------

HEADER = (f"{'network':27}{'':23}{'batch':>6}{'minigrad ms':>25}{'PyTorch ms':>25}"
          f"{'recorded ms':>25}{'compiled ms':>25}{'ratio':>8}{'recorded':>10}{'compiled':>10}"
          f"{'outputs':>9}{'losses':>9}")
NOTES = """\
ms: median (first quartile … third quartile). recorded: minigrad's step or prediction as
minigrad.compile makes it. ratio, recorded: PyTorch's time over either of minigrad's; compiled: that
of torch.compile over minigrad's. Above 1, minigrad is faster. outputs: their largest difference in
evaluation, over the largest output. losses: their largest difference in the first steps, relative
to the change of the loss."""


def run(networks: Sequence[Network], seed: int, sides: Sequence[str] = SIDES
        ) -> Iterator[dict[str, Any]]:
    """Measure each network; print and yield its rows, then print their summary."""
    rows = []
    print(HEADER)
    for network in networks:
        for row in measure(network, seed, sides):
            rows.append(row)
            print(line(row), flush=True)
            yield row
    print("\n".join(["", *summary(rows)]))


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    first = row["kind"] == "step"
    agreement = (f"{row['output_difference']:9.0e}{row['loss_difference']:9.0e}" if first else "")
    return (f"{row['title'] if first else '':27}{KINDS[row['kind']]:23}{row['batch']:6}"
            + "".join(f"{time_of(row, side):>25}" for side in SIDES)
            + f"{ratio_to(row, 'torch'):>8}{ratio_to(row, 'torch_recorded'):>10}"
            + f"{ratio_to(row, 'compiled'):>10}{agreement}")


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The worst ratio and the geometric mean of each kind, against PyTorch and torch.compile."""
    lines = [f"{'the whole zoo':27}{'worst':>9}{'mean':>9}{'recorded worst':>18}{'mean':>9}"
             f"{'compiled worst':>18}{'mean':>9}"]
    for kind, title in KINDS.items():
        cells = ""
        for name, width in (("torch", 9), ("torch_recorded", 18), ("compiled", 18)):
            ratios = [row[f"ratio_{name}"] for row in rows
                      if row["kind"] == kind and row.get(f"ratio_{name}")]
            worst, mean = ((f"{min(ratios):.2f}", f"{geometric_mean(ratios):.2f}") if ratios
                           else ("–", "–"))
            cells += f"{worst:>{width}}{mean:>9}"
        lines.append(f"{title:27}{cells}")
    return [*lines, "mean: the geometric mean of the ratios"]


def geometric_mean(ratios: Sequence[float]) -> float:
    """The n-th root of the product of n ratios."""
    return float(np.exp(np.mean(np.log(ratios))))
