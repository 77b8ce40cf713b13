"""Pooling. Source: torch.nn's classes of the same names."""

from __future__ import annotations

from typing import Any

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

Size = int | tuple[int, int]
OutSize = int | tuple[int | None, int | None] | None


class MaxPool2d(Module):
    """The largest value of each window; the stride is the window's size unless given.

    Shapes: x (N, C, H, W) → (N, C, OH, OW), OH = (H + 2·padding - dilation·(KH - 1) - 1) / stride
    + 1, rounded down, or up with `ceil_mode` (a window must still start inside x or its left
    padding). With `return_indices`, (values, indices).
    """

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation,
                            ceil_mode=self.ceil_mode, return_indices=self.return_indices)


class AvgPool2d(Module):
    """The mean of each window.

    Shapes: as MaxPool2d. `count_include_pad`: padding counts as zeros; `divisor_override`: divide
    by it in place of the window's size.
    """

    _shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad, self.divisor_override)


class _AdaptivePool(Module):
    """output_size: one size for both dims, or a pair; None keeps a size as it is."""

    _shown = ("output_size",)

    def __init__(self, output_size: OutSize) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean over windows chosen so that the output is `output_size`.

    Shapes: x (N, C, H, W) → (N, C, *output_size).
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest value over windows chosen so that the output is `output_size`.

    Shapes: x (N, C, H, W) → (N, C, *output_size). With `return_indices`, (values, indices).
    """

    def __init__(self, output_size: OutSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
