"""Training and prediction. torch_impl/train.py is its twin in PyTorch: read them together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import Array, no_grad
from minigrad.data.micro import insist_on_mean, micro_batches
from minigrad.nn import Module
from minigrad.nn.utils import clip_grad_norm_
from minigrad.optim import Optimizer
from minigrad.optim.swa_utils import AveragedModel
from minigrad.tensor import Tensor


def fit(model: Module, loader: Any, loss_fn: Callable[[Any, Any], Tensor], optimizer: Optimizer, *,
        epochs: int, scheduler: Any = None, averaged: AveragedModel | None = None,
        start_epoch: int = 0, on_epoch: Callable[[int, float, float], object] | None = None,
        clip_norm: float | None = None, accumulate: int = 1,
        weigh: Callable[[Array], float] = len) -> None:
    """Train epochs start_epoch … epochs - 1.

    loader: yields (x, target) arrays; `set_epoch` gives each epoch its own order.
    scheduler: advances after every batch.
    averaged: an average of the model's weights, updated after every step.
    on_epoch: called with (epoch, mean loss of an example, seconds) at the end of each.
    clip_norm: the largest norm of all gradients together; a larger one is scaled down to it.
    accumulate: the number of parts in which a batch is computed, to save memory. The gradients add
    up to those of the whole batch, but batch norm sees one part at a time.
    weigh: what a batch of targets counts in the mean that the loss is. It is the number of
    examples, unless the loss gives them weights: then it is the sum of these.
    Raises: ValueError if batches are divided although the loss is not such a mean.
    """
    checked = accumulate == 1
    for epoch in range(start_epoch, epochs):
        started, total, count = time.perf_counter(), 0.0, 0
        loader.set_epoch(epoch)
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            for part, share in micro_batches(batch, accumulate, weigh):
                x, target = (Tensor(array) for array in part)
                outputs = model(x)
                loss = loss_fn(outputs, target) * share
                loss.backward()
                total += loss.item() * len(batch[0])
                if not checked:
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
        if on_epoch is not None:
            on_epoch(epoch, total / count, time.perf_counter() - started)


@no_grad()
def predict(model: Module, x: Array, batch_size: int = 256) -> Array:
    """The model's outputs for all of x, in evaluation mode; the mode it was in is restored."""
    was_training = model.training
    model.eval()
    try:
        return np.concatenate([model(Tensor(x[i:i + batch_size])).numpy()
                               for i in range(0, max(len(x), 1), batch_size)])
    finally:
        model.train(was_training)
