"""Normalisation. Source: torch.nn's classes of the same names."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from minigrad import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter, empty
from minigrad.ops.arguments import require_number, to_size
from minigrad.tensor import Tensor


class _Affine(Module):
    """A weight that starts at 1 and a bias that starts at 0, each unless it is switched off."""

    weight: Parameter | None
    bias: Parameter | None

    def _set_affine(self, affine: bool, bias: bool, shape: tuple[int, ...], dtype: DTypeLike | None
                    ) -> None:
        self.weight = empty(*shape, dtype=dtype) if affine else None
        self.bias = empty(*shape, dtype=dtype) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _RunningNorm(_Affine):
    """Statistics of each channel, kept as running averages for evaluation.

    running ← (1 - momentum)·running + momentum·batch
    momentum None: the plain average over all batches so far, `num_batches_tracked` of them.
    """

    dims: tuple[int, ...]               # how many dims an input may have
    _optional = ("num_batches_tracked",)

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = True, track_running_stats: bool = True, *,
                 dtype: DTypeLike | None = None, bias: bool = True) -> None:
        super().__init__()
        self.num_features = to_size(type(self).__name__, "num_features", num_features, 0)
        require_number(type(self).__name__, eps=eps, momentum=0.0 if momentum is None else momentum)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        for name, value in (("running_mean", np.zeros(num_features, dtype or np.float32)),
                            ("running_var", np.ones(num_features, dtype or np.float32)),
                            ("num_batches_tracked", np.zeros((), np.int64))):
            self.register_buffer(name, Tensor(value) if track_running_stats else None)
        self._set_affine(affine, bias, (num_features,), dtype)

    def reset_running_stats(self) -> None:
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()

    def _check_dims(self, input: Tensor) -> None:
        if input.ndim not in self.dims:
            raise ValueError(f"{type(self).__name__}: input must have "
                             f"{' or '.join(map(str, self.dims))} dims; got {input.shape}")

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
                f"affine={self.affine}, bias={self.bias is not None}, "
                f"track_running_stats={self.track_running_stats}")


class _BatchNorm(_RunningNorm):
    def forward(self, input: Tensor) -> Tensor:
        self._check_dims(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked[...] = self.num_batches_tracked + 1
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training or self.running_mean is None, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / √(var + eps) · w + b, with the mean and variance of each channel.

    Shapes: x (N, C) or (N, C, L) → the same; w, b (C,). In training the statistics are the batch's,
    in evaluation the running ones.
    Source: Ioffe & Szegedy 2015, algorithm 1.
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / √(var + eps) · w + b, with the mean and variance of each channel.

    Shapes: x (N, C, H, W) → the same; w, b (C,). In training the statistics are the batch's, in
    evaluation the running ones.
    Source: Ioffe & Szegedy 2015, algorithm 2.
    """

    dims = (4,)


class _InstanceNorm(_RunningNorm):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = False, track_running_stats: bool = False, *,
                 dtype: DTypeLike | None = None, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype,
                         bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_dims(input)
        batch = input if input.ndim == self.dims[-1] else input.unsqueeze(0)
        if (self.affine or self.track_running_stats) and batch.shape[1] != self.num_features:
            raise ValueError(f"{type(self).__name__}: input must have {self.num_features} "
                             f"channels; got {input.shape}")
        y = F.instance_norm(batch, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training or not self.track_running_stats,
                            0.0 if self.momentum is None else self.momentum, self.eps)
        return y.reshape(input.shape)


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / √(var + eps) · w + b, with statistics of each channel of each example.

    Shapes: x (N, C, L) or (C, L) → the same.
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """y = (x - mean) / √(var + eps) · w + b, with statistics of each channel of each example.

    Shapes: x (N, C, H, W) or (C, H, W) → the same.
    """

    dims = (3, 4)


class LayerNorm(_Affine):
    """y = (x - mean) / √(var + eps) · w + b, with statistics of each example over its last dims.

    Shapes: x (*, *normalized_shape) → the same; w, b normalized_shape.
    Source: Ba et al. 2016.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True, *,
                 dtype: DTypeLike | None = None) -> None:
        super().__init__()
        given = (normalized_shape if isinstance(normalized_shape, tuple | list)
                 else (normalized_shape,))
        self.normalized_shape = tuple(to_size("LayerNorm", "normalized_shape", n, 0) for n in given)
        require_number(type(self).__name__, eps=eps)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._set_affine(elementwise_affine, bias, self.normalized_shape, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, "
                f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}")


class GroupNorm(_Affine):
    """y = (x - mean) / √(var + eps) · w + b, with statistics of each group of channels.

    Shapes: x (N, C, *) → the same; w, b (C,).
    Raises: ValueError where num_groups does not divide C.
    Source: Wu & He 2018.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
                 *, dtype: DTypeLike | None = None, bias: bool = True) -> None:
        super().__init__()
        to_size(type(self).__name__, "num_groups", num_groups, 1)
        if to_size(type(self).__name__, "num_channels", num_channels, 0) % num_groups:
            raise ValueError("GroupNorm: num_channels must be divisible by num_groups; "
                             f"got {num_channels} and {num_groups}")
        self.num_groups, self.num_channels = num_groups, num_channels
        require_number(type(self).__name__, eps=eps)
        self.eps, self.affine = eps, affine
        self._set_affine(affine, bias, (num_channels,), dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")


class LocalResponseNorm(Module):
    """y = x / (k + alpha·mean of x² over `size` neighbouring channels)^beta.

    Shapes: x (N, C, *) → the same.
    Source: Krizhevsky et al. 2012, section 3.3 (there alpha multiplies the sum; here, as in torch
    and Caffe, the mean).
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = to_size(type(self).__name__, "size", size, 1)
        require_number(type(self).__name__, alpha=alpha, beta=beta, k=k)
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
