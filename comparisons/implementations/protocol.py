"""What an implementation is: the interface that minigrad and PyTorch share.

minigrad has PyTorch's names, so a task is written once, for any implementation: it takes layers
from `nn`, optimisers from `optim` and losses from `functional`, and does not need to know which
implementation they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from comparisons.datasets.stored import Images

Array = NDArray[Any]
OnEpoch = Callable[[int, float, float], object]


class Implementation(Protocol):
    """minigrad or PyTorch."""

    @property
    def name(self) -> str:
        """Its name on the command line and in results: minigrad or torch."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def device(self) -> str:
        """Where it computes: cpu, cuda or mps."""

    @property
    def settings(self) -> dict[str, Any]:
        """How it computes, as results.json records it: the device and so on."""

    @property
    def package(self) -> Any:
        """The package itself: minigrad or torch."""

    @property
    def models(self) -> Any:
        """The module that holds the five systems' networks."""

    @property
    def nn(self) -> Any:
        """Layers, under the names of torch.nn."""

    @property
    def functional(self) -> Any:
        """Losses and other functions, under the names of torch.nn.functional."""

    @property
    def optim(self) -> Any:
        """Optimisers, schedulers and weight averaging, under the names of torch.optim."""

    @property
    def checkpoint(self) -> Any:
        """The module that saves and loads checkpoints. Each side reads the other's files."""

    def tensor(self, array: Array) -> Any:
        """An array as a tensor on the implementation's device."""

    def new_model(self, make: Callable[[Implementation], Any], seed: int, dtype: Any) -> Any:
        """The model that `make` builds, with initial weights that depend only on the seed.

        Both implementations begin with the same weights. dtype: float32 or float64.
        """

    def weights(self, model: Any) -> dict[str, Array]:
        """A copy of a model's parameters and buffers, as arrays."""

    def fit(self, model: Any, loader: Any, loss: Callable[[Any, Any], Any], optimizer: Any, *,
            epochs: int, scheduler: Any = None, averaged: Any = None, start_epoch: int = 0,
            on_epoch: OnEpoch | None = None, **options: Any) -> None:
        """Train epochs start_epoch … epochs - 1.

        loader: a DataLoader. scheduler: advances after every batch. averaged: an AveragedModel of
        the model, which is updated after every step. on_epoch: called after each epoch with its
        number, the mean loss of an example and the seconds that it took. options: clip_norm,
        accumulate and weigh of `minigrad.train.fit`.
        """

    def predict(self, model: Any, x: Images) -> Array:
        """The model's outputs for x, in evaluation mode. Images may be uint8 levels."""

    def grad(self, outputs: Any, inputs: Sequence[Any], grad_outputs: Any = None) -> Sequence[Any]:
        """The gradients of outputs with respect to inputs; no `.grad` changes."""

    def set_threads(self, n: int) -> None:
        """Compute with n threads, if the implementation has threads of its own."""
