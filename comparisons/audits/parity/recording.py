"""Runs one batch through a network, forward and backward, and records what every layer makes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.implementations import Implementation
from comparisons.tasks.options import Options
from comparisons.tasks.task import Split, Task
from comparisons.training.training import Training, is_dropout, prepare, switch_off_dropout
from minigrad.checkpoint import Checkpoint
from minigrad.func.tree import mapped, named_leaves

BATCH = 16
NOISE = 0.01            # standard deviation of what is added to the batch
BROKEN = 1e-3           # the size of a planted error, relative to what it changes
SHAKE = 2.0**-30        # the relative change of every number that a layer reads

FORWARD, BACKWARD, PARAMETER = "forward", "backward", "parameter"
POOLED = "pooled"                       # what a max pool chooses from
LOSS = "loss"

Key = tuple[str, str]                   # FORWARD, BACKWARD, PARAMETER or POOLED, and a name
Recorded = dict[Key, Array]


@dataclass(frozen=True)
class Subject:
    """A network of a task, with the data that it is compared on.

    start: a checkpoint with its weights, or None for new ones. broken: the layer of minigrad's
    network that gets a small error, or "".
    """

    title: str
    task: Task[Any]
    options: Options
    data: Data
    split: Split
    start: Path | None = None
    broken: str = ""

    def training(self, impl: Implementation, dtype: Any) -> Training:
        """A training of the network in float32 or float64, about to begin."""
        training = prepare(self.task, impl, self.data, self.split, self.options, self.options.seed)
        model = training.model
        if self.start is not None:
            kept = impl.checkpoint.load(self.start)
            impl.checkpoint.restore(Checkpoint(kept.path, kept.weights), model=model)
        _ = model.double() if dtype is np.float64 else model.float()
        switch_off_dropout(model)
        if self.broken and impl.name == "minigrad":
            plant(dict(leaves(model))[self.broken])
        return training

    def runs(self, layer: str) -> bool:
        """Whether the layer takes part in the forward pass."""
        found = record(self, implementations.get("minigrad"), np.float32)
        return any(kind == FORWARD and name.startswith(f"{layer} (") for kind, name in found)

    @property
    def drops(self) -> bool:
        """Whether the network has dropout, which is switched off."""
        return any(is_dropout(module) for _, module in self.modules())

    def modules(self) -> list[tuple[str, Any]]:
        """minigrad's layers, as `leaves` finds them."""
        return list(leaves(self.training(implementations.get("minigrad"), np.float32).model))


def leaves(model: Any) -> Iterator[tuple[str, Any]]:
    """The layers: the modules that do not consist of others, by their paths."""
    return ((path or "network", module) for path, module in model.named_modules()
            if not list(module.children()))


def plant(module: Any) -> None:
    """Make a small error in a layer: in its weight, or else in what it returns."""
    own = dict(module.named_parameters())
    if not own:
        module.register_forward_hook(lambda module, inputs, output: mapped(
            lambda value: value * (1 + BROKEN) if is_float(value) else value, output))
        return
    weight = own.get("weight", next(iter(own.values()))).data
    weight += BROKEN * (weight if weight.any() else 1)


def is_float(value: Any) -> bool:
    """Whether this part of an output is a tensor with floating-point values."""
    return hasattr(value, "detach") and copied(value).dtype.kind == "f"


def batches(training: Training, dtype: Any) -> Iterator[tuple[Array, Array]]:
    """The batches of one epoch after the other; only full ones, if there are any."""
    epoch = 0
    while True:
        training.loader.set_epoch(epoch)
        for x, y in training.loader:
            if len(x) == training.recipe.batch_size or len(training.loader) == 1:
                yield in_dtype(x, dtype), in_dtype(y, dtype)
        epoch += 1


def in_dtype(values: Array, dtype: Any) -> Array:
    """Floating-point values in the dtype; integers, such as classes, stay as they are."""
    return values.astype(dtype) if values.dtype.kind == "f" else values


def record(subject: Subject, impl: Implementation, dtype: Any, teacher: Recorded | None = None,
           shaken: bool = False) -> Recorded:
    """The loss, each layer's activation and its gradient, and each parameter's gradient; and what
    max pools are given.

    teacher: values that each layer passes on, forward and backward, in place of its own.
    shaken: whether every number that a layer reads is changed by a relative SHAKE, up or down.
    """
    training = subject.training(impl, dtype)
    model, rng = training.model, np.random.default_rng(subject.options.seed)
    x, y = next(batches(training, dtype))
    if x.dtype.kind == "f":
        # where the background is black, values in a pooling window would be equal up to rounding
        x = (x + NOISE * rng.standard_normal(x.shape)).astype(dtype)
    found: Recorded = {}
    runs: Counter[str] = Counter()      # of each layer

    def moved(values: Array) -> Array:
        """The values in the right dtype, shaken if that is asked for."""
        if not shaken or values.dtype.kind != "f":
            return in_dtype(values, dtype)
        changed: Array = values * (1 + SHAKE * rng.choice((-1.0, 1.0), values.shape))
        return changed

    def watch(name: str) -> Any:
        def forward(module: Any, inputs: Any, output: Any) -> None:
            runs[name] += 1
            title = f"{name} ({type(module).__name__})" + (
                f" #{runs[name]}" if runs[name] > 1 else "")
            if hasattr(module, "return_indices"):
                found[POOLED, title] = copied(inputs[0])
            for place, tensor in named_leaves(output, title):
                if hasattr(tensor, "detach"):
                    one(place, tensor)
        return forward

    def one(key: str, output: Any) -> None:
        found[FORWARD, key] = copied(output)
        if teacher is not None and (FORWARD, key) in teacher:
            # written into the tensor's memory, where the backward pass of ReLU reads it
            output.data.copy_(impl.tensor(moved(teacher[FORWARD, key])))
        if output.requires_grad:        # what stands before the first parameter has no gradient
            output.register_hook(lambda g: backward((BACKWARD, key), g))

    def backward(key: Key, g: Any) -> Any:
        found[key] = copied(g)
        return None if teacher is None or key not in teacher else impl.tensor(moved(teacher[key]))

    for name, module in leaves(model):
        module.register_forward_hook(watch(name))
    if shaken:
        for p in model.parameters():
            p.data.copy_(impl.tensor(moved(copied(p))))
    loss = training.loss(model(impl.tensor(moved(x))), impl.tensor(y))
    found[FORWARD, LOSS] = copied(loss)
    loss.backward()
    return found | {(PARAMETER, name): copied(p.grad) for name, p in model.named_parameters()
                    if p.grad is not None}


def copied(tensor: Any) -> Array:
    """A tensor's values as an array of their own."""
    return np.array(tensor.detach().numpy())

