"""Random numbers: the stream that PyTorch draws from on a CPU, so that equal seeds give equal
weights.

Both use the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), seeded by its reference
initialisation. `uniform` agrees with torch to the bit, `normal` to rounding (16 numbers or more).
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.autograd import Array


class Generator:
    """A stream of random numbers that can be seeded, saved and restored."""

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(secrets.randbits(32) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew. seed: any int; as in torch, its lowest 32 bits are used."""
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            raise TypeError(f"manual_seed: seed must be an int; got {seed!r}")
        self._twister = np.random.RandomState(int(seed) % 2**32)
        return self

    def get_state(self) -> Array:
        """The state as 625 numbers of 32 bits: the twister's 624 words and its position."""
        _, words, position, *_ = self._twister.get_state()
        return np.append(np.asarray(words, np.uint32), np.uint32(position))

    def set_state(self, state: Array) -> None:
        self._twister.set_state(("MT19937", state[:-1], int(state[-1]), 0, 0.0))

    def _bits(self, n: int) -> Array:
        return self._twister.randint(0, 2**32, n, dtype=np.uint32)

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0,
                dtype: DTypeLike = np.float32) -> Array:
        """Uniform in [low, high)."""
        n = _count(shape)
        kind = np.dtype(dtype).type
        if kind is np.float32:                  # 24 bits of one word
            unit = (self._bits(n) & np.uint32(2**24 - 1)) * 2.0**-24
        else:                                   # 53 bits of two
            words = self._bits(2 * n).astype(np.uint64)
            unit = ((words[0::2] << np.uint64(32) | words[1::2]) & np.uint64(2**53 - 1)) * 2.0**-53
        # in float64 and rounded once, as torch's fused multiply-add does for float32
        start, stop = np.array([low, high], kind)
        values: Array = (unit * np.float64(stop - start) + start).astype(kind)
        return values.reshape(shape)

    def normal(self, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0,
               dtype: DTypeLike = np.float32) -> Array:
        """Normal with the given mean and standard deviation, by Box-Muller on blocks of 16:
        u, v → √(-2·log(1-u)) · (cos 2πv, sin 2πv)."""
        n = _count(shape)
        size = max(n, 16)
        u = self.uniform((size,), dtype=dtype)
        whole = size - size % 16
        values = _box_muller(u[:whole])
        if size % 16:                           # torch draws the last 16 numbers once more
            tail = _box_muller(self.uniform((16,), dtype=dtype))
            values = np.concatenate([values[:size - 16], tail])
        scaled: Array = values[:n] * u.dtype.type(std) + u.dtype.type(mean)
        return scaled.reshape(shape)

    def permutation(self, n: int) -> Array:
        """The numbers 0 … n-1 in random order."""
        return self._twister.permutation(n)


def _count(shape: tuple[int, ...]) -> int:
    if any(n < 0 for n in shape):
        raise ValueError(f"random numbers: no size may be negative; got {shape}")
    return math.prod(shape)


def _box_muller(u: Array) -> Array:
    pairs: Any = u.reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - pairs[:, 0]))
    angle = u.dtype.type(2 * math.pi) * pairs[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed minigrad's random numbers: initial weights, dropout, rand and randn."""
    return default_generator.manual_seed(seed)
