"""Losses. Source: torch.nn's classes of the same names, without the deprecated `size_average` and
`reduce`; what comes after those in torch is given by name.

reduction: "mean", "sum", or "none" for one value for each element.
"""

from __future__ import annotations

from collections.abc import Callable

from minigrad import functional as F
from minigrad.nn.module import Module
from minigrad.ops.arguments import require_number
from minigrad.tensor import Tensor


class _Loss(Module):
    """Calls `function` with input, target, and the attributes whose names are in `options`."""

    function: Callable[..., Tensor]
    options: tuple[str, ...] = ("reduction",)

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in self.options}
        return type(self).function(input, target, **options)


class _WeightedLoss(_Loss):
    options: tuple[str, ...] = ("reduction", "weight")
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """L = -Σ_c q_c · log softmax(x)_c, q the target: a class, or probabilities.

    Shapes: x (N, C, *), target (N, *) of classes or (N, C, *) of probabilities → ().
    label_smoothing ε makes q = (1 - ε)·q + ε/C.
    """

    function = F.cross_entropy
    options = ("reduction", "weight", "ignore_index", "label_smoothing")

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, reduction=reduction)
        require_number(type(self).__name__, label_smoothing=label_smoothing)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(_WeightedLoss):
    """L = -x[target], x being log-probabilities.

    Shapes: x (N, C, *), target (N, *) of classes → ().
    """

    function = F.nll_loss
    options = ("reduction", "weight", "ignore_index")

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index


class MSELoss(_Loss):
    """L = (x - target)²"""

    function = F.mse_loss


class L1Loss(_Loss):
    """L = |x - target|"""

    function = F.l1_loss


class SmoothL1Loss(_Loss):
    """L = d²/(2·beta) where d = |x - target| < beta, and d - beta/2 elsewhere"""

    function = F.smooth_l1_loss
    options = ("reduction", "beta")

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        require_number(type(self).__name__, beta=beta)
        self.beta = beta


class HuberLoss(_Loss):
    """L = d²/2 where d = |x - target| < delta, and delta·(d - delta/2) elsewhere"""

    function = F.huber_loss
    options = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        require_number(type(self).__name__, delta=delta)
        self.delta = delta


class BCELoss(_WeightedLoss):
    """L = -(target·log x + (1 - target)·log(1 - x)), x being probabilities"""

    function = F.binary_cross_entropy


class BCEWithLogitsLoss(_WeightedLoss):
    """BCELoss of sigmoid(x), computed without overflow; pos_weight multiplies the positive term."""

    function = F.binary_cross_entropy_with_logits
    options = ("reduction", "weight", "pos_weight")
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean",
                 pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)


class KLDivLoss(_Loss):
    """L = target·(log target - x), x being log-probabilities; reduction may be "batchmean"."""

    function = F.kl_div
    options = ("reduction", "log_target")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target
