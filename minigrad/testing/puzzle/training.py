"""Training with one op: plain gradient descent on a handful of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autograd import enable_grad, grad
from minigrad.tensor import Tensor


@dataclass(frozen=True)
class Problem:
    """What is trained: the numbers to start from, and loss(op, *parameters).

    distance: what is drawn instead of the loss, a function of the parameters.
    """

    start: Sequence[Any]
    loss: Callable[..., Tensor]
    distance: Callable[..., float] | None = None


@dataclass(frozen=True)
class Training:
    """How an op is trained.

    setup: draws the data.
    shown: the name of what is drawn.
    """

    setup: Callable[[np.random.Generator], Problem]
    lr: float
    steps: int = 60
    shown: str = "loss"

    def run(self, op: Callable[..., Any], rng: np.random.Generator) -> list[float]:
        """The curve: before each step and after the last, up to the first inf or NaN."""
        problem = self.setup(rng)
        parameters = [Tensor(np.array(p, float), True) for p in problem.start]
        drawn: list[float] = []
        with np.errstate(all="ignore"):                 # a broken op may well overflow
            for _ in range(self.steps + 1):
                with enable_grad():
                    loss = problem.loss(op, *parameters)
                drawn.append(float(loss.item()) if problem.distance is None
                             else problem.distance(*parameters))
                if not math.isfinite(drawn[-1]):
                    break
                self._descend(loss, parameters)
        return drawn

    def _descend(self, loss: Tensor, parameters: Sequence[Tensor]) -> None:
        if loss.requires_grad:                          # something of it reaches a parameter
            found = grad(loss, parameters, allow_unused=True)
            for p, g in zip(parameters, found, strict=True):
                if g is not None:
                    p.data -= self.lr * g.data


def constant(array: Any) -> Tensor:
    """Data: a float64 tensor without a gradient."""
    return Tensor(np.asarray(array, float))
