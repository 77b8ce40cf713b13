"""Random numbers: the stream that PyTorch draws from on a CPU, so that equal seeds give equal
weights.

Both use the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), seeded by its reference
initialisation. `uniform` agrees with torch to the bit, `normal` to rounding.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.autograd import Array
from minigrad.kernels.tape import again


class Generator:
    """A stream of random numbers that can be seeded, saved and restored."""

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(secrets.randbits(32) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew. seed: from -2⁶³ to 2⁶⁴ - 1; as in torch, its lowest 32 bits are
        used.

        Raises: TypeError if seed is no int, ValueError if it is out of range.
        """
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            raise TypeError(f"manual_seed: seed must be an int; got {seed!r}")
        if not -2**63 <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be from -2**63 to 2**64 - 1; got {seed}")
        self._twister = np.random.RandomState(int(seed) % 2**32)
        self._spare = math.nan              # the second normal number of a pair, until it is drawn
        return self

    def get_state(self) -> Array:
        """The state as 627 numbers of 32 bits: the twister's 624 words, its position, and a normal
        number that is still to be given out (NaN: none)."""
        _, words, position, *_ = self._twister.get_state()
        spare = np.array([self._spare]).view(np.uint32)
        return np.concatenate([np.asarray(words, np.uint32), [np.uint32(position)], spare])

    def set_state(self, state: Array) -> None:
        """Go on after a state that `get_state` returned. Raises: ValueError for anything else."""
        if state.dtype != np.uint32 or state.shape not in ((625,), (627,)) or state[624] > 624:
            raise ValueError("set_state: expected what get_state returned, 627 values of uint32; "
                             f"got {state.dtype} of shape {state.shape}")
        self._twister.set_state(("MT19937", state[:624], int(state[624]), 0, 0.0))
        self._spare = float(state[625:].view(np.float64)[0]) if len(state) == 627 else math.nan

    @again
    def words(self, n: int) -> Array:
        """n numbers of 32 bits, as int64."""
        return self._bits(n).astype(np.int64)

    def _bits(self, n: int) -> Array:
        return self._twister.randint(0, 2**32, n, dtype=np.uint32)

    @again
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

    @again
    def normal(self, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0,
               dtype: DTypeLike = np.float32) -> Array:
        """Normal with the given mean and standard deviation, by Box-Muller:
        u, v → √(-2·log(1-u)) · (cos 2πv, sin 2πv), on blocks of 16. Fewer than 16 are drawn in
        float64, one after the other; the second of a pair may be left for the next call."""
        n = _count(shape)
        if n < 16:
            few = [self._next_normal() * std + mean for _ in range(n)]
            return np.array(few, dtype).reshape(shape)
        u = self.uniform((n,), dtype=dtype)
        values = _box_muller(u[:n - n % 16])
        if n % 16:                              # torch draws the last 16 numbers once more
            tail = _box_muller(self.uniform((16,), dtype=dtype))
            values = np.concatenate([values[:n - 16], tail])
        scaled: Array = values * u.dtype.type(std) + u.dtype.type(mean)
        return scaled.reshape(shape)

    def _next_normal(self) -> float:
        value, self._spare = self._spare, math.nan
        if math.isnan(value):
            v, u = self.uniform((2,), dtype=np.float64)
            radius, angle = math.sqrt(-2 * math.log1p(-u)), 2 * math.pi * v
            value, self._spare = radius * math.cos(angle), radius * math.sin(angle)
        return value

    @again
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
