"""Losses, for a network that returns one."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import loss as kernels
from minigrad.onnx.errors import NotDynamic
from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import Op, fixed, translates


@translates("_loss")
def loss(graph: Graph, op: Op) -> Operand:
    each = KINDS[op.static["kind"]](graph, op)
    reduction = op.static["reduction"]
    if reduction == "none":
        return each
    kind = "ReduceMean" if reduction == "mean" else "ReduceSum"
    return graph(kind, each, keepdims=0)


def _square(graph: Graph, op: Op) -> Operand:
    d = graph("Sub", *op.inputs)
    return graph("Mul", d, d)


def _distance(graph: Graph, op: Op) -> Operand:
    """With d = |x - t|: slope·d - offset for d ≥ limit, a parabola curve·d² below"""
    limit, curve, slope, offset = op.static["options"]
    d, number = graph("Abs", graph("Sub", *op.inputs)), graph.like
    if limit <= 0:
        return d
    line = graph("Sub", graph("Mul", d, number(op.x, slope)), number(op.x, offset))
    parabola = graph("Mul", graph("Mul", d, d), number(op.x, curve))
    return graph("Where", graph("GreaterOrEqual", d, number(op.x, limit)), line, parabola)


def _probability(graph: Graph, op: Op) -> Operand:
    """-(t·log x + (1 - t)·log(1 - x)), logarithms no less than -100"""
    x, t = op.inputs
    one, least = graph.like(x, 1), graph.like(x, op.static["options"][0])
    logs = [graph("Max", graph("Log", p), least) for p in (x, graph("Sub", one, x))]
    return graph("Neg", graph("Add", graph("Mul", t, logs[0]),
                              graph("Mul", graph("Sub", one, t), logs[1])))


def _logit(graph: Graph, op: Op) -> Operand:
    """-(t·log σ(x) + (1 - t)·log σ(-x)) = log(1 + e^x) - t·x"""
    x, t = op.inputs
    return graph("Sub", graph("Softplus", x), graph("Mul", t, x))


def _divergence(graph: Graph, op: Op) -> Operand:
    """t·(log t - x), 0 where t is 0"""
    x, t = op.inputs
    zero = graph.like(t, 0)
    is_zero = graph("Equal", t, zero)
    log = graph("Log", graph("Where", is_zero, graph.like(t, 1), t))
    return graph("Sub", graph("Mul", t, log), graph("Mul", t, x))


KINDS = {kernels.SQUARE: _square, kernels.DISTANCE: _distance, kernels.PROBABILITY: _probability,
         kernels.LOGIT: _logit, kernels.DIVERGENCE: _divergence}


# ---- of a choice among classes -------------------------------------------------------------------

@translates("_cross_entropy", sizes=("total",))
def cross_entropy(graph: Graph, op: Op) -> Operand:
    return _chosen(graph, op, graph("LogSoftmax", op.x, axis=1))


@translates("_class_losses", sizes=("total",))
def class_losses(graph: Graph, op: Op) -> Operand:
    return _chosen(graph, op, op.x)


def _chosen(graph: Graph, op: Op, log_p: Operand) -> Operand:
    """-each·log p of the true class, 0 for an item that does not count, or their sum over total"""
    target, each, total = (op.static[key] for key in ("target", "each", "total"))
    target, counts = _known(target)
    place = graph("Unsqueeze", target, graph.integers([1]))
    losses = graph("Squeeze", graph("GatherElements", log_p, place, axis=1), graph.integers([1]))
    weights = each.array if each.repeated is None else each.repeated
    plain = weights is not None and (weights == 1).all()
    losses = graph("Neg", losses if plain else graph("Mul", losses, each))
    if counts is not None:
        losses = graph("Where", counts, losses, graph.like(op.x, 0))
    if total is None:
        return losses
    if isinstance(total, float | int | np.floating):
        size = math.prod(n for n in target.shape) if _is_fixed(target) else math.nan
        if not plain or total != size:
            return graph("Div", graph("ReduceSum", losses, keepdims=0), graph.like(op.x, total))
    elif not plain:
        raise NotDynamic("of weighted classes divides by a number that depends on the batch size")
    return graph("ReduceMean", losses, keepdims=0)


def _is_fixed(x: Value) -> bool:
    return all(isinstance(n, int) for n in x.shape)


def _known(target: Value) -> tuple[Value, Value | None]:
    """The classes, 0 for items that do not count, and which count, where some do not"""
    if target.array is None:
        return target, None
    counts, places = target.array >= 0, np.maximum(target.array, 0)
    return (Value("", places.dtype, target.shape, places),
            None if counts.all() else Value("", counts.dtype, fixed(target.shape), counts))
