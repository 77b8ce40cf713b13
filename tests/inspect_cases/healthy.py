"""Ten healthy networks of usual kinds: nothing is to be found, at the start or after training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import nn
from minigrad.tensor import Tensor

Case = dict[str, Any]
RNG = np.random.default_rng


def classes(shape: tuple[int, ...], n: int = 48, count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Items around a centre for each class."""
    rng = RNG(4)
    y = rng.integers(0, count, n)
    return (rng.standard_normal((count, *shape))[y]
            + rng.standard_normal((n, *shape))).astype(np.float32), y


def tokens(n: int = 32, length: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Words, and whether more of them are above 10 than below."""
    x = RNG(5).integers(0, 20, (n, length))
    return x, ((x >= 10).mean(1) > 0.5).astype(np.int64)


def perceptron() -> Case:
    net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                        nn.Linear(64, 5))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes((10,))}


def convolutions() -> Case:
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 5))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes((1, 12, 12))}


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + x).relu()


def residual() -> Case:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), Residual(8),
                        Residual(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes((3, 8, 8))}


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        later = mg.full((length, length), float("-inf")).triu(1)
        weights = (q @ k.transpose(-2, -1) / (width / self.heads) ** 0.5 + later).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, length, width))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, 16), nn.Embedding(12, 16)
        self.norm1, self.attention = nn.LayerNorm(16), Attention(16, 2)
        self.norm2 = nn.LayerNorm(16)
        self.feed = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.words(x) + self.places(mg.arange(x.shape[1]))
        h = h + self.attention(self.norm1(h))
        h = h + self.feed(self.norm2(h))
        return self.head(h.mean(1))


def transformer() -> Case:
    return {"net": Transformer(), "loss_fn": nn.CrossEntropyLoss(), "batch": tokens()}


class Recurrent(nn.Module):
    """A GRU (Cho et al. 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.gates, self.new = nn.Linear(24, 32), nn.Linear(24, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = mg.zeros(len(x), 16)
        for word in self.words(x).permute(1, 0, 2):
            update, reset = self.gates(mg.cat([word, h], 1)).sigmoid().chunk(2, 1)
            candidate = self.new(mg.cat([word, reset * h], 1)).tanh()
            h = update * h + (1 - update) * candidate
        return self.head(h)


def recurrent() -> Case:
    return {"net": Recurrent(), "loss_fn": nn.CrossEntropyLoss(), "batch": tokens()}


def autoencoder() -> Case:
    net = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4),
                        nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 20))
    x, _ = classes((20,))
    return {"net": net, "loss_fn": nn.MSELoss(), "batch": (x, x)}


def regression() -> Case:
    rng = RNG(6)
    x = rng.standard_normal((64, 3)).astype(np.float32)
    y = (x @ [[1.0], [-2.0], [0.5]] + 0.3 + 0.1 * rng.standard_normal((64, 1))).astype(np.float32)
    return {"net": nn.Linear(3, 1), "loss_fn": F.mse_loss, "batch": (x, y)}


def logistic_regression() -> Case:
    rng = RNG(7)
    x = rng.standard_normal((64, 6)).astype(np.float32)
    y = (x[:, :1] + rng.standard_normal((64, 1)) > 0).astype(np.float32)
    net = nn.Linear(6, 1)
    for p in net.parameters():          # convex: zeros are a good start
        nn.init.zeros_(p)
    return {"net": net, "loss_fn": nn.BCEWithLogitsLoss(), "batch": (x, y)}


def dropout() -> Case:
    net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 64),
                        nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 5))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes((10,))}


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.words(x).mean(1))


def bag_of_words() -> Case:
    return {"net": Bag(), "loss_fn": nn.CrossEntropyLoss(), "batch": tokens()}


HEALTHY: dict[str, Callable[[], Case]] = {f.__name__: f for f in (
    perceptron, convolutions, residual, transformer, recurrent, autoencoder, regression,
    logistic_regression, dropout, bag_of_words)}
