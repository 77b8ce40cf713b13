"""Normalisation. Each has a node of its own in ONNX, which needs a scale and a shift: ones and
zeros where the layer has none."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minigrad.autograd import Array
from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import Op, fixed, fixed_size, translates


def _parameters(op: Op, shape: tuple[int, ...]) -> tuple[Operand, Operand]:
    """Scale and shift"""
    w, b = op.inputs[1:]
    return (np.ones(shape, op.dtype) if w is None else w,
            np.zeros(shape, op.dtype) if b is None else b)


def _standardised(graph: Graph, x: Value, axes: Iterable[int], eps: float) -> str:
    """(x - mean) / √(var + eps) over some dims"""
    over = graph.integers(axes)
    centred = graph("Sub", x, graph("ReduceMean", x, over, keepdims=1))
    var = graph("ReduceMean", graph("Mul", centred, centred), over, keepdims=1)
    return graph("Div", centred, graph("Sqrt", graph("Add", var, graph.like(x, eps))))


@translates("_batch_norm")
def batch_norm(graph: Graph, op: Op) -> Operand:
    """By the running statistics, or, in training, by those of the batch. The graph has no state:
    running statistics do not move"""
    scale, shift = _parameters(op, (channels := fixed_size(op.x.shape[1]),))
    eps = op.static["eps"]
    if not op.static["training"]:
        mean, var = (_running(graph, op, kind, row) for kind, row in zip(
            ("running_mean", "running_var"), op.static["statistics"].array, strict=True))
        return graph("BatchNormalization", op.x, scale, shift, mean, var, epsilon=eps)
    y = _standardised(graph, op.x, (0, *range(2, op.x.ndim)), eps)
    along = [channels, *[1] * (op.x.ndim - 2)]
    return graph("Add", graph("Mul", y, graph.reshape(scale, along)), graph.reshape(shift, along))


def _running(graph: Graph, op: Op, kind: str, values: Array) -> Operand:
    """A running statistic under its own name where the module has it"""
    values = values.astype(op.dtype)
    name = f"{op.path}.{kind}" if op.path else kind
    own = graph.state.get(name)
    if own is not None and own.dtype == op.dtype and np.array_equal(own, values):
        return graph.constant(own, name)
    return values


@translates("_layer_norm")
def layer_norm(graph: Graph, op: Op) -> Operand:
    count, eps = op.static["count"], op.static["eps"]
    scale, shift = _parameters(op, fixed(op.x.shape[-count:]))
    if op.dtype == np.float32:
        return graph("LayerNormalization", op.x, scale, shift, axis=-count, epsilon=eps)
    # the node's statistics are float32, whatever x is
    y = _standardised(graph, op.x, range(op.x.ndim - count, op.x.ndim), eps)
    return graph("Add", graph("Mul", y, scale), shift)


@translates("_group_norm")
def group_norm(graph: Graph, op: Op) -> Operand:
    """Groups as the channels of an InstanceNormalization. GroupNormalization, which later opsets
    have, is defined by E[x²] - E[x]², which loses digits"""
    groups, channels = op.static["groups"], fixed_size(op.x.shape[1])
    scale, shift = _parameters(op, (channels,))
    eps = op.static["eps"]
    if groups == channels and op.x.ndim > 2:
        return graph("InstanceNormalization", op.x, scale, shift, epsilon=eps)
    parts = graph.reshape(op.x, [op.x.shape[0], groups, _values(op, groups)])
    normal = graph("InstanceNormalization", parts, np.ones(groups, op.dtype),
                   np.zeros(groups, op.dtype), epsilon=eps)
    along = [channels, *[1] * (op.x.ndim - 2)]
    y = graph("Mul", graph.reshape(normal, op.shape), graph.reshape(scale, along))
    return graph("Add", y, graph.reshape(shift, along))


def _values(op: Op, groups: int) -> int:
    """How many each group has"""
    return math.prod(fixed(op.x.shape[1:])) // groups


@translates("_response_norm")
def response_norm(graph: Graph, op: Op) -> Operand:
    """LRN, whose window differs for even sizes; the sum over channels is then a matrix product"""
    x, size = op.x, op.static["size"]
    alpha, beta, k = (op.static[key] for key in ("alpha", "beta", "k"))
    if size % 2 and x.ndim == 4 and op.dtype == np.float32:
        return graph("LRN", x, size=size, alpha=alpha, beta=beta, bias=k)
    channels = np.arange(fixed_size(x.shape[1]))
    distance = channels[:, None] - channels                 # [i, j] = i - j
    window = (distance <= size // 2) & (-distance <= (size - 1) // 2)
    rows = graph("Flatten", graph("Transpose", graph("Mul", x, x), perm=_first(x, 1)), axis=1)
    total = graph("MatMul", window.astype(op.dtype), rows)  # (C, all others)
    total = graph.reshape(total, [x.shape[1], x.shape[0], *x.shape[2:]])
    total = graph("Transpose", total, perm=_first(x, 1))
    s = graph("Add", graph("Mul", total, graph.like(x, alpha / size)), graph.like(x, k))
    return graph("Div", x, graph("Pow", s, graph.like(x, beta)))


def _first(x: Value, dim: int) -> list[int]:
    """The dims with dims 0 and `dim` exchanged"""
    order = list(range(x.ndim))
    order[0], order[dim] = dim, 0
    return order


@translates("_moved")
def moved(graph: Graph, op: Op) -> Operand:
    """A running statistic that a batch has moved; nothing of the graph depends on it"""
    return op.x
