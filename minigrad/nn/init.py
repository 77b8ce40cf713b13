"""Initial weights. Each function fills a tensor in place and returns it.

The variance of a layer's output should equal that of its input. With n inputs to each unit, weights
of variance 1/n do that for a linear layer; `gain` corrects for the non-linearity that follows.
fan_in and fan_out are the numbers of inputs and outputs that one weight connects.
Source: torch.nn.init; equal seeds give equal draws.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad import random
from minigrad.autograd import Array, no_grad
from minigrad.ops.arguments import require_number
from minigrad.random import Generator
from minigrad.tensor import Tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0,
             generator: Generator | None = None) -> Tensor:
    """U(a, b).  Raises: RuntimeError unless a ≤ b, both finite."""
    _need_floats("uniform_", tensor, a=a, b=b)
    if not -math.inf < a <= b < math.inf:
        raise RuntimeError(f"uniform_: needs finite a ≤ b; got {a} and {b}")
    draw = (generator or random.default_generator).uniform
    return _fill(tensor, draw(tensor.shape, a, b, tensor.dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0,
            generator: Generator | None = None) -> Tensor:
    """N(mean, std²).  Raises: RuntimeError for a negative std."""
    _need_floats("normal_", tensor, mean=mean, std=std)
    if std < 0:
        raise RuntimeError(f"normal_: std must be at least 0; got {std}")
    draw = (generator or random.default_generator).normal
    return _fill(tensor, draw(tensor.shape, mean, std, tensor.dtype))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0,
                  b: float = 2.0, generator: Generator | None = None) -> Tensor:
    """N(mean, std²) between a and b: what falls outside is drawn anew.

    Where most would fall outside, draws are uniform and kept with a probability proportional to the
    density instead.
    Source: torch.nn.init.trunc_normal_.
    """
    _need_floats("trunc_normal_", tensor, mean=mean, std=std, a=a, b=b)
    if not (std > 0 and -math.inf < a < b < math.inf):
        raise RuntimeError("trunc_normal_: needs std > 0 and finite a < b; "
                           f"got std {std}, a {a}, b {b}")
    generator, shape, dtype = generator or random.default_generator, tensor.shape, tensor.dtype
    inside = (math.erf((b - mean) / (std * math.sqrt(2)))
              - math.erf((a - mean) / (std * math.sqrt(2)))) / 2
    peak = ((max(a, min(mean, b)) - mean) / std)**2 / 2
    values, wrong = np.empty(shape, dtype), np.ones(shape, bool)
    while wrong.any():
        if inside > 0.3:
            draw = generator.normal(shape, mean, std, dtype)
            rejected = (draw < dtype.type(a)) | (draw > dtype.type(b))
        else:
            draw = generator.uniform(shape, a, b, dtype)
            with np.errstate(divide="ignore"):
                rejected = (np.log(generator.uniform(shape, dtype=dtype))
                            > peak - ((draw - mean) / std)**2 / 2)
        values, wrong = np.where(wrong, draw, values), wrong & rejected
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same value everywhere"""
    require_number("constant_", val=val)
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere"""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere"""
    return _fill(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: a linear layer passes its input on, as far as sizes allow"""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: needs 2 dims; got shape {tensor.shape}")
    rows, columns = tensor.shape
    return _fill(tensor, np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """1 in the middle of the kernel from each channel to itself, else 0: a convolution that passes
    on what it can, group by group"""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: needs 3, 4 or 5 dims; got shape {tensor.shape}")
    if groups < 1 or len(tensor) % groups:
        raise ValueError(f"dirac_: dim 0 of shape {tensor.shape} must be divisible by groups; "
                         f"got {groups}")
    values, per_group = np.zeros(tensor.shape), len(tensor) // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for o in range(len(tensor)):
        if o % per_group < tensor.shape[1]:
            values[(o, o % per_group, *middle)] = 1
    return _fill(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain · Q: rows (or columns, whichever are fewer) orthonormal, the trailing dims as one.

    Q R = a matrix of N(0, 1), the signs of R's diagonal made positive.
    Source: Saxe et al. 2014; Mezzadri 2007 for the signs
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: needs at least 2 dims; got shape {tensor.shape}")
    _need_floats("orthogonal_", tensor, gain=gain)
    if not tensor.data.size:
        return tensor
    rows = len(tensor)
    draw = (generator or random.default_generator).normal
    flat = draw((rows, tensor.data.size // rows), dtype=tensor.dtype)
    wide = flat.shape[0] < flat.shape[1]
    q, r = np.linalg.qr(flat.T if wide else flat)
    q = q * np.sign(np.diag(r))
    return _fill(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                    ) -> Tensor:
    """U(-a, a), a = gain·√(6 / (fan_in + fan_out)).  Source: Glorot & Bengio 2010, eq. 16"""
    fan_in, fan_out = fans(tensor)
    a = math.sqrt(3.0) * (gain * math.sqrt(2.0 / (fan_in + fan_out)))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                   ) -> Tensor:
    """N(0, σ²), σ = gain·√(2 / (fan_in + fan_out)).  Source: Glorot & Bengio 2010"""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu", generator: Generator | None = None
                     ) -> Tensor:
    """U(-b, b), b = gain·√(3 / fan).  Source: He et al. 2015, eq. 10 and 14

    a: the negative slope of the leaky ReLU that follows. mode: "fan_in" keeps the variance of the
    forward pass, "fan_out" that of the gradients.
    """
    b = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -b, b, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", generator: Generator | None = None
                    ) -> Tensor:
    """N(0, σ²), σ = gain / √fan; the arguments are those of `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
          "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
          "relu": math.sqrt(2.0), "selu": 0.75}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must grow to make up for a non-linearity.

    leaky_relu with slope a: √(2 / (1 + a²)); relu √2; tanh 5/3; selu 3/4; linear layers and
    sigmoid 1. param: the slope (0.01).
    Raises: ValueError for another name.
    """
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, int | float)):
            raise ValueError(f"calculate_gain: param must be a number; got {param!r}")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; "
                         f"expected leaky_relu or one of {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need at least 2 dims; got shape {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan, and 0 for a tensor without elements"""
    if str(mode).lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out'; got {mode!r}")
    fan = fans(tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if tensor.data.size else 0.0


def _need_floats(name: str, tensor: Tensor, **numbers: float) -> None:
    if tensor.dtype.kind != "f":
        raise TypeError(f"{name}: needs a floating point tensor; got {tensor.dtype}")
    require_number(name, **numbers)


@no_grad()
def _fill(tensor: Tensor, value: Array | float) -> Tensor:
    return tensor.copy_(value)
