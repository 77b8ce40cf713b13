"""What a recorded computation consists of."""

from __future__ import annotations

from minigrad.autograd import Node, grad
from minigrad.tensor import Tensor
from minigrad.testing.checks.running import cotangents


def gradient_of(xs: list[Tensor | None], ys: list[Tensor]) -> list[Tensor]:
    """The gradients of Σ g·y by x, as a recorded computation; g joins xs, for the next time."""
    ys = [y for y in ys if y.requires_grad]
    if not ys:
        return []
    leaves = [x for x in xs if x is not None and x.requires_grad]
    gs = [Tensor(g, True) for g in cotangents(ys)]
    xs.extend(gs)
    found = grad(ys, leaves, gs, create_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


def names_in_graph(ys: list[Tensor]) -> dict[str, int]:
    """The ops recorded, by name, with the largest number of inputs that want a gradient."""
    names: dict[str, int] = {}
    stack, seen = [y.node for y in ys], set()
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in seen:
            seen.add(node)
            names[node.name] = max(names.get(node.name, 0), len(node.edges or ()))
            stack.extend(parent for parent, _ in node.edges or ())
    return names
