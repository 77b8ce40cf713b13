"""Training and prediction. minigrad/train.py is its twin: read them together.

This file adds the choice of a device, mixed precision, compilation, and training in several
processes, each of which takes its part of every batch:

    torchrun --nproc-per-node 2 script.py
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel


def fit(model: nn.Module, loader: Any, loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer, *, epochs: int, scheduler: Any = None,
        averaged: AveragedModel | None = None, start_epoch: int = 0,
        on_epoch: Callable[[int, float, float], object] | None = None,
        device: torch.device | str = "cpu", amp: bool = False, compile: bool = False) -> None:
    """Train epochs start_epoch … epochs - 1.

    loader: yields (x, target) arrays; `set_epoch` gives each epoch its own order.
    scheduler: advances after every batch.
    averaged: an average of the model's weights, updated after every step. It stays on the device
    where it was made; its buffers are those of this process.
    on_epoch: called with (epoch, mean loss of an example, seconds) at the end of each epoch, in the
    first process only.
    device: where to train; the model is moved there. amp: compute in bfloat16 where that is safe.
    compile: run the model through torch.compile.
    """
    device = torch.device(device)
    workers = Workers(device)
    net: Callable[[Tensor], Tensor] = workers.share(model.to(device))
    if compile:
        net = torch.compile(net)
    for epoch in range(start_epoch, epochs):
        started, total, count = time.perf_counter(), 0.0, 0
        loader.set_epoch(epoch)
        model.train()
        for batch in loader:
            part, weight = workers.part(batch)
            x, target = (torch.tensor(array, device=device) for array in part)
            optimizer.zero_grad()
            # bfloat16 has float32's range: the loss needs no scaling against underflow
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                loss = loss_fn(net(x), target) * weight
            loss.backward()
            optimizer.step()
            if averaged is not None:
                averaged.update_parameters(model)
            if scheduler is not None:
                scheduler.step()
            total += loss.item() * len(batch[0])
            count += len(batch[0])
        if count == 0:
            raise ValueError("fit: the loader gives no batch; there is nothing to train on (with "
                             "drop_last, because a batch is larger than the data)")
        total = workers.mean(total)
        if on_epoch is not None and workers.rank == 0:
            on_epoch(epoch, total / count, time.perf_counter() - started)


def predict(model: nn.Module, x: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """The model's outputs for all of x, in evaluation mode; its mode is restored afterwards."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    try:
        with torch.no_grad():
            return np.concatenate([model(torch.tensor(x[i:i + batch_size], device=device))
                                   .cpu().numpy() for i in range(0, max(len(x), 1), batch_size)])
    finally:
        model.train(was_training)


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name: auto (the best that the machine has), cpu, cuda or mps.

    Under torchrun, each process gets a GPU of its own.
    Raises: ValueError if the name is not known or the machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(),
                 "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if name not in available:
        raise ValueError(f"device: must be auto, cpu, cuda or mps; got {name!r}")
    if not available[name]:
        there = ", ".join(device for device, there in available.items() if there)
        raise ValueError(f"device: {name} is not available on this machine; available: {there}")
    if name == "cuda":
        return torch.device(name, int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(name)


class Workers:
    """The processes that train together: those that torchrun started, or this one alone.

    Each takes its part of every batch and weighs its loss so that the gradients, averaged over the
    processes, are those of the whole batch, provided that the loss is a mean over examples. Batch
    norm sees only a process's own part.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = 0, int(os.environ.get("WORLD_SIZE", 1))
        self.device = device
        if self.size > 1:
            if not dist.is_initialized():
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
                atexit.register(dist.destroy_process_group)
            self.rank = dist.get_rank()

    def share(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged; all processes start with the weights of the first."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def part(self, batch: tuple[np.ndarray, ...]) -> tuple[list[np.ndarray], float]:
        """Every size-th example, and the weight of its mean loss."""
        n = len(batch[0])
        mine = len(range(self.rank, n, self.size))
        # every process must take part in the averaging: one without examples of its own computes
        # the loss of the first example, with weight 0
        index = slice(self.rank, None, self.size) if mine else slice(1)
        return [array[index] for array in batch], mine * self.size / n

    def mean(self, value: float) -> float:
        """The average over the processes."""
        if self.size == 1:
            return value
        everyone = torch.tensor(value, dtype=torch.float32, device=self.device)
        dist.all_reduce(everyone)
        return everyone.item() / self.size
