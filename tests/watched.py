"""A small training to watch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.inspect import Watching, watch

X = mg.tensor(np.random.default_rng(0).standard_normal((8, 6)), dtype="float32")
T = mg.tensor([0, 1, 2, 0, 1, 2, 0, 1])


def network() -> nn.Sequential:
    mg.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.2),
                         nn.Linear(5, 3))


def train(net: nn.Module, optimizer: optim.Optimizer, steps: int,
          each: Callable[[int], object] = lambda i: None) -> list[float]:
    losses = []
    for i in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X), T)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        each(i)
    return losses


def silent(net: nn.Module, optimizer: optim.Optimizer, path: Path, **options: Any) -> Watching:
    return watch(net, optimizer, file=path / "t.html", live=False, **{"every": 1} | options)
