"""torch.nn.functional's names, arguments and defaults: primitives from `ops`, the rest composed."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad import random
from minigrad.autograd import as_tensor
from minigrad.modes import computed, quietly
from minigrad.ops import activation, shape
from minigrad.ops.activation import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    logsigmoid,
    relu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from minigrad.ops.arguments import (
    require_number,
    to_int,
    to_ints,
)
from minigrad.ops.class_loss import cross_entropy, nll_loss
from minigrad.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d, fold, unfold
from minigrad.ops.distance import cosine_similarity, normalize
from minigrad.ops.index import embedding
from minigrad.ops.linalg import linear
from minigrad.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from minigrad.ops.norm import batch_norm, group_norm, instance_norm, layer_norm
from minigrad.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from minigrad.ops.resize import interpolate
from minigrad.ops.response_norm import local_response_norm
from minigrad.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d",
    "cosine_similarity", "cross_entropy", "dropout", "elu", "embedding", "fold", "gelu",
    "group_norm", "hardtanh", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax", "logsigmoid",
    "max_pool1d", "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "relu",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh", "unfold",
]


# ---- softmax with torch's guess of the dim -------------------------------------------------------

def softmax(input: Any, dim: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """y = e^x / Σ e^x along dim; x is converted to `dtype` first, if that is given.

    Without dim, torch's guess: 0 for x of 0, 1 or 3 dims, else 1, with a warning.
    """
    x = as_tensor("softmax", input)
    return activation.softmax(x, _guessed("softmax", x) if dim is None else dim, dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """y = x - log Σ e^x along dim; dim and dtype as in softmax."""
    x = as_tensor("log_softmax", input)
    return activation.log_softmax(x, _guessed("log_softmax", x) if dim is None else dim, dtype)


def _guessed(name: str, x: Tensor) -> int:
    dim = 0 if x.ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: dim was not given; {dim} is guessed from x {x.shape}", stacklevel=3)
    return dim


# ---- randomness ----------------------------------------------------------------------------------

def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, each x is 0 with probability p and x / (1 - p) otherwise.

    Draws from `minigrad.random.default_generator`. `inplace=True` leaves x as it was.
    Raises: ValueError unless 0 ≤ p ≤ 1.
    Source: Srivastava et al. 2014; torch draws other numbers for the same seed, except while
    `torch_impl.train.fit` trains.
    """
    x = as_tensor("dropout", input)
    require_number("dropout", p=p)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must lie in [0, 1]; got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    return activation.dropped(x, p=float(p), words=random.default_generator.words(2))


# ---- shape ---------------------------------------------------------------------------------------

def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """x with elements added around it.

    pad: how many, (before, behind) the last dim, then the one before it, and so on.
    mode: "constant" fills with `value` (0 unless given), and negative sizes cut off; "reflect"
    mirrors x at its edge, "replicate" repeats the edge, and "circular" goes on from the other end.
    These three are for the last dims of x only.
    Raises: ValueError or RuntimeError where sizes do not fit.
    Source: torch.nn.functional.pad.
    """
    x = as_tensor("pad", input)
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular'; "
                         f"got {mode!r}")
    pad = to_ints("pad", "pad", pad)
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise RuntimeError(f"pad: needs two sizes a dim, for at most {x.ndim} dims; got {pad}")
    if mode != "constant":
        if value:
            raise ValueError(f"pad: mode {mode!r} takes no value; got {value}")
        if len(pad) not in (2, 4, 6) or x.ndim - len(pad) // 2 not in (1, 2):
            raise RuntimeError(f"pad: mode {mode!r} pads all dims but the first one or two; got "
                               f"{len(pad)} sizes, x {x.shape}")
    if mode in ("reflect", "replicate") and (0 in x.shape[x.ndim - len(pad) // 2 - 1:]
                                             or x.dtype.kind == "b"):
        raise RuntimeError(f"pad: mode {mode!r} needs numbers to repeat; got x {x.shape}, "
                           f"{x.dtype}")
    fill = 0 if value is None else value
    require_number("pad", value=fill)
    if x.dtype.kind in "iu" and not np.iinfo(x.dtype).min <= fill <= np.iinfo(x.dtype).max:
        raise RuntimeError(f"pad: {x.dtype} cannot hold the value {fill}")
    sides = [(0, 0)] * (x.ndim - len(pad) // 2)
    sides += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    for dim in range(x.ndim - 1, -1, -1):
        if sides[dim] != (0, 0):
            _require_fit(x.shape, dim, *sides[dim], mode)
            x, sides[dim] = _cut(x, dim, *sides[dim], mode)
            if mode != "constant":
                x = _extended(x, dim, *sides[dim], mode)
    if mode == "constant" or not any(pad):          # a copy, also where nothing is added
        x = shape._framed(x, quietly(np.asarray, fill, x.dtype), sides=tuple(sides))
    return x


def _require_fit(shape: tuple[int, ...], dim: int, before: int, after: int, mode: str) -> None:
    n = shape[dim]
    most = {"reflect": n - 1, "circular": n}.get(mode, math.inf)
    least = (-min(before, 0) - min(after, 0) if mode in ("constant", "circular")
             else 1 - before - after)
    if n < least or max(before, after) > most:
        raise RuntimeError(f"pad: {before} and {after} do not fit dim {dim} of x {shape} in mode "
                           f"{mode!r}")


def _cut(x: Tensor, dim: int, before: int, after: int, mode: str) -> tuple[Tensor, tuple[int, int]]:
    """x without what negative sizes cut off before others add, and the sizes that are left"""
    if mode not in ("constant", "circular") or min(before, after) >= 0:
        return x, (before, after)
    x = x[(slice(None),) * dim + (slice(max(-before, 0), x.shape[dim] - max(-after, 0)),)]
    return x, (max(before, 0), max(after, 0))


def _extended(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    n = x.shape[dim]
    place = np.arange(-before, n + after)
    if mode == "reflect":
        place = np.abs(place)
        place = np.where(place >= n, 2 * (n - 1) - place, place)
    place = place % n if mode == "circular" else place.clip(0, n - 1)
    return x[(slice(None),) * dim + (place,)]


# ---- tables --------------------------------------------------------------------------------------

def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Zeros, and a 1 at the number of each class, along a new last dim.

    num_classes: one more than the greatest number unless given.
    Raises: RuntimeError for class numbers that are out of range, or not int64.
    Source: torch.nn.functional.one_hot.
    """
    classes = as_tensor("one_hot", tensor).data
    num_classes = to_int("one_hot", "num_classes", num_classes)
    if classes.dtype != np.int64:
        raise RuntimeError(f"one_hot: needs int64; got {classes.dtype}")
    if not classes.size and num_classes < 1:
        raise RuntimeError("one_hot: num_classes must be given where there is no class; "
                           f"got {num_classes}")
    n = int(classes.max()) + 1 if num_classes == -1 else num_classes
    if classes.size and not (classes.min() >= 0 and classes.max() < n):
        raise RuntimeError(f"one_hot: classes must lie in [0, {n - 1}]; "
                           f"got {classes.min()} to {classes.max()}")
    y = Tensor((classes[..., None] == np.arange(n)).astype(np.int64))
    return computed("one_hot", (as_tensor("one_hot", tensor),), {"classes": n}, y)
