"""Findings about activations and gradients: dead, saturated, vanishing, exploding."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.inplace import Array
from minigrad.inspect.doctor.data import magnitude
from minigrad.inspect.doctor.findings import ERROR, WARNING, Finding
from minigrad.inspect.doctor.patient import Patient
from minigrad.inspect.doctor.trace import SHAPES, Call
from minigrad.kernels import loss as kernels

ENOUGH = 16             # values of a unit, from which one can tell that it is dead
VANISHED, EXPLODED = 1e-4, 1e4      # magnitude of the first layers' gradients, by the last ones'


def not_finite(patient: Patient) -> Iterator[Finding]:
    """NaN or infinity in the loss, or in gradients."""
    if patient.loss is not None and not math.isfinite(patient.loss):
        yield Finding("nan_loss", ERROR, f"The loss of the batch is {patient.loss}.",
                      "Run the step in minigrad.inspect.detect_anomaly(): it names the op and the "
                      "line where this begins.")
    bad = [name for name, g in patient.gradients.items()
           if g is not None and not np.isfinite(g).all()]
    if bad and (patient.loss is None or math.isfinite(patient.loss)):
        yield Finding("nan_gradient", ERROR, f"The loss is finite, but the gradients of {len(bad)} "
                      f"parameters are not, the first being {bad[0]!r}.",
                      "Run the step in minigrad.inspect.detect_anomaly(): it names the op whose "
                      "vjp makes them.", bad[0])


def loss_at_start(patient: Patient) -> Iterator[Finding]:
    """A loss that is far above that of guessing."""
    if patient.loss is None or not math.isfinite(patient.loss):
        return
    for call in patient.trace.named("cross_entropy"):
        count = call.x.shape[1]
        guess = math.log(max(count, 2))
        each, total = call.static["each"].sum(), call.static["total"]
        if total is None or not each:
            continue
        value = float(call.y.data * total / each)       # the mean, also where it is a sum
        if value > 1.5 * guess + 1:
            yield Finding(
                "loss_at_start", WARNING, f"The cross-entropy is {value:.4g}, but guessing among "
                f"{count} classes costs only ln {count} = {guess:.4g}: the network is confidently "
                f"wrong. Its logits have a magnitude of {magnitude(call.x.data):.3g}.",
                "Look at the scale of the inputs and of the initial weights: at the start, logits "
                "should be around 1 or smaller.", "", {"loss": value, "guessing": guess})
            return
    for call in patient.trace.named("the loss"):
        if call.static["kind"] == kernels.LOGIT and call.y.numel() == 1:
            value = float(call.y.data)
            if call.static["reduction"] == "mean" and value > 2.5:
                yield Finding(
                    "loss_at_start", WARNING, f"The binary cross-entropy is {value:.4g}, but "
                    "guessing costs only ln 2 = 0.6931: the network is confidently wrong.",
                    "Look at the scale of the inputs and of the initial weights.", "",
                    {"loss": value, "guessing": math.log(2)})
                return


def dead(patient: Patient) -> Iterator[Finding]:
    """ReLUs that are 0 for every item of the batch."""
    shares: list[tuple[float, int, Call]] = []
    for call in patient.trace.named("relu"):
        columns = by_unit(patient, call)
        if columns is None or len(columns) < ENOUGH or columns.shape[1] < 4:
            continue
        gone = (columns <= 0).all(0)
        shares.append((float(gone.mean()), int(gone.sum()), call))
    if not shares:
        return
    share, number, call = max(shares, key=lambda each: each[0])
    if share > 0.6:
        units = round(number / share)
        yield Finding(
            "dead_relu", ERROR if share > 0.9 else WARNING, f"{number} of {units} ReLUs "
            f"({share:.0%}) are 0 for every item of the batch. No gradient passes through them, so "
            "they cannot recover.",
            "Look for a large negative bias, a learning rate that was too high, or inputs that are "
            "not centred; LeakyReLU keeps a gradient.", call.where, {"share": share})


def by_unit(patient: Patient, call: Call) -> Array | None:
    """The values of a layer as a matrix with a column for each unit (or channel)."""
    y = call.y.data
    if y.ndim < 2:
        return None
    maker = patient.trace.made_by(call.x, SHAPES | {"add", "dropped"})
    last = maker is not None and maker.name in ("linear", "matmul", "layer_norm") and y.ndim != 4
    axis = y.ndim - 1 if last or y.ndim == 2 else 1
    columns: Array = np.moveaxis(y, axis, -1).reshape(-1, y.shape[axis])
    return columns


def saturated(patient: Patient) -> Iterator[Finding]:
    """Hidden sigmoid or tanh units that are at their limits."""
    last = patient.trace.made_by(patient.out) if patient.out is not None else None
    worst: tuple[float, Call] | None = None
    for call in patient.trace.named("sigmoid", "tanh"):
        if call is last or not call.place.modules or call.y.numel() < ENOUGH:
            continue
        y = call.y.data
        flat = np.abs(y) > 0.99 if call.name == "tanh" else np.abs(y - 0.5) > 0.49
        share = float(flat.mean())
        if share > 0.6 and (worst is None or share > worst[0]):
            worst = share, call
    if worst:
        share, call = worst
        x = call.x.data
        yield Finding(
            "saturated", ERROR if share > 0.9 else WARNING, f"{share:.0%} of the outputs of "
            f"{call.name} are within 1% of its limits, where its slope is next to 0: what it is "
            f"given has a magnitude of {magnitude(x):.3g}, and should be around 1.",
            "Use smaller initial weights (nn.init.xavier_uniform_), standardise the inputs, or put "
            "a normalisation in front.", call.where, {"share": share, "rms": magnitude(x)})


def layers(patient: Patient) -> list[tuple[str, float]]:
    """The magnitude of the gradient of each weight, in the order in which the layers run."""
    names = {id(p): name for name, p in patient.named.items()}
    found: dict[str, float] = {}
    for call in patient.trace.calls:
        for x in call.inputs[1:2]:
            name = names.get(id(x))
            g = patient.gradients.get(name) if name else None
            if name and x is not None and x.ndim > 1 and g is not None and name not in found:
                found[name] = magnitude(g)
    return list(found.items())


def gradients_by_layer(patient: Patient) -> Iterator[Finding]:
    """Gradients that shrink or grow on their way back."""
    sizes = layers(patient)
    if len(sizes) < 3 or not all(math.isfinite(size) for _, size in sizes):
        return
    first, last = [size for _, size in sizes[:2]], [size for _, size in sizes[-2:]]
    if min(last) <= 0:
        return
    ratio = min(first) / max(last)
    numbers = {"first": min(first), "last": max(last), "ratio": ratio}
    ladder = ", ".join(f"{name} {size:.1e}" for name, size in
                       (sizes if len(sizes) <= 6 else [*sizes[:3], *sizes[-3:]]))
    if 0 < ratio < VANISHED or (ratio == 0 and min(first) == 0 and len(sizes) > 6 and all(
            size > 0 for _, size in sizes[2:])):
        yield Finding(
            "vanishing_gradient", ERROR if ratio < VANISHED / 100 else WARNING,
            f"On their way back, the gradients shrink by a factor of {1 / max(ratio, 1e-300):.1e}: "
            f"{ladder}.", "Use ReLU or GELU instead of sigmoid, Kaiming or Xavier initialisation, "
            "batch or layer norm, and connections around the layers.", sizes[0][0], numbers)
    elif ratio > EXPLODED or max(size for _, size in sizes) > 1e5:
        yield Finding(
            "exploding_gradient", ERROR, f"The gradients are very large: {ladder}.",
            "Use smaller initial weights (Kaiming or Xavier), standardise inputs and targets, "
            "normalise, or clip with nn.utils.clip_grad_norm_.", sizes[0][0], numbers)


def large_weights(patient: Patient) -> Iterator[Finding]:
    """Weights so large that each layer multiplies the magnitude of what passes through it."""
    found, growth = [], 1.0
    for call in patient.trace.named("linear", "conv2d"):
        w = call.inputs[1]
        before, after = magnitude(call.x.data), magnitude(call.y.data)
        if w is None or not w.requires_grad or w.numel() < 64 or before < 1e-3 \
                or not math.isfinite(after):
            continue
        std, gain = float(w.data.std()), after / before
        growth *= gain
        if gain > 3 and std * math.sqrt(math.prod(w.shape[1:])) > 4:
            found.append((gain, call, std, math.prod(w.shape[1:])))
    if (len(found) > 1 and growth > 100) or any(gain > 30 for gain, *_ in found):
        gain, call, std, fan_in = max(found, key=lambda each: each[0])
        yield Finding(
            "large_weights", WARNING, f"The layer {call.where!r} makes what passes through it "
            f"{gain:.3g} times as large: its weights have a standard deviation of {std:.3g}; for "
            f"{fan_in} inputs, about {1 / math.sqrt(fan_in):.2g} keeps the magnitude.",
            "Leave the default initialisation, or use nn.init.kaiming_uniform_.", call.where,
            {"gain": gain, "std": std})


CHECKS = (not_finite, saturated, dead, large_weights, gradients_by_layer, loss_at_start)
