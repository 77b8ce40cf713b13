"""How much arithmetic an op does and how much memory it moves: what a summary and a profile count.

Both are read off the shapes, so they say what the mathematics asks for, not how a kernel does it:
Winograd's algorithm multiplies less than is counted here, and a kernel may read a value twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.func.tree import leaves
from minigrad.inplace import Array, memory_owner
from minigrad.ops import class_loss, conv, index, linalg, pool
from minigrad.tensor import Tensor

Inputs = tuple[Tensor | None, ...]
Count = Callable[[list[Any], dict[str, Any], Tensor], int]

MULTIPLY_ADDS: dict[Any, Count] = {
    linalg.linear: lambda x, static, y: y.numel() * x[0].shape[-1],
    linalg._matmul: lambda x, static, y: y.numel() * x[0].shape[-1],
    linalg._dot: lambda x, static, y: x[0].numel(),
    linalg._weight_grad: lambda x, static, y: y.numel() * x[0].shape[0],
    # a convolution, and each of its two gradients, multiplies each value of its output (of which g
    # is the gradient) by each value of the window: w is (O, C/groups, KH, KW)
    conv._conv2d: lambda x, static, y: y.numel() * math.prod(x[1].shape[1:]),
    conv._conv2d_input_grad: lambda x, static, y: x[0].numel() * math.prod(x[1].shape[1:]),
    conv._conv2d_weight_grad: lambda x, static, y: x[1].numel() * math.prod(y.shape[1:]),
}
"""For each op that is made of products and sums of them: the number of products, from its inputs,
its static arguments and its output. An op of your own can be added."""

SELECTS = {index._getitem, index._rows, index.gather, class_loss._class_losses, pool._pick}
"""These read of their first input no more values than they return."""


def multiply_adds(op: Any, inputs: Inputs, static: dict[str, Any], y: Tensor) -> int:
    """How many products an op computes and adds up; 0 for all but matrix products and convolutions.

    op, inputs, static and y are what an `Observer` is told when the op ends. An op that a vjp calls
    is counted in the same way, so a backward pass is the sum over the ops that run in it.

    Twice this number is the number of floating-point operations. Windows that reach into the
    padding count in full, and adding a bias does not count.
    Source: torch.utils.flop_counter, which counts the same, except that it takes the gradient of
    the weight of a grouped convolution for that of an ungrouped one.
    """
    count = MULTIPLY_ADDS.get(op)
    return count(list(inputs), static, y) if count else 0


def bytes_moved(op: Any, inputs: Inputs, static: dict[str, Any], y: Tensor) -> int:
    """The least that an op must read and write: its inputs, its static arrays, and its output.

    A view moves nothing. What was broadcast, or occurs twice among the inputs, is read once.
    """
    if any(x is not None and shares_memory(x.data, y.data) for x in inputs):
        return 0
    read = {id(x.data): held_bytes(x.data) for x in inputs if x is not None}
    if op in SELECTS and inputs[0] is not None:
        first = inputs[0].data
        read[id(first)] = min(read[id(first)], y.data.size * first.itemsize)
    read |= {id(array): held_bytes(array) for array in arrays_in(static)}
    return sum(read.values()) + held_bytes(y.data)


def shares_memory(x: Array, y: Array) -> bool:
    """Whether y is x or a view of the same memory."""
    return memory_owner(x) is memory_owner(y)


def held_bytes(x: Array) -> int:
    """The bytes that the values of x occupy: dims along which it was broadcast occupy nothing."""
    size: int = x.itemsize * math.prod(n for n, stride in zip(x.shape, x.strides, strict=True)
                                       if stride or not n)
    return size


def arrays_in(static: dict[str, Any]) -> Iterator[Array]:
    for value in leaves(list(static.values())):
        if isinstance(value, Tensor):
            yield value.data
        elif isinstance(value, np.ndarray):
            yield value
