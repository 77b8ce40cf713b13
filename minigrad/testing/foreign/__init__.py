"""Functions of PyTorch, JAX and plain NumPy, turned into functions of minigrad's Tensors.

A function that brings its own gradient needs no check of its own kind: it becomes an op whose
forward pass calls it on arrays, and whose vjp calls its gradient. That gradient is again a function
of the same framework, of the inputs and the cotangent, and becomes an op in the same way, so that
there are derivatives of any order, where the framework has them.

    kinds.py            what every foreign function has to offer; pairs (f, vjp) of NumPy functions
    pytorch.py, jax.py  the same for PyTorch's and JAX's
    adopt.py            such a function as a function of Tensors
    __init__.py         whose function is it? (`native`, and for references `reference_like`)

PyTorch and JAX are imported only where a function is theirs, and then they have been imported.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import registry
from minigrad.tensor import Tensor
from minigrad.testing.foreign.adopt import adopted as adopted
from minigrad.testing.foreign.jax import JaxFunction as JaxFunction
from minigrad.testing.foreign.kinds import (
    Foreign as Foreign,
    NoGradientError as NoGradientError,
    NumpyFunction as NumpyFunction,
    listed,
    name_of as name_of,
)
from minigrad.testing.foreign.pytorch import (
    TorchFunction as TorchFunction,
    one_thread as one_thread,
)

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
        return _at_home(fn), list(inputs)
    adoptee = adopted(foreign)
    adoptee.__name__ = name_of(fn)
    return adoptee, [as_tensor(x) for x in inputs]


def recognised(fn: Any, inputs: Sequence[Any] = ()) -> Foreign | None:
    """The foreign function that fn is, None for one of minigrad's.

    Raises: TypeError for a tuple that is no pair (f, vjp).
    """
    if isinstance(fn, TorchFunction | JaxFunction | NumpyFunction):
        return fn
    if isinstance(fn, tuple):
        if len(fn) != 2 or not all(map(callable, fn)):
            got = ", ".join(type(part).__name__ for part in fn)
            raise TypeError(f"a tuple must be a pair (f, vjp) of functions; got ({got})")
        return NumpyFunction(*fn)
    frameworks = {framework_of(x) for x in inputs}
    if torch := sys.modules.get("torch"):
        its_own = (isinstance(fn, torch.nn.Module)
                   or (isinstance(fn, type) and issubclass(fn, torch.autograd.Function)))
        if its_own or "PyTorch" in frameworks:
            return TorchFunction(fn)
    if jax := sys.modules.get("jax"):
        its_own = isinstance(fn, jax.custom_vjp | jax.custom_jvp)
        if its_own or "JAX" in frameworks:
            return _jax_function(fn)
    return None


@functools.lru_cache(16)
def _jax_function(fn: Callable[..., Any]) -> JaxFunction:
    """One for each function, so that it is compiled once."""
    return JaxFunction(fn)


def framework_of(x: Any) -> str:
    """Whose Tensor or array x is (a `Call` knows whose it was given); "" for all others."""
    for framework, module, kind in (("PyTorch", "torch", "Tensor"), ("JAX", "jax", "Array")):
        if module in sys.modules and isinstance(x, getattr(sys.modules[module], kind)):
            return framework
    return str(getattr(x, "framework", ""))


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
        xs = [function.tensor(x) for x in inputs]
        xs = [x.requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
              for x in xs]
        try:
            named = {name: function.tensor(value) for name, value in static.items()}
            if all(isinstance(y, torch.Tensor) for y in listed(fn(*xs, **named))):
                return "PyTorch", adopted(function.bind(static))
        except Exception as error:
            errors.append(error)
    try:
        tensors = [None if x is None else Tensor(x) for x in inputs]
        if all(isinstance(y, Tensor) for y in listed(fn(*tensors, **static))):
            return "minigrad", functools.partial(fn, **static)
    except Exception as error:
        errors.append(error)
    try:
        ys = listed(fn(*inputs, **static))
    except Exception as error:
        errors.append(error)
        raise TypeError(f"the reference {name_of(fn)} takes neither Tensors nor arrays: "
                        f"{type(errors[0]).__name__}: {errors[0]}") from errors[0]
    if strange := [type(y).__name__ for y in ys if np.asarray(y).dtype.kind not in "biufc"]:
        raise TypeError(f"check_op: the reference {name_of(fn)} must return a Tensor, an array or "
                        f"several; got {', '.join(strange)}")
    if any(framework_of(y) == "JAX" for y in ys):
        return "JAX", adopted(_jax_function(fn).bind(static))
    return "NumPy", adopted(NumpyFunction(fn).bind(static))


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


# ---- functions that turn out to be another framework's -------------------------------------------

GIVE = {"PyTorch": "torch tensors as inputs", "JAX": "JAX's arrays as inputs",
        "NumPy": "a pair (f, vjp) of NumPy functions"}


def _at_home(fn: Callable[..., Any]) -> Callable[..., Any]:
    """fn with an error that says what to do where a function of another framework, which cannot
    compute with minigrad's Tensors, gets them."""
    if hasattr(fn, "in_complex") or registry.get(
            f"{getattr(fn, '__module__', '')}.{getattr(fn, '__name__', '')}") is fn:
        return fn

    def at_home(*args: Any, **named: Any) -> Any:
        try:
            with _apply_refuses_strangers():
                return fn(*args, **named)
        except (TypeError, AttributeError, ValueError, RuntimeError) as error:
            framework = _refused_by(error)
            if not framework or not any(isinstance(x, Tensor) for x in args):
                raise
            raise TypeError(f"{name_of(fn)}: a function of {framework}'s got a minigrad Tensor: "
                            f"give {GIVE[framework]}") from error

    at_home.__name__ = name_of(fn)
    return at_home


def _refused_by(error: Exception) -> str:
    """The framework that refused to compute with a minigrad Tensor; "" where it was none."""
    text = str(error)
    if any(part in text for part in ("must be Tensor, not Tensor", "expected Tensor as element",
                                     "combination of arguments - got (Tensor")):
        return "PyTorch"
    if "jax" in sys.modules and "minigrad.tensor.Tensor" in text:
        return "JAX"
    if "does not support ufuncs" in text or "use detach().numpy()" in text:
        return "NumPy"
    return ""


@contextlib.contextmanager
def _apply_refuses_strangers() -> Iterator[None]:
    """A torch.autograd.Function lets a minigrad Tensor through to its forward pass, whose ops then
    are minigrad's, with their gradients in place of its own: refuse that."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    base = torch.autograd.Function
    before = vars(base)["apply"]

    def apply(cls: type, *args: Any, **named: Any) -> Any:
        if any(isinstance(x, Tensor) for x in args):
            raise TypeError(f"{cls.__name__}.apply got a minigrad Tensor: give torch tensors as "
                            "inputs")
        return before.__get__(None, cls)(*args, **named)

    base.apply = classmethod(apply)
    try:
        yield
    finally:
        base.apply = before
