"""Lookup tables. Source: torch.nn.Embedding."""

from __future__ import annotations

from numpy.typing import DTypeLike

from minigrad import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, empty
from minigrad.tensor import Tensor


class Embedding(Module):
    """y = w[x]: a learnt vector for each of num_embeddings integers.

    Shapes: x (*) of integers, w (num_embeddings, embedding_dim) → (*, embedding_dim).
    padding_idx: a row that starts at 0 and gets no gradient; negative counts from the end.
    w starts in N(0, 1). Raises ValueError for a padding_idx outside the table.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *,
                 dtype: DTypeLike | None = None) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding: padding_idx {padding_idx} is outside the table of "
                             f"{num_embeddings}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = empty(num_embeddings, embedding_dim, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
