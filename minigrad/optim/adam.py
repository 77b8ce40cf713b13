"""Adam and AdamW. Source: torch.optim.Adam, torch.optim.AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.kernels.optim import adam
from minigrad.optim.optimizer import BETAS, NOT_NEGATIVE, Group, Optimizer, State, require


class Adam(Optimizer):
    """Steps along a running average of the gradient, divided by the root of that of its square.

    g ← g + weight_decay·p
    m ← β₁·m + (1 - β₁)·g
    v ← β₂·v + (1 - β₂)·g²
    p ← p - lr · m̂ / (√v̂ + eps),    m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ) at step t

    amsgrad: the largest v so far takes the place of v in the last line.
    decoupled_weight_decay: weight decay as in AdamW.

    Raises: ValueError for negative options, and for betas outside [0, 1).
    Source: Kingma & Ba 2015, algorithm 1; Reddi et al. 2018 for amsgrad.
    """

    elementwise = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, maximize: bool = False,
                 decoupled_weight_decay: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, group: Group) -> None:
        require(type(self).__name__, group, lr=NOT_NEGATIVE, betas=BETAS, eps=NOT_NEGATIVE,
                weight_decay=NOT_NEGATIVE)

    def new_state(self, p: Array, group: Group) -> State:
        state = {"step": np.zeros((), np.float32),
                 "exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = np.zeros_like(p)
        return state

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        lr, decay, (beta1, beta2) = float(group["lr"]), float(group["weight_decay"]), group["betas"]
        state["step"] += 1
        t = int(state["step"])
        decoupled = group["decoupled_weight_decay"]
        shrink, decay = (1 - lr * decay, 0.0) if decoupled else (1.0, decay)
        m, v = state["exp_avg"].reshape(-1), state["exp_avg_sq"].reshape(-1)
        v_max = state["max_exp_avg_sq"].reshape(-1) if group["amsgrad"] else v
        adam(p.reshape(-1), g.reshape(-1), m, v, v_max, shrink, decay, float(beta1), float(beta2),
             lr / (1 - beta1**t), math.sqrt(1 - beta2**t), float(group["eps"]))


class AdamW(Adam):
    """Adam whose weight decay acts on p directly, and does not enter the averages.

    p ← p - lr·weight_decay·p,   then as Adam without weight decay

    Source: Loshchilov & Hutter 2019, algorithm 2.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *,
                 maximize: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
                         decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True      # an Adam may have saved False
