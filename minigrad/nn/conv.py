"""Convolutions. Source: torch.nn.Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import DTypeLike

from minigrad import functional as F
from minigrad.nn.linear import reset_affine
from minigrad.nn.module import Module, Parameter, empty
from minigrad.ops.arguments import paddings_of, sizes_of, to_size
from minigrad.tensor import Tensor

Sizes = int | tuple[int, ...]


class _Conv(Module):
    """A convolution: its arguments, weights, initial values and forward pass."""

    ndim: int
    convolve: Callable[..., Tensor]     # the functional call
    modes: tuple[str, ...] = ("zeros", "reflect", "replicate", "circular")
    transposed = False

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", *, dtype: DTypeLike | None = None) -> None:
        super().__init__()
        name, n = type(self).__name__, self.ndim
        groups = to_size(name, "groups", groups, 1)
        for label, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if to_size(name, label, channels, 0) % groups:
                raise ValueError(f"{name}: {label} must be divisible by groups; "
                                 f"got {channels} and {groups}")
        if padding_mode not in self.modes:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(self.modes)}; "
                             f"got {padding_mode!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = sizes_of(name, "kernel_size", kernel_size, n, 1)
        self.stride = sizes_of(name, "stride", stride, n, 1)
        self.padding: tuple[int, ...] | str = (
            padding if isinstance(padding, str) and not self.transposed
            else sizes_of(name, "padding", padding, n, 0))
        self.output_padding = (0,) * n
        self.dilation = sizes_of(name, "dilation", dilation, n, 1)
        self.groups, self.padding_mode = groups, padding_mode
        self._paddings()                                        # refuses what does not fit
        first, second = ((in_channels, out_channels) if self.transposed
                         else (out_channels, in_channels))
        self.weight = empty(first, second // groups, *self.kernel_size, dtype=dtype)
        self.bias: Parameter | None = empty(out_channels, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_affine(self.weight, self.bias)

    def _paddings(self) -> list[tuple[int, int]]:
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return paddings_of(type(self).__name__, self.padding, self.stride, spans)

    def forward(self, input: Tensor) -> Tensor:
        padding: Sizes | str = self.padding
        if self.padding_mode != "zeros" and any(map(any, self._paddings())):
            around = [n for pair in reversed(self._paddings()) for n in pair]   # the last dim first
            input, padding = F.pad(input, tuple(around), mode=self.padding_mode), 0
        return type(self).convolve(input, self.weight, self.bias, self.stride, padding,
                                   self.dilation, self.groups)

    def extra_repr(self) -> str:
        n = self.ndim
        text = (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}")
        for name, usual in (("padding", (0,) * n), ("dilation", (1,) * n),
                            ("output_padding", (0,) * n), ("groups", 1)):
            value = getattr(self, name)
            text += f", {name}={value}" if value != usual else ""
        text += ", bias=False" if self.bias is None else ""
        text += f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else ""
        return text


class Conv1d(_Conv):
    """Cross-correlation of x with w over one dim.

    Shapes: x (N, C, L), w (O, C/groups, K), b (O,) → (N, O, OL), OL as in `Conv2d`.
    """

    ndim = 1
    convolve = F.conv1d


class Conv2d(_Conv):
    """Cross-correlation of x with w over two dims.

    Shapes: x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) → (N, O, OH, OW),
    OH = ⌊(H + 2·padding - dilation·(KH - 1) - 1) / stride⌋ + 1.
    Raises: ValueError where groups do not divide the channels, or padding is "same" with a stride.
    """

    ndim = 2
    convolve = F.conv2d


class _ConvTranspose(_Conv):
    """A transposed convolution: its arguments and forward pass."""

    modes = ("zeros",)
    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, bias: bool = True,
                 dilation: Sizes = 1, padding_mode: str = "zeros", *,
                 dtype: DTypeLike | None = None) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                         bias, padding_mode, dtype=dtype)
        self.output_padding = sizes_of(type(self).__name__, "output_padding", output_padding,
                                       self.ndim, 0)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        output_padding = self.output_padding
        if output_size is not None and input.ndim in (self.ndim + 1, self.ndim + 2):
            output_padding = self._output_padding(input, list(output_size))
        assert not isinstance(self.padding, str)
        return type(self).convolve(input, self.weight, self.bias, self.stride, self.padding,
                                   output_padding, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: list[int]) -> tuple[int, ...]:
        assert not isinstance(self.padding, str)
        wanted = output_size[-self.ndim:] if len(output_size) == input.ndim else output_size
        smallest = [(size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
                    for size, stride, padding, dilation, kernel in zip(
                        input.shape[-self.ndim:], self.stride, self.padding, self.dilation,
                        self.kernel_size, strict=True)]
        largest = [low + stride - 1 for low, stride in zip(smallest, self.stride, strict=True)]
        if len(wanted) != self.ndim or not all(low <= size <= high for low, size, high in zip(
                smallest, wanted, largest, strict=True)):
            raise ValueError(f"{type(self).__name__}: output_size must lie between {smallest} and "
                             f"{largest} for input {input.shape}; got {output_size}")
        return tuple(size - low for size, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The gradient of a Conv1d with respect to its input, as a layer: it makes lines longer.

    Shapes: x (N, C, L), w (C, O/groups, K), b (O,) → (N, O, OL), OL as OH in `ConvTranspose2d`.
    """

    ndim = 1
    convolve = F.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """The gradient of a Conv2d with respect to its input, as a layer: it makes images larger.

    Shapes: x (N, C, H, W), w (C, O/groups, KH, KW), b (O,) → (N, O, OH, OW),
    OH = (H - 1)·stride - 2·padding + dilation·(KH - 1) + output_padding + 1.
    `forward` takes an `output_size`, (OH, OW), in place of the output_padding that gives it.
    Raises: ValueError for an output_size that no output_padding below the stride gives.
    """

    ndim = 2
    convolve = F.conv_transpose2d
