"""Gradients of functions with a scalar output."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minigrad.creation import ones_like
from minigrad.func import tree
from minigrad.func.trace import Argnums, Trace
from minigrad.tensor import Tensor


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
         ) -> Callable[..., Any]:
    """The function that computes the gradient of `func`, which returns a scalar.

        grad(f)(x)                      ∂f/∂x, of x's shape
        grad(f, argnums=(0, 1))(x, y)   (∂f/∂x, ∂f/∂y)

    argnums: the positions of the arguments to differentiate by. An argument may be a tree of
    Tensors; the gradient is then a tree, too, with zeros where f does not depend on a leaf.
    has_aux: func returns (output, aux), and the new function (gradient, aux).
    Raises: RuntimeError where the output is not a scalar, or an argument is not floating point.
    Source: torch.func.grad.
    """
    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, (_, *aux) = _gradient("grad", func, argnums, has_aux, args, kwargs)
        return (found, *aux) if has_aux else found
    return gradient


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
                   ) -> Callable[..., Any]:
    """The function that computes (gradient, value) of `func`: `grad`, and the output as well.

    has_aux: func returns (output, aux), and the new function (gradient, (output, aux)).
    Source: torch.func.grad_and_value.
    """
    @functools.wraps(func)
    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        found, value = _gradient("grad_and_value", func, argnums, has_aux, args, kwargs)
        return found, (value if has_aux else value[0])
    return gradient_and_value


def _gradient(name: str, func: Callable[..., Any], argnums: Argnums, has_aux: bool,
              args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The gradient, and (output,) or (output, aux)"""
    if argnums is None:
        raise TypeError(f"{name}: argnums must be an int or a tuple of ints; got None")
    trace = Trace(name, func, args, kwargs, argnums=argnums, has_aux=has_aux)
    y = trace.output
    if not isinstance(y, Tensor) or y.ndim:
        got = f"shape {y.shape}" if isinstance(y, Tensor) else tree.outline(y)
        raise RuntimeError(f"{name}: the function must return one scalar Tensor; got {got}; vjp "
                           "and jacrev are for other outputs")
    value, record = trace.released(y), trace.records()
    found = trace.pull_back([ones_like(y)], keep=record, record=record)
    return trace.results(trace.primals, found), (value, trace.aux) if has_aux else (value,)
