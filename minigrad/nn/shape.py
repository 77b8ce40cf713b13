"""Changes of shape. Source: torch.nn.Flatten, Unflatten, Upsample, Unfold."""

from __future__ import annotations

from minigrad.nn.checks import whole
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class Flatten(Module):
    """Dims start_dim … end_dim as one; by default all but the batch: (N, C, H, W) → (N, C·H·W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dim as several, the reverse of Flatten: (*, S, *) → (*, *unflattened_size, *).

    One of unflattened_size may be -1: what is left. Raises TypeError for what are no ints.
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...] | list[int]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, tuple | list):
            raise TypeError("Unflatten: unflattened_size must be a tuple of ints; "
                            f"got {unflattened_size!r}")
        self.dim = whole(self, "dim", dim, None)
        self.unflattened_size = tuple(whole(self, "unflattened_size", n, -1)
                                      for n in unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"Unflatten: dim {self.dim} is out of range for input {input.shape}")
        dim = self.dim % input.ndim
        return input.reshape(*input.shape[:dim], *self.unflattened_size, *input.shape[dim + 1:])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
