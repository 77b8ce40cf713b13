"""Optimizer: groups of parameters, their options, and what is remembered about each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad, no_grad
from minigrad.inplace import mark_changed
from minigrad.nn.module import clear_grad
from minigrad.tensor import Tensor

Group = dict[str, Any]
State = dict[str, Any]

SMALL = 2**14       # below this many values, NumPy is done before a kernel's threads have started


class Optimizer:
    """Base class: a subclass gives the defaults of its options and `update`, the rule for one
    parameter.

    params: Tensors, (name, Tensor) pairs, or dicts with "params" and options of their own.
    param_groups: those dicts, every option filled in; options may be changed at any time.
    state: what the rule remembers, by parameter.
    Raises TypeError or ValueError for what cannot be optimised. Source: torch.optim.Optimizer.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params must be an iterable of Tensors or "
                            "dicts; got one Tensor")
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        """Change the array p in place, given its gradient g; both are C-contiguous."""
        raise NotImplementedError

    def check(self, group: Group) -> None:
        """Raise ValueError for an option out of range."""

    def add_param_group(self, param_group: Group) -> None:
        """Optimise more parameters, with options of their own."""
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: a param group must be a dict; got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(f"{name}: params must have an order; got a set")
        tensors = [params] if isinstance(params, Tensor) else [
            p[1] if isinstance(p, tuple) else p for p in params]
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: can only optimise Tensors; got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}: can only optimise leaves; got a result of {p.grad_fn}")
        known = [p for group in self.param_groups for p in group["params"]]
        if len({*known, *tensors}) != len(known) + len(tensors):
            raise ValueError(f"{name}: a parameter appears more than once")
        group = self.defaults | param_group | {"params": tensors}
        self.check(group)
        self.param_groups.append(group)

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        closure: computes the loss and its gradients anew; its value is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    values = np.asarray(p.data, order="C")
                    g = np.asarray(p.grad.data, order="C")
                    self.update(values, -g if group["maximize"] else g,
                                self.state.setdefault(p, {}), group)
                    if values is not p.data:
                        p.data[...] = values
                    mark_changed(p.data)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: None, or zeros with `set_to_none=False`."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """{"state": …, "param_groups": …} with parameters as numbers, in torch's layout. Arrays
        share memory with the optimiser."""
        numbers = {p: i for i, p in enumerate(self._params())}
        groups = [group | {"params": [numbers[p] for p in group["params"]]}
                  for group in self.param_groups]
        state = {numbers[p]: {key: Tensor(value) if isinstance(value, np.ndarray) else value
                              for key, value in values.items()}
                 for p, values in self.state.items() if values}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state, of an optimiser of this kind or torch's.

        Raises ValueError where groups, their sizes or shapes differ; then nothing has been changed.
        """
        name, loaded = type(self).__name__, state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        loaded_sizes = [len(group["params"]) for group in loaded]
        if sizes != loaded_sizes:
            raise ValueError(f"{name}: the loaded param groups have {loaded_sizes} parameters, "
                             f"this optimiser's have {sizes}")
        numbers = [i for group in loaded for i in group["params"]]
        saved = state_dict["state"]
        state = {p: {key: _restored(name, i, key, value, p) for key, value in saved[i].items()}
                 for i, p in zip(numbers, self._params(), strict=True) if i in saved}
        self.state = state
        for group, new in zip(self.param_groups, loaded, strict=True):
            group.update({key: value for key, value in new.items() if key != "params"})

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _restored(name: str, i: int, key: str, value: Any, p: Tensor) -> Any:
    """A copy of a saved value: in the parameter's dtype, unless it is the count of steps."""
    if value is None or isinstance(value, bool | int | float):
        return value
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim and array.shape != p.shape:
        raise ValueError(f"{name}: the loaded {key} of parameter {i} has shape {array.shape}, "
                         f"the parameter {p.shape}")
    return np.array(array, dtype=None if key == "step" else p.dtype, order="C")


def require(name: str, group: Group, **conditions: tuple[Callable[[Any], bool], str]) -> None:
    """Raise ValueError for an option that does not meet its condition."""
    for option, (holds, text) in conditions.items():
        if not holds(group[option]):
            raise ValueError(f"{name}: {option} must be {text}; got {group[option]}")


NOT_NEGATIVE: tuple[Callable[[Any], bool], str] = (lambda v: v >= 0, "at least 0")
BETAS: tuple[Callable[[Any], bool], str] = (
    lambda v: len(v) == 2 and all(0 <= beta < 1 for beta in v), "two numbers in [0, 1)")
