"""Dropout. Source: torch.nn's classes of the same names; Srivastava et al. 2014."""

from __future__ import annotations

import numpy as np

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import require_number
from minigrad.tensor import Tensor


class Dropout(Module):
    """In training, each value is set to 0 with probability p, and the rest divided by 1 - p; in
    evaluation y = x. Raises: ValueError unless 0 ≤ p ≤ 1.

    `inplace` is accepted, shown and otherwise ignored: a gradient may still need x.
    """

    _shown = ("p", "inplace")

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, p=p)
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be between 0 and 1; got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)


class _ChannelDropout(Dropout):
    """Dropout of whole channels: neighbours in a map are too alike for single ones to matter."""

    unbatched: int | None = None        # the dims of an input without a batch

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim < 2:
            raise RuntimeError(f"{type(self).__name__}: input must have channels and at least 2 "
                               f"dims; got {input.shape}")
        if self.unbatched is not None and input.ndim not in (self.unbatched, self.unbatched + 1):
            raise RuntimeError(f"{type(self).__name__}: input must have {self.unbatched} or "
                               f"{self.unbatched + 1} dims; got {input.shape}")
        if not self.training:
            return input
        channels = input.shape[:1 if input.ndim == self.unbatched else 2]
        shape = channels + (1,) * (input.ndim - len(channels))
        return input * F.dropout(Tensor(np.ones(shape, input.dtype)), self.p)


class Dropout1d(_ChannelDropout):
    """Dropout of whole channels.  Shapes: x (N, C, L) or (C, L) → the same.
    Source: Tompson et al. 2015."""

    unbatched = 2


class Dropout2d(_ChannelDropout):
    """Dropout of whole channels.  Shapes: x (N, C, H, W) → the same.
    Source: Tompson et al. 2015."""
