"""Pooling. Source: torch.nn's classes of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import sizes_of
from minigrad.tensor import Tensor

Size = int | tuple[int, ...]
OutSize = int | tuple[int | None, ...] | None


class _MaxPool(Module):
    pool: Callable[..., Any]            # the functional call
    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(input, self.kernel_size, self.stride, self.padding, self.dilation,
                               ceil_mode=self.ceil_mode, return_indices=self.return_indices)


class MaxPool1d(_MaxPool):
    """The largest value of each window of a line.

    Shapes: x (N, C, L) → (N, C, OL), OL as OH in `MaxPool2d`.
    """

    pool = F.max_pool1d


class MaxPool2d(_MaxPool):
    """The largest value of each window; the stride is the window's size unless given.

    Shapes: x (N, C, H, W) → (N, C, OH, OW), OH = (H + 2·padding - dilation·(KH - 1) - 1) / stride
    + 1, rounded down, or up with `ceil_mode` (a window must still start inside x or its left
    padding). With `return_indices`, (values, indices).
    """

    pool = F.max_pool2d


class AvgPool1d(Module):
    """The mean of each window of a line.

    Shapes: x (N, C, L) → (N, C, OL), OL as OH in `MaxPool2d`. `count_include_pad`: padding counts
    as zeros.
    """

    _shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        self.kernel_size = sizes_of("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        self.stride = sizes_of("AvgPool1d", "stride", stride, 1, 1)
        self.padding = sizes_of("AvgPool1d", "padding", padding, 1, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad)


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
    """output_size: one size for all dims, or one for each; None keeps a size as it is."""

    pool: Callable[..., Any]            # the functional call
    _shown = ("output_size",)

    def __init__(self, output_size: OutSize) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: OutSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean over windows of a line, chosen so that the output is `output_size`.

    Shapes: x (N, C, L) → (N, C, output_size).
    """

    pool = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean over windows chosen so that the output is `output_size`.

    Shapes: x (N, C, H, W) → (N, C, *output_size).
    """

    pool = F.adaptive_avg_pool2d


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest value over windows of a line, chosen so that the output is `output_size`.

    Shapes: x (N, C, L) → (N, C, output_size). With `return_indices`, (values, indices).
    """

    pool = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest value over windows chosen so that the output is `output_size`.

    Shapes: x (N, C, H, W) → (N, C, *output_size). With `return_indices`, (values, indices).
    """

    pool = F.adaptive_max_pool2d
