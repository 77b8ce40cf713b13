"""What is examined: a network with its loss and a batch, run once and recorded."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import enable_grad, no_grad
from minigrad.func.tree import leaves, mapped
from minigrad.inplace import Array
from minigrad.inspect.doctor.trace import Trace
from minigrad.nn import Module
from minigrad.nn.module import Parameter
from minigrad.optim import Optimizer
from minigrad.tensor import Tensor
from minigrad.testing.calls import same_random_numbers

SEED = 20


class Patient:
    """A network, its loss and a batch; `examine` runs them forward and backward.

    out: what the network returned, its first Tensor. loss: a number, or None if it failed. error,
    stage: the exception that stopped it, and in which part: "network", "loss" or "backward".
    gradients: by the parameter's name, None for those without.
    """

    def __init__(self, net: Module, loss_fn: Callable[..., Any], batch: Any,
                 optimizers: Sequence[Optimizer], step: Callable[..., Any] | None) -> None:
        self.net, self.loss_fn, self.optimizers, self.step = net, loss_fn, optimizers, step
        self.batch = mapped(as_tensor, batch)
        parts = self.batch if isinstance(self.batch, tuple | list) else (self.batch,)
        self.x = parts[0] if len(parts) <= 2 else tuple(parts[:-1])
        self.y = parts[-1] if len(parts) > 1 else None
        self.takes_net = takes_net(loss_fn)
        self.keywords: dict[str, Any] = {}      # what the network is given by name
        self.named = dict(net.named_parameters())
        self.trace = Trace(net)
        self.out: Tensor | None = None
        self.loss: float | None = None
        self.loss_tensor: Tensor | None = None
        self.error: Exception | None = None
        self.stage = ""
        self.gradients: dict[str, Array | None] = {}
        self.used: set[int] = set()             # the ids of all parameters that ops were given

    @property
    def inputs(self) -> list[Tensor]:
        return [x for x in leaves(self.x) if isinstance(x, Tensor)]

    @property
    def target(self) -> Tensor | None:
        """The target where there is one, and it is one Tensor."""
        return self.y if isinstance(self.y, Tensor) else None

    def run(self) -> Tensor:
        """The loss of the batch."""
        if self.takes_net:
            wants = count(self.loss_fn)
            parts = self.batch if wants > 2 and isinstance(self.batch, tuple | list) else [
                self.batch]
            loss: Tensor = self.loss_fn(self.net, *parts)
        else:
            loss = self.loss_fn(self.forward(), self.y)
        return loss

    def forward(self, x: Any = None) -> Any:
        x = self.x if x is None else x
        return self.net(*(x if isinstance(x, tuple) else [x]), **self.keywords)

    def output(self, x: Any = None, training: bool = False) -> Tensor | None:
        """The network's output without recording, in evaluation mode unless told otherwise; None
        where it cannot be run so."""
        modes = [(m, m.training) for m in self.net.modules()]
        self.net.train(training)
        try:
            with no_grad(), same_random_numbers(SEED), quiet():
                return first_tensor(self.forward(x))
        except Exception:           # a user's code, in circumstances it may not be made for
            return None
        finally:
            for module, mode in modes:
                module.training = mode

    def examine(self) -> None:
        outputs: list[Any] = []
        calls: list[tuple[Any, Any]] = []

        def note(module: Module, args: Any, keywords: Any, output: Any) -> None:
            calls.append((args, keywords))
            outputs.append(output)

        handle = self.net.register_forward_hook(note, with_kwargs=True)
        self.stage = "network"
        try:
            with enable_grad(), same_random_numbers(SEED), quiet():
                with self.trace:
                    loss = self.run()
                self.stage = "backward"
                self.loss_tensor = loss if isinstance(loss, Tensor) else None
                if self.loss_tensor is not None:
                    total = loss if loss.numel() == 1 else loss.sum()
                    self.loss = float(total.data.reshape(()))
                    if loss.requires_grad:
                        total.backward()
                self.stage = ""
        except Exception as error:
            self.error = error
            if self.stage == "network" and outputs:
                self.stage = "loss"
        finally:
            handle.remove()
        self.out = first_tensor(outputs[-1]) if outputs else None
        if calls and self.takes_net:        # only the loss knows which part of the batch is what
            args, self.keywords = calls[-1]
            self.x = args[0] if len(args) == 1 else args
        for call in self.trace.calls:
            self.used |= {id(x) for x in call.inputs if isinstance(x, Parameter)}
        for name, p in self.named.items():
            self.gradients[name] = None if p.grad is None else p.grad.data.copy()
        self.net.zero_grad()

    def losses(self, step: Callable[[], object], steps: int,
               enough: Callable[[float], bool] = lambda loss: False) -> list[float]:
        """The loss before each of so many steps, until it is enough, or not finite any more."""
        found: list[float] = []
        for _ in range(steps):
            loss = self.scalar()
            found.append(float(loss.data))
            if not np.isfinite(found[-1]) or enough(found[-1]):
                break
            self.net.zero_grad()
            loss.backward()
            step()
        return found

    def scalar(self) -> Tensor:
        loss = self.run()
        return loss if loss.ndim == 0 else loss.sum()


def quiet() -> Any:
    return warnings.catch_warnings(record=True, action="always")


def as_tensor(x: Any) -> Any:
    """An array as a Tensor, and a Tensor without its history, so that its .grad stays as it is."""
    return Tensor(x) if isinstance(x, np.ndarray) else x.detach() if isinstance(x, Tensor) else x


def first_tensor(tree: Any) -> Tensor | None:
    return next((x for x in leaves(tree) if isinstance(x, Tensor)), None)


def count(function: Callable[..., Any]) -> int:
    """How many arguments a function takes by position without defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
               for p in parameters)


def takes_net(function: Callable[..., Any]) -> bool:
    """Whether a function is one of the network and the batch, not of output and target."""
    if isinstance(function, Module):
        return False
    try:
        first = next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError):
        return False
    return first in ("net", "model", "network", "module") or count(function) > 2
