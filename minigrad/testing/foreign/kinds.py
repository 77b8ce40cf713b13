"""What a function of another framework has to offer, and those of plain NumPy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from minigrad.autograd import Array

Wanted = tuple[int, ...]
Pullback = Callable[[list[Array]], list[Array]]


class NoGradientError(NotImplementedError):
    """There is no derivative of this order to be had: nothing that a check could look at."""


class Foreign(Protocol):
    """A function of another framework, from arrays (or None) to a list of arrays."""

    framework: str
    name: str

    def __call__(self, *inputs: Any) -> list[Array]: ...

    def recorded(self, wanted: Wanted, *inputs: Any) -> tuple[list[Array], Pullback | None]:
        """The outputs, and how a cotangent for each floating-point output is sent back through
        this very call; None where the framework keeps nothing from a call."""

    def gradient(self, n: int, wanted: Wanted) -> Foreign:
        """(n inputs, a cotangent for each floating-point output) → the gradients by the wanted."""

    def bind(self, static: Mapping[str, Any]) -> Foreign:
        """The same function with these arguments by name."""


class NumpyFunction:
    """A function of arrays and, unless it has none, its vjp: `vjp(g, *inputs)` returns the gradient
    by each input (an array where there is one input), None where there is none. g is a tuple where
    the function returns several."""

    framework = "NumPy"

    def __init__(self, fn: Callable[..., Any], vjp: Callable[..., Any] | None = None,
                 without: str = "a plain function of arrays has no gradient; a pair (f, vjp) has "
                                "one") -> None:
        self.fn, self.vjp, self.name, self.without = fn, vjp, name_of(fn), without

    def __call__(self, *inputs: Any) -> list[Array]:
        return [np.asarray(y) for y in listed(self.fn(*inputs))]

    def recorded(self, wanted: Wanted, *inputs: Any) -> tuple[list[Array], None]:
        return self(*inputs), None

    def bind(self, static: Mapping[str, Any]) -> NumpyFunction:
        vjp = self.vjp and functools.partial(self.vjp, **static)
        return NumpyFunction(functools.partial(self.fn, **static), vjp, self.without)

    def gradient(self, n: int, wanted: Wanted) -> NumpyFunction:
        def gradients(*args: Any) -> list[Any]:
            xs, gs = args[:n], args[n:]
            assert self.vjp is not None
            found = self.vjp(gs[0] if len(gs) == 1 else gs, *xs)
            found = found if isinstance(found, tuple | list) else [found]
            if len(found) != n:
                raise TypeError(f"the vjp must return a gradient for each of the {n} inputs; "
                                f"got {len(found)}")
            for i in wanted:
                if found[i] is not None and np.shape(found[i]) != np.shape(xs[i]):
                    raise AssertionError(_of_another_shape(i, np.shape(found[i]), np.shape(xs[i])))
            return [np.zeros_like(xs[i]) if found[i] is None else found[i] for i in wanted]
        if self.vjp is None:
            raise NoGradientError(self.without)
        return NumpyFunction(gradients, None, "a pair (f, vjp) has no second derivative: its vjp "
                                              "is a plain function of arrays")


def _of_another_shape(i: int, found: tuple[int, ...], right: tuple[int, ...]) -> str:
    cause = ("the output has fewer elements than the input, as after a sum: its gradient must be "
             "expanded to the input's shape" if math.prod(found) < math.prod(right) else
             "where an input is broadcast, its gradient is the sum over the dims that it was "
             "repeated along")
    return (f"the vjp returns a gradient of shape {found} for inputs[{i}] of shape {right}\n"
            f"likely cause: {cause}")


def name_of(fn: Any) -> str:
    """What reports call fn."""
    if isinstance(fn, tuple):
        return name_of(fn[0])
    if isinstance(fn, functools.partial):
        return name_of(fn.func)
    return str(getattr(fn, "__name__", getattr(fn, "name", type(fn).__name__)))


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]
