"""Changes of shape and size. Source: torch.nn's classes of the same names."""

from __future__ import annotations

import math
from typing import Any

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import require_number, to_int, to_size
from minigrad.tensor import Tensor

Size = int | tuple[int, ...]


class Flatten(Module):
    """Dims start_dim … end_dim as one; by default all but the batch: (N, C, H, W) → (N, C·H·W)."""

    _shown = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Module):
    """One dim as several, the reverse of Flatten: (*, S, *) → (*, *unflattened_size, *).

    One of unflattened_size may be -1: what is left.
    Raises: TypeError for anything but ints.
    """

    _shown = ("dim", "unflattened_size")

    def __init__(self, dim: int, unflattened_size: tuple[int, ...] | list[int]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, tuple | list) or not unflattened_size:
            raise TypeError("Unflatten: unflattened_size must be a tuple of ints; "
                            f"got {unflattened_size!r}")
        self.dim = to_int("Unflatten", "dim", dim)
        self.unflattened_size = tuple(to_size(type(self).__name__, "unflattened_size", n, -1)
                                      for n in unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"Unflatten: dim {self.dim} is out of range for input {input.shape}")
        dim = self.dim % input.ndim
        sizes, size = list(self.unflattened_size), input.shape[dim]
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) == 1 and known:
            sizes[sizes.index(-1)] = size // known
        if math.prod(sizes) != size or -1 in sizes:
            raise RuntimeError(f"Unflatten: {self.unflattened_size} does not fit dim {dim} of "
                               f"input {input.shape}")
        return input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1:])


class Upsample(Module):
    """x resampled to `size`, or to its own size times scale_factor; see functional.interpolate."""

    def __init__(self, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None
                 ) -> None:
        super().__init__()
        self.size, self.mode, self.align_corners = size, mode, align_corners
        factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor or 1.0,)
        for factor in factors:
            require_number("Upsample", scale_factor=factor)
        self.scale_factor = (tuple(map(float, factors)) if isinstance(scale_factor, tuple)
                             else float(scale_factor) if scale_factor else None)
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners,
                             self.recompute_scale_factor)

    def extra_repr(self) -> str:
        amount = (f"size={self.size}" if self.scale_factor is None
                  else f"scale_factor={self.scale_factor}")
        return f"{amount}, mode={self.mode!r}"


class Unfold(Module):
    """The windows of x side by side, as columns.  Shapes: x (N, C, H, W) → (N, C·KH·KW, OH·OW)."""

    _shown = ("kernel_size", "dilation", "padding", "stride")

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
                 ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Module):
    """Columns put back as windows of an image, overlaps added.

    Shapes: x (N, C·KH·KW, OH·OW) → (N, C, *output_size).
    """

    _shown = ("output_size", "kernel_size", "dilation", "padding", "stride")

    def __init__(self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0,
                 stride: Size = 1) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding,
                      self.stride)
