"""The two implementations behind one face, so that a task is written once and runs with either.

minigrad has PyTorch's names, so most of an implementation is a handful of namespaces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("minigrad", "torch")
_threads: int | None = None
TITLES = {"minigrad": "minigrad", "torch": "PyTorch"}


@dataclass(frozen=True)
class Implementation:
    """minigrad or PyTorch: where its models, optimisers, losses, loop and checkpoints are."""

    name: str
    title: str
    models: Any
    nn: Any
    optim: Any
    functional: Any
    train: Any
    checkpoint: Any
    manual_seed: Callable[[int], Any]
    device: str = "cpu"

    def tensor(self, array: NDArray[Any]) -> Any:
        """An array as this implementation's tensor, on its device."""
        if self.name == "minigrad":
            import minigrad
            return minigrad.Tensor(array)
        import torch
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def new_model(self, make: Callable[[Any], Any], seed: int, dtype: Any) -> Any:
        """`make(models)` with the same initial weights whichever implementation it is.

        Equal seeds give both equal weights; PyTorch's are nevertheless copied from minigrad's, so
        that nothing hangs on it.
        """
        import minigrad
        from minigrad import models
        minigrad.manual_seed(seed)
        model = original = make(models)
        if self.name == "torch":
            import torch
            self.manual_seed(seed)
            model = make(self.models)
            # copied: the arrays are minigrad's own memory
            model.load_state_dict({k: torch.tensor(np.array(v.detach().numpy()))
                                   for k, v in original.state_dict().items()})
        if np.dtype(dtype) == np.float64:
            model = model.double()
        return model if self.name == "minigrad" else model.to(self.device)

    def weights(self, model: Any) -> dict[str, NDArray[Any]]:
        """A copy of a model's parameters and buffers, as arrays."""
        if self.name == "minigrad":
            return {k: np.array(v.detach().numpy()) for k, v in model.state_dict().items()}
        return {k: np.array(v.detach().cpu().numpy()) for k, v in model.state_dict().items()}

    def fit(self, *args: Any, **kwargs: Any) -> None:
        if self.name == "torch":
            kwargs["device"] = self.device
        self.train.fit(*args, **kwargs)

    def predict(self, model: Any, x: NDArray[Any]) -> NDArray[Any]:
        """The model's outputs for x, in evaluation mode."""
        outputs: NDArray[Any] = self.train.predict(model, x)
        return outputs


def get(name: str, device: str = "auto") -> Implementation:
    """An implementation by its name; `device` is PyTorch's (minigrad runs on the CPU)."""
    if name == "minigrad":
        import minigrad
        from minigrad import checkpoint, functional, models, nn, optim, train
        return Implementation("minigrad", "minigrad", models, nn, optim, functional, train,
                              checkpoint, minigrad.manual_seed)
    import torch
    if _threads is not None:
        torch.set_num_threads(_threads)

    from torch_impl import (
        checkpoint as torch_checkpoint,
        models as torch_models,
        train as torch_train,
    )
    return Implementation("torch", "PyTorch", torch_models, torch.nn, torch.optim,
                          torch.nn.functional, torch_train, torch_checkpoint, torch.manual_seed,
                          str(torch_train.pick_device(device)))


def set_threads(n: int | None) -> None:
    """BLAS's, Numba's and PyTorch's threads, all at once; None leaves them as they are."""
    if n is None:
        return
    from threadpoolctl import threadpool_limits

    from minigrad.kernels import load_numba
    threadpool_limits(n)
    numba = load_numba()
    numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))
    global _threads
    _threads = n                        # PyTorch learns of it in get(): it may never be imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n)
