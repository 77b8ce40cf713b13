"""Each layer by itself: forward and backward, in minigrad and in PyTorch, beside the limits.

The layers are those of the models. Each receives the same input as in a training step, in
the memory layout that the layer before it produces, and the same gradient. A layer that occurs
several times in a model is measured once. The loss and the optimiser's step follow.

Operations are counted as in the textbook's sum, two for each product, for convolutions and linear
layers; those of other layers do not matter. Bytes count each array once: the input, the parameters
and the output in the forward pass, and these and their gradients in the backward pass. The share of
the limit is the least time in which the machine could do these operations or move these bytes,
divided by the time taken. It exceeds 100% if an algorithm saves operations, or if arrays stay in
the cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comparisons import implementations
from comparisons.datasets.base import Data
from comparisons.datasets.levels import inputs
from comparisons.speed import limits
from comparisons.speed.clock import Repeat, digits, in_turn, quartiles, repeated
from comparisons.speed.models import Case, batch_of, build
from comparisons.training import environment
from comparisons.training.training import Training

SECONDS = 0.6                           # to spend on each layer
CASES = (Case("regression"), Case("diabetes"), Case("mnist-mlp"), Case("mnist-cnn"),
         Case("dexpression", 32, 48, "compact"), Case("dexpression", 16, 224, "paper"))
NAMES = {"Conv2d": "conv2d", "MaxPool2d": "max_pool2d", "BatchNorm2d": "batch_norm",
         "LocalResponseNorm": "local_response_norm"}    # other names: in lower case
FLOAT = 4                               # bytes

Grad = Callable[..., Sequence[Any]]


@dataclass
class Work:
    """A part of a model in one implementation, with its operations and bytes."""

    title: str
    shape: tuple[int, ...]              # of its input
    passes: tuple[str, ...]
    repeat: Repeat
    flops: tuple[int, ...]              # of each pass
    bytes: tuple[int, ...]
    count: int = 1                      # how often the model has it


def run(cases: Sequence[Case], seed: int) -> Iterator[dict[str, Any]]:
    """Measure each layer of each case; print and yield its rows."""
    threads = environment.threads()
    all_threads = threads["numba"] or 1
    known = {n: limits.measured(n) for n in sorted({1, all_threads})}
    machine = known[all_threads]
    for n, limit in known.items():
        print(f"limits, threads {n}: matrix product {limit.gemm_gflops:.0f} GFLOP/s, "
              f"copy {limit.copy_gbs:.1f} GB/s")
    for case in cases:
        data = batch_of(case, seed)
        ours, theirs = (works(build(case, data, name, seed), data)
                        for name in implementations.NAMES)
        print(f"\n{case.title}, batch {case.batch}\n{HEADER}")
        rows = []
        for mine, other in zip(ours, theirs, strict=True):
            for row in compared(mine, other, machine):
                print(line(row), flush=True)
                rows.append(asdict(case) | {"title": case.title, "threads": threads,
                                            "limits": {n: asdict(known[n]) for n in known}} | row)
                yield rows[-1]
        sums = [sum(row["count"] * row[name]["median_ms"] for row in rows)
                for name in implementations.NAMES]
        print(f"{'the whole model: every row, times its count':61}{digits(sums[0]):>14}"
              f"{digits(sums[1]):>12}{sums[1] / sums[0]:7.2f}")


def compared(ours: Work, theirs: Work, machine: limits.Limits) -> Iterator[dict[str, Any]]:
    """A row for each pass."""
    sides = dict(zip(implementations.NAMES, (ours, theirs), strict=True))
    _, times = in_turn({name: work.repeat for name, work in sides.items()}, SECONDS)
    for i, passing in enumerate(ours.passes):
        row: dict[str, Any] = {"layer": ours.title, "shape": ours.shape, "count": ours.count,
                               "pass": passing, "flops": ours.flops[i], "bytes": ours.bytes[i]}
        for name, seconds in times.items():
            median = quartiles(seconds[:, i])["median_ms"] / 1e3
            row[name] = quartiles(seconds[:, i]) | {
                "gflops": ours.flops[i] / median / 1e9, "gbs": ours.bytes[i] / median / 1e9,
                "share": machine.share(ours.flops[i], ours.bytes[i], median)}
        row["ratio_torch"] = row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
        yield row


# ---- what there is to time ---------------------------------------------------------------------

def works(training: Training, batch: Data) -> list[Work]:
    """The layers of a model in the order of their first use, the loss and the optimiser's step."""
    grad = training.implementation.grad
    x, y = (training.implementation.tensor(array) for array in (inputs(batch.x), batch.y))
    found: dict[Any, Work] = {}
    hooks = []

    def watch(module: Any) -> None:
        def forward(module: Any, inputs: Any, output: Any) -> None:
            (x,) = inputs
            key = describe(module), tuple(x.shape), bool(x.requires_grad)
            if key in found:
                found[key].count += 1
            else:
                leaf = x.detach().requires_grad_(x.requires_grad)
                found[key] = layer(grad, module, leaf, output)
        hooks.append(module.register_forward_hook(forward))

    for module in training.model.modules():
        if not list(module.children()):
            watch(module)
    logits = training.model(x)
    training.loss(logits, y).backward()
    for hook in hooks:
        hook.remove()
    return [*found.values(), loss(training, logits.detach().requires_grad_(), y), step(training)]


def layer(grad: Grad, module: Any, x: Any, output: Any) -> Work:
    """A layer applied to x, with the gradient that will reach its `output`.

    A layer before the first parameter has no backward pass.
    """
    if not output.requires_grad:
        return Work(describe(module), tuple(x.shape), ("forward",), repeated(lambda: module(x)),
                    (0,), (FLOAT * numel(x, output),))
    received: list[Any] = []
    output.register_hook(lambda g: received.append(g.detach()))
    parameters = list(module.parameters())
    wanted = [*parameters, *([x] if x.requires_grad else [])]
    held = numel(x, output, *parameters)
    # in each element of the output, each weight of its channel is multiplied once
    product = (2 * numel(output) * numel(module.weight) // module.weight.shape[0]
               if type(module).__name__ in ("Conv2d", "Linear") else 0)
    return Work(describe(module), tuple(x.shape), ("forward", "backward"),
                both_ways(lambda: module(x), lambda y: grad(y, wanted, received[0])),
                (product, product * (bool(parameters) + bool(x.requires_grad))),
                (FLOAT * held, FLOAT * (held + numel(*wanted))))


def loss(training: Training, x: Any, y: Any) -> Work:
    """The loss of outputs x and targets y."""
    return Work("loss", tuple(x.shape), ("forward", "backward"),
                both_ways(lambda: training.loss(x, y),
                          lambda value: training.implementation.grad(value, [x])),
                (0, 0), (FLOAT * numel(x), 2 * FLOAT * numel(x)))


def step(training: Training) -> Work:
    """An Adam step, which reads w, g and two averages, and writes w and the averages."""
    size = numel(*training.model.parameters())
    return Work("Adam step", (size,), ("step",), repeated(training.optimizer.step), (0,),
                (7 * FLOAT * size,))


def both_ways(forward: Callable[[], Any], backward: Callable[[Any], Any]) -> Repeat:
    """Times each pass; freeing what a repetition leaves behind is not timed."""
    def repeat(n: int) -> tuple[float, float]:
        there = back = 0.0
        for _ in range(n):
            start = time.perf_counter()
            y = forward()
            turn = time.perf_counter()
            found = backward(y)
            end = time.perf_counter()
            there, back = there + turn - start, back + end - turn
            del y, found
        return there / n, back / n
    return repeat


def numel(*tensors: Any) -> int:
    """The number of elements of several tensors together."""
    return sum(math.prod(t.shape) for t in tensors)


def describe(module: Any) -> str:
    """The name of a layer's op, with its geometry."""
    kind = type(module).__name__
    words = [NAMES.get(kind, kind.lower())]
    if kind in ("Conv2d", "Linear"):
        words.append("→".join(str(n) for n in (
            (module.in_channels, module.out_channels) if kind == "Conv2d"
            else (module.in_features, module.out_features))))
    if hasattr(module, "kernel_size"):
        kernel, stride = (n if isinstance(n, tuple) else (n, n)
                          for n in (module.kernel_size, module.stride))
        words.append("×".join(map(str, kernel)))
        words += [f"/{stride[0]}"] if stride != (1, 1) else []
    return " ".join(words)


# ---- the table ---------------------------------------------------------------------------------

HEADER = (f"{'layer':26}{'input':>18}{'pass':>10}{'count':>7}{'minigrad ms':>14}"
          f"{'PyTorch ms':>12}{'ratio':>7}{'GFLOP/s':>15}{'GB/s':>17}{'% of limit':>12}")
NOTES = """\
count: how often the model has this layer. ms: medians. ratio: PyTorch's time over minigrad's. The
last columns say minigrad/PyTorch: operations per second, counted as in the textbook's sum; bytes
per second, counting each array once; and how much of the nearer of the machine's limits that is."""


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    pairs = {key: "/".join(digits(row[name][key]) for name in implementations.NAMES)
             for key in ("gflops", "gbs")}
    share = "/".join(f"{row[name]['share']:.0%}"[:-1] for name in implementations.NAMES)
    first = row["pass"] != "backward"
    return (f"{row['layer'] if first else '':26}"
            f"{'×'.join(map(str, row['shape'])) if first else '':>18}{row['pass']:>10}"
            f"{row['count'] if first else '':>7}"
            f"{digits(row['minigrad']['median_ms']):>14}{digits(row['torch']['median_ms']):>12}"
            f"{row['ratio_torch']:7.2f}{pairs['gflops'] if row['flops'] else '':>15}"
            f"{pairs['gbs']:>17}{share:>12}")
