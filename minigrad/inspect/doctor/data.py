"""Findings about the batch: what is fed to the network, and what it is to learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.inplace import Array
from minigrad.inspect.doctor.findings import ERROR, WARNING, Finding
from minigrad.inspect.doctor.patient import Patient
from minigrad.inspect.doctor.trace import PRODUCTS, Call

LARGE, SMALL = 20.0, 0.02           # root mean square of what a layer is fed with
OFFSET = 10.0                       # mean, in standard deviations
LARGE_TARGET = 50.0


def empty(patient: Patient) -> Iterator[Finding]:
    """A batch without items."""
    if any(x.numel() == 0 for x in patient.inputs):
        yield Finding("empty_batch", ERROR, "The input has no elements: its shape is "
                      f"{patient.inputs[0].shape}.", "Look at the indices or the mask that select "
                      "the items.", "input")


def not_finite(patient: Patient) -> Iterator[Finding]:
    """NaN or infinities in the batch."""
    for name, tensors in (("input", patient.inputs), ("target", [patient.target])):
        for tensor in tensors:
            if tensor is None or tensor.dtype.kind != "f":
                continue
            bad = ~np.isfinite(tensor.data)
            if bad.any():
                index = [int(i) for i in np.argwhere(bad)[0]]
                yield Finding(
                    "nan_in_data", ERROR, f"The {name} holds {int(bad.sum())} values that are NaN "
                    f"or infinite, the first at {index}.",
                    "Replace missing values before training, by the mean of their column for "
                    "example, or drop the rows.", name, {"count": float(bad.sum())})


def constant(patient: Patient) -> Iterator[Finding]:
    """Inputs that are all the same."""
    for x in patient.inputs:
        if x.ndim == 0 or len(x) < 2 or x.numel() < 2 or not np.isfinite(x.data).all():
            continue
        if (x.data == x.data.flat[0]).all():
            what = f"All {x.numel()} values of the input are {x.data.flat[0]:.6g}."
        elif (x.data == x.data[:1]).all() and patient.target is not None \
                and len(patient.target.shape) and len(patient.target) == len(x):
            what = f"All {len(x)} items of the batch are the same input."
        else:
            continue
        yield Finding("constant_input", ERROR, what,
                      "Look at what the data loader returns: an array that was never filled, an "
                      "index that does not advance, or integers divided by 255 and rounded down.",
                      "input")


def scale(patient: Patient) -> Iterator[Finding]:
    """Inputs that are not scaled when they reach the first layer."""
    first = first_product(patient)
    if first is None or first.x.requires_grad:
        return
    x = first.x.data
    finite = x[np.isfinite(x)]
    if finite.size < 2 or (finite == finite[0]).all():
        return
    rms, mean, std = magnitude(finite), float(finite.mean()), float(finite.std())
    numbers = {"rms": rms, "mean": mean, "std": std}
    if rms > LARGE:
        what = (f"The values that reach the first layer are large: from {finite.min():.4g} to "
                f"{finite.max():.4g}, with mean {mean:.4g} and standard deviation {std:.4g}.")
    elif np.abs(finite).max() < SMALL:
        what = (f"The values that reach the first layer are tiny: none exceeds "
                f"{np.abs(finite).max():.2g} in magnitude.")
    elif abs(mean) > OFFSET * std and abs(mean) > 1:
        what = (f"The values that reach the first layer are far from 0 and hardly differ: their "
                f"mean is {mean:.4g}, their standard deviation {std:.4g}.")
    else:
        return
    yield Finding("input_scale", ERROR if rms > LARGE else WARNING, what,
                  "Standardise the inputs: subtract the mean of the training data and divide by "
                  "their standard deviation, each feature by its own; divide pixels by 255, once.",
                  first.where, numbers)


def first_product(patient: Patient) -> Call | None:
    """The first product with a parameter."""
    return next((call for call in patient.trace.calls if call.name in PRODUCTS
                 and len(call.inputs) > 1 and call.inputs[1] is not None
                 and call.inputs[1].requires_grad), None)


def target_scale(patient: Patient) -> Iterator[Finding]:
    """Targets of a regression that are far from what a network puts out at first."""
    y = patient.target
    if y is None or y.dtype.kind != "f" or y.numel() < 2 or patient.out is None:
        return
    if y.numel() != patient.out.numel() or not np.isfinite(y.data).all():
        return
    rms, own = magnitude(y.data), magnitude(patient.out.data)
    if rms > LARGE_TARGET and own < rms / 5:
        yield Finding(
            "target_scale", WARNING, f"The targets are large: from {y.data.min():.4g} to "
            f"{y.data.max():.4g}, while the outputs of the network have a magnitude of {own:.3g}. "
            "The first gradients are as large, and the network spends its time on the offset.",
            "Standardise the targets, train on those, and convert the predictions back.",
            "target", {"rms": rms, "rms_of_output": own})


def classes(patient: Patient) -> Iterator[Finding]:
    """A batch that shows one class only, or its classes in order."""
    y, out = patient.target, patient.out
    if y is None or y.numel() < 16 or y.numel() != len(y):
        return
    labels = y.data.reshape(-1)
    if labels.dtype.kind == "f" and not set(np.unique(labels[:1000])) <= {0.0, 1.0}:
        return
    distinct = np.unique(labels)
    count = out.shape[1] if out is not None and out.ndim > 1 and out.shape[1] > 1 else 2
    numbers = {"classes_in_batch": float(len(distinct)), "items": float(len(labels))}
    if len(distinct) == 1 and len(labels) >= (16 if count > 2 else 32):     # fewer may be chance
        yield Finding(
            "one_class", WARNING, f"All {len(labels)} items of the batch are of the class "
            f"{distinct[0]:g}. A network that sees one class at a time learns to answer that one.",
            "Shuffle the training data in every epoch.", "target", numbers)
    elif len(distinct) < count and len(labels) >= 2 * count and (np.diff(labels) >= 0).all():
        yield Finding(
            "not_shuffled", WARNING, f"The {len(labels)} labels of the batch are in order, and "
            f"only {len(distinct)} of {count} classes occur: the data are sorted by class.",
            "Shuffle the training data in every epoch.", "target", numbers)


def magnitude(x: Array) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0


CHECKS = (empty, not_finite, constant, scale, target_scale, classes)
