"""Batches in an order that depends on (seed, epoch) alone, so a resumed run sees the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.data.dataset import ArrayDataset, Dataset
from minigrad.ops.arguments import to_size

Transform = Callable[[Array, np.random.Generator], Array]


class DataLoader:
    """Batches of a dataset, each a tuple of arrays.

    Epoch e visits the items in the order permutation(seed, e), or 0 … N-1 without `shuffle`;
    batch b holds items [b·batch_size, (b+1)·batch_size) of it. `transform(x, rng)` replaces the
    first array of batch b by its result; its rng is made from (seed, e, b).

    Shapes: the k-th array of a batch: (batch_size, *shape of the k-th part of an item); the last
    batch is shorter where batch_size does not divide N, unless `drop_last`.
    Raises: TypeError or ValueError for a batch_size, seed or epoch that is not an integer or is too
    small, and for items that do not stack.
    Source: torch.utils.data.DataLoader. Deliberately different: iterating twice gives the same
    batches; call `set_epoch` for others (torch's DistributedSampler does the same).
    """

    def __init__(self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False, *,
                 seed: int = 0, drop_last: bool = False,
                 transform: Transform | None = None) -> None:
        self.dataset, self.transform = dataset, transform
        self.batch_size = to_size("DataLoader", "batch_size", batch_size, 1)
        self.seed, self.epoch = to_size("DataLoader", "seed", seed, 0), 0
        self.shuffle, self.drop_last = shuffle, drop_last

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation the next iteration draws."""
        self.epoch = to_size("DataLoader", "epoch", epoch, 0)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        seed, epoch = self.seed, self.epoch
        order = np.arange(len(self.dataset))
        if self.shuffle:
            np.random.default_rng((seed, epoch)).shuffle(order)
        for b in range(len(self)):
            batch = self._fetch(order[b * self.batch_size:(b + 1) * self.batch_size])
            if self.transform is not None:
                # 1 + b, as (seed, epoch, 0) would seed the very stream of (seed, epoch)
                x = self.transform(batch[0], np.random.default_rng((seed, epoch, 1 + b)))
                batch = (x, *batch[1:])
            yield batch

    def _fetch(self, rows: Array) -> tuple[Array, ...]:
        if isinstance(self.dataset, ArrayDataset):
            return self.dataset[rows]           # one fancy indexing an array: a copy, made in C
        return collate([self.dataset[int(i)] for i in rows])


def collate(items: Sequence[Any]) -> tuple[Array, ...]:
    """Stack the k-th parts of all items into the k-th array of a batch.

    An item that is neither a tuple nor a list counts as a tuple of one.

    Shapes: N items of parts (…) → arrays (N, …). Python floats become float64, as in torch.
    Raises: ValueError if items differ in their number of parts or a part in its shape, TypeError if
    a part is neither an array nor a number.
    """
    parts = [item if isinstance(item, tuple | list) else (item,) for item in items]
    counts = sorted({len(p) for p in parts})
    if len(counts) > 1:
        raise ValueError(f"DataLoader: items of one batch have {counts[0]} to {counts[-1]} parts")
    return tuple(_stack(k, [_as_array(k, value) for value in column])
                 for k, column in enumerate(zip(*parts, strict=True)))


def _as_array(k: int, value: Any) -> Array:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"DataLoader: part {k} of an item must be an array or a number; got "
                        f"{type(value).__name__}: {error}") from None


def _stack(k: int, values: list[Array]) -> Array:
    shapes = list(dict.fromkeys(v.shape for v in values))
    if len(shapes) > 1:
        raise ValueError(f"DataLoader: part {k} of the items differs in shape within a batch; "
                         f"got {shapes[0]} and {shapes[1]}")
    stacked = np.stack(values)
    if stacked.dtype.kind not in "biuf":
        raise TypeError(f"DataLoader: part {k} of an item must be an array or a number; "
                        f"got {stacked.dtype}")
    return stacked
