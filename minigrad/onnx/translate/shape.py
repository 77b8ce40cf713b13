"""Ops that move elements and change none.

A shape is an operand in ONNX, so it may be computed while the graph runs: that is how a batch may
have any size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import Op, fixed_size, translates

END = np.iinfo(np.int64).max


@translates("reshape", sizes=("shape",))
def reshape(graph: Graph, op: Op) -> Operand:
    return graph.reshape(op.x, op.shape)


@translates("permute")
def permute(graph: Graph, op: Op) -> Operand:
    return graph("Transpose", op.x, perm=[d % op.x.ndim for d in op.static["dims"]])


@translates("transpose")
def transpose(graph: Graph, op: Op) -> Operand:
    return swapped(graph, op.x, op.static["dim0"], op.static["dim1"])


def swapped(graph: Graph, x: Value, i: int, j: int) -> Operand:
    """x with two dims exchanged"""
    if x.ndim < 2:
        return x
    order = list(range(x.ndim))
    order[i], order[j] = order[j], order[i]
    return graph("Transpose", x, perm=order)


@translates("expand", sizes=("size",))
def expand(graph: Graph, op: Op) -> Operand:
    return graph("Expand", op.x, graph.sizes(op.shape))


@translates("flip")
def flip(graph: Graph, op: Op) -> Operand:
    axes = op.static["dims"]
    axes = [d % op.x.ndim for d in (axes if isinstance(axes, tuple | list) else [axes])]
    if not axes:
        return op.x
    each = len(axes)
    return graph("Slice", op.x, *map(graph.integers, (
        [-1] * each, [-END] * each, axes, [-1] * each)))


@translates("roll")
def roll(graph: Graph, op: Op) -> Operand:
    shifts, dims = ((value if isinstance(value, tuple | list) else [value])
                    for value in (op.static["shifts"], op.static["dims"]))
    x: Operand = op.x
    if op.static["dims"] in (None, (), []):
        size = int(np.prod([fixed_size(n) for n in op.shape], dtype=np.int64))
        x = _rolled(graph, graph.reshape(x, [size]), 0, shifts[0], size)
        return graph.reshape(x, op.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        x = _rolled(graph, x, dim % op.x.ndim, shift, fixed_size(op.shape[dim]))
    return x


def _rolled(graph: Graph, x: Operand, axis: int, shift: int, size: int) -> Operand:
    """The last elements, then the others"""
    first = -shift % size if size else 0
    if first == 0:
        return x
    return graph("Concat", *(graph("Slice", x, *map(graph.integers, bounds))
                             for bounds in (([first], [END], [axis]), ([0], [first], [axis]))),
                 axis=axis)


@translates("_cat")
def cat(graph: Graph, op: Op) -> Operand:
    dim = op.static["dim"]
    xs = [x for x in op.inputs if x.shape[dim] != 0]
    return graph("Concat", *xs, axis=dim) if xs else op.x


@translates("_stack")
def stack(graph: Graph, op: Op) -> Operand:
    dim = op.static["dim"]
    layers = [graph("Unsqueeze", x, graph.integers([dim])) for x in op.inputs]
    return graph("Concat", *layers, axis=dim)


@translates("_framed")
def framed(graph: Graph, op: Op) -> Operand:
    pads = [side[end] for end in (0, 1) for side in op.static["sides"]]
    return graph("Pad", op.x, graph.integers(pads), op.inputs[1])


@translates("_triangle")
def triangle(graph: Graph, op: Op) -> Operand:
    return graph("Trilu", op.x, np.asarray(op.static["diagonal"], np.int64),
                 upper=int(not op.static["lower"]))


@translates("one_hot")
def one_hot(graph: Graph, op: Op) -> Operand:
    classes: Any = graph("Unsqueeze", op.x, graph.integers([-1]))
    matches = graph("Equal", classes, graph.integers(range(op.static["classes"])))
    return graph("Cast", matches, to=7)
