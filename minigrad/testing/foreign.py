"""Functions of PyTorch, JAX and plain NumPy, turned into functions of minigrad's Tensors.

A function that brings its own gradient needs no check of its own kind: it becomes an op whose
forward pass calls it on arrays, and whose vjp calls its gradient. That gradient is again a function
of the same framework, of the inputs and the cotangent, and becomes an op in the same way, so that
there are derivatives of any order, where the framework has them.

PyTorch and JAX are imported only where a function is theirs, and then they have been imported.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from minigrad.autograd import Array, Recorded, op, together
from minigrad.tensor import Tensor

Wanted = tuple[int, ...]


class Foreign(Protocol):
    """A function of another framework, from arrays (or None) to a list of arrays."""

    framework: str

    def __call__(self, *inputs: Any) -> list[Array]: ...

    def gradient(self, n: int, wanted: Wanted) -> Foreign:
        """(n inputs, a cotangent for each floating-point output) → the gradients by the wanted."""

    def bind(self, static: Mapping[str, Any]) -> Foreign:
        """The same function with these arguments by name."""


class TorchFunction:
    """A function of torch Tensors: an autograd.Function, a module, or anything made of them."""

    framework = "PyTorch"

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.torch = _module("torch")
        is_function = isinstance(fn, type) and issubclass(fn, self.torch.autograd.Function)
        self.fn: Callable[..., Any] = fn.apply if is_function else fn  # type: ignore[attr-defined]

    def __call__(self, *inputs: Any) -> list[Array]:
        with self.torch.no_grad():
            return [y.detach().numpy() for y in _listed(self.fn(*map(self._tensor, inputs)))]

    def bind(self, static: Mapping[str, Any]) -> TorchFunction:
        named = {name: self._tensor(value) for name, value in static.items()}
        return TorchFunction(lambda *xs: self.fn(*xs, **named))

    def _tensor(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(self._tensor, x))
        if not isinstance(x, np.ndarray):
            return x
        shares = x.flags.writeable and all(step >= 0 for step in x.strides)
        return self.torch.from_numpy(x if shares else x.copy())

    def gradient(self, n: int, wanted: Wanted) -> TorchFunction:
        def gradients(*args: Any) -> list[Any]:
            create_graph = self.torch.is_grad_enabled()
            with self.torch.enable_grad():
                xs = [x if i not in wanted or x.requires_grad else x.detach().requires_grad_()
                      for i, x in enumerate(args[:n])]
                ys = [y for y in _listed(self.fn(*xs)) if y.is_floating_point()]
                pairs = [(y, g) for y, g in zip(ys, args[n:], strict=True) if y.requires_grad]
                leaves = [xs[i] for i in wanted]
                if not pairs:
                    return [self.torch.zeros_like(x) for x in leaves]
                found = self.torch.autograd.grad(
                    [y for y, _ in pairs], leaves, [g for _, g in pairs],
                    create_graph=create_graph, allow_unused=True)
            return [self.torch.zeros_like(x) if g is None else g
                    for x, g in zip(leaves, found, strict=True)]
        return TorchFunction(gradients)


class JaxFunction:
    """A function of JAX's arrays: a custom_vjp, or anything that jax.vjp takes."""

    framework = "JAX"

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.jax, self.fn = _module("jax"), fn

    def _in_float64(self) -> contextlib.AbstractContextManager[Any]:
        """JAX turns float64 into float32 otherwise."""
        if hasattr(self.jax, "enable_x64"):
            return self.jax.enable_x64(True)  # type: ignore[no-any-return]
        return importlib.import_module("jax.experimental").enable_x64()  # type: ignore[no-any-return]

    def __call__(self, *inputs: Any) -> list[Array]:
        with self._in_float64():
            xs = [self.jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
            return [np.asarray(y) for y in _listed(self.fn(*xs))]

    def bind(self, static: Mapping[str, Any]) -> JaxFunction:
        return JaxFunction(lambda *xs: self.fn(*xs, **static))

    def gradient(self, n: int, wanted: Wanted) -> JaxFunction:
        def gradients(*args: Any) -> list[Any]:
            inputs = list(args[:n])

            def floating(*leaves: Any) -> list[Any]:
                for i, x in zip(wanted, leaves, strict=True):
                    inputs[i] = x
                return [y for y in _listed(self.fn(*inputs))
                        if self.jax.numpy.issubdtype(y.dtype, self.jax.numpy.floating)]

            return list(self.jax.vjp(floating, *(args[i] for i in wanted))[1](list(args[n:])))
        return JaxFunction(gradients)


class NumpyFunction:
    """A function of arrays and, unless it has none, its vjp: `vjp(g, *inputs)` returns the gradient
    by each input (an array where there is one input), None where there is none. g is a tuple where
    the function returns several."""

    framework = "NumPy"

    def __init__(self, fn: Callable[..., Any], vjp: Callable[..., Any] | None = None) -> None:
        self.fn, self.vjp = fn, vjp

    def __call__(self, *inputs: Any) -> list[Array]:
        return [np.asarray(y) for y in _listed(self.fn(*inputs))]

    def bind(self, static: Mapping[str, Any]) -> NumpyFunction:
        vjp = self.vjp and functools.partial(self.vjp, **static)
        return NumpyFunction(lambda *xs: self.fn(*xs, **static), vjp)

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
                    raise AssertionError(
                        f"the vjp returns a gradient of shape {np.shape(found[i])} for inputs[{i}] "
                        f"of shape {np.shape(xs[i])}\nlikely cause: where an input is broadcast, "
                        "its gradient is the sum over the dims that it was repeated along")
            return [np.zeros_like(xs[i]) if found[i] is None else found[i] for i in wanted]
        if self.vjp is None:
            raise NoGradientError("a plain function of arrays has no gradient")
        return NumpyFunction(gradients)


class NoGradientError(NotImplementedError):
    """There is no derivative of this order to be had: nothing that a check could look at."""


# ---- as a function of Tensors --------------------------------------------------------------------

def adopted(foreign: Foreign) -> Callable[..., Any]:
    """The same function of minigrad's Tensors: a Tensor, or a list of them if there are several."""
    def fn(*inputs: Any) -> Any:
        arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
        wanted = tuple(i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad)
        ys = foreign(*arrays)
        floating = [y for y in ys if y.dtype.kind == "f"]
        if not wanted or not floating:
            outputs = [Tensor(y) for y in ys]
        else:
            # one op for all outputs, end to end in one vector, since their gradients come together
            joint = _foreign(*(inputs[i] for i in wanted), foreign=foreign, arrays=arrays,
                             wanted=wanted, outputs=floating)
            ends = np.cumsum([y.size for y in floating])
            parts = (joint[end - y.size:end].reshape(y.shape)
                     for y, end in zip(floating, ends.tolist(), strict=True))
            outputs = [next(parts) if y.dtype.kind == "f" else Tensor(y) for y in ys]
        return outputs[0] if len(outputs) == 1 else outputs
    fn.in_complex = lambda arrays, **static: foreign.bind(static)(*arrays)     # type: ignore[attr-defined]
    return fn


@op
def _foreign(*leaves: Tensor, foreign: Foreign, arrays: list[Any], wanted: Wanted,
             outputs: list[Array]) -> Recorded:
    def gradients(joint: Tensor) -> list[Tensor]:
        inputs = [*arrays]
        for i, x in zip(wanted, leaves, strict=True):
            inputs[i] = x
        ends = np.cumsum([y.size for y in outputs]).tolist()
        gs = [joint[end - y.size:end].reshape(y.shape)
              for y, end in zip(outputs, ends, strict=True)]
        found = adopted(foreign.gradient(len(inputs), wanted))(*inputs, *gs)
        return _listed(found)
    return np.concatenate([y.ravel() for y in outputs]), *together(gradients, len(leaves))


# ---- whose function is it? -----------------------------------------------------------------------

def native(fn: Any, inputs: Sequence[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """fn as a function of minigrad's Tensors, and its inputs as such.

    fn is PyTorch's where it is an autograd.Function, a torch module, or an input is a torch Tensor;
    JAX's where it is a custom_vjp or an input is one of JAX's arrays; NumPy's where it is a pair
    (f, vjp); minigrad's otherwise. Tensors of minigrad and PyTorch say themselves whether they want
    a gradient; arrays for another framework's function do where they hold floating-point numbers.
    """
    foreign = recognised(fn, inputs)
    if foreign is None:
        return fn, list(inputs)
    adoptee = adopted(foreign)
    adoptee.__name__ = name_of(fn)
    return adoptee, [as_tensor(x) for x in inputs]


def recognised(fn: Any, inputs: Sequence[Any] = ()) -> Foreign | None:
    """The foreign function that fn is, None for one of minigrad's."""
    if isinstance(fn, TorchFunction | JaxFunction | NumpyFunction):
        return fn
    if isinstance(fn, tuple) and len(fn) == 2 and all(map(callable, fn)):
        return NumpyFunction(*fn)
    if torch := sys.modules.get("torch"):
        its_own = (isinstance(fn, torch.nn.Module)
                   or (isinstance(fn, type) and issubclass(fn, torch.autograd.Function)))
        if its_own or any(isinstance(x, torch.Tensor) for x in inputs):
            return TorchFunction(fn)
    if jax := sys.modules.get("jax"):
        its_own = isinstance(fn, jax.custom_vjp | jax.custom_jvp)
        if its_own or any(isinstance(x, jax.Array) for x in inputs):
            return JaxFunction(fn)
    return None


def reference_like(fn: Callable[..., Any], inputs: Sequence[Any], static: Mapping[str, Any]
                   ) -> tuple[str, Callable[..., Any]]:
    """Whose function a reference is, and the same as a function of Tensors.

    Its own kind says so, or whichever it takes: PyTorch's Tensors (if PyTorch has been imported),
    minigrad's, or arrays. Of those, JAX's functions return their own kind, and NumPy's have no
    gradient.
    """
    if foreign := recognised(fn):
        return foreign.framework, adopted(foreign.bind(static))
    errors: list[Exception] = []
    if torch := sys.modules.get("torch"):
        function = TorchFunction(fn)
        xs = [function._tensor(x) for x in inputs]
        xs = [x.requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
              for x in xs]
        try:
            named = {name: function._tensor(value) for name, value in static.items()}
            if all(isinstance(y, torch.Tensor) for y in _listed(fn(*xs, **named))):
                return "PyTorch", adopted(function.bind(static))
        except Exception as error:
            errors.append(error)
    try:
        tensors = [None if x is None else Tensor(x) for x in inputs]
        if all(isinstance(y, Tensor) for y in _listed(fn(*tensors, **static))):
            return "minigrad", functools.partial(fn, **static)
    except Exception as error:
        errors.append(error)
    try:
        ys = _listed(fn(*inputs, **static))
        jax = sys.modules.get("jax")
        kind = JaxFunction if jax and any(isinstance(y, jax.Array) for y in ys) else NumpyFunction
        return kind.framework, adopted(kind(fn).bind(static))
    except Exception as error:
        errors.append(error)
    raise TypeError(f"the reference {name_of(fn)} takes neither Tensors nor arrays: "
                    f"{type(errors[0]).__name__}: {errors[0]}") from errors[0]


def name_of(fn: Any) -> str:
    """What reports call fn."""
    if isinstance(fn, tuple):
        return name_of(fn[0])
    if isinstance(fn, TorchFunction | JaxFunction | NumpyFunction):
        return name_of(fn.fn)
    return str(getattr(fn, "__name__", type(fn).__name__))


def as_tensor(x: Any) -> Any:
    """An array or Tensor of any framework as minigrad's Tensor; anything else as it is."""
    if isinstance(x, Tensor):
        return x
    if hasattr(x, "requires_grad"):
        return Tensor(x.detach().numpy().copy(), x.requires_grad)
    if hasattr(x, "dtype") and hasattr(x, "shape"):
        array = np.array(x)
        return Tensor(array, array.dtype.kind == "f")
    return x


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)
