"""Dropout with minigrad's masks, so that both implementations drop the same values.

PyTorch draws its masks from a generator that minigrad does not rebuild, and another one on a GPU.
In training, the masks of minigrad replace them, on any device: whether a value is kept is a hash of
its index and of two random words (minigrad/kernels/dropout.py), drawn from minigrad's generator.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from minigrad.random import default_generator
from torch_impl.workers import Workers

CHANNELS = (functional.dropout1d, functional.dropout2d)     # whole channels of (N, C, …)


def same_masks(model: nn.Module, workers: Workers) -> contextlib.AbstractContextManager[object]:
    """A context in which the model's dropout has minigrad's masks.

    It costs a little time at every call of a function, so a model that cannot drop anything,
    because it has none of these layers and no layers of a user's own, goes without.
    """
    if any(isinstance(module, nn.modules.dropout._DropoutNd)
           or not type(module).__module__.startswith(("torch.", "torch_impl."))
           for module in model.modules()):
        return SameMasks(workers)
    return contextlib.nullcontext()


class SameMasks(TorchFunctionMode):
    """Replaces the functions that all layers of dropout call, in training."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self.workers = workers

    def __torch_function__(self, function: Any, types: Any, args: Any = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        if function is functional.dropout or function in CHANNELS:
            return self.dropped(function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def dropped(self, function: Callable[..., Tensor], input: Tensor, p: float = 0.5,
                training: bool = True, inplace: bool = False) -> Tensor:
        """What minigrad's function of the same name returns; inplace has no effect."""
        with torch._C.DisableTorchFunction():
            if not training or not 0 < p < 1:
                return function(input, p, training, inplace)
            shape = tuple(input.shape)
            if function in CHANNELS:
                channels = 1 if function is functional.dropout1d and input.ndim == 2 else 2
                shape = (*shape[:channels], *[1] * (input.ndim - channels))
            return input * factor(input, shape, p, words(), self.rows(shape))

    def rows(self, shape: Sequence[int]) -> Sequence[int] | None:
        """The numbers that the rows of a value have in the whole batch; None: all, in order."""
        return self.workers.rows(shape[0]) if self.workers.size > 1 and shape else None


@torch.compiler.disable     # type: ignore[untyped-decorator]
def words() -> tuple[int, int]:
    """Two random numbers, as minigrad's dropout draws them."""
    first, second = default_generator.words(2).tolist()
    return first, second


def factor(like: Tensor, shape: Sequence[int], p: float, words: Sequence[int],
           rows: Sequence[int] | None = None) -> Tensor:
    """1 / (1 - p) for values that are kept, else 0, in the given shape.

    The hash is computed in int32, whose products and sums are those of 32 bits without a sign.
    like: gives the dtype and the device. rows: see `SameMasks.rows`.
    """
    size = math.prod(shape)
    at = torch.arange(size, dtype=torch.int32, device=like.device)
    if rows is not None:
        inner = size // len(rows)
        starts = torch.tensor(rows, dtype=torch.int32, device=like.device) * inner
        at = (starts[:, None] + at[:inner]).reshape(-1)
    for word in words:
        at = mixed(at ^ signed(word))
    kept = at ^ signed(2**31) >= signed(int(p * 2**32) ^ 2**31)   # compared as if without a sign
    return (kept.to(like.dtype) * (1 / (1 - p))).reshape(tuple(shape))


def mixed(h: Tensor) -> Tensor:
    """The bits of 32-bit numbers, mixed as MurmurHash3 (Appleby) does at its end."""
    h = (h ^ shifted(h, 16)) * signed(0x85ebca6b)
    h = (h ^ shifted(h, 13)) * signed(0xc2b2ae35)
    return h ^ shifted(h, 16)


def shifted(h: Tensor, bits: int) -> Tensor:
    """h shifted right; zeros come in, not the sign."""
    moved: Tensor = (h >> bits) & (2**(32 - bits) - 1)
    return moved


def signed(word: int) -> int:
    """The int32 that has the same bits."""
    return word - 2**32 if word >= 2**31 else word
