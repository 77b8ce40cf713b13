"""What there is to say about one op, so that `check_op` can check it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.testing.domains import Domain, Shape
from minigrad.testing.foreign import as_tensor, framework_of, name_of, native
from minigrad.testing.mutants import MUTATIONS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


class Call:
    """Arguments of one call: arrays (or None) for the differentiable inputs, and static ones.

    Tensors, of any framework, are remembered as whose they were, and as wanting a gradient or not.
    """

    def __init__(self, *arrays: Any, **static: Any) -> None:
        self.arrays = tuple(None if x is None else _array(x) for x in arrays)
        self.static = {name: _array(value) if framework_of(value) else value
                       for name, value in static.items()}
        self.framework = max(map(framework_of, [*arrays, *static.values()]), default="")
        says_so = [i for i, x in enumerate(arrays) if hasattr(x, "requires_grad")]
        wanting = {i for i in says_so if arrays[i].requires_grad}
        # inputs whose gradient nobody wants
        self.constant = frozenset(says_so) - wanting if wanting else frozenset()

    def wants_gradient(self, i: int) -> bool:
        x = self.arrays[i]
        return x is not None and x.dtype.kind == "f" and i not in self.constant

    def with_arrays(self, arrays: Iterable[Any]) -> Call:
        """The same call with other arrays."""
        other = Call(*arrays, **self.static)
        other.constant, other.framework = self.constant, self.framework
        return other

    def map(self, f: Callable[[Any], Any]) -> Call:
        """The same call with f(array) for each array."""
        return self.with_arrays(None if x is None else f(x) for x in self.arrays)

    def map_named(self, f: Callable[[Any], Any]) -> Call:
        """The same call with f(array) for each array with dims that is given by name."""
        other = self.with_arrays(self.arrays)
        other.static = {name: f(v) if isinstance(v, np.ndarray) and v.ndim else v
                        for name, v in self.static.items()}
        return other

    def astype(self, *dtypes: Any) -> Call:
        """Each input in its own of the dtypes (the first where they run out); static floats in the
        first, where that is one."""
        each = itertools.chain(dtypes, itertools.repeat(dtypes[0]))
        cast = self.map(lambda x: x.astype(next(each)) if x.dtype.kind == "f" else x)
        if np.dtype(dtypes[0]).kind == "f":
            cast.static = {name: v.astype(dtypes[0]) if isinstance(v, np.ndarray)
                           and v.dtype.kind == "f" else v for name, v in cast.static.items()}
        return cast

    def __repr__(self) -> str:
        arguments = [repr(x) for x in self.arrays] + [f"{k}={v!r}" for k, v in self.static.items()]
        return f"Call({', '.join(arguments)})"


def _array(x: Any) -> Any:
    return as_tensor(x).data if hasattr(x, "requires_grad") else np.asarray(x)


@dataclass(frozen=True)
class Error:
    """A call that must fail: with what, and saying what (a regular expression)."""

    call: Call
    kind: type[Exception]
    message: str


@dataclass(frozen=True)
class Tolerance:
    """How far from the reference, relative to the largest value there (at least 1), and why."""

    value: float = 1e-10
    gradient: float = 1e-9
    reason: str = "float64 sums of a few terms"


@dataclass(frozen=True, repr=False)
class OpCase:
    """One op: what it should equal, where, and what it should refuse.

    op: a function of Tensors, or one of another framework (see `minigrad.testing.foreign`).
    reference: a function of PyTorch, JAX or NumPy that is called with the same arguments; None
    where there is none, and finite differences are the only judge.
    inputs: calls at points where the op is smooth, so that finite differences apply; numbers apart
    enough that every vjp is far from zero. A hypothesis strategy; None: the examples, resized.
    examples: pinned calls, smooth as well; on each input of at least one of them every mutant of
    the gradient must make a difference (no dim of size 1, no symmetry).
    raises: calls that must fail.
    corners: calls where a value or a gradient is a matter of choice: zeros, kinks, ties,
    infinities, NaN, extreme numbers. They are compared with the reference only; None: there are
    none.
    run: how to call the op where not as `op(*tensors, **static)`; reference is called alike.
    differentiable: False where no output carries a gradient.
    zero_gradient: True where the gradient is zero everywhere it exists.
    equivalent: a mutation ("rolled", or "inputs[1] rolled") → why it makes no difference here.
    excused: a check's name → why the op need not pass it.
    dtypes: what the inputs may hold; mixtures of these give the dtypes that PyTorch's do.
    """

    op: Callable[..., Any]
    reference: Callable[..., Any] | None
    inputs: SearchStrategy[Call] | None
    examples: Sequence[Call]
    raises: Sequence[Error] = ()
    corners: SearchStrategy[Call] | None = None
    run: Callable[..., Any] | None = None
    tolerance: Tolerance = field(default=Tolerance())
    differentiable: bool = True
    zero_gradient: bool = False
    equivalent: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    dtypes: Sequence[str] = ("float32", "float64")
    name: str = ""

    @property
    def id(self) -> str:
        """Its name; for one of minigrad's with its module's, as in elementwise.mul."""
        package, _, module = str(getattr(self.op, "__module__", "")).rpartition(".")
        name = self.name or name_of(self.op)
        return f"{module}.{name}" if package in ("minigrad", "minigrad.ops") else name

    @property
    def equivalents(self) -> dict[str, str]:
        """Every mutation that makes no difference, with its reason."""
        zero = (name for name in MUTATIONS if name != "shifted" and self.zero_gradient)
        return dict.fromkeys(zero, "its gradient is 0 everywhere") | dict(self.equivalent)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The op as a function of Tensors."""
        return self.run or native(self.op, ())[0]

    def __call__(self, *tensors: Any, **static: Any) -> Any:
        return self.function(*tensors, **static)

    def __repr__(self) -> str:
        return f"<case of {self.id}>"


def example(seed: int, domain: Domain, *shapes: Shape, **static: Any) -> Call:
    """A pinned call with an input of each of the shapes."""
    if not callable(domain):
        raise TypeError("example: domain must be a function (rng, shape) -> array, as "
                        f"domains.real; got {domain!r}")
    rng = np.random.default_rng(seed)
    return Call(*(domain(rng, shape) for shape in shapes), **static)
