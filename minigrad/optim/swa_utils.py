"""Averages of a model's weights over training. Source: torch.optim.swa_utils."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import no_grad
from minigrad.inplace import mark_changed
from minigrad.kernels.tape import again
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

Average = Callable[[list[Tensor], list[Tensor], Tensor], object]


class AveragedModel(Module):
    """A copy of a model whose parameters are an average of the model's over many updates.

    It is called like the model, and often does better on new data, because the noise of single
    steps is averaged out.

        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
        …
        optimizer.step()
        averaged.update_parameters(model)

    Without a multi_avg_fn, the average a gives equal weight to the parameters p at each of the n
    updates so far:

        a ← a + (p - a) / n

    The copy has no gradients, and its own mode: training or evaluation.

    multi_avg_fn: called as `multi_avg_fn(averaged, current, num_averaged)` from the second update
    on, once for each dtype, with lists of Tensors; it changes those in `averaged` in place.
    use_buffers: whether buffers, such as the running statistics of batch norm, are averaged, too.
    Integers, such as a count of batches, are then rounded towards zero at every update. Otherwise
    buffers are those of the model at the last update.
    n_averaged: the number of updates, a buffer.

    Source: Izmailov et al. 2018; torch.optim.swa_utils.AveragedModel. That also takes a device and
    an avg_fn for single tensors, which is why the options are keyword-only here.
    """

    n_averaged: Tensor

    def __init__(self, model: Module, *, multi_avg_fn: Average | None = None,
                 use_buffers: bool = False) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", Tensor(np.array(0)))
        self.multi_avg_fn = multi_avg_fn or _equal_average
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @again
    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the average; the first update sets it.

        Raises: ValueError if the shapes of the model's parameters and buffers are not those of the
        copy; then nothing has been changed.
        """
        own, given = _tensors(self.module), _tensors(model)
        expected, shapes = ([t.shape for t in tensors] for tensors in (own, given))
        if shapes != expected:
            raise ValueError("update_parameters: the model must have parameters and buffers of the "
                             f"shapes {expected}; got {shapes}")
        first = int(self.n_averaged) == 0
        alike: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}        # by dtype
        for (a, learnt), p in zip(own.items(), given, strict=True):
            if first or not (learnt or self.use_buffers):
                a.data[...] = p.data
                mark_changed(a.data)
            else:
                averaged, current = alike.setdefault(a.dtype, ([], []))
                averaged.append(a)
                current.append(p)
        with no_grad():
            for averaged, current in alike.values():
                self.multi_avg_fn(averaged, current, self.n_averaged)
            self.n_averaged.add_(1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Average:
    """An exponential moving average, as multi_avg_fn for `AveragedModel`.

    a ← decay·a + (1 - decay)·p

    It reaches back over about 1 / (1 - decay) updates. After n more updates the weight of the first
    is decayⁿ.

    Raises: ValueError if decay is not in [0, 1].
    Source: torch.optim.swa_utils.get_ema_multi_avg_fn.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_multi_avg_fn: decay must be in [0, 1]; got {decay}")

    def moving_average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
        for a, p in zip(averaged, current, strict=True):
            if a.dtype.kind == "f":
                _approach(a, p, 1 - decay)
            else:
                a.copy_(a * decay + p * (1 - decay))

    return moving_average


def _equal_average(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor) -> None:
    n = int(num_averaged) + 1
    for a, p in zip(averaged, current, strict=True):
        if a.dtype.kind == "f":
            _approach(a, p, 1 / n)
        else:
            a.copy_(a + (p - a) / n)


def _approach(a: Tensor, p: Tensor, part: float) -> None:
    """a ← a + part·(p - a), on arrays: for most, which are small, an op takes longer than this."""
    step = p.data - a.data
    step *= part
    np.add(a.data, step, out=a.data)
    mark_changed(a.data)


def _tensors(model: Module) -> dict[Tensor, bool]:
    """The parameters (True) and buffers (False), each once.

    They are looked up at every step. This walks through the modules once, because `parameters()`
    and `buffers()` would take as long as the averaging itself.
    """
    found: dict[Tensor, bool] = {}
    modules, seen = [model], {model}
    for module in modules:                      # grows meanwhile
        for name, value in vars(module).items():
            if isinstance(value, Module):
                if value not in seen:
                    seen.add(value)
                    modules.append(value)
            elif isinstance(value, Parameter) or (name in module._buffers and value is not None):
                found[value] = isinstance(value, Parameter)
    return found
