"""Non-linearities, elementwise but for the two softmaxes. Source: torch.nn's classes of the same
names. `inplace` is accepted, shown and otherwise ignored: a gradient may still need the values that
would be written over."""

from __future__ import annotations

from collections.abc import Callable

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import require_number
from minigrad.tensor import Tensor


class _Activation(Module):
    """Calls `function` with the input and with the attributes that `repr` shows."""

    function: Callable[..., Tensor]
    inplace = False

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, *(getattr(self, name) for name in self._shown))

    def extra_repr(self) -> str:
        shown = super().extra_repr()
        return ", ".join(filter(None, (shown, "inplace=True" if self.inplace else "")))


class _Inplace(_Activation):
    """Takes nothing but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input)


class ReLU(_Inplace):
    """y = max(x, 0); the gradient at 0 is 0"""

    function = F.relu


class LeakyReLU(_Activation):
    """y = x for x > 0, negative_slope · x elsewhere"""

    function = F.leaky_relu
    _shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, negative_slope=negative_slope)
        self.negative_slope, self.inplace = negative_slope, inplace


class ELU(_Activation):
    """y = x for x > 0, alpha · (e^x - 1) elsewhere.  Source: Clevert et al. 2016"""

    function = F.elu
    _shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, alpha=alpha)
        self.alpha, self.inplace = alpha, inplace


class GELU(_Activation):
    """y = x·Φ(x), Φ the normal distribution function; approximate="tanh" for the usual
    approximation.  Source: Hendrycks & Gimpel 2016"""

    function = F.gelu
    _shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class SiLU(_Inplace):
    """y = x·sigmoid(x)"""

    function = F.silu


class Softplus(_Activation):
    """y = log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold"""

    function = F.softplus
    _shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        require_number(type(self).__name__, beta=beta, threshold=threshold)
        self.beta, self.threshold = beta, threshold


class Hardtanh(_Activation):
    """y = x held between min_val and max_val. Raises: ValueError unless min_val < max_val."""

    function = F.hardtanh
    _shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0,
                 inplace: bool = False) -> None:
        super().__init__()
        require_number(type(self).__name__, min_val=min_val, max_val=max_val)
        if max_val <= min_val:
            raise ValueError("Hardtanh: max_val must be larger than min_val; "
                             f"got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class Sigmoid(_Activation):
    """y = 1 / (1 + e^-x)"""

    function = F.sigmoid


class LogSigmoid(_Activation):
    """y = log(1 / (1 + e^-x))"""

    function = F.logsigmoid


class Tanh(_Activation):
    """y = tanh x"""

    function = F.tanh


class _AlongDim(_Activation):
    """dim None: torch's choice, by the dims of the input, with a warning."""

    _shown = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int)):
            raise TypeError(f"{type(self).__name__}: dim must be an int or None; got {dim!r}")
        self.dim = dim


class Softmax(_AlongDim):
    """y = e^x / Σ e^x along dim"""

    function = F.softmax


class LogSoftmax(_AlongDim):
    """y = x - log Σ e^x along dim"""

    function = F.log_softmax
