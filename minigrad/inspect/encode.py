"""Arrays for a page: small ones in full, large ones as a heat map, a histogram and statistics."""

from __future__ import annotations

import base64
import hashlib
from math import ceil, prod
from typing import Any

import numpy as np

from minigrad.autograd import Array

FULL = 144              # so many values are shown as numbers
DIGITS = 6
TILE = 28               # of a stack of matrices each is at most so many cells high and wide,
CELLS = 12 * TILE**2    # and as many are shown as have so many cells together,
TILES = 48              # at most so many
SINGLE = 96             # of a single matrix
BINS = 41               # an odd number: one is around 0


class Table:
    """Encoded arrays; equal ones once. `add` gives the number of one."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._known: dict[bytes, int] = {}

    def add(self, array: Array) -> int:
        key = hashlib.blake2b(repr((array.shape, array.dtype)).encode()
                              + np.ascontiguousarray(array).tobytes(), digest_size=16).digest()
        if key not in self._known:
            self._known[key] = len(self.entries)
            self.entries.append(encoded(array))
        return self._known[key]


def encoded(array: Array) -> dict[str, Any]:
    """As JSON: `shape`, and `values` if there are few; otherwise what `_large` says."""
    entry: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.size <= FULL:
        return entry | {"values": [number(x) for x in array.ravel().tolist()]}
    return entry | _large(array.astype(np.float64))


def number(x: Any) -> Any:
    """A value as JSON has it; NaN and the infinities as strings, for which it has no number."""
    if isinstance(x, float):
        return float(f"{x:.{DIGITS}g}") if np.isfinite(x) else str(x)
    return int(x)


def _large(x: Array) -> dict[str, Any]:
    """stats: min, max, mean, standard deviation and norm of the finite values, the share of zeros,
    and how many are NaN or infinite. histogram: counts between -extreme and extreme. map: cells in
    255 steps from 1 (-peak) to 255 (peak), 128 being 0, and 0 standing for NaN, as base64."""
    finite = x[np.isfinite(x)]
    extreme = float(np.abs(finite).max()) if finite.size else 0.0
    counts, _ = np.histogram(finite, BINS, (-(extreme or 1.0), extreme or 1.0))
    values = [finite.min(), finite.max(), finite.mean(), finite.std(),
              np.sqrt(np.square(finite).sum())] if finite.size else [np.nan] * 5
    stack, every = _shown(x)
    peak = float(np.abs(stack[np.isfinite(stack)]).max(initial=0.0))
    steps = np.rint(np.clip(np.nan_to_num(stack, nan=0.0) / (peak or 1.0), -1, 1) * 127) + 128
    cells = np.where(np.isnan(stack), 0, steps).astype(np.uint8)
    return {
        "stats": [number(float(v)) for v in values]
        + [number(float((x == 0).mean())), int(x.size - finite.size)],
        "histogram": counts.tolist(), "extreme": number(extreme),
        "map": base64.b64encode(cells.tobytes()).decode("ascii"), "peak": number(peak),
        "tiles": list(stack.shape), "of": prod(x.shape[:-2]) if _is_stack(x) else 1,
        "every": every}


def _is_stack(x: Array) -> bool:
    return x.ndim > 2 and x.shape[-1] > 1 and x.shape[-2] > 1


def _shown(x: Array) -> tuple[Array, int]:
    """The matrices that are drawn, and of how many rows and columns each cell is the mean."""
    if _is_stack(x):
        cells = min(TILE, x.shape[-2]) * min(TILE, x.shape[-1])
        stack, most = x.reshape(-1, *x.shape[-2:])[:min(TILES, CELLS // cells)], TILE
    else:
        rows = x.reshape(x.shape[0], -1) if x.ndim > 1 else x[None]
        if len(rows) == 1 or rows.shape[1] == 1:            # a vector, broken into lines
            flat = rows.ravel()
            width = min(SINGLE, max(16, ceil(flat.size**0.5)))
            rows = np.append(flat, np.full(-flat.size % width, np.nan)).reshape(-1, width)
        stack, most = rows[None], SINGLE
    every = ceil(max(stack.shape[1:]) / most)
    if every == 1:
        return stack, 1
    sums, ones = stack, np.ones_like(stack[0])
    for axis in (-2, -1):
        cuts = np.arange(0, stack.shape[axis], every)
        sums, ones = np.add.reduceat(sums, cuts, axis), np.add.reduceat(ones, cuts, axis)
    return sums / ones, every
