"""Optimizer: groups of parameters, their options, and the state kept for each parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad, quietly
from minigrad.hooks import RemovableHandle
from minigrad.inplace import memory_owner
from minigrad.kernels import SMALL
from minigrad.kernels.tape import again
from minigrad.nn.module import clear_grad
from minigrad.optim.joined import Joined, State as State
from minigrad.tensor import Tensor

Group = dict[str, Any]
Hook = Callable[["Optimizer", tuple[Any, ...], dict[str, Any]], None]


class Optimizer:
    """Base class. A subclass defines the defaults of its options, and the rule `update`.

    params: Tensors, (name, Tensor) pairs, or dicts with "params" and options of their own. Either
    all parameters have names or none has; they are kept as "param_names".
    param_groups: these dicts with every option filled in. Options may be changed at any time.
    state: what the rule remembers about each parameter.
    elementwise: whether the rule treats every value of a parameter by itself. Then small parameters
    are joined end to end and updated as one, and each array in the state must have the shape of its
    parameter, except the count of steps, "step".

    Raises: TypeError or ValueError for what cannot be optimised.
    Source: torch.optim.Optimizer.
    """

    elementwise = False

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params must be an iterable of Tensors or "
                            "dicts; got one Tensor")
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        self.loads = 0                  # how often a state has been loaded
        self._joined: dict[tuple[Tensor, ...], list[Joined]] = {}
        self._before_step: dict[RemovableHandle, Hook] = {}
        self._after_step: dict[RemovableHandle, Hook] = {}
        groups = self._listed(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def new_state(self, p: Array, group: Group) -> State:
        """The state of the parameter p before its first step."""
        return {}

    def update(self, p: Array, g: Array, state: State, group: Group) -> None:
        """Change the array p in place, given its gradient g; both are C-contiguous."""
        raise NotImplementedError

    def check(self, group: Group) -> None:
        """Raise TypeError or ValueError for an option of wrong type or value."""

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters to be optimised, with options of their own."""
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: a param group must be a dict; "
                            f"got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f'{name}: a param group needs "params"; got {list(param_group)}')
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(f"{name}: params must have an order; got a set")
        given = [params] if isinstance(params, Tensor) else self._listed(params)
        tensors = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in given]
        names = [p[0] for p in given if isinstance(p, tuple)]
        for p in tensors:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: can only optimise Tensors; got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}: can only optimise leaves; got a result of {p.grad_fn}")
        known = [p for group in self.param_groups for p in group["params"]]
        if len({*known, *tensors}) != len(known) + len(tensors):
            raise ValueError(f"{name}: a parameter appears more than once")
        group = self.defaults | param_group | {"params": tensors}
        if names:
            group["param_names"] = names
        if len(names) not in (0, len(tensors)) or any(
                ("param_names" in other) != ("param_names" in group)
                for other in self.param_groups):
            raise ValueError(f"{name}: all parameters must have names, or none of them")
        self._check(group)
        self.param_groups.append(group)

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but the hooks, as in torch."""
        return self.__dict__ | {"_joined": {}, "_before_step": {}, "_after_step": {}}

    def _check(self, group: Group) -> None:
        """Check the options; a learning rate that is a Tensor becomes a number."""
        if isinstance(group.get("lr"), Tensor):
            if group["lr"].numel() != 1:
                raise ValueError(f"{type(self).__name__}: lr must be a number or a Tensor of one "
                                 f"element; got shape {group['lr'].shape}")
            group["lr"] = float(group["lr"])
        self.check(group)

    def _listed(self, params: Any) -> list[Any]:
        if not isinstance(params, Iterable):
            raise TypeError(f"{type(self).__name__}: params must be an iterable of Tensors or "
                            f"dicts; got {type(params).__name__}")
        return list(params)

    @again
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        closure: computes the loss and its gradients; the loss is returned.
        """
        args = (self,) if closure is None else (self, closure)
        self._call(self._before_step, args)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            if params := tuple([p for p in group["params"] if p.grad is not None]):
                joined = self._joined.get(params)
                if joined is None or not all(each.shared_with(self.state) for each in joined):
                    joined = self._join(params, group)
                for each in joined:
                    quietly(self._step, each, group)
        self._call(self._after_step, args)
        return loss

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) before each step, until the handle is removed.

        args: those of the step, beginning with the optimiser.
        Source: torch.optim.Optimizer.register_step_pre_hook, whose hooks may also change args.
        """
        return RemovableHandle(self._before_step, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) after each step, until the handle is removed."""
        return RemovableHandle(self._after_step, hook)

    def _call(self, hooks: dict[RemovableHandle, Hook], args: tuple[Any, ...]) -> None:
        for hook in tuple(hooks.values()):
            if (result := hook(self, args, {})) is not None:
                raise TypeError(f"{type(self).__name__}: a hook of a step must return None; "
                                f"got {type(result).__name__}")

    def _join(self, params: tuple[Tensor, ...], group: Group) -> list[Joined]:
        """Join the parameters that can be updated as one.

        They are small, have the same dtype and number of steps, and share memory with no other
        parameter, since of two updates of the same memory one would be lost.
        """
        alike: dict[Any, list[Tensor]] = {}
        owners = [id(memory_owner(p.data)) for p in params]
        for p, owner in zip(params, owners, strict=True):
            if p not in self.state:
                self.state[p] = self.new_state(np.asarray(p.data, order="C"), group)
            own = self.state[p]
            known = [key for key, value in own.items() if value is not None]
            small = self.elementwise and p.numel() < SMALL and owners.count(owner) == 1
            kind = (p.dtype, *known, float(own.get("step", 0))) if small else id(p)
            alike.setdefault(kind, []).append(p)
        if len(self._joined) >= len(self.param_groups):     # other parameters have gradients now
            self._joined.clear()
        self._joined[params] = [Joined(tuple(ps), self.state) for ps in alike.values()]
        return self._joined[params]

    def _step(self, joined: Joined, group: Group) -> None:
        values, g = joined.values(), joined.gradients()
        self.update(values, -g if group.get("maximize") else g, joined.state, group)
        joined.share_out()
        joined.give(values)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients to None, or to zeros with `set_to_none=False`."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """{"state": …, "param_groups": …} in torch's layout, with a number for each parameter.

        The arrays share memory with the optimiser.
        """
        numbers = {p: i for i, p in enumerate(self._params())}
        groups = [group | {"params": [numbers[p] for p in group["params"]]}
                  for group in self.param_groups]
        state = {numbers[p]: {key: Tensor(value) if isinstance(value, np.ndarray) else value
                              for key, value in values.items()}
                 for p, values in self.state.items() if values}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the options and state of an optimiser of this kind, minigrad's or torch's.

        Raises: ValueError if it was another kind, or if groups or shapes differ; then nothing has
        been changed.
        """
        name = type(self).__name__
        if not (isinstance(state_dict, Mapping) and {"state", "param_groups"} <= state_dict.keys()):
            raise ValueError(f'{name}: the loaded state must be a dict of "state" and '
                             '"param_groups"')
        loaded = [dict(group) for group in state_dict["param_groups"]]
        sizes = [len(group["params"]) for group in self.param_groups]
        loaded_sizes = [len(group["params"]) for group in loaded]
        if sizes != loaded_sizes:
            raise ValueError(f"{name}: the loaded param groups have {loaded_sizes} parameters, "
                             f"this optimiser's have {sizes}")
        state: dict[Tensor, State] = {}
        for group, new in zip(self.param_groups, loaded, strict=True):
            if lacks := self.defaults.keys() - new.keys():
                raise ValueError(f"{name}: the loaded state is of another kind of optimiser: it "
                                 f"has no {', '.join(sorted(lacks))}")
            self._check(new)
            for i, p in zip(new["params"], group["params"], strict=True):
                if i in state_dict["state"]:
                    state[p] = self._restored(i, state_dict["state"][i], p, new)
        self.state = state
        self.loads += 1
        for group, new in zip(self.param_groups, loaded, strict=True):
            kept = {key: group[key] for key in ("params", "param_names") if key in group}
            group.clear()
            group.update(kept | new | {"params": kept["params"]})

    def _restored(self, i: int, saved: State, p: Tensor, group: Group) -> State:
        """A copy of the saved state of a parameter, in the parameter's dtype but for "step"."""
        name = type(self).__name__
        usual = self.new_state(p.data, group)
        if lacks := usual.keys() - saved.keys():
            raise ValueError(f"{name}: the loaded state of parameter {i} has no "
                             f"{', '.join(sorted(lacks))}")
        state: State = {}
        for key, value in saved.items():
            if value is None or isinstance(value, bool | int | float):
                state[key] = value
                continue
            array = value.data if isinstance(value, Tensor) else np.asarray(value)
            shapes = [usual[key].shape] if key in usual else [p.shape, ()]
            if array.shape not in shapes:
                raise ValueError(f"{name}: the loaded {key} of parameter {i} has shape "
                                 f"{array.shape}; expected {shapes[0]}")
            state[key] = np.array(array, dtype=None if key == "step" else p.dtype, order="C")
        return state

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


Condition = tuple[Callable[[Any], bool], str]


def require(name: str, group: Group, **conditions: Condition) -> None:
    """Raise ValueError for an option that fails its condition, TypeError if it is no such value."""
    for option, (holds, text) in conditions.items():
        value = group[option]
        try:
            fine = holds(value)
        except TypeError:
            raise TypeError(f"{name}: {option} must be {text}; got {value!r}") from None
        if not fine:
            raise ValueError(f"{name}: {option} must be {text}; got {value}")


NUMBER: Condition = (lambda v: -math.inf < v < math.inf, "a number")
NOT_NEGATIVE: Condition = (lambda v: bool(v >= 0), "a number of at least 0")
BETAS: Condition = (lambda v: len(v) == 2 and all(0 <= beta < 1 for beta in v),
                    "two numbers in [0, 1)")
