"""What a DataLoader reads from: anything with a length and items."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from minigrad.autograd import Array


class Dataset(Protocol):
    """A finite, indexable collection; item i is an array, a number, or a tuple or list of these."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class ArrayDataset:
    """Arrays that share their first dimension; item i is the tuple of their i-th rows.

    dataset[i] = (a[i], b[i], …)

    Shapes: each array (N, …). Arrays are kept as they are, not copied.
    Raises: ValueError if there is no array, an array is 0-d, or the lengths differ.
    Source: torch.utils.data.TensorDataset.
    """

    def __init__(self, *arrays: ArrayLike) -> None:
        self.arrays: tuple[Array, ...] = tuple(map(self.kept, arrays))
        shapes = ", ".join(str(a.shape) for a in self.arrays)
        if not self.arrays:
            raise ValueError("ArrayDataset: needs at least one array")
        if any(a.ndim == 0 for a in self.arrays):
            raise ValueError(f"ArrayDataset: every array needs a first dimension; got {shapes}")
        if len({len(a) for a in self.arrays}) > 1:
            raise ValueError(f"ArrayDataset: arrays differ in length; got {shapes}")

    @staticmethod
    def kept(array: ArrayLike) -> Array:
        """What is kept of an argument. A subclass may leave it where it lies, such as in a file, if
        it is indexed as an array is."""
        return np.asarray(array)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(a[index] for a in self.arrays)
