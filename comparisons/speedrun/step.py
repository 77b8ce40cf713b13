"""A training step on arrays, for either implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigrad
from comparisons.datasets.base import Array
from comparisons.implementations import Implementation

Step = Callable[[Array, Array], Any]
"""Trains on a batch of inputs and targets; returns its loss, a tensor of one value."""


def stepper(implementation: Implementation, model: Any, optimizer: Any,
            loss_of: Callable[[Any, Any], Any]) -> Step:
    """A training step: zero_grad, forward, loss, backward, and a step of the optimiser.

    minigrad's is recorded by `minigrad.compile` in its first two calls. PyTorch runs eagerly.
    """
    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    if implementation.name == "minigrad":
        recorded: Step = minigrad.compile(step)
        return recorded
    return lambda x, target: step(implementation.tensor(x), implementation.tensor(target))
