"""Ways to get a gradient wrong, and a function whose gradient is wrong in one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autograd import Recorded, op
from minigrad.tensor import Tensor

Shape = tuple[int, ...]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Mutation:
    """One way to get a gradient wrong.

    gradient: what reaches the input instead of its gradient; None where nothing does.
    cotangent: or, what the input's vjp gets instead of g; called with g and the input's shape.
    applies: whether that makes any difference, from the shapes of the input and of the output.
    seen_by: the checks that must notice, those of them that are run.
    """

    name: str
    mistake: str
    gradient: Callable[[Tensor], Tensor] | None = None
    cotangent: Callable[[Tensor, Shape], Tensor] | None = None
    applies: Callable[[Shape, Shape], bool] = lambda x, y: math.prod(x) > 0
    seen_by: tuple[str, ...] = ("gradcheck", "adjoint", "reference")


def _broadcast_axis(x: Shape, y: Shape) -> int | None:
    """The first axis of an output y along which an input x was repeated, if it was broadcast."""
    padded = (1,) * (len(y) - len(x)) + x
    if len(x) > len(y) or any(n not in (1, m) for n, m in zip(padded, y, strict=True)):
        return None
    return next((axis for axis, n in enumerate(y) if n > 1 == padded[axis]), None)


def _one_position(g: Tensor, x: Shape) -> Tensor:
    axis = _broadcast_axis(x, g.shape)
    if axis is None:
        return g
    mask = np.zeros((g.shape[axis], *(1,) * (g.ndim - axis - 1)))
    mask[0] = 1.0
    return g * Tensor(mask)


def _several(x: Shape, y: Shape) -> bool:
    return math.prod(x) > 1


def _in_two_dims(x: Shape, y: Shape) -> bool:
    return math.prod(x) > 1 and sum(n > 1 for n in x) > 1


MUTATIONS = {mutation.name: mutation for mutation in [
    Mutation("negated", "the sign is wrong", lambda g: -g),
    Mutation("scaled", "1 % too large", lambda g: g * 1.01),
    Mutation("zeroed", "it is 0", lambda g: g * 0.0),
    Mutation("dropped", "the vjp is None"),
    Mutation("rolled", "each element gets its neighbour's", lambda g: g.roll(1),
             applies=_several),
    Mutation("reversed", "the last element comes first", lambda g: g.flip(tuple(range(g.ndim))),
             applies=_several),
    Mutation("transposed", "rows are taken for columns",
             lambda g: g.permute(tuple(range(g.ndim))[::-1]).reshape(g.shape),
             applies=_in_two_dims),
    Mutation("shifted", "0.01 is added to it", lambda g: g + 0.01),
    Mutation("g ignored", "as if g were 1", cotangent=lambda g, _: g * 0.0 + 1.0),
    Mutation("unsummed", "one position, not the sum over a broadcast axis",
             cotangent=_one_position, applies=lambda x, y: _broadcast_axis(x, y) is not None),
    Mutation("detached", "right, but computed outside the graph", lambda g: g.detach(),
             seen_by=("gradgradcheck",)),
    Mutation("float32", "right, but rounded to float32", lambda g: g.to(np.float32).to(g.dtype),
             seen_by=("linearity",)),
]}


@op
def _tap(x: Tensor, *, change: Any) -> Recorded:
    """y = x, with `change(g)` in place of its gradient g."""
    return x.data, change


@op
def _either(y: Tensor, z: Tensor, *, change: Any) -> Recorded:
    """The value of y, which z has as well; z's gradient is `change(g)`."""
    return y.data, lambda g: g, change


def mutant(fn: Function, mutation: Mutation, i: int) -> Function:
    """fn with the gradient by its i-th input changed, and everything else as it was."""
    def tapped(*xs: Any) -> Any:
        return fn(*(_tap(x, change=mutation.gradient) if k == i else x for k, x in enumerate(xs)))

    def split(*xs: Any) -> Any:
        def change(g: Tensor) -> Tensor:
            assert mutation.cotangent is not None
            return mutation.cotangent(g, xs[i].shape)

        others = fn(*(x.detach() if k == i else x for k, x in enumerate(xs)))
        alone = fn(*(x.detach() if k != i and isinstance(x, Tensor) else x
                     for k, x in enumerate(xs)))
        if isinstance(others, Tensor):
            return _either(others, alone, change=change)
        return [_either(y, z, change=change) for y, z in zip(others, alone, strict=True)]

    return tapped if mutation.cotangent is None else split


def checked_equivalents(name: str, equivalent: Mapping[str, str], n_inputs: int | None) -> None:
    """Raises where `equivalent` does not name mutations of n inputs, with a reason each."""
    if not isinstance(equivalent, Mapping):
        raise TypeError(f"{name}: equivalent must give the reason for each, as in "
                        f"{{'rolled': 'why'}}; got {equivalent!r}")
    for key in equivalent:
        place, bracket, mutation = str(key).rpartition("] ")
        if mutation not in MUTATIONS:
            raise ValueError(f"{name}: equivalent: no mutation is called {key!r}; there are "
                             f"{', '.join(MUTATIONS)}")
        if bracket and n_inputs is not None and place not in [
                f"inputs[{i}" for i in range(n_inputs)]:
            raise ValueError(f"{name}: equivalent: there is no input for {key!r}; there are "
                             f"{n_inputs}, from inputs[0]")
