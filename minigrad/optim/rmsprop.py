"""RMSprop. Source: torch.optim.RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.optim.optimizer import NOT_NEGATIVE, Group, Optimizer, State, require


class RMSprop(Optimizer):
    """Steps along the gradient, divided by its running root mean square.

    g ← g + weight_decay·p
    v ← α·v + (1 - α)·g²
    d = g / (√v + eps);   centered: d = g / (√(v - m²) + eps), m ← α·m + (1 - α)·g
    b ← momentum·b + d
    p ← p - lr·b                                (p - lr·d without momentum)

    v - m², a variance, is 0 where rounding makes it negative, and d is then NaN in torch.

    Raises: ValueError for negative options.
    Source: Hinton's lecture 6e; Graves 2013 for `centered`.
    """

    elementwise = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99,
                 eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0,
                 centered: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: Group) -> None:
        require("RMSprop", group, lr=NOT_NEGATIVE, eps=NOT_NEGATIVE, momentum=NOT_NEGATIVE,
                weight_decay=NOT_NEGATIVE, alpha=NOT_NEGATIVE)

    def new_state(self, p: Array, group: Group) -> State:
        state = {"step": np.zeros((), np.float32), "square_avg": np.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = np.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = np.zeros_like(p)
        return state

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        state["step"] += 1
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        v = state["square_avg"]
        v *= alpha
        v += (1 - alpha) * g * g
        if group["centered"]:
            m = state["grad_avg"]
            m += (1 - alpha) * (g - m)
            v = np.maximum(v - m * m, 0)                # which rounding may make negative
        d = g / (np.sqrt(v) + group["eps"])
        if momentum > 0:
            b = state["momentum_buffer"]
            b *= momentum
            b += d
            d = b
        p -= float(group["lr"]) * d
