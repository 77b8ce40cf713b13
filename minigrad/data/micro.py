"""Micro-batches: a batch is computed in several parts, so that a large one needs less memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from minigrad.autograd import Array
from minigrad.ops.arguments import to_size

TOLERANCE = 1e-4        # relative, well above the rounding of a sum in float32


def micro_batches(batch: tuple[Array, ...], count: int, weigh: Callable[[Array], float] = len
                  ) -> Iterator[tuple[tuple[Array, ...], float]]:
    """The parts of a batch, each with its share of the batch's mean loss.

    loss of the batch = Σ share · loss of the part

    Therefore the gradients of share · loss, added up over the parts, are those of the whole batch.
    count: how many parts, as equal in size as possible, but none without an item.
    weigh: see `train.fit`.
    Raises: ValueError or TypeError if count is not a whole number of at least 1.
    """
    n = len(batch[0])
    count = max(1, min(to_size("fit", "accumulate", count, 1), n))
    bounds = [n * i // count for i in range(count + 1)]
    whole = weigh(batch[-1]) if count > 1 else 1.0
    for start, end in itertools.pairwise(bounds):
        part = tuple(array[start:end] for array in batch)
        yield part, (weigh(part[-1]) / whole if whole else 0.0) if count > 1 else 1.0


def insist_on_mean(loss_fn: Callable[[Any, Any], Any], outputs: Any, target: Any,
                   weigh: Callable[[Array], float], targets: Array) -> None:
    """Check that a loss is a mean over items, without which it cannot be computed in parts.

    The loss of some items is compared with the weighted mean of the losses of their halves.
    outputs, target: of these items, as tensors. targets: the target as an array, for `weigh`.
    Raises: ValueError if they differ.
    """
    n, whole = len(targets), weigh(targets)
    if n < 2 or not whole:
        return
    halves = slice(n // 2), slice(n // 2, n)
    expected = loss_fn(outputs, target).item()
    parts = [loss_fn(outputs[half], target[half]).item() * weigh(targets[half]) / whole
             for half in halves]
    if abs(sum(parts) - expected) > TOLERANCE * max(abs(expected), *map(abs, parts)):
        raise ValueError(
            f"fit: the loss of {n} items is {expected:g}, but the mean of the losses of their "
            f"halves is {sum(parts):g}; a batch can be divided only if its loss is a mean over "
            "items, each weighted as `weigh` says")
