"""What the vjps of one backward pass share while it goes from node to node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.modes import mode

Gradient = Any              # a Tensor


class Visit(threading.local):
    """The backward pass that this thread is in.

    found: what `together` has found at the node being visited. parent: to which of its inputs a
    gradient is sent. pending: the gradients that have arrived so far where they were sent. own:
    those of them that `in_place` has made.
    """

    found: dict[Any, Any] | None = None
    parent: Any = None
    pending: dict[Any, Gradient] | None = None
    own: dict[Any, Gradient] | None = None


visit = Visit()


def together(gradients: Callable[[Gradient], Sequence[Gradient | None]], n: int
             ) -> list[Callable[..., Gradient] | None]:
    """The vjps of n inputs whose gradients are found together, in one pass.

        return y, *together(gradients, 3)

    `gradients(g)` returns the gradients of all n inputs. It runs once, when the first of them is
    wanted, and each vjp hands out its own. What it found is dropped when the backward pass leaves
    the node. Under create_graph=True (`is_grad_enabled()`) it must be made of ops, as any vjp.
    Where nothing is recorded, there are no vjps.
    """
    if not mode.enabled:
        return [None] * n

    def own(i: int, g: Gradient) -> Any:
        found = {} if visit.found is None else visit.found
        if gradients not in found or found[gradients][0] is not g:
            found[gradients] = g, gradients(g)
        return found[gradients][1][i]
    return [lambda g, i=i: own(i, g) for i in range(n)]


def in_place(make: Callable[[], Gradient], add: Callable[[Gradient], None]) -> Gradient:
    """A gradient that several vjps of one input write to in turn, in the same memory.

    Where x is sliced, for example, each slice has a gradient for a part of x only. The first vjp
    makes the whole of it; the next ones add to that, instead of each making an array of its own
    that is then added to the others.
    """
    pending, own, parent = visit.pending, visit.own, visit.parent
    if pending is None or own is None:          # outside of a backward pass
        return make()
    y = own.get(parent)
    if y is not None and y is pending.get(parent):
        add(y)
    else:
        y = own[parent] = make()
    return y
