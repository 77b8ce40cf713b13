"""Each function by itself, forward and backward, at three sizes, in minigrad and in PyTorch.

Sizes are those of one array in float32: with the first, input and output fit into the L1 cache of a
core, with the second into L2; with the third they lie in memory or, where that is very large, in
L3. All inputs of floating point receive a gradient, from the same random gradient of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array
from comparisons.implementations import Implementation
from comparisons.speed.clock import Repeat, digits, in_turn, quartiles, repeated
from comparisons.speed.functions import FUNCTIONS, Function
from comparisons.speed.layers import both_ways
from comparisons.training import environment

SECONDS = 0.2                           # to spend on each function at each size
SIZES = {"L1": 2**12, "L2": 2**17, "memory": 2**22}     # float32 values in an array
BYTES = {"L1": "16 KiB", "L2": "512 KiB", "memory": "16 MiB"}
PASSES = ("forward", "backward")


def run(seed: int) -> Iterator[dict[str, Any]]:
    """Measure and yield each row, then print all of them, the worst ones first."""
    rows = []
    print(f"{len(FUNCTIONS)} functions, each at {len(SIZES)} sizes; the table follows at the end",
          flush=True)
    for function in FUNCTIONS:
        for size in SIZES:
            for row in measure(function, size, seed):
                rows.append(row)
                yield row
    print("\n".join(table(rows)))


def measure(function: Function, size: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each pass; functions without gradient have one pass."""
    random = np.random.default_rng(seed)
    arrays = function.inputs(random, SIZES[size])
    sides = {name: timed(implementations.get(name, "cpu"), function, arrays)
             for name in implementations.NAMES}
    block, times = in_turn(sides, SECONDS)
    for i, passing in enumerate(PASSES[:times["torch"].shape[1]]):
        row: dict[str, Any] = {
            "title": function.title, "function": function.name, "size": size,
            "shapes": [array.shape for array in arrays], "pass": passing,
            "threads": environment.threads(), "steps_a_round": block,
            "rounds": len(times["torch"])}
        row |= {name: quartiles(seconds[:, i]) for name, seconds in times.items()}
        row["ratio_torch"] = row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
        yield row


def timed(implementation: Implementation, function: Function, arrays: Sequence[Array]) -> Repeat:
    """What times the function's passes in one implementation."""
    forward, wanted = prepared(implementation, function, arrays)
    y = forward()
    if not y.requires_grad:
        return repeated(forward)
    g = gradient_of(implementation, y)
    return both_ways(forward, lambda y: implementation.grad(y, wanted, g))


def prepared(implementation: Implementation, function: Function, arrays: Sequence[Array]
             ) -> tuple[Any, list[Any]]:
    """A call of the function that returns its first output, and the inputs with a gradient."""
    inputs = [implementation.tensor(array) for array in arrays]
    wanted = [x.requires_grad_() for x, array in zip(inputs, arrays, strict=True)
              if function.gradient and array.dtype.kind == "f"]
    package, functional = implementation.package, implementation.functional

    def forward() -> Any:
        y = function.call(package, functional, *inputs)
        return y[0] if isinstance(y, tuple) else y
    return forward, wanted


def gradient_of(implementation: Implementation, y: Any) -> Any:
    """A random gradient of the output y, the same in both implementations."""
    shape = tuple(y.shape)
    g = np.random.default_rng(0).standard_normal(shape or 1)
    return implementation.tensor(g).to(y.dtype).reshape(shape)


# ---- the table -----------------------------------------------------------------------------------

HEADER = (f"{'function':36}{'pass':>10}"
          + "".join(f"{f'{size}: minigrad µs':>20}{'PyTorch':>10}{'ratio':>7}" for size in SIZES))
NOTES = """\
µs: medians. ratio: PyTorch's time over minigrad's; above 1, minigrad is faster. The rows with the
smallest ratio at any of the sizes come first. Sizes of an array: """ + ", ".join(
    f"{size} {text}" for size, text in BYTES.items()) + """.
Matrices are at most 1024×1024."""


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the table: one for each function and pass, the worst first."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["title"], row["pass"]), {})[row["size"]] = row
    lines = []
    for (title, passing), sizes in sorted(
            found.items(), key=lambda item: min(row["ratio_torch"] for row in item[1].values())):
        cells = "".join(
            f"{digits(row['minigrad']['median_ms'] * 1e3):>20}"
            f"{digits(row['torch']['median_ms'] * 1e3):>10}{row['ratio_torch']:7.2f}"
            for row in (sizes[size] for size in SIZES))
        lines.append(f"{title:36}{passing:>10}{cells}")
    return [HEADER, *lines]
