"""minigrad as an Implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad
from comparisons.datasets.levels import parts
from comparisons.datasets.stored import Images
from comparisons.implementations.protocol import Array, Implementation, OnEpoch
from minigrad import checkpoint, functional, models, nn, optim, train
from minigrad.kernels import load_numba


class Minigrad:
    """minigrad, on the CPU."""

    name = title = "minigrad"
    device = "cpu"
    package = minigrad
    models, nn, functional, optim, checkpoint = models, nn, functional, optim, checkpoint

    @property
    def settings(self) -> dict[str, Any]:
        return {"device": self.device}

    def tensor(self, array: Array) -> minigrad.Tensor:
        return minigrad.Tensor(array)

    def new_model(self, make: Callable[[Implementation], Any], seed: int, dtype: Any) -> Any:
        minigrad.manual_seed(seed)
        model = make(self)
        return model.double() if np.dtype(dtype) == np.float64 else model

    def weights(self, model: Any) -> dict[str, Array]:
        return {key: np.array(value.detach().numpy()) for key, value in model.state_dict().items()}

    def fit(self, model: Any, loader: Any, loss: Callable[[Any, Any], Any], optimizer: Any, *,
            epochs: int, scheduler: Any = None, averaged: Any = None, start_epoch: int = 0,
            on_epoch: OnEpoch | None = None, **options: Any) -> None:
        train.fit(model, loader, loss, optimizer, epochs=epochs, scheduler=scheduler,
                  averaged=averaged, start_epoch=start_epoch, on_epoch=on_epoch, **options)

    def predict(self, model: Any, x: Images) -> Array:
        return np.concatenate([train.predict(model, part) for part in parts(x)])

    def grad(self, outputs: Any, inputs: Sequence[Any], grad_outputs: Any = None) -> Sequence[Any]:
        return minigrad.grad(outputs, inputs, grad_outputs)

    def set_threads(self, n: int) -> None:
        numba = load_numba()
        numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))
