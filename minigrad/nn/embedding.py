"""Lookup tables. Source: torch.nn.Embedding."""

from __future__ import annotations

from typing import Self

from numpy.typing import DTypeLike

from minigrad import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter, empty
from minigrad.ops.arguments import to_int, to_size
from minigrad.tensor import Tensor


class Embedding(Module):
    """y = w[x]: a learnt vector for each of num_embeddings integers.

    Shapes: x (*) of integers, w (num_embeddings, embedding_dim) → (*, embedding_dim).
    padding_idx: a row that starts at 0 and gets no gradient; negative counts from the end.
    max_norm: a row whose norm_type-norm is greater is scaled down to it when it is looked up.
    scale_grad_by_freq: a row's gradient is divided by how often the row was looked up.
    w starts in N(0, 1).
    Raises: ValueError for a padding_idx outside the table; forward refuses `sparse`, since
    gradients are dense.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, sparse: bool = False,
                 _weight: Tensor | None = None, _freeze: bool = False, *,
                 dtype: DTypeLike | None = None) -> None:
        super().__init__()
        shape = (to_size(type(self).__name__, "num_embeddings", num_embeddings, 0),
                 to_size(type(self).__name__, "embedding_dim", embedding_dim, 0))
        if padding_idx is not None:
            padding_idx = to_int("Embedding", "padding_idx", padding_idx)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is outside the table of "
                                 f"{num_embeddings}")
            padding_idx %= num_embeddings
        if _weight is not None and _weight.shape != shape:
            raise ValueError(f"Embedding: the weight must have shape {shape}; got {_weight.shape}")
        self.num_embeddings, self.embedding_dim = shape
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.weight = empty(*shape, dtype=dtype) if _weight is None else Parameter(_weight)
        if _weight is None:
            self.reset_parameters()
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True,
                        padding_idx: int | None = None, max_norm: float | None = None,
                        norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                        sparse: bool = False) -> Self:
        """A layer around a given table (V, D), sharing its memory; frozen, it is not learnt."""
        if embeddings.ndim != 2:
            raise ValueError("Embedding.from_pretrained: embeddings must have 2 dims; "
                             f"got {embeddings.shape}")
        rows, columns = embeddings.shape
        return cls(rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
                   embeddings, freeze)

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type,
                           self.scale_grad_by_freq, self.sparse)

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, usual in (("padding_idx", None), ("max_norm", None), ("norm_type", 2.0),
                            ("scale_grad_by_freq", False)):
            value = getattr(self, name)
            shown += f", {name}={value}" if value != usual else ""
        return shown
