"""Compares every activation and every gradient with PyTorch's, on equal weights and one batch.

A difference is max |a - b| / max |b| over a tensor, where b is PyTorch's. In float64, both networks
run from end to end, and only the order of summation may differ. In float32, such a comparison would
depend on chance: rounding decides whether a value near zero is positive, and which of two nearly
equal values in a pooling window is larger, and then single gradients differ entirely. In float32,
therefore, each layer is compared by itself: PyTorch's layer receives minigrad's values in the
forward pass, and minigrad's gradients in the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.implementations import Implementation
from comparisons.tasks.options import Options
from comparisons.tasks.task import Split, Task
from comparisons.training.training import prepare

BATCH = 16
NOISE = 0.01
BOUNDS = {np.float64: 1e-11, np.float32: 2e-5}

Recorded = dict[str, Array]


def main(tasks: Sequence[Task[Any]], seed: int) -> int:
    """Print a table for each network of each task; return 1 if anything is out of bounds."""
    bad = 0
    for task in tasks:
        for variant in task.variants:
            options = replace(variant, embedded=True, seed=seed, batch_size=BATCH)
            network = options.own().get("variant")
            bad += compare(task, options, f"{task.name}, {network}" if network else task.name)
    bounds = f"float64 {BOUNDS[np.float64]:g}, float32 {BOUNDS[np.float32]:g} a layer"
    print(f"{bad} out of bounds ({bounds})" if bad else f"all within bounds ({bounds})")
    return int(bad > 0)


def compare(task: Task[Any], options: Options, title: str) -> int:
    """Print one task's table; return how many of its lines are out of bounds."""
    data = task.load(options)
    split = task.splits(data, options)[0]
    columns = []
    for dtype in BOUNDS:
        ours, theirs = (implementations.get(name, "cpu") for name in implementations.NAMES)
        a = record(task, ours, data, split, options, dtype)
        b = record(task, theirs, data, split, options, dtype,
                   teacher=a if dtype is np.float32 else None)
        columns.append({key: difference(a.get(key), b.get(key)) for key in a | b})
        shapes = {key: value.shape for key, value in (b | a).items()}
    print(f"{title}: batch of {BATCH}, seed {options.seed}")
    print(f"  {'':44}{'shape':>20}{'float64':>11}{'float32':>11}")
    bad = 0
    for key, shape in shapes.items():
        found = [column[key] for column in columns]
        # `not <=`, so that NaN is out of bounds
        out = any(not d <= bound for d, bound in zip(found, BOUNDS.values(), strict=True))
        bad += out
        print(f"  {key:44}{'×'.join(map(str, shape)) or 'scalar':>20}{found[0]:11.1e}"
              f"{found[1]:11.1e}{'  OUT OF BOUNDS' if out else ''}")
    print(flush=True)
    return bad


def record(task: Task[Any], impl: Implementation, data: Data, split: Split, options: Options,
           dtype: Any, teacher: Recorded | None = None) -> Recorded:
    """The loss, each layer's activation and its gradient, and each parameter's gradient.

    teacher: values that each layer passes on, forward and backward, in place of its own.
    """
    training = prepare(task, impl, data, split, options, options.seed)
    model = training.model.double() if dtype is np.float64 else training.model.float()
    x, y = next(iter(training.loader))
    # where the background is black, values in a pooling window would be equal up to rounding
    x = x + NOISE * np.random.default_rng(options.seed).standard_normal(x.shape)
    found: Recorded = {}

    def watch(name: str) -> Any:
        def forward(module: Any, inputs: Any, output: Any) -> None:
            key = unused(f"{name} ({type(module).__name__})", found)
            found[key] = copied(output)
            if teacher is not None and key in teacher:
                # written into the tensor's memory, where the backward pass of ReLU reads it
                output.data.copy_(impl.tensor(teacher[key]))
            if output.requires_grad:    # what stands before the first parameter has no gradient
                output.register_hook(lambda g: backward(f"∂ {key}", g))
        return forward

    def backward(key: str, g: Any) -> Any:
        found[key] = copied(g)
        return None if teacher is None or key not in teacher else impl.tensor(teacher[key])

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(watch(name))
    target = y.astype(dtype) if y.dtype.kind == "f" else y
    loss = training.loss(model(impl.tensor(x.astype(dtype))), impl.tensor(target))
    found["loss"] = copied(loss)
    loss.backward()
    return found | {f"∂ {name}": copied(p.grad) for name, p in model.named_parameters()}


def unused(key: str, taken: Recorded) -> str:
    """The key, with a number if the module has run before."""
    return next(k for k in (key, *(f"{key} #{i}" for i in range(2, 100))) if k not in taken)


def copied(tensor: Any) -> Array:
    """A tensor's values as an array of their own."""
    return np.array(tensor.detach().numpy())


def difference(a: Array | None, b: Array | None) -> float:
    """max |a - b| / max |b|; NaN if one is missing or their shapes differ."""
    if a is None or b is None or a.shape != b.shape:
        return float("nan")
    return float(np.abs(a - b).max() / (np.abs(b).max() or 1))
