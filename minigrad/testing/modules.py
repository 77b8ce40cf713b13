"""`gradcheck_modules`: which layer of a network has a wrong gradient, and which op in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.autograd import enable_grad
from minigrad.modes import mode
from minigrad.nn import Module
from minigrad.random import default_generator
from minigrad.tensor import Tensor
from minigrad.testing.gradcheck import GradcheckError, check
from minigrad.testing.probe import random_cotangent, wants_gradient


@dataclass
class LayerReport:
    """What was checked of one layer, and what is wrong ("" where nothing is)."""

    path: str
    kind: str
    checked: list[str] = field(default_factory=list)
    problem: str = ""

    def __str__(self) -> str:
        mark = "✗" if self.problem else "✓" if self.checked else "·"
        return f"{mark} {self.path or 'the network'} ({self.kind}): " + (
            self.problem or ", ".join(self.checked) or "nothing to differentiate by")


def gradcheck_modules(net: Module, *inputs: Any, atol: float = 1e-5, rtol: float = 1e-5,
                      seed: int = 0) -> list[LayerReport]:
    """Check each layer of a network by itself, on the values that it really gets.

    The network runs once on the inputs, as a copy in float64, in the mode (training or evaluation)
    that each layer is in. Each module is then checked by its inputs and its own parameters, from
    the innermost outwards; one that contains a wrong one is left out, because it would be wrong for
    that reason. In a wrong layer each op is checked as well. Large arrays are checked along random
    directions and at 16 elements. Random numbers are the same at each evaluation.
    Returns: a report for each layer, in the order in which they first run.
    Raises: GradcheckError that names the layers and ops that are wrong; TypeError where net is not
    a Module; ValueError for what `gradcheck` refuses, such as values that are not finite.
    """
    if not isinstance(net, Module):
        raise TypeError(f"gradcheck_modules: net must be a Module; got {type(net).__name__}")
    net = copy.deepcopy(net).double()
    net.zero_grad()
    calls = _calls(net, [_in_float64(x) for x in inputs], seed)
    reports = {path: LayerReport(path, type(module).__name__) for path, module, _, _ in calls}
    wrong: list[str] = []
    for path, module, args, kwargs in sorted(calls, key=lambda call: -_depth(call[0])):
        if any(inner.startswith(f"{path}." if path else "") for inner in wrong):
            reports[path].checked.append("not checked, as it contains a wrong one")
            continue
        try:
            _check_module(reports[path], module, args, kwargs, atol, rtol, seed)
        except GradcheckError as error:
            reports[path].problem = str(error)
            wrong.append(path)
    if wrong:
        raise GradcheckError("\n".join(["gradcheck_modules: wrong gradients",
                                        *map(str, reports.values())]))
    return list(reports.values())


Call = tuple[str, Module, tuple[Any, ...], dict[str, Any]]


def _depth(path: str) -> int:
    return path.count(".") + bool(path)


def _in_float64(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    if x.dtype.kind != "f":
        return x.detach()
    return Tensor(x.data.astype(np.float64), True)


def _calls(net: Module, inputs: Sequence[Any], seed: int) -> list[Call]:
    """The first call of each module while the network runs."""
    calls: dict[str, Call] = {}
    handles = []
    for path, module in net.named_modules():
        def note(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], path: str = path
                 ) -> None:
            calls.setdefault(path, (path, module, tuple(map(_kept, args)),
                                    {name: _kept(value) for name, value in kwargs.items()}))
        handles.append(module.register_forward_pre_hook(note, with_kwargs=True))
    try:
        with enable_grad(), _same_random_numbers(seed):
            net(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(calls.values())


def _kept(x: Any) -> Any:
    """An input as it arrives, cut off from what it was made of."""
    return Tensor(x.data.copy(), x.requires_grad) if isinstance(x, Tensor) else x


@contextmanager
def _same_random_numbers(seed: int) -> Iterator[None]:
    state = default_generator.get_state()
    default_generator.manual_seed(seed)
    try:
        yield
    finally:
        default_generator.set_state(state)


def _check_module(into: LayerReport, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any],
                  atol: float, rtol: float, seed: int) -> None:
    """Check a module by its inputs and its own parameters."""
    parameters = [name for name, p in module.named_parameters(recurse=False) if p.requires_grad]
    arguments = [*args, *(Tensor(module.get_parameter(name).data, True) for name in parameters)]
    names = [*(f"inputs[{i}]" for i in range(len(args))),
             *(f"its parameter {name}" for name in parameters)]
    into.checked = [name for name, x in zip(names, arguments, strict=True) if wants_gradient(x)]
    if not into.checked:
        return

    def fn(*xs: Any) -> Any:
        with _same_random_numbers(seed), _parameters(module, dict(zip(
                parameters, xs[len(args):], strict=True))):
            return module(*xs[:len(args)], **kwargs)

    try:
        check("", fn, arguments, random_cotangent(seed), atol=atol, rtol=rtol, names=names,
              method="directions", seed=seed)
    except GradcheckError as error:
        found = _wrong_ops(lambda: fn(*arguments), atol, rtol, seed)
        raise GradcheckError(str(error).removeprefix(": ") + "".join(found)) from None


@contextmanager
def _parameters(module: Module, values: dict[str, Any]) -> Iterator[None]:
    """The module has these Tensors for parameters."""
    before = {name: module.__dict__[name] for name in values}
    module.__dict__.update(values)
    try:
        yield
    finally:
        module.__dict__.update(before)


def _wrong_ops(run: Callable[[], Any], atol: float, rtol: float, seed: int) -> Iterator[str]:
    """What is wrong with the ops that `run` calls, each with the inputs that it gets."""
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def note(op: Any, inputs: tuple[Any, ...], static: dict[str, Any], y: Tensor) -> None:
        calls.append((op, tuple(map(_kept, inputs)), dict(static)))

    before, mode.observer = mode.observer, note
    try:
        with enable_grad():
            run()
    finally:
        mode.observer = before
    seen = set()
    for op, inputs, static in calls:
        if op.__name__ in seen or not any(map(wants_gradient, inputs)):
            continue
        try:
            check("", lambda *xs, op=op, static=static: op(*xs, **static), list(inputs),
                  random_cotangent(seed), atol=atol, rtol=rtol, method="directions", seed=seed)
        except GradcheckError as error:
            seen.add(op.__name__)
            shapes = ", ".join(str(x.shape) for x in inputs if isinstance(x, Tensor))
            yield (f"\n    the op in it that is wrong: {op.__module__}.{op.__name__}, for inputs "
                   f"of shape {shapes}" + f"\n{error}".replace("\n: ", "\n").replace(
                       "\n", "\n        "))
        except (TypeError, ValueError):         # nothing that can be checked, as for a cast
            continue
