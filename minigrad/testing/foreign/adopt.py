"""A foreign function as a function of minigrad's Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import Array, Recorded, is_grad_enabled, op, together
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
    joint = _foreign(*(inputs[i] for i in wanted), foreign=foreign, arrays=arrays,
                     wanted=wanted, outputs=floating, pullback=pullback)
    if len(floating) == 1:
        parts = [joint]
    else:
        ends = np.cumsum([y.size for y in floating]).tolist()
        parts = [joint[end - y.size:end].reshape(y.shape).to(y.dtype)
                 for y, end in zip(floating, ends, strict=True)]
    each = iter(parts)
    return [next(each) if y.dtype.kind == "f" else Tensor(y) for y in ys]


@op
def _foreign(*leaves: Tensor, foreign: Foreign, arrays: list[Any], wanted: Wanted,
             outputs: list[Array], pullback: Pullback | None) -> Recorded:
    """The output, or several end to end in one vector, since their gradients come together."""
    def gradients(g: Tensor) -> list[Tensor]:
        gs = [g]                                        # as it is: in its own memory
        if len(outputs) > 1:
            ends = np.cumsum([y.size for y in outputs]).tolist()
            gs = [g[end - y.size:end].reshape(y.shape).to(y.dtype)
                  for y, end in zip(outputs, ends, strict=True)]
        if pullback is not None and not is_grad_enabled():
            return [Tensor(gx) for gx in pullback([u.data for u in gs])]
        inputs = [*arrays]
        for i, x in zip(wanted, leaves, strict=True):
            inputs[i] = x
        return listed(adopted(foreign.gradient(len(inputs), wanted))(*inputs, *gs))
    y = outputs[0] if len(outputs) == 1 else np.concatenate([y.ravel() for y in outputs])
    return y, *together(gradients, len(leaves))
