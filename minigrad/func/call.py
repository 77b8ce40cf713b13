"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minigrad.nn.module import Module
from minigrad.tensor import Tensor


def functional_call(module: Module, parameter_and_buffer_dicts: Any, args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True,
                    strict: bool = False) -> Any:
    """module(*args, **kwargs) with the given Tensors in the place of its parameters and buffers.

        def loss(parameters, x, y):
            return F.mse_loss(functional_call(module, parameters, x), y)
        gradients = grad(loss)(dict(module.named_parameters()), x, y)

    parameter_and_buffer_dicts: dotted name → Tensor, or several such dicts with distinct names.
    args: a tuple, or a single argument.
    tie_weights: a Tensor given for one name of a shared parameter is used for its other names, too.
    strict: all parameters and buffers must be given; otherwise those missing are the module's own.
    Raises: ValueError for a name in two dicts, or different Tensors for one shared parameter;
    RuntimeError for missing or unknown names if strict, otherwise AttributeError for unknown ones.
    Source: torch.func.functional_call, which lets some unknown names pass.
    """
    given = _merged(parameter_and_buffer_dicts)
    own = {**dict(module.named_parameters(remove_duplicate=False)),
           **dict(module.named_buffers(remove_duplicate=False))}
    if tie_weights:
        given = _tied(given, own)
    unknown, missing = sorted(given.keys() - own.keys()), sorted(own.keys() - given.keys())
    if strict and (unknown or missing):
        raise RuntimeError(f"functional_call: {type(module).__name__} does not have the names "
                           f"{unknown}, and was not given {missing}")
    if unknown:
        raise AttributeError(f"functional_call: {type(module).__name__} has no parameter or buffer "
                             f"{unknown[0]!r}")
    with _replaced(module, given):
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)),
                      **(kwargs or {}))


def _merged(dicts: Any) -> dict[str, Tensor]:
    given: dict[str, Tensor] = {}
    for part in dicts if isinstance(dicts, tuple | list) else [dicts]:
        if not isinstance(part, Mapping):
            raise ValueError("functional_call: needs a dict of Tensors by name, or several; got "
                             f"{type(part).__name__}")
        if twice := sorted(given.keys() & part.keys()):
            raise ValueError(f"functional_call: {twice} are in more than one dict")
        given |= part
    for name, t in given.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"functional_call: {name!r} must be a Tensor; got {type(t).__name__}")
    return given


def _tied(given: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """What was given, also under the other names that the module has for the same Tensor."""
    names: dict[Tensor, list[str]] = {}
    for name, t in own.items():
        names.setdefault(t, []).append(name)
    tied = dict(given)
    for shared in names.values():
        values = {given[name] for name in shared if name in given}
        if len(values) > 1:
            raise ValueError(f"functional_call: got different Tensors for {sorted(shared)}, which "
                             "are one and the same; tie_weights=False separates them")
        tied |= dict.fromkeys(shared, values.pop()) if values else {}
    return tied


@contextmanager
def _replaced(module: Module, given: dict[str, Tensor]) -> Iterator[None]:
    """The module with other Tensors; its own come back at the end."""
    before: list[tuple[Module, str, Tensor]] = []
    try:
        for path, t in given.items():
            owner, _, name = path.rpartition(".")
            holder = module.get_submodule(owner)
            before.append((holder, name, holder.__dict__[name]))
            holder.__dict__[name] = t       # past __setattr__, which takes nothing but Parameters
        yield
    finally:
        for holder, name, t in reversed(before):
            holder.__dict__[name] = t
