"""A foreign function as a function of minigrad's Tensors.

An op of minigrad's has one output. A foreign function with several becomes an op that holds the
call, whose own output is a single number that nobody sees, and one op for each output. What arrives
at an output goes to the call in a `Parcel`, as it is: in its own memory and of its own dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import Array, Recorded, in_place, is_grad_enabled, op, together
from minigrad.tensor import Tensor
from minigrad.testing.foreign.kinds import Foreign, Pullback, Wanted, listed


def adopted(foreign: Foreign) -> Callable[..., Any]:
    """The same function of minigrad's Tensors: a Tensor, or a list of them if there are several."""
    def fn(*inputs: Any, **static: Any) -> Any:
        bound = foreign.bind(static) if static else foreign
        arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
        wanted = tuple(i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad)
        if not (wanted and is_grad_enabled()):
            outputs = [Tensor(y) for y in bound(*arrays)]
        else:
            outputs = _recorded(bound, inputs, arrays, wanted)
        return outputs[0] if len(outputs) == 1 else outputs
    # mypy knows no attributes of functions
    fn.in_complex = lambda arrays, **static: (  # type: ignore[attr-defined]
        foreign.bind(static)(*arrays))
    fn.__name__ = foreign.name
    return fn


def _recorded(foreign: Foreign, inputs: tuple[Any, ...], arrays: list[Any], wanted: Wanted
              ) -> list[Tensor]:
    ys, pullback = foreign.recorded(wanted, *arrays)
    floating = [y for y in ys if y.dtype.kind == "f"]
    if not floating:
        return [Tensor(y) for y in ys]
    call = _foreign(*(inputs[i] for i in wanted), foreign=foreign, arrays=arrays,
                    wanted=wanted, outputs=floating, pullback=pullback)
    each = iter([call] if len(floating) == 1 else
                [_output(call, number=k, value=y) for k, y in enumerate(floating)])
    return [next(each) if y.dtype.kind == "f" else Tensor(y) for y in ys]


class Parcel(Tensor):
    """What is sent back to a call with several outputs: the cotangent of each that was used, by its
    number. As a Tensor it is the gradient of the call's own output, which means nothing."""

    __slots__ = ("cotangents",)

    def __init__(self, number: int, g: Tensor) -> None:
        super().__init__(np.zeros(()))
        self.cotangents = {number: g}


@op
def _output(call: Tensor, *, number: int, value: Array) -> Recorded:
    """The output with this number of a call."""
    def put_in(parcel: Parcel, g: Tensor) -> None:
        parcel.cotangents[number] = g
    return value, lambda g: in_place(lambda: Parcel(number, g), lambda parcel: put_in(parcel, g))


@op
def _foreign(*leaves: Tensor, foreign: Foreign, arrays: list[Any], wanted: Wanted,
             outputs: list[Array], pullback: Pullback | None) -> Recorded:
    """A call: its output, or a number where it has several, since their gradients come together."""
    def gradients(g: Tensor) -> list[Tensor]:
        arrived = g.cotangents if isinstance(g, Parcel) else {0: g}
        gs = [arrived[k] if k in arrived else Tensor(np.zeros(y.shape, y.dtype))
              for k, y in enumerate(outputs)]
        if pullback is not None and not is_grad_enabled():
            return [Tensor(gx) for gx in pullback([u.data for u in gs])]
        inputs = [*arrays]
        for i, x in zip(wanted, leaves, strict=True):
            inputs[i] = x
        return listed(adopted(foreign.gradient(len(inputs), wanted))(*inputs, *gs))
    return outputs[0] if len(outputs) == 1 else np.zeros(()), *together(gradients, len(leaves))
