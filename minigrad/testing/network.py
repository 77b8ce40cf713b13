"""The arguments of `gradcheck_modules`: one clear sentence where they mean nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.func.tree import named_leaves
from minigrad.nn import Module
from minigrad.tensor import Tensor


@dataclass
class Options:
    atol: float
    rtol: float
    seed: int


def options_of(atol: Any, rtol: Any, seed: Any) -> Options:
    for option, value in (("atol", atol), ("rtol", rtol)):
        if not isinstance(value, int | float | np.floating) or isinstance(value, bool):
            raise TypeError(f"gradcheck_modules: {option} must be a number; "
                            f"got {type(value).__name__}")
        if not 0 <= value < math.inf:
            raise ValueError(f"gradcheck_modules: {option} must be 0 or more, and finite; "
                             f"got {value}")
    is_int = isinstance(seed, int) and not isinstance(seed, bool)
    if not is_int or seed < 0:
        raise (ValueError if is_int else TypeError)(
            f"gradcheck_modules: seed must be an int of at least 0; got {seed!r}")
    return Options(float(atol), float(rtol), seed)


def require_network(net: Any) -> None:
    if isinstance(net, type):
        raise TypeError(f"gradcheck_modules: net must be a Module; got the class {net.__name__}: "
                        "make one")
    if not isinstance(net, Module):
        raise TypeError(f"gradcheck_modules: net must be a Module; got {_kind(net)}")


def require_tensors(inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Raises: TypeError for arrays of others, ValueError for NaN."""
    for name, x in [*named_leaves(inputs, "inputs"),
                    *(found for key, value in named.items() for found in named_leaves(value, key))]:
        if isinstance(x, Tensor):
            if x.dtype.kind == "f" and np.isnan(x.data).any():
                raise ValueError(f"gradcheck_modules: {name} holds NaN")
        elif hasattr(x, "__array__"):
            raise TypeError(f"gradcheck_modules: {name} must be a Tensor of minigrad; got "
                            f"{_kind(x)}: make it one with minigrad.tensor")


def _kind(x: Any) -> str:
    module = type(x).__module__.split(".")[0]
    return type(x).__name__ if module in ("builtins", "minigrad") else \
        f"{module}.{type(x).__name__}"


def require_excuses(net: Module, excused: Any) -> None:
    """Raises where `excused` does not give a reason for each of some paths of the network."""
    if not (isinstance(excused, Mapping) and all(
            isinstance(reason, str) and reason for reason in excused.values())):
        raise TypeError("gradcheck_modules: excused must give the reason for each layer, as in "
                        f"{{'encoder.gate': 'why'}}; got {excused!r}")
    paths = [path for path, _ in net.named_modules()]
    if unknown := [path for path in excused if path not in paths]:
        raise ValueError(f"gradcheck_modules: excused: there is no layer {unknown[0]!r}; there are "
                         f"{', '.join(map(repr, paths))}")
