"""Stochastic gradient descent. Source: torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.autograd import Array
from minigrad.optim.optimizer import NOT_NEGATIVE, Group, Optimizer, State, require


class SGD(Optimizer):
    """Against the gradient, with momentum where asked for.

        g ← g + weight_decay·p
        v ← momentum·v + (1 - dampening)·g          (the first v is g itself)
        d = g + momentum·v with nesterov, v with momentum alone, g without
        p ← p - lr·d

    Raises ValueError for negative options, and for nesterov without momentum or with dampening.
    Source: Sutskever et al. 2013; torch's form, in which lr multiplies v from outside.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0,
                 dampening: float = 0, weight_decay: float = 0, nesterov: bool = False, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize})

    def check(self, group: Group) -> None:
        require("SGD", group, lr=NOT_NEGATIVE, momentum=NOT_NEGATIVE, weight_decay=NOT_NEGATIVE)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening; "
                             f"got {group['momentum']} and {group['dampening']}")

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if momentum:
            v = state.get("momentum_buffer")
            if v is None:
                v = state["momentum_buffer"] = g.copy()
            else:
                v *= momentum
                v += (1 - group["dampening"]) * g
            g = g + momentum * v if group["nesterov"] else v
        p -= group["lr"] * g
