"""Stochastic gradient descent. Source: torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.kernels.optim import sgd
from minigrad.optim.optimizer import NOT_NEGATIVE, NUMBER, Group, Optimizer, State, require


class SGD(Optimizer):
    """Steps against the gradient, optionally with momentum.

    g ← g + weight_decay·p
    v ← momentum·v + (1 - dampening)·g          (the first v is g itself)
    p ← p - lr·d,    d = g without momentum, v with momentum, g + momentum·v with nesterov

    Raises: ValueError for negative options, and for nesterov without momentum or with dampening.
    Source: Sutskever et al. 2013, in torch's form, where lr is not part of v.
    """

    elementwise = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0,
                 dampening: float = 0, weight_decay: float = 0, nesterov: bool = False, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize})

    def check(self, group: Group) -> None:
        require("SGD", group, lr=NOT_NEGATIVE, momentum=NOT_NEGATIVE, dampening=NUMBER,
                weight_decay=NOT_NEGATIVE)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening; "
                             f"got {group['momentum']} and {group['dampening']}")

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        lr, decay = float(group["lr"]), float(group["weight_decay"])
        if not group["momentum"]:
            p -= lr * (g + decay * p if decay else g)
            return
        dampening = float(group["dampening"])
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"], dampening = np.zeros_like(p), 0.0
        sgd(p.reshape(-1), g.reshape(-1), state["momentum_buffer"].reshape(-1), lr,
            float(group["momentum"]), dampening, decay, bool(group["nesterov"]))
