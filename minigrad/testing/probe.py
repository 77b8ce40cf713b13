"""A function to be checked: its arguments, its outputs, its gradients, and how it responds when an
input is moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad, grad, registry
from minigrad.tensor import Tensor

Cotangent = Callable[[tuple[int, ...]], Array]      # from an output's shape


class NotAllowedError(ValueError):
    """The function cannot be differentiated numerically in this way."""


def random_cotangent(seed: int) -> Cotangent:
    """Random weights from 0.5 to 1.5 in size, of either sign, drawn one output after the other."""
    rng = np.random.default_rng(seed)
    return lambda shape: rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


# ---- arguments -----------------------------------------------------------------------------------

def arguments_of(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def wants_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def leaves_of(arguments: Sequence[Any]) -> list[Any]:
    """Copies of those that want a gradient, the others as they are."""
    return [Tensor(x.data.copy(), True) if wants_gradient(x) else x for x in arguments]


def checked(name: str, arguments: Sequence[Any]) -> list[int]:
    """Which arguments have a gradient to check."""
    chosen = [i for i, x in enumerate(arguments) if wants_gradient(x)]
    if not chosen:
        kinds = ", ".join(type(x).__name__ for x in arguments) or "nothing"
        raise ValueError(f"{name}: none of the inputs is a Tensor that requires grad; got {kinds}")
    for i in chosen:
        if arguments[i].dtype != np.float64:
            raise TypeError(f"{name}: inputs[{i}] has dtype {arguments[i].dtype}; finite "
                            "differences need the precision of float64: make it with double()")
        if not np.isfinite(arguments[i].data).all():
            raise ValueError(f"{name}: inputs[{i}] holds infinities or NaN, which cannot be moved")
    return chosen


def require_floats(name: str, outputs: Sequence[Tensor]) -> None:
    """ValueError where no output can carry a gradient; `outputs` are those of floats."""
    if not outputs:
        raise ValueError(f"{name}: fn returns no floating-point numbers, so that there is nothing "
                         "to differentiate")


# ---- outputs and gradients -----------------------------------------------------------------------

def float_outputs(name: str, fn: Callable[..., Any], arguments: Sequence[Any]) -> list[Tensor]:
    """The outputs of `fn(*arguments)` that can carry a gradient, recorded even under no_grad."""
    with enable_grad():
        result = fn(*arguments)
    outputs = list(result) if isinstance(result, list | tuple) else [result]
    for i, y in enumerate(outputs):
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: fn must return Tensors; output {i} is {type(y).__name__}")
        if y.dtype.kind == "f" and y.dtype != np.float64:
            raise TypeError(f"{name}: output {i} has dtype {y.dtype}; finite differences need "
                            "float64 from end to end")
    return [y for y in outputs if y.dtype.kind == "f"]


def gradients_of(outputs: Sequence[Tensor], cotangents: Sequence[Array],
                 leaves: Sequence[Tensor], *, retain_graph: bool = False) -> list[Array]:
    """The gradients of Σ u·y by each leaf, zeros where none arrives."""
    found = arriving(outputs, cotangents, leaves, retain_graph)
    return [np.zeros(x.shape) if g is None else g.data for x, g in zip(leaves, found, strict=True)]


def arriving(outputs: Sequence[Tensor], cotangents: Sequence[Array], leaves: Sequence[Tensor],
             retain_graph: bool = False) -> Sequence[Tensor | None]:
    """As `gradients_of`, but None where no gradient arrives."""
    recorded = [(y, Tensor(u)) for y, u in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not recorded:
        return [None] * len(leaves)
    ys, us = zip(*recorded, strict=True)
    return grad(ys, leaves, us, retain_graph=retain_graph, allow_unused=True)


def uses_others(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> bool:
    """Whether the outputs require grad, but not because of the inputs."""
    return any(y.requires_grad for y in outputs) and all(g is None for g in gradients)


# ---- moving the inputs ---------------------------------------------------------------------------

class Probe:
    """The outputs weighed, u·y, wherever the inputs are moved; and the gradients of L = Σ u·y."""

    def __init__(self, name: str, fn: Callable[..., Any], arguments: list[Any],
                 cotangent: Cotangent, names: Sequence[str] | None = None) -> None:
        chosen = checked(name, arguments)
        self.inputs = leaves_of(arguments)
        self.leaves = [self.inputs[i] for i in chosen]
        self.names = [names[i] if names else f"inputs[{i}]" for i in chosen]
        self.name, self.fn = name, fn

        ys = float_outputs(name, fn, self.inputs)
        if any(not np.isfinite(y.data).all() for y in ys):
            raise ValueError(f"{name}: an output is infinite or NaN; choose inputs well inside the "
                             "function's domain")
        self.shapes = [y.shape for y in ys]
        cotangents = [cotangent(shape) for shape in self.shapes]
        gradients = arriving(ys, cotangents, self.leaves)
        self.analytic = [np.zeros(x.shape) if g is None else g.data
                         for x, g in zip(self.leaves, gradients, strict=True)]
        self.uses_others = uses_others(ys, gradients)
        self.weights = _flat(cotangents)
        self.base = self.weighed()
        if not np.array_equal(self.base, self.weighed()):
            raise ValueError(f"{name}: fn gives different values for the same inputs; "
                             "fix its random numbers, or call eval() on its modules")

    def weighed(self) -> Array:
        return self.weights * _flat(
            [y.data for y in float_outputs(self.name, self.fn, self.inputs)])

    def moved(self, k: int, n: int, h: float) -> Array:
        """u·y with the n-th element of the k-th input moved by h."""
        flat = self.leaves[k].data.reshape(-1)          # a view: leaves are C-contiguous
        before = flat[n]
        flat[n] = before + h
        try:
            return self.weighed()
        finally:
            flat[n] = before

    def moved_along(self, steps: Mapping[int, Array]) -> Array:
        """u·y with each k-th input moved by an array."""
        before = {k: self.leaves[k].data.copy() for k in steps}
        for k, step in steps.items():
            self.leaves[k].data[...] += step
        try:
            return self.weighed()
        finally:
            for k, x in before.items():
                self.leaves[k].data[...] = x

    def step(self, k: int, n: int, eps: float) -> float:
        """eps·|x|, or eps where that is more, such that x + h is no rounded number."""
        x = float(self.leaves[k].data.reshape(-1)[n])
        return (x + eps * max(1.0, abs(x))) - x

    def moved_imaginary(self, k: int, n: int, h: float) -> Array:
        """The imaginary part of u·y with the n-th element of the k-th input moved by ih.

        Raises: NotAllowedError where fn does not compute with complex numbers.
        """
        in_complex = complex_version(self.fn)
        arrays = [x.data if isinstance(x, Tensor) else x for x in self.inputs]
        i = next(i for i, x in enumerate(self.inputs) if x is self.leaves[k])
        arrays[i] = arrays[i].astype(complex)
        arrays[i].reshape(-1)[n] += 1j * h
        try:
            ys = [np.asarray(y) for y in in_complex(arrays)]
        except Exception as error:
            raise NotAllowedError(f"{self.name}: the complex step needs a fn that computes with "
                                  f"complex numbers; got {type(error).__name__}: {error}") from None
        ys = [y for y in ys if y.dtype.kind in "fc"]
        weighed = self.weights * _flat(ys)
        if weighed.dtype.kind != "c" or not np.allclose(weighed.real, self.base, 1e-12, 1e-12):
            raise NotAllowedError(f"{self.name}: the complex step needs a fn that computes with "
                                  "complex numbers; this one drops the imaginary part, or does "
                                  "something else with them")
        return np.asarray(weighed.imag)


def complex_version(fn: Callable[..., Any]) -> Callable[..., list[Any]]:
    """fn as a function of arrays, past the Tensors, which hold no complex numbers."""
    if (in_complex := getattr(fn, "in_complex", None)) is not None:
        known: Callable[..., list[Any]] = in_complex
        return known
    forward = getattr(fn, "__wrapped__", None)
    if registry.get(f"{fn.__module__}.{getattr(fn, '__name__', '')}") is not fn or forward is None:
        raise NotAllowedError("the complex step is for an op by itself (@op, a pair (f, vjp), a "
                              "function of PyTorch or JAX), not for a function made of several")

    def past_tensors(arrays: list[Any], **static: Any) -> list[Any]:
        xs = [SimpleNamespace(data=x, shape=x.shape, ndim=x.ndim, dtype=x.dtype)
              if isinstance(x, np.ndarray) else x for x in arrays]
        return [forward(*xs, **static)[0]]
    return past_tensors


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(a.ravel() for a in arrays)])
