"""PyTorch as an Implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from comparisons.datasets.levels import parts
from comparisons.datasets.stored import Images
from comparisons.implementations.minigrad import Minigrad
from comparisons.implementations.protocol import Array, Implementation, OnEpoch
from torch_impl import checkpoint, models, train, workers


class Torch:
    """PyTorch, on the device that the user chooses."""

    name, title = "torch", "PyTorch"
    package, models, nn, functional = torch, models, torch.nn, torch.nn.functional
    optim, checkpoint = torch.optim, checkpoint

    def __init__(self, device: str = "auto", amp: bool = False, compile: bool = False) -> None:
        """device: auto (the best that the machine has), cpu, cuda or mps. amp, compile: whether to
        train in mixed precision, and compiled; see `torch_impl.train.fit`."""
        self.device = str(train.pick_device(device))
        self.amp, self.compile = amp, compile

    @property
    def settings(self) -> dict[str, Any]:
        return {"device": self.device, "amp": self.amp, "compile": self.compile,
                "processes": workers.size()}

    def tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def new_model(self, make: Callable[[Implementation], Any], seed: int, dtype: Any) -> Any:
        # equal seeds give both implementations equal weights, but the comparison must not depend
        # on that, so minigrad's weights are copied
        original = Minigrad()
        weights = original.weights(original.new_model(make, seed, np.float32))
        torch.manual_seed(seed)
        model = make(self)
        model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        return (model.double() if np.dtype(dtype) == np.float64 else model).to(self.device)

    def weights(self, model: Any) -> dict[str, Array]:
        return {key: np.array(value.detach().cpu().numpy())
                for key, value in model.state_dict().items()}

    def fit(self, model: Any, loader: Any, loss: Callable[[Any, Any], Any], optimizer: Any, *,
            epochs: int, scheduler: Any = None, averaged: Any = None, start_epoch: int = 0,
            on_epoch: OnEpoch | None = None, **options: Any) -> None:
        train.fit(model, loader, loss, optimizer, epochs=epochs, scheduler=scheduler,
                  averaged=averaged, start_epoch=start_epoch, on_epoch=on_epoch,
                  device=self.device, amp=self.amp, compile=self.compile, **options)

    def predict(self, model: Any, x: Images) -> Array:
        return np.concatenate([train.predict(model, part) for part in parts(x)])

    def grad(self, outputs: Any, inputs: Sequence[Any], grad_outputs: Any = None) -> Sequence[Any]:
        return torch.autograd.grad(outputs, inputs, grad_outputs)

    def set_threads(self, n: int) -> None:
        torch.set_num_threads(n)
