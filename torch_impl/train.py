"""Training and prediction. minigrad/train.py is its twin: read them together.

This file adds the choice of a device, mixed precision, compilation, training in several processes,
which workers.py describes, and minigrad's masks of dropout (dropout.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from minigrad.data.micro import insist_on_mean
from torch_impl.dropout import same_masks
from torch_impl.workers import Workers, size


def fit(model: nn.Module, loader: Any, loss_fn: Callable[[Any, Any], Tensor],
        optimizer: torch.optim.Optimizer, *, epochs: int, scheduler: Any = None,
        averaged: AveragedModel | None = None, start_epoch: int = 0,
        on_epoch: Callable[[int, float, float], object] | None = None,
        clip_norm: float | None = None, accumulate: int = 1,
        weigh: Callable[[np.ndarray], float] = len, device: torch.device | str = "cpu",
        amp: bool = False, compile: bool = False) -> None:
    """Train epochs start_epoch … epochs - 1.

    loader: yields (x, target) arrays; `set_epoch` gives each epoch its own order.
    scheduler: advances after every batch.
    averaged: an average of the model's weights, updated after every step. It stays on the device
    where it was made.
    on_epoch: called with (epoch, mean loss of an example, seconds) at the end of each epoch, in the
    first process only.
    clip_norm: the largest norm of all gradients together; a larger one is scaled down to it.
    accumulate: the number of parts in which a batch is computed, to save memory. The gradients add
    up to those of the whole batch, but batch norm sees one part at a time.
    weigh: what a batch of targets counts in the mean that the loss is. It is the number of
    examples, unless the loss gives them weights: then it is the sum of these.
    device: where to train; the model is moved there. amp: compute in bfloat16 where that is safe.
    compile: run the model through torch.compile.
    Raises: ValueError if batches are divided although the loss is not such a mean.
    """
    device = torch.device(device)
    order = memory_order(model, device)
    workers = Workers(device)
    net: Callable[[Tensor], Tensor] = workers.share(model.to(device).to(memory_format=order))
    if compile:
        net = torch.compile(net)
    checked = accumulate == workers.size == 1
    for epoch in range(start_epoch, epochs):
        started, losses, count = time.perf_counter(), zero(device), 0
        loader.set_epoch(epoch)
        model.train()
        for batch in workers.epoch(loader, epoch):
            optimizer.zero_grad()
            for part, share in workers.parts(batch, accumulate, weigh):
                x, target = (to_device(array, device, order) for array in part)
                # bfloat16 has float32's range: the loss needs no scaling against underflow
                with (torch.autocast(device.type, torch.bfloat16, enabled=amp), workers.together(),
                      same_masks(model, workers)):
                    outputs = net(x)
                    loss = loss_fn(outputs, target) * share
                loss.backward()
                losses += loss.detach().to(losses.dtype) * len(batch[0])
                if not checked:
                    # bfloat16 is too coarse for this
                    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
                    insist_on_mean(loss_fn, outputs.detach(), target, weigh, part[-1])
                    checked = True
            if clip_norm is not None:
                clip_grad_norm_(model.parameters(), clip_norm)
            optimizer.step()
            if averaged is not None:
                averaged.update_parameters(model)
            if scheduler is not None:
                scheduler.step()
            count += len(batch[0])
        if count == 0:
            raise ValueError("fit: the loader gives no batch; there is nothing to train on (with "
                             "drop_last, because a batch is larger than the data)")
        total = workers.mean(losses)
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
    Raises: ValueError if the name is not known, or the machine has no such device or too few.
    """
    available = {"cuda": torch.cuda.is_available(),
                 "mps": torch.backends.mps.is_available() and size() == 1,
                 "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if name not in available:
        raise ValueError(f"device: must be auto, cpu, cuda or mps; got {name!r}")
    if not available[name]:
        there = ", ".join(device for device, there in available.items() if there)
        raise ValueError(f"device: {name} is not available on this machine; available: {there}")
    if name != "cuda":
        return torch.device(name)
    place, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if place >= gpus > 0:
        raise ValueError(f"device: {place + 1} or more processes want a GPU each, but this machine "
                         f"has {gpus}; start fewer, or use the CPU")
    return torch.device(name, place)


def memory_order(model: nn.Module, device: torch.device) -> torch.memory_format:
    """The order of images in memory: on a GPU, convolutions are faster with channels last.

    On a CPU, they are not: docs/scaling.md has the figures.
    """
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return (torch.channels_last if device.type == "cuda" and convolves
            else torch.preserve_format)


def to_device(array: np.ndarray, device: torch.device, order: torch.memory_format) -> Tensor:
    """A copy of an array on the device; images, which have four dims, in the given order."""
    tensor = torch.tensor(array)
    if device.type == "cuda":           # out of pinned memory, a GPU copies while it computes
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True,
                     memory_format=order if tensor.ndim == 4 else torch.preserve_format)


def zero(device: torch.device) -> Tensor:
    """Where losses are added up, in float64 if the device has it. A GPU need not be waited for."""
    return torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64,
                       device=device)
