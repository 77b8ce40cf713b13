"""A zoo of usual networks that are not ours: what users of either framework write.

Each is one text for both frameworks: `make(nn, functional)` builds it with minigrad's modules or
with PyTorch's. Sizes are such that a step takes between a millisecond and a few tenths of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from comparisons.datasets.base import Array

Make = Callable[[Any, Any], Any]
"""Builds a network from a framework's `nn` and `functional`."""

VOCABULARY, CLASSES = 2000, 10


@dataclass(frozen=True)
class Network:
    """A network and what it is fed with.

    shape: of one item of the input. tokens: whether that holds numbers of words; else it holds
    standard normal numbers. reconstructs: whether the target is the input itself, and the loss the
    mean square; else the targets are classes, and the loss is the cross-entropy.
    """

    title: str
    make: Make
    shape: tuple[int, ...]
    batch: int
    tokens: bool = False
    reconstructs: bool = False

    def items(self, n: int, seed: int) -> tuple[Array, Array]:
        """n items and their targets."""
        random = np.random.default_rng(seed)
        x: Array = (random.integers(0, VOCABULARY, (n, *self.shape)) if self.tokens
                    else random.standard_normal((n, *self.shape), np.float32))
        return x, x if self.reconstructs else random.integers(0, CLASSES, n)


def package_of(nn: Any) -> Any:
    """The framework that `nn` is of."""
    return import_module(nn.__name__.rpartition(".")[0])


# ---- convolutions --------------------------------------------------------------------------------

def convolutions(nn: Any, F: Any) -> Any:
    """LeNet-5's arrangement (LeCun et al. 1998) with more channels: 5×5 convolutions, pools."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(50 * 4 * 4, 120), nn.ReLU(), nn.Linear(120, CLASSES))


def residual(nn: Any, F: Any) -> Any:
    """Residual blocks with batch norm; the image is halved by stride 2 (He et al. 2016)."""
    class Block(nn.Module):     # type: ignore[misc]  # either framework's
        def __init__(self, channels: int, outs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, outs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outs)
            self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outs)
            self.shortcut = nn.Sequential() if stride == 1 else nn.Sequential(
                nn.Conv2d(channels, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

        def forward(self, x: Any) -> Any:
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def separable(nn: Any, F: Any) -> Any:
    """Depthwise and pointwise convolutions in turn, some with stride 2 (Howard et al. 2017)."""
    def pair(channels: int, outs: int, stride: int) -> list[Any]:
        return [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
                nn.BatchNorm2d(channels), nn.ReLU(),
                nn.Conv2d(channels, outs, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU()]

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *pair(16, 32, 1), *pair(32, 64, 2), *pair(64, 64, 1), *pair(64, 128, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))


def autoencoder(nn: Any, F: Any) -> Any:
    """Down with stride 2, and up again by transposed convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1))


def dilated(nn: Any, F: Any) -> Any:
    """Windows with growing holes, which keep the image's size (Yu & Koltun 2016)."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 3, 1, 1), nn.ReLU(), nn.Conv2d(24, 24, 3, 1, 2, dilation=2), nn.ReLU(),
        nn.Conv2d(24, 24, 3, 1, 4, dilation=4), nn.ReLU(), nn.Conv2d(24, 24, 3, 1, 8, dilation=8),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES))


def signal(nn: Any, F: Any) -> Any:
    """1-D convolutions over a signal of two channels."""
    return nn.Sequential(
        nn.Conv1d(2, 32, 7, 2, 3), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 64, 5, 2, 2), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Conv1d(64, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(64, 128, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, CLASSES))


def grouped(nn: Any, F: Any) -> Any:
    """Group norm and instance norm, SiLU, average pools."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1), nn.GroupNorm(8, 32), nn.SiLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1), nn.InstanceNorm2d(64, affine=True), nn.SiLU(), nn.AvgPool2d(2),
        nn.Conv2d(64, 64, 3, 1, 1), nn.GroupNorm(8, 64), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def unet(nn: Any, F: Any) -> Any:
    """Down by pools and up by interpolation, beside what was there at the same size (Ronneberger
    et al. 2015)."""
    cat = package_of(nn).cat

    def block(channels: int, outs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(channels, outs, 3, 1, 1), nn.BatchNorm2d(outs), nn.ReLU(),
            nn.Conv2d(outs, outs, 3, 1, 1), nn.BatchNorm2d(outs), nn.ReLU())

    class UNet(nn.Module):      # type: ignore[misc]  # either framework's
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.down3 = block(1, 16), block(16, 32), block(32, 64)
            self.up2, self.up1, self.out = block(96, 32), block(48, 16), nn.Conv2d(16, 1, 1)

        def forward(self, x: Any) -> Any:
            fine = self.down1(x)
            middle = self.down2(F.max_pool2d(fine, 2))
            coarse = self.down3(F.max_pool2d(middle, 2))
            up = F.interpolate(coarse, scale_factor=2, mode="bilinear")
            up = F.interpolate(self.up2(cat([up, middle], 1)), scale_factor=2, mode="nearest")
            return self.out(self.up1(cat([up, fine], 1)))
    return UNet()


# ---- perceptrons ---------------------------------------------------------------------------------

def normalised(nn: Any, F: Any) -> Any:
    """A perceptron with layer norm, GELU and dropout."""
    def block(inputs: int, outputs: int) -> list[Any]:
        return [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.GELU(), nn.Dropout(0.1)]
    return nn.Sequential(*block(784, 256), *block(256, 256), *block(256, 256),
                         nn.Linear(256, CLASSES))


def wide(nn: Any, F: Any) -> Any:
    """A perceptron with two very wide layers."""
    return nn.Sequential(nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(),
                         nn.Linear(2048, CLASSES))


def deep(nn: Any, F: Any) -> Any:
    """A perceptron with thirty narrow layers."""
    layers = [layer for _ in range(30) for layer in (nn.Linear(64, 64), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(64, CLASSES))


# ---- words ---------------------------------------------------------------------------------------

def attention(nn: Any, F: Any) -> Any:
    """A small transformer of two layers, whose attention is written out (Vaswani et al. 2017)."""
    class Block(nn.Module):     # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, width = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, width // self.heads)
            q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
            scores = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5
            mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(n, length, width)
            x = x + self.out(mixed)
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class Transformer(nn.Module):   # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.words = nn.Embedding(VOCABULARY, width)
            self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.blocks(self.words(x))).mean(1))
    return Transformer(128, 4)


def vision(nn: Any, F: Any) -> Any:
    """A transformer over patches of an image, which a convolution cuts out (Dosovitskiy et al.
    2021)."""
    class Block(nn.Module):     # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
            self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

        def forward(self, x: Any) -> Any:
            (n, length, width), y = x.shape, self.norm1(x)
            q, k, v = (layer(y).reshape(n, length, self.heads, -1).transpose(1, 2)
                       for layer in (self.q, self.k, self.v))
            weights = F.softmax(q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5, dim=-1)
            x = x + self.out((weights @ v).transpose(1, 2).reshape(n, length, width))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class Vision(nn.Module):    # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, width, 4, 4)
            self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.norm(self.blocks(x)).mean(1))
    return Vision(64, 4)


def causal(nn: Any, F: Any) -> Any:
    """A transformer that sees what came before only, with RMS norm (Zhang and Sennrich 2019) and
    gated perceptrons (Shazeer 2020), both written in ops."""
    package = package_of(nn)

    class RMSNorm(nn.Module):   # type: ignore[misc]  # either framework's
        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(package.ones(width))

        def forward(self, x: Any) -> Any:
            return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * self.weight

    class Block(nn.Module):     # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.gate, self.up = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
            self.down = nn.Linear(2 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, width = x.shape
            q, k, v = (part.reshape(n, length, self.heads, -1).transpose(1, 2)
                       for part in self.qkv(self.norm1(x)).split(width, 2))
            later = package.triu(package.ones(length, length), 1) > 0
            scores = (q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5).masked_fill(
                later, float("-inf"))
            mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(n, length, width)
            x = x + self.out(mixed)
            y = self.norm2(x)
            return x + self.down(F.silu(self.gate(y)) * self.up(y))

    class Causal(nn.Module):    # type: ignore[misc]  # either framework's
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.words = nn.Embedding(VOCABULARY, width)
            self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
            self.norm, self.head = RMSNorm(width), nn.Linear(width, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.blocks(self.words(x)))[:, -1])
    return Causal(96, 4)


def recurrent(nn: Any, F: Any) -> Any:
    """A long short-term memory (Hochreiter and Schmidhuber 1997), written in ops, word by word."""
    zeros = package_of(nn).zeros

    class Recurrent(nn.Module):     # type: ignore[misc]  # either framework's
        def __init__(self, width: int) -> None:
            super().__init__()
            self.width, self.words = width, nn.Embedding(VOCABULARY, width)
            self.seen, self.kept = nn.Linear(width, 4 * width), nn.Linear(width, 4 * width)
            self.head = nn.Linear(width, CLASSES)

        def forward(self, x: Any) -> Any:
            n, length = x.shape
            seen = self.seen(self.words(x))
            h = c = zeros(n, self.width)
            for word in range(length):
                into, forget, out, new = (seen[:, word] + self.kept(h)).chunk(4, 1)
                c = F.sigmoid(forget) * c + F.sigmoid(into) * F.tanh(new)
                h = F.sigmoid(out) * F.tanh(c)
            return self.head(h)
    return Recurrent(64)


def bag_of_words(nn: Any, F: Any) -> Any:
    """The mean of the words' vectors, and a perceptron."""
    class Bag(nn.Module):       # type: ignore[misc]  # either framework's
        def __init__(self) -> None:
            super().__init__()
            self.words, self.hidden = nn.Embedding(VOCABULARY, 64), nn.Linear(64, 64)
            self.head = nn.Linear(64, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.head(F.relu(self.hidden(self.words(x).mean(1))))
    return Bag()


ZOO = (
    Network("5×5 convolutions", convolutions, (1, 28, 28), 64),
    Network("residual, batch norm", residual, (3, 32, 32), 32),
    Network("depthwise separable", separable, (3, 32, 32), 32),
    Network("transposed (autoencoder)", autoencoder, (1, 28, 28), 64, reconstructs=True),
    Network("dilated", dilated, (1, 32, 32), 16),
    Network("1-D convolutions", signal, (2, 256), 64),
    Network("group and instance norm", grouped, (3, 32, 32), 32),
    Network("U-Net", unet, (1, 32, 32), 16, reconstructs=True),
    Network("layer norm, GELU, dropout", normalised, (784,), 128),
    Network("attention (transformer)", attention, (32,), 16, tokens=True),
    Network("vision transformer", vision, (3, 32, 32), 32),
    Network("causal, gated transformer", causal, (32,), 16, tokens=True),
    Network("recurrent (LSTM)", recurrent, (24,), 32, tokens=True),
    Network("bag of words", bag_of_words, (40,), 64, tokens=True),
    Network("very wide perceptron", wide, (784,), 128),
    Network("very deep perceptron", deep, (64,), 64),
)
