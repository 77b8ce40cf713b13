"""Images that are kept as uint8 levels, a quarter of the memory, until a network needs them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

from comparisons.datasets.base import Array, unit
from comparisons.datasets.stored import Images

ITEMS = 256             # how many items are scaled at a time, a batch of `predict`: at most,
VALUES = 2**22          # and with so many values, but one item at least


def inputs(x: Images) -> Array:
    """What a network is given for some items: images that are kept as levels become float32 in
    [0, 1], all else stays as it is.

    Shapes: (N, C, H, W) if they are images, else any.
    """
    return unit(x) if are_levels(x) else np.asarray(x)


def are_levels(x: Images) -> bool:
    """Whether these are images that are kept as levels."""
    return x.dtype == np.uint8 and x.ndim == 4


def pieces(x: Images) -> Iterator[Array]:
    """Some items at a time, as they are; one empty piece if there are none."""
    count = max(1, min(ITEMS, VALUES // max(1, math.prod(x.shape[1:]))))
    for i in range(0, max(len(x), 1), count):
        yield np.asarray(x[i:i + count])


def parts(x: Images) -> Iterator[Array]:
    """The `inputs` of some items at a time; one empty part if there are none."""
    return map(inputs, pieces(x))


def digest(arrays: Iterable[Images]) -> str:
    """A hash of the contents of some arrays: the same, whether images are kept as levels or not."""
    sha = hashlib.sha256()
    for array in arrays:
        for part in parts(array):
            sha.update(np.ascontiguousarray(part).data)
    return sha.hexdigest()[:16]
