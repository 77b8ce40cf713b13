"""Findings about what the loss is given: outputs and targets that do not go together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.inspect.doctor.findings import ERROR, WARNING, Finding
from minigrad.inspect.doctor.patient import Patient
from minigrad.inspect.doctor.trace import SHAPES, Call
from minigrad.kernels import loss as kernels
from minigrad.tensor import Tensor

RANGES = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0),
          "hardtanh": (-1.0, 1.0), "relu": (0.0, math.inf), "softplus": (0.0, math.inf)}


def fails(patient: Patient) -> Iterator[Finding]:
    """A network or a loss that raises an error for this batch."""
    if patient.error is None:
        return
    said = f"{type(patient.error).__name__}: {patient.error}"
    if patient.stage == "network":
        yield why_the_network_fails(patient, said)
    elif patient.stage == "backward":
        yield Finding("backward_fails", ERROR, f"The backward pass fails: {said}",
                      "Look at the op that is named.")
    else:
        yield why_the_loss_fails(patient, said)


def why_the_network_fails(patient: Patient, said: str) -> Finding:
    given = ", ".join(f"{x.shape} of {x.dtype}" for x in patient.inputs)
    what = f"The network cannot be run on this input, {given}: {said}"
    dtypes = {p.dtype for p in patient.named.values()}
    if "dtype" in said and any(x.dtype not in dtypes for x in patient.inputs):
        own = next(iter(dtypes), np.dtype(np.float32))
        return Finding("input_dtype", ERROR, what, f"The parameters are {own}: convert the input, "
                       "x.float(), once, where the data are loaded.", "input")
    if "shape" in said or "channels" in said or "dims" in said:
        return Finding("input_shape", ERROR, what, "Compare the shape of the input with what the "
                       "layer named expects. Images are (N, C, H, W), and nn.Flatten() stands "
                       "between convolutions and linear layers.", "input")
    return Finding("network_fails", ERROR, what,
                   "Compare the input with what the layer named expects.")


def why_the_loss_fails(patient: Patient, said: str) -> Finding:
    y, out = patient.target, patient.out
    if y is None or out is None:
        return Finding("loss_fails", ERROR, f"The loss cannot be computed: {said}",
                       "Compare what the network returns with what the loss expects.")
    shapes = f"The output has shape {out.shape}, the target shape {y.shape} and dtype {y.dtype}."
    low, high = (float(y.data.min()), float(y.data.max())) if y.numel() else (0.0, 0.0)
    numbers = {"least": low, "most": high}
    if "must lie in" in said and "target" in said:
        count = out.shape[1] if out.ndim > 1 else out.numel()
        what, how = (f"The targets lie between {low:g} and {high:g}, but the output has "
                     f"{count} values an item.",
                     "Classes are numbered from 0 to C - 1, and the last layer has C outputs: "
                     "subtract 1 from labels that start at 1, or make the last layer wider.")
        if "[0, 1]" in said:
            what, how = (f"The targets lie between {low:g} and {high:g}, but must be between 0 "
                         "and 1.", "Convert the labels to 0 and 1.")
        return Finding("target_range", ERROR, f"{what} The loss fails: {said}", how, "target",
                       numbers)
    if "x must lie in" in said:
        return Finding("needs_probabilities", ERROR, "The loss needs probabilities, but the "
                       f"network returns other numbers: {said}",
                       "Use binary_cross_entropy_with_logits, which applies the sigmoid itself.")
    if out.ndim and y.ndim and len(out) != len(y):
        return Finding("target_shape", ERROR, f"{shapes} They differ in the number of items, so "
                       f"the batch was mixed up with another dimension on the way. {said}",
                       "Reshape with x.flatten(1) or reshape(len(x), -1), which keep the items "
                       "apart.", "target")
    if "dtype" in said or "must hold" in said or "Float" in said or "float" in said:
        return Finding("target_dtype", ERROR, f"{shapes} {said}",
                       "cross_entropy and nll_loss take class numbers of dtype int64; losses that "
                       "compare numbers take targets of the output's dtype: y.long() or y.float().",
                       "target")
    return Finding("target_shape", ERROR, f"{shapes} {said}",
                   "Class numbers have the shape (N,), without a dimension for the class; for "
                   "other losses the target has the shape of the output.", "target")


def twice(patient: Patient) -> Iterator[Finding]:
    """An activation before a loss that applies its own."""
    trace = patient.trace
    heads = [(call, "cross_entropy") for call in trace.named("cross_entropy")]
    heads += [(call, "binary_cross_entropy_with_logits") for call in trace.named("the loss")
              if call.static["kind"] == kernels.LOGIT]
    heads += [(minus, "binary_cross_entropy_with_logits") for call in trace.named("softplus")
              if call.static["threshold"] == math.inf
              and (minus := trace.made_by(call.x)) and minus.name == "neg"]     # with pos_weight
    heads += [(call, "cross_entropy") for call in trace.named("log_softmax")
              if (maker := trace.made_by(call.x)) and maker.name in ("softmax", "log_softmax")]
    for head, loss in heads:
        maker = trace.made_by(head.x)
        if maker is None:
            continue
        yield from activated(maker, loss)


def activated(maker: Call, loss: str) -> Iterator[Finding]:
    own = "softmax" if loss == "cross_entropy" else "sigmoid"
    name = maker.name
    if name in ("softmax", "log_softmax") or name == own:
        severity = WARNING if name == "log_softmax" and own == "softmax" else ERROR
        effect = ("The second changes nothing, and costs time." if severity == WARNING else
                  "Its outputs lie between 0 and 1, so the second can hardly tell them apart: "
                  "gradients are small, and the loss cannot come near 0.")
        yield Finding(f"{own}_twice", severity, f"The network ends in {name}, and {loss} applies "
                      f"its own {own} to that. {effect}",
                      f"Remove the last {name}, and let the network return logits; apply {own} "
                      "only where you want to see probabilities.", maker.where)
    elif name in ("relu", "sigmoid", "tanh", "hardtanh", "softplus", "elu"):
        kind = "relu_output" if name == "relu" else "limited_output"
        effect = {"relu": "Logits must be able to be negative, and where the ReLU is 0 no gradient "
                          "passes.", }.get(name, "Logits must be able to take any value.")
        yield Finding(kind, ERROR if name in ("relu", "sigmoid", "tanh") else WARNING,
                      f"The network ends in {name}, and {loss} takes the result for logits. "
                      f"{effect}", f"Remove the last {name}.", maker.where)
    elif name == "dropped":
        yield Finding("dropout_on_output", WARNING, "The last thing before the loss is dropout: "
                      "it sets logits to 0 at random.",
                      "Move the dropout in front of the last layer.", maker.where)


def of_one(patient: Patient) -> Iterator[Finding]:
    """A softmax over one value, which is always 1."""
    for call in patient.trace.named("softmax", "log_softmax", "cross_entropy"):
        dim = 1 if call.name == "cross_entropy" else call.static["dim"]
        if call.x.requires_grad and call.x.ndim > 1 and call.x.shape[dim] == 1:
            yield Finding(
                "softmax_of_one", ERROR, f"{call.name} is given one value an item, of shape "
                f"{call.x.shape}: the softmax of a single value is always 1, so nothing is learnt.",
                "With one output for two classes, use binary_cross_entropy_with_logits; else let "
                "the last layer have an output for each class.", call.where)
            return


def negated(patient: Patient) -> Iterator[Finding]:
    """A loss with the wrong sign."""
    if patient.loss_tensor is None:
        return
    maker = patient.trace.made_by(patient.loss_tensor)
    if maker is not None and maker.name == "neg":
        source = patient.trace.made_by(maker.x)
        if source is not None and source.name in ("cross_entropy", "the loss"):
            yield Finding(
                "negated_loss", ERROR, "The loss is the negative of a loss function that is to be "
                "made small: training makes the network as bad as possible.",
                "Remove the minus sign: cross_entropy and nll_loss contain it already.", "loss")


def not_logarithms(patient: Patient) -> Iterator[Finding]:
    """nll_loss of what are no logarithms of probabilities."""
    for call in patient.trace.named("class_losses"):
        x = call.x.data.astype(np.float64)
        if x.ndim < 2 or x.shape[1] < 2 or not np.isfinite(x).any() or not x.size:
            continue
        total = np.exp(np.minimum(x, 700)).sum(1)
        off = float(np.abs(total - 1).max())
        if off > 0.02:
            maker = patient.trace.made_by(call.x)
            what = "probabilities" if maker is not None and maker.name == "softmax" else "logits"
            yield Finding(
                "needs_log_probabilities", ERROR, f"nll_loss is given {what}, but expects the "
                f"logarithms of probabilities: e^x must add up to 1 over the classes, and adds up "
                f"to between {total.min():.3g} and {total.max():.3g}.",
                "Use cross_entropy on the logits, or log_softmax before nll_loss.", call.where,
                {"off": off})


def not_probabilities(patient: Patient) -> Iterator[Finding]:
    """binary_cross_entropy of logits that happen to lie between 0 and 1."""
    for call in patient.trace.named("the loss"):
        maker = patient.trace.made_by(call.x)
        if call.static["kind"] == kernels.PROBABILITY and maker is not None \
                and maker.name in ("linear", "matmul", "conv2d"):
            yield Finding(
                "needs_probabilities", ERROR, f"binary_cross_entropy is given the output of "
                f"{maker.name}, which are logits. They happen to lie between 0 and 1, and will not "
                "for long.", "Use binary_cross_entropy_with_logits, which applies the sigmoid "
                "itself.", maker.where)


def binary_range(patient: Patient) -> Iterator[Finding]:
    """Targets of a binary cross-entropy that are no probabilities, which raises no error."""
    for call in patient.trace.named("the loss"):
        t = call.inputs[1]
        if call.static["kind"] == kernels.LOGIT and t is not None and t.numel():
            low, high = float(t.data.min()), float(t.data.max())
            if low < 0 or high > 1:
                yield Finding(
                    "target_range", ERROR, f"The targets lie between {low:g} and {high:g}, but "
                    "binary_cross_entropy_with_logits needs them between 0 and 1; outside, its "
                    "loss has no lower bound.",
                    "Convert labels such as -1 and 1 to 0 and 1: (y + 1) / 2.", "target",
                    {"least": low, "most": high})


def probabilities(patient: Patient) -> Iterator[Finding]:
    """Soft targets of a cross-entropy that do not add up to 1."""
    y, out = patient.target, patient.out
    if y is None or out is None or y.shape != out.shape or out.ndim < 2 or out.shape[1] < 2 \
            or y.dtype.kind != "f":
        return
    softs = [call for call in patient.trace.named("log_softmax")
             if call.place.modules == () and patient.trace.comes_from(call.x, {id(out)})]
    if softs and y.numel() and np.isfinite(y.data).all():
        total = y.data.sum(1)
        if y.data.min() < -1e-3 or np.abs(total - 1).max() > 0.02:
            yield Finding(
                "target_range", ERROR, "A target of floating-point numbers stands for the "
                f"probabilities of the classes, but its rows add up to between {total.min():.4g} "
                f"and {total.max():.4g}, and its least value is {y.data.min():.4g}.",
                "Give class numbers of dtype int64, or rows that add up to 1.", "target",
                {"least_sum": float(total.min()), "most_sum": float(total.max())})


def output_range(patient: Patient) -> Iterator[Finding]:
    """Targets that the last activation cannot reach."""
    y, out = patient.target, patient.out
    if y is None or out is None or y.dtype.kind != "f" or y.numel() != out.numel() or not y.numel():
        return
    maker = patient.trace.made_by(out)
    if maker is None or maker.name not in RANGES or not np.isfinite(y.data).all():
        return
    low, high = RANGES[maker.name]
    outside = float(np.mean((y.data < low - 1e-3) | (y.data > high + 1e-3)))
    if outside > 0.02:
        yield Finding(
            "output_range", ERROR, f"The network ends in {maker.name}, whose values lie between "
            f"{low:g} and {high:g}, but {outside:.0%} of the targets lie outside: they range from "
            f"{y.data.min():.4g} to {y.data.max():.4g}.",
            f"Remove the last {maker.name}, or bring the targets into its range.", maker.where,
            {"outside": outside})


def broadcast(patient: Patient) -> Iterator[Finding]:
    """An output (N, 1) or (N, N) against a target (N,): each output with every target."""
    out, y = patient.out, patient.target
    if out is None:
        return
    for call in patient.trace.calls:
        if len(call.inputs) != 2 or call.name not in ("sub", "the loss", "add", "mul", "div"):
            continue
        a, b = call.inputs
        if a is None or b is None or a.requires_grad == b.requires_grad:
            continue
        a, b = (a, b) if a.requires_grad else (b, a)
        if y is not None and not (b is y or patient.trace.comes_from(b, {id(y)})
                                  or b.shape == y.shape):
            continue
        if outer(a, b) and not call.place.modules:
            yield Finding(
                "target_broadcast", ERROR, f"The loss compares an output of shape {a.shape} with a "
                f"target of shape {b.shape}. They are broadcast to a table in which each output is "
                "compared with every target, and the network learns their mean.",
                "Give both the same shape: output.squeeze(1) or target.unsqueeze(1); for classes, "
                "use cross_entropy.", "target")
            return


def outer(a: Tensor, b: Tensor) -> bool:
    """Whether of an output and a target one is a column and the other a row of the same length,
    or the output a square, along whose rows the target is broadcast."""
    n = max(b.numel(), 2)
    return {a.shape, b.shape} in ({(n, 1), (n,)}, {(n, 1), (1, n)}) \
        or (a.shape, b.shape) == ((n, n), (n,))


def batch_softmax(patient: Patient) -> Iterator[Finding]:
    """A softmax over the items of the batch."""
    out = patient.out
    if out is None or out.ndim != 2 or len(out) < 2:
        return
    for call in patient.trace.named("softmax", "log_softmax"):
        axis = call.static["dim"]
        if axis in (0, -2) and call.y.shape == out.shape and (
                call.x is out or patient.trace.made_by(out, SHAPES | {"log"}) is call):
            yield Finding(
                "softmax_over_batch", ERROR, f"{call.name} runs along dim {axis}, over the "
                f"{len(out)} items of the batch, and not over the {out.shape[1]} classes.",
                "Pass dim=1 (or dim=-1).", call.where)
            return


CHECKS = (fails, negated, of_one, broadcast, batch_softmax, twice, not_logarithms,
          not_probabilities, binary_range, probabilities, output_range)
