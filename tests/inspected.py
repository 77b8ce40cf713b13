"""Networks as users write them, in minigrad or in PyTorch: `nn` and `tensors` are either's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np


def Residual(nn: Any, tensors: Any) -> Any:
    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm, self.inner = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1)
            self.act = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return x + self.inner(self.act(self.norm(x)))

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 6, 3, stride=2, bias=False)
            self.blocks = nn.ModuleList([Block(6), Block(6)])
            self.head = nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self.head(x.mean((2, 3)))

    return Residual()


def Transformer(nn: Any, tensors: Any) -> Any:
    class Attention(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n, t, c = x.shape
            q, k, v = (part.reshape(n, t, self.heads, -1).transpose(1, 2)
                       for part in self.qkv(x).chunk(3, 2))
            weights = (q @ k.transpose(2, 3) / (c / self.heads) ** 0.5).softmax(3)
            return self.out((weights @ v).transpose(1, 2).reshape(n, t, c))

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = Attention(width, 2)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(),
                                     nn.Linear(2 * width, width))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.first(x))
            return x + self.mlp(self.second(x))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(11, 8)
            self.blocks = nn.Sequential(Block(8), Block(8))
            self.head = nn.Linear(8, 11, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, x: Any) -> Any:
            return self.head(self.blocks(self.tokens(x)))

    return Transformer()


def Recurrent(nn: Any, tensors: Any) -> Any:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.step = nn.Linear(3, 5), nn.Linear(5, 5, bias=False)
            self.leave = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            h = self.enter(x[:, 0]).tanh()
            for t in range(1, x.shape[1]):
                h = (self.enter(x[:, t]) + self.step(h)).tanh()
            return self.leave(h)

    return Recurrent()


def Two(nn: Any, tensors: Any) -> Any:
    """Two inputs, a dict of several outputs, and a layer that does not run."""
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)
            self.unused = nn.Linear(9, 9)

        def forward(self, a: Any, b: Any) -> Any:
            p, q = self.left(a), self.right(b)
            return {"sum": p + q, "both": (p, q)}

    return Two()


def Upsampling(nn: Any, tensors: Any) -> Any:
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.ConvTranspose1d(4, 3, 4, stride=2),
                         nn.Unflatten(2, (4, -1)), nn.ConvTranspose2d(3, 2, 3, stride=2),
                         nn.Conv2d(2, 2, 3, dilation=2))


def Stateful(nn: Any, tensors: Any) -> Any:
    """Dropout, running statistics, and a list that grows with each call."""
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5),
                                     nn.Linear(8, 4))
            self.seen: list[float] = []
            self.calls, self.sums = 0, np.zeros(3)

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.sums += random.random() + np.random.rand()     # noqa: NPY002  # as users do
            self.seen.append(self.calls)
            return self.net(x)

    return Stateful()


NETWORKS: dict[str, tuple[Callable[[Any, Any], Any], list[tuple[int, ...]]]] = {
    "residual": (Residual, [(2, 1, 9, 9)]),
    "transformer": (Transformer, [(2, 6)]),
    "recurrent": (Recurrent, [(4, 5, 3)]),
    "two": (Two, [(3, 4), (3, 4)]),
    "upsampling": (Upsampling, [(2, 2, 9)]),
    "stateful": (Stateful, [(6, 4)]),
}


def built(name: str, nn: Any, tensors: Any) -> tuple[Any, list[np.ndarray[Any, Any]]]:
    """A network of this name, and arrays for it to run on."""
    make, shapes = NETWORKS[name]
    tensors.manual_seed(0)
    rng = np.random.default_rng(0)
    if name == "transformer":
        return make(nn, tensors), [rng.integers(0, 11, shape) for shape in shapes]
    return make(nn, tensors), [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
