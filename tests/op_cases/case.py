"""What one entry of the op table says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from domains import Domain, Shape, any_shapes, broadcastable, seeds
from hypothesis import strategies as st

from minigrad.testing.mutation import MUTATIONS


class Call:
    """Arguments of one call: arrays (or None) for the differentiable inputs, and static ones."""

    def __init__(self, *arrays: Any, **static: Any) -> None:
        self.arrays = tuple(None if x is None else np.asarray(x) for x in arrays)
        self.static = static

    def map(self, f: Callable[[Any], Any]) -> Call:
        """The same call with f(array) for each array."""
        return Call(*(None if x is None else f(x) for x in self.arrays), **self.static)

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


@dataclass(frozen=True)
class Error:
    """A call that must fail: with what, and saying what (a regular expression)."""

    call: Call
    kind: type[Exception]
    message: str


@dataclass(frozen=True)
class Tolerance:
    """How far from torch, relative to the largest value there (at least 1), and why."""

    value: float = 1e-10
    gradient: float = 1e-9
    reason: str = "float64 sums of a few terms"


@dataclass(frozen=True, repr=False)
class OpCase:
    """One op: what it should equal, where, and what it should refuse.

    op: minigrad's function. reference: torch's, called with the same arguments.
    inputs: calls at points where the op is smooth, so that finite differences apply; numbers apart
    enough that every vjp is far from zero.
    examples: pinned calls, smooth as well; on each input of at least one of them every mutant of
    the gradient must make a difference (no dim of size 1, no symmetry).
    corners: calls where a value or a gradient is a matter of choice: zeros, kinks, ties,
    infinities, NaN, extreme numbers. They are compared with torch only; None: there are none.
    run: how to call the op where not as `op(*tensors, **static)`; reference is called alike.
    differentiable: False where no output carries a gradient.
    zero_gradient: True where the gradient is zero everywhere it exists.
    equivalent: a mutation ("rolled", or "inputs[1] rolled") → why it makes no difference here.
    floats_only: True where integers are refused, though torch may take some.
    """

    op: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: st.SearchStrategy[Call]
    examples: tuple[Call, ...]
    errors: tuple[Error, ...] = ()
    corners: st.SearchStrategy[Call] | None = None
    run: Callable[..., Any] | None = None
    tolerance: Tolerance = field(default=Tolerance())
    differentiable: bool = True
    zero_gradient: bool = False
    equivalent: dict[str, str] = field(default_factory=dict)
    floats_only: bool = False
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.op.__module__.rpartition('.')[2]}.{self.name or self.op.__name__}"

    @property
    def equivalents(self) -> dict[str, str]:
        """Every mutation that makes no difference, with its reason."""
        zero = (name for name in MUTATIONS if name != "shifted" and self.zero_gradient)
        return dict.fromkeys(zero, "its gradient is 0 everywhere") | self.equivalent

    def __repr__(self) -> str:
        return f"<case of {self.id}>"

    def __call__(self, *tensors: Any, **static: Any) -> Any:
        return (self.run or self.op)(*tensors, **static)


def unary(domain: Domain, shapes: st.SearchStrategy[Shape] | None = None,
          **static: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """One input of any shape, and static arguments drawn independently of it."""
    return st.builds(lambda rng, shape, **drawn: Call(domain(rng, shape), **drawn),
                     seeds, any_shapes() if shapes is None else shapes, **static)


def binary(a: Domain, b: Domain, **static: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """Two inputs whose shapes broadcast."""
    return st.builds(
        lambda rng, pair, **drawn: Call(a(rng, pair[0]), b(rng, pair[1]), **drawn),
        seeds, broadcastable(2), **static)


def example(seed: int, domain: Domain, *shapes: Shape, **static: Any) -> Call:
    """A pinned call with an input of each of the shapes."""
    rng = np.random.default_rng(seed)
    return Call(*(domain(rng, shape) for shape in shapes), **static)
