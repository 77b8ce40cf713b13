"""What ops cost: multiply-adds, and the memory that the backward pass needs to be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from minigrad.autograd import Array, Node
from minigrad.inplace import captured_by
from minigrad.ops import conv, linalg
from minigrad.tensor import Tensor

Rule = Callable[[Tensor, Tensor, Tensor], int]

RULES: dict[Any, Rule] = {
    # each value of y is a sum of products over a dim of x, or over a window of all channels
    linalg.linear: lambda x, w, y: y.numel() * x.shape[-1],
    linalg._matmul: lambda a, b, y: y.numel() * a.shape[-1],
    linalg._weight_grad: lambda g, x, y: y.numel() * g.shape[0],
    conv._conv2d: lambda x, w, y: y.numel() * prod(w.shape[1:]),
    # each value of x or g is multiplied by a window of all channels
    conv._conv2d_input_grad: lambda g, w, y: g.numel() * prod(w.shape[1:]),
    conv._conv2d_weight_grad: lambda x, g, y: g.numel() * prod(y.shape[1:]),
}
"""By op, from its first two inputs and its output: how many products it adds up."""


def multiply_adds(op: Any, inputs: tuple[Tensor | None, ...], y: Tensor) -> int:
    """The multiplications, each with an addition, of a matrix product or a convolution as the
    formula has them; 0 for other ops. Algorithms that do with fewer, such as Winograd's, are not
    considered. torch.utils.flop_counter counts the same, each as two operations."""
    rule = RULES.get(op)
    if rule is None or inputs[0] is None or inputs[1] is None:
        return 0
    return rule(inputs[0], inputs[1], y)


def kept_by(node: Node) -> Iterator[Array]:
    """The arrays that a vertex of the graph keeps for the backward pass."""
    for value in [node.output, *captured_by(vjp for _, vjp in node.edges or ())]:
        array = getattr(value, "_data", value)
        if isinstance(array, np.ndarray):
            yield array
