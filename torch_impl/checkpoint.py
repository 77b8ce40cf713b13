"""Checkpoints of PyTorch's modules and optimisers, in the format of minigrad/checkpoint.py.

Weights, optimisers and schedulers can be exchanged in both directions, and so can the state of
minigrad's random numbers, from which both draw the masks of dropout. torch's own random numbers
stay as they are if minigrad wrote the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigrad.checkpoint
from minigrad.checkpoint import Checkpoint, CheckpointError, load, put, write

__all__ = ["Checkpoint", "CheckpointError", "load", "restore", "save", "state", "write"]


def save(path: str | Path, *, model: torch.nn.Module, optimizer: Any = None, scheduler: Any = None,
         averaged: torch.nn.Module | None = None, epoch: int = 0, step: int = 0,
         config: dict[str, Any] | None = None) -> None:
    """Write a checkpoint with the random state of both; missing folders are made.

    averaged: a `torch.optim.swa_utils.AveragedModel` of the model.
    epoch, step: how many are finished. config: anything that JSON can hold.
    """
    write(state(path, model=model, optimizer=optimizer, scheduler=scheduler, averaged=averaged,
                epoch=epoch, step=step, config=config))


def state(path: str | Path, *, model: torch.nn.Module, optimizer: Any = None, scheduler: Any = None,
          averaged: torch.nn.Module | None = None, epoch: int = 0, step: int = 0,
          config: dict[str, Any] | None = None) -> Checkpoint:
    """What `save` would write now. On the CPU, its arrays are the model's, which training changes.
    """
    return Checkpoint(
        Path(path), _arrays(dict(model.state_dict())),
        None if optimizer is None else _arrays(optimizer.state_dict()),
        None if scheduler is None else scheduler.state_dict(),
        epoch, step, config, Generators().state_dict(),
        None if averaged is None else _arrays(dict(averaged.state_dict())))


def restore(checkpoint: str | Path | Checkpoint, *, model: torch.nn.Module | None = None,
            optimizer: Any = None, scheduler: Any = None,
            averaged: torch.nn.Module | None = None) -> Checkpoint:
    """Load a checkpoint's state into the given objects, and restore the random states that it has.

    Raises: CheckpointError if the file cannot be read, lacks a requested state, or does not fit.
    """
    checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint)
    tensors = Checkpoint(checkpoint.path, _tensors(checkpoint.model),
                         _tensors(checkpoint.optimizer), checkpoint.scheduler,
                         random=checkpoint.random, averaged=_tensors(checkpoint.averaged))
    put(tensors, model=model, optimizer=optimizer, scheduler=scheduler, averaged=averaged,
        random=Generators())
    return checkpoint


class Generators(minigrad.checkpoint.Generators):
    """minigrad's random numbers, and torch's own, on the CPU and on the current GPU."""

    def state_dict(self) -> dict[str, Any]:
        states = super().state_dict() | {"torch": torch.get_rng_state().numpy()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state().numpy()
        return states

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if "torch" in state:
            torch.set_rng_state(torch.tensor(state["torch"]))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.tensor(state["cuda"]))


def _arrays(state: Any) -> Any:
    """The same nested dicts with an array in place of each tensor."""
    if isinstance(state, dict):
        return {key: _arrays(value) for key, value in state.items()}
    return state.detach().cpu().numpy() if isinstance(state, torch.Tensor) else state


def _tensors(state: Any) -> Any:
    """The same nested dicts with a tensor in place of each array."""
    if isinstance(state, dict):
        return {key: _tensors(value) for key, value in state.items()}
    return torch.tensor(state) if isinstance(state, np.ndarray) else state
