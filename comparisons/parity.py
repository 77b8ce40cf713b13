"""Same weights, same batch: every activation and every gradient, minigrad's against PyTorch's.

A difference is max |a - b| / max |b| over a tensor, b being PyTorch's. In float64 nothing but the
order of sums may differ. In float32 a pre-activation within rounding of zero, or two nearly equal
values in a pooling window, may fall to either side, which moves single gradients by a lot; there
the difference is ‖a - b‖ / ‖b‖, and it stands beside PyTorch's own, between its float32 and its
float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets import Data
from comparisons.implementations import Implementation
from comparisons.registry import TASKS
from comparisons.runner import prepare
from comparisons.task import Array, Options, Split, Task

BATCH = 16
BOUND_64 = 1e-10
BOUND_32 = 1e-4         # or OWN times PyTorch's own rounding, where that is more
OWN = 10.0

Recorded = dict[str, Array]


def main(names: Sequence[str], seed: int) -> int:
    """Print a table a task; return 1 if anything is out of bounds."""
    bad = 0
    for name in names:
        task = TASKS[name]
        for variant in ("compact", "paper") if name == "dexpression" else ("compact",):
            options = Options(embedded=True, seed=seed, variant=variant)
            data = task.load(options)
            bad += compare(task, data, options, f"{name}, {variant}" if name == "dexpression"
                           else name)
    print(f"{bad} out of bounds" if bad else "all within bounds: "
          f"float64 {BOUND_64:g}, float32 {BOUND_32:g} or {OWN:g} × PyTorch's own rounding")
    return int(bad > 0)


def compare(task: Task, data: Data, options: Options, title: str) -> int:
    split = task.splits(data, options)[0]
    recorded = {(name, dtype): record(task, implementations.get(name, "cpu"), data, split,
                                      options, dtype)
                for name in implementations.NAMES for dtype in (np.float64, np.float32)}
    ours64, theirs64 = (recorded[name, np.float64] for name in implementations.NAMES)
    ours32, theirs32 = (recorded[name, np.float32] for name in implementations.NAMES)
    print(f"{title}: batch of {min(BATCH, len(split.x))}, seed {options.seed}")
    print(f"  {'':44}{'shape':>20}{'float64':>11}{'float32':>11}{'PyTorch own':>13}")
    bad = 0
    for key, b in theirs64.items():
        d64, d32 = largest(ours64.get(key), b), norm(ours32.get(key), theirs32[key])
        own = norm(theirs32[key], b)
        # `not <=`, so that NaN is out of bounds
        out = not (d64 <= BOUND_64 and d32 <= max(BOUND_32, OWN * own))
        bad += out
        print(f"  {key:44}{'×'.join(map(str, b.shape)) or 'scalar':>20}{d64:11.1e}{d32:11.1e}"
              f"{own:13.1e}{'  OUT OF BOUNDS' if out else ''}")
    for key in ours64.keys() - theirs64.keys():
        bad += 1
        print(f"  {key}: minigrad has it, PyTorch does not  OUT OF BOUNDS")
    print()
    return bad


def record(task: Task, impl: Implementation, data: Data, split: Split, options: Options,
           dtype: Any) -> Recorded:
    """The loss, each layer's activation and its gradient, and each parameter's gradient."""
    options = replace(options, batch_size=BATCH)
    parts = prepare(task, impl, data, split, options, options.seed)
    model = parts.model.double() if dtype == np.float64 else parts.model.float()
    x, y = next(iter(parts.loader))
    found: Recorded = {}

    def watch(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            key = unused(f"{name} ({type(module).__name__})", found)
            found[key] = copied(output)
            output.register_hook(lambda g: found.__setitem__(f"∂ {key}", copied(g)))
        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(watch(name))
    target = y.astype(dtype) if y.dtype.kind == "f" else y
    loss = parts.loss(model(impl.tensor(x.astype(dtype))), impl.tensor(target))
    found["loss"] = copied(loss)
    loss.backward()
    found |= {f"∂ {name}": copied(p.grad) for name, p in model.named_parameters()}
    return found


def unused(key: str, taken: Recorded) -> str:
    """The key, numbered where a module runs more than once."""
    tries = [key, *(f"{key} #{i}" for i in range(2, 100))]
    return next(k for k in tries if k not in taken)


def copied(tensor: Any) -> Array:
    return np.array(tensor.detach().numpy())


def largest(a: Array | None, b: Array) -> float:
    if a is None or a.shape != b.shape:
        return float("nan")
    return float(np.abs(a - b).max() / (np.abs(b).max() or 1))


def norm(a: Array | None, b: Array) -> float:
    if a is None or a.shape != b.shape:
        return float("nan")
    return float(np.linalg.norm((a.astype(np.float64) - b).ravel())
                 / (np.linalg.norm(b.astype(np.float64).ravel()) or 1))
