"""What tests of checkpoints train, on both sides: a model, an optimiser, a scheduler, batches."""

from __future__ import annotations

import numpy as np
import torch

import minigrad as mg
import minigrad.train
import torch_impl.checkpoint
import torch_impl.train
from minigrad import checkpoint, nn, optim


class Net(nn.Module):
    """Something of everything: a buffer, an integer buffer, dropout, a scalar parameter."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3),
                                    nn.Linear(8, 3))
        self.scale = nn.Parameter(np.float32(1.5))

    def forward(self, x):
        return self.layers(x) * self.scale


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 3))
        self.scale = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.layers(x) * self.scale


class Loader:
    """Batches of random numbers, in an order that depends on the epoch alone."""

    def __init__(self, n=24, size=7):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((n, 6)).astype(np.float32)
        self.y = rng.integers(0, 3, n)
        self.size = size

    def set_epoch(self, epoch):
        self.order = np.random.default_rng(epoch).permutation(len(self.x))

    def __iter__(self):
        for i in range(0, len(self.x), self.size):
            batch = self.order[i:i + self.size]
            yield self.x[batch], self.y[batch]


def parts(net=Net, package=optim, name="Adam", schedule="OneCycleLR"):
    """A model, its optimiser and a scheduler."""
    mg.manual_seed(1)
    torch.manual_seed(1)
    model = net()
    options = {"Adam": {"amsgrad": True}, "SGD": {"momentum": 0.9}, "RMSprop": {}}[name]
    optimizer = getattr(package, name)(
        [{"params": list(model.layers.parameters())}, {"params": [model.scale], "lr": 0.02}],
        lr=0.01, **options)
    scheduler = {"OneCycleLR": lambda s: s.OneCycleLR(optimizer, [0.05, 0.1], 100),
                 "StepLR": lambda s: s.StepLR(optimizer, 3),
                 "CosineAnnealingLR": lambda s: s.CosineAnnealingLR(optimizer, 50),
                 "LambdaLR": lambda s: s.LambdaLR(optimizer, lambda t: 0.9**t),
                 None: lambda s: None}[schedule](package.lr_scheduler)
    return model, optimizer, scheduler


OURS = (Net, optim, minigrad.train.fit, nn, checkpoint)
THEIRS = (TorchNet, torch.optim, torch_impl.train.fit, torch.nn, torch_impl.checkpoint)


def flat(state):
    """Everything in nested state, arrays as bytes: for comparison to the bit."""
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, mg.Tensor | torch.Tensor):
        state = state.numpy()
    if isinstance(state, np.ndarray):
        return state.dtype.str, state.shape, state.tobytes()
    return state
