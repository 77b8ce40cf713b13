"""Findings about training: modes, the step, learning one batch by heart, and the learning rate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.autograd import enable_grad
from minigrad.inplace import Array
from minigrad.inspect.doctor.data import magnitude
from minigrad.inspect.doctor.findings import ERROR, WARNING, Finding
from minigrad.inspect.doctor.patient import SEED, Patient, count, quiet, takes_net
from minigrad.inspect.doctor.state import unchanged
from minigrad.inspect.doctor.trace import Trace
from minigrad.kernels import loss as kernels
from minigrad.nn import BatchNorm1d, BatchNorm2d, Dropout, Module
from minigrad.observer import Observer
from minigrad.optim import Adam
from minigrad.tensor import Tensor
from minigrad.testing.calls import same_random_numbers

BY_HEART = 60               # steps to learn one batch by heart
RANGE = 12                  # steps at each learning rate
RATES = tuple(10.0**power for power in range(-5, 2))
SECONDS = 4.0               # for each of the two


def modes(patient: Patient) -> Iterator[Finding]:
    """Evaluation mode in training, or dropout that evaluation mode does not switch off."""
    differ = [(path, m) for path, m in patient.net.named_modules()
              if isinstance(m, Dropout | BatchNorm1d | BatchNorm2d)]
    asleep = [path for path, m in differ if not m.training and any(
        p.requires_grad for p in m.parameters()) | isinstance(m, Dropout)]
    if asleep:
        yield Finding(
            "evaluation_mode", WARNING, f"The network is to be trained, but {len(asleep)} of its "
            f"{len(differ)} layers of dropout or batch norm are in evaluation mode, the first "
            f"being {asleep[0]!r}: dropout does nothing, and running statistics stay as they are.",
            "Call net.train() before each epoch; net.eval() holds until then.", asleep[0],
            {"layers": float(len(asleep))})
    if any(True for _ in patient.trace.named("dropped")):
        with Trace(patient.net) as trace:
            patient.output()
        call = next(iter(trace.named("dropped")), None)
        if call is not None:
            yield Finding(
                "dropout_in_evaluation", ERROR, "Dropout still sets values to 0 after net.eval(): "
                "predictions are random.",
                "Use nn.Dropout, or pass training=self.training to functional.dropout.",
                call.where)


def mixed(patient: Patient) -> Iterator[Finding]:
    """Outputs that depend on other items of the batch, in evaluation mode."""
    x, y = patient.x, patient.y
    if not isinstance(x, Tensor) or x.ndim < 2 or patient.out is None or len(x) < 3:
        return
    if len(patient.out.shape) == 0 or len(patient.out) != len(x) or (
            isinstance(y, Tensor) and (y.ndim == 0 or len(y) != len(x))):
        return
    before, again = patient.output(), patient.output()
    if before is None or again is None or not np.array_equal(before.data, again.data):
        return
    other = x.data.copy()
    other[0] = other[-1] * 5 if x.dtype.kind == "f" else other[-1]
    after = patient.output(Tensor(other))
    if after is None or np.array_equal(other, x.data) or after.shape != before.shape:
        return
    change = np.abs(after.data[1:].astype(float) - before.data[1:].astype(float))
    scale = float(np.abs(before.data).max()) or 1.0
    if np.isfinite(change).all() and float(change.max()) > 1e-4 * scale:
        rows = int((change.reshape(len(change), -1).max(1) > 1e-4 * scale).sum())
        yield Finding(
            "batch_mixed", ERROR, f"When only the first item of the batch changes, the outputs of "
            f"{rows} other items change as well: the batch is mixed up with another dimension.",
            "Look for a reshape, transpose, softmax, mean or norm that runs over dim 0; "
            "x.reshape(len(x), -1) and dim=1 keep the items apart.", "", {"rows": float(rows)})


# ---- the user's own step -------------------------------------------------------------------------

class Arrivals(Observer):
    """Adds up what arrives at each leaf, and sees in which mode modules run."""

    def __init__(self, net: Module) -> None:
        self.net, self.sums, self.training = net, dict[int, Array](), True
        self.backward = False

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        self.backward = True
        if isinstance(parent, Tensor):
            known = self.sums.get(id(parent))
            self.sums[id(parent)] = gx.data.copy() if known is None else known + gx.data


def own_step(patient: Patient) -> Iterator[Finding]:
    """A training step in which a part is forgotten: zero_grad(), backward() or step()."""
    if patient.step is None:
        return
    try:
        yield from watched(patient)
    except Exception as error:
        yield Finding("step_fails", ERROR, f"The training step raises {type(error).__name__}: "
                      f"{error}", "step must be a function of (x, y), of (net, x, y) or of (net, "
                      "batch).")


def watched(patient: Patient) -> Iterator[Finding]:
    parameters = [p for p in patient.net.parameters() if p.requires_grad]
    with enable_grad(), same_random_numbers(SEED), quiet():
        call_step(patient)
        kept = {id(p): None if p.grad is None else p.grad.data.copy() for p in parameters}
        before = [p.data.copy() for p in parameters]
        seen: list[bool] = []
        handle = patient.net.register_forward_pre_hook(
            lambda m, a: seen.append(patient.net.training))
        try:
            with Arrivals(patient.net) as arrivals:
                call_step(patient)
        finally:
            handle.remove()
    if not arrivals.backward:
        yield Finding("backward_forgotten", ERROR, "The training step computes no gradients: "
                      "backward() is not called.", "Call loss.backward() before optimizer.step().")
        return
    if all(np.array_equal(old, p.data) for old, p in zip(before, parameters, strict=True)):
        yield Finding("step_forgotten", ERROR, "The training step changes no parameter.",
                      "Call optimizer.step() after loss.backward(), without zero_grad() between "
                      "the two, with a learning rate above 0; the optimiser must have been made "
                      "of this network's parameters.")
    added = []
    for p in parameters:
        old, own = kept[id(p)], arrivals.sums.get(id(p))
        if old is None or own is None or p.grad is None or not np.abs(old).max(initial=0):
            continue
        added.append(bool(np.allclose(p.grad.data, old + own, rtol=1e-3,
                                      atol=1e-6 * float(np.abs(old).max()))))
    if added and all(added):
        yield Finding("zero_grad_forgotten", ERROR, "The gradients of a step are added to those of "
                      "the step before: they are never set back, and grow from step to step.",
                      "Call optimizer.zero_grad() in every step, before loss.backward().")
    if seen and not seen[-1] and any(isinstance(m, Dropout | BatchNorm1d | BatchNorm2d)
                                     for m in patient.net.modules()):
        yield Finding("evaluation_mode", WARNING, "The training step runs the network in "
                      "evaluation mode.", "Call net.train() before training.")


def call_step(patient: Patient) -> None:
    assert patient.step is not None
    parts = patient.batch if isinstance(patient.batch, tuple | list) else (patient.batch,)
    wants = count(patient.step)
    first = [patient.net] if takes_net(patient.step) and wants > 1 else []
    rest = wants - len(first)
    patient.step(*first, *(parts if rest == len(parts) else [patient.batch][:rest]))


# ---- learning ------------------------------------------------------------------------------------

def learns(patient: Patient) -> Iterator[Finding]:
    """Whether the network can learn one batch by heart."""
    if patient.loss is None or not math.isfinite(patient.loss) or not any(
            g is not None for g in patient.gradients.values()):
        return
    least = baseline(patient)
    if least is None or patient.loss < 0.5 * least or least <= 1e-3:
        return
    best, ends = patient.loss, time.perf_counter() + SECONDS
    for lr in (1e-2, 1e-3, 1e-1):
        losses, variety = trial(patient, lr, least, ends)
        best = min([best, *losses])
        if best < 0.99 * least or variety > 0.005 or time.perf_counter() > ends:
            return
    if best > 0.99 * least:
        yield Finding(
            "cannot_learn_a_batch", ERROR, f"After {BY_HEART} steps on this one batch the loss is "
            f"at best {best:.4g}, and answering the same for every item would cost {least:.4g}. "
            "Its outputs hardly differ from item to item: the network does not use its input.",
            "Look at whether inputs and targets belong together, whether the input reaches the "
            "output, and whether the network has enough units.", "",
            {"best": best, "constant_answer": least})


def trial(patient: Patient, lr: float, least: float, ends: float) -> tuple[list[float], float]:
    """The losses of a training on the batch, in memory of its own, and how much outputs then
    differ from item to item, by their magnitude."""
    with unchanged([patient.net], []), enable_grad(), same_random_numbers(SEED), quiet():
        optimizer = Adam([p for p in patient.net.parameters() if p.requires_grad], lr=lr)
        losses = patient.losses(optimizer.step, BY_HEART, lambda loss: (
            loss < 0.9 * least or time.perf_counter() > ends))
        out = patient.output()
    variety = math.inf
    if out is not None and out.ndim and len(out) > 1 and np.isfinite(out.data).all():
        variety = float(out.data.std(0).mean()) / (magnitude(out.data) or 1.0)
    return [loss for loss in losses if math.isfinite(loss)], variety


def baseline(patient: Patient) -> float | None:
    """The loss of the best answer that is the same for all items, for the usual losses."""
    for call in patient.trace.named("cross_entropy"):
        target = call.static["target"]
        if call.static["total"] is not None and call.y.numel() == 1 \
                and np.unique(call.static["each"]).size == 1:
            counts = np.unique(target[target >= 0], return_counts=True)[1]
            p = counts / counts.sum()
            return float(-(p * np.log(p)).sum() * call.static["each"].sum() / call.static["total"])
    for call in patient.trace.named("the loss"):
        if call.static["reduction"] != "mean" or call.inputs[1] is None:
            continue
        t = call.inputs[1].data.astype(float)
        if t.shape != call.x.shape or t.ndim == 0:
            continue
        mean = t.mean(0)
        if call.static["kind"] == kernels.SQUARE:
            return float(np.square(t - mean).mean())
        if call.static["kind"] in (kernels.LOGIT, kernels.PROBABILITY) and t.min() >= 0 \
                and t.max() <= 1:
            p = np.clip(mean, 1e-12, 1 - 1e-12)
            return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    return None


def learning_rate(patient: Patient) -> Iterator[Finding]:
    """The learning rate, beside others for the same optimiser (a range test)."""
    if len(patient.optimizers) != 1 or patient.loss is None or not math.isfinite(patient.loss) \
            or not any(g is not None for g in patient.gradients.values()):
        return
    (optimizer,) = patient.optimizers
    rates = [float(group["lr"]) for group in optimizer.param_groups if group.get("lr")]
    if not rates or "lr" not in optimizer.defaults:
        return
    start, own = patient.loss, rates[0]
    level = max(start, baseline(patient) or 0.0, 1e-6)
    ends = time.perf_counter() + SECONDS
    losses = {1.0: ranged(patient, 1.0)}
    for rate in RATES:
        if time.perf_counter() < ends:
            losses.setdefault(rate / own, ranged(patient, rate / own))
    best_factor = min(losses, key=lambda factor: final(losses[factor]))
    best, mine = final(losses[best_factor]), final(losses[1.0])
    patient_best = own * best_factor
    numbers = {"lr": own, "best_lr": patient_best, "loss": start, "loss_after": mine,
               "best_loss_after": best}
    if best > 0.95 * start:
        return
    top = max((loss for loss in losses[1.0] if math.isfinite(loss)), default=math.inf)
    diverges = not all(map(math.isfinite, losses[1.0])) or mine > 1.2 * level or (
        top > 2 * level and mine > 0.9 * start)
    if diverges and best_factor < 1:
        yield Finding(
            "learning_rate_too_high", ERROR, f"With the learning rate {own:g}, the loss goes from "
            f"{start:.4g} to {mine:.4g} in {RANGE} steps on this batch, with a peak of {top:.4g}; "
            f"with {patient_best:g} it falls to {best:.4g}.",
            f"Try a learning rate of about {patient_best:g}.", "optimizer", numbers)
    elif best_factor > 20 and start - best > 0.05 * level \
            and abs(start - mine) < 0.002 * (start - best):
        yield Finding(
            "learning_rate_too_low", WARNING, f"With the learning rate {own:g}, {RANGE} steps on "
            f"this batch lower the loss from {start:.4g} by {start - mine:.2g}; with "
            f"{patient_best:g}, by {start - best:.2g}.",
            f"Try a learning rate of about {patient_best / 3:.2g}.", "optimizer", numbers)


def ranged(patient: Patient, factor: float) -> list[float]:
    """Losses with the optimiser's learning rates times a factor."""
    (optimizer,) = patient.optimizers
    with unchanged([patient.net], patient.optimizers), enable_grad(), same_random_numbers(SEED), \
            quiet():
        for group in optimizer.param_groups:
            group["lr"] = float(group["lr"]) * factor
        return patient.losses(optimizer.step, RANGE)


def final(losses: list[float]) -> float:
    """The loss at the end, infinite where it is not finite."""
    return float(np.median(losses[-3:])) if all(map(math.isfinite, losses)) else math.inf


CHECKS = (modes, mixed, own_step, learns, learning_rate)
