"""Activations and softmax."""

from __future__ import annotations

import math

from minigrad.onnx.graph import Graph, Operand
from minigrad.onnx.translate.registry import Op, translates


@translates("relu")
def relu(graph: Graph, op: Op) -> Operand:
    return graph("Relu", op.x) if op.x.is_float else graph("Max", op.x, graph.like(op.x, 0))


@translates("leaky_relu")
def leaky_relu(graph: Graph, op: Op) -> Operand:
    return graph("LeakyRelu", op.x, alpha=float(op.static["negative_slope"]))


@translates("elu")
def elu(graph: Graph, op: Op) -> Operand:
    return graph("Elu", op.x, alpha=float(op.static["alpha"]))


@translates("sigmoid")
def sigmoid(graph: Graph, op: Op) -> Operand:
    return graph("Sigmoid", op.x)


@translates("tanh")
def tanh(graph: Graph, op: Op) -> Operand:
    return graph("Tanh", op.x)


@translates("_gelu")
def gelu(graph: Graph, op: Op) -> Operand:
    return graph("Gelu", op.x)


@translates("_gelu_tanh")
def gelu_tanh(graph: Graph, op: Op) -> Operand:
    return graph("Gelu", op.x, approximate="tanh")


@translates("_silu")
def silu(graph: Graph, op: Op) -> Operand:
    return graph("Mul", op.x, graph("Sigmoid", op.x))


EXACT = 36          # above it, log(1 + e^x) is x in float64


@translates("softplus")
def softplus(graph: Graph, op: Op) -> Operand:
    """log(1 + e^(β·x)) / β; x itself where β·x exceeds a threshold that can make a difference"""
    x, beta, threshold = op.x, float(op.static["beta"]), float(op.static["threshold"])
    scaled = x if beta == 1 else graph("Mul", x, graph.like(x, beta))
    y = graph("Softplus", scaled)
    if beta != 1:
        y = graph("Div", y, graph.like(x, beta))
    if math.isnan(threshold) or threshold >= EXACT:
        return y
    return graph("Where", graph("Greater", scaled, graph.like(x, threshold)), x, y)


@translates("softmax", "log_softmax")
def softmax(graph: Graph, op: Op) -> Operand:
    x = graph.cast(op.x, op.dtype)
    kind = "Softmax" if op.name == "softmax" else "LogSoftmax"
    if op.x.ndim:
        return graph(kind, x, axis=op.static["dim"])
    row = graph("Reshape", x, graph.integers([1]))          # of a single number
    return graph.reshape(graph(kind, row, axis=0), ())
