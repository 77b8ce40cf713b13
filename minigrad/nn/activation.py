"""Non-linearities, elementwise but for the two softmaxes. Source: torch.nn's classes of the same
names. `inplace` is accepted, shown and otherwise ignored: a gradient may still need the values that
would be written over."""

from __future__ import annotations

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import require_number
from minigrad.tensor import Tensor


class _Inplace(Module):
    """Takes nothing but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return _shown("", self.inplace)


class ReLU(_Inplace):
    """y = max(x, 0); the gradient at 0 is 0"""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class LeakyReLU(Module):
    """y = x for x > 0, negative_slope · x elsewhere"""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, negative_slope=negative_slope)
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return _shown(f"negative_slope={self.negative_slope}", self.inplace)


class ELU(Module):
    """y = x for x > 0, alpha · (e^x - 1) elsewhere.  Source: Clevert et al. 2016"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, alpha=alpha)
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return _shown(f"alpha={self.alpha}", self.inplace)


class GELU(Module):
    """y = x·Φ(x), Φ the normal distribution function; approximate="tanh" for the usual
    approximation.  Source: Hendrycks & Gimpel 2016"""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Inplace):
    """y = x·sigmoid(x)"""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input)


class Softplus(Module):
    """y = log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        require_number(type(self).__name__, beta=beta, threshold=threshold)
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """y = x held between min_val and max_val. Raises: ValueError unless min_val < max_val."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0,
                 inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, min_val=min_val, max_val=max_val)
        if max_val <= min_val:
            raise ValueError("Hardtanh: max_val must be larger than min_val; "
                             f"got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return _shown(f"min_val={self.min_val}, max_val={self.max_val}", self.inplace)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)"""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """y = log(1 / (1 + e^-x))"""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Tanh(Module):
    """y = tanh x"""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class _AlongDim(Module):
    """dim None: torch's choice, by the dims of the input, with a warning."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int)):
            raise TypeError(f"{type(self).__name__}: dim must be an int or None; got {dim!r}")
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y = e^x / Σ e^x along dim"""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """y = x - log Σ e^x along dim"""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


def _shown(options: str, inplace: bool) -> str:
    return options + (", " if options and inplace else "") + ("inplace=True" if inplace else "")
