"""Reductions. Since opset 18 the dims are an operand of the node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import CannotTranslate, Op, fixed, translates

KINDS = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax",
         "amin": "ReduceMin", "logsumexp": "ReduceLogSumExp"}


@translates(*KINDS)
def reduction(graph: Graph, op: Op) -> Operand:
    return reduced(graph, KINDS[op.name], op, _dims(op.static["dim"], op.x.ndim))


def reduced(graph: Graph, kind: str, op: Op, dims: list[int]) -> Operand:
    x = graph.cast(op.x, op.dtype)
    if op.x.ndim == 0:
        return x
    if op.dtype.kind == "b":                    # amax and amin of bools
        y = graph(kind, graph("Cast", x, to=6), graph.integers(dims),
                  keepdims=int(op.static.get("keepdim", False)))
        return graph("Cast", y, to=9)
    return graph(kind, x, graph.integers(dims), keepdims=int(op.static.get("keepdim", False)))


@translates("_euclidean_norm")
def euclidean_norm(graph: Graph, op: Op) -> Operand:
    x = op.x
    return reduced(graph, "ReduceL2", op, _dims(op.static["dim"], x.ndim)) if x.ndim \
        else graph("Abs", x)


@translates("_of_all")
def of_all(graph: Graph, op: Op) -> Operand:
    return reduced(graph, "ReduceMax" if op.static["largest"] else "ReduceMin", op,
                   list(range(op.x.ndim)))


def _dims(dim: Any, ndim: int) -> list[int]:
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return list(range(ndim))
    return [d % max(ndim, 1) for d in (dim if isinstance(dim, tuple | list) else [dim])]


@translates("cumsum")
def cumsum(graph: Graph, op: Op) -> Operand:
    x = graph.cast(op.x, op.dtype)
    return graph("CumSum", x, np.asarray(op.static["dim"], np.int64)) if op.x.ndim else x


# ---- spread --------------------------------------------------------------------------------------

@translates("var", "std")
def spread(graph: Graph, op: Op) -> Operand:
    dim, unbiased, correction = (op.static[key] for key in ("dim", "unbiased", "correction"))
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    less = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    dims = _dims(dim, op.x.ndim)
    n = math.prod(fixed(tuple(op.x.shape[d] for d in dims if op.x.ndim)))
    keepdim = int(op.static["keepdim"])
    x = graph.cast(op.x, op.dtype)
    axes = graph.integers(dims if op.x.ndim else [])
    centred = graph("Sub", x, graph("ReduceMean", x, axes, keepdims=1))
    total = graph("ReduceSum", graph("Mul", centred, centred), axes, keepdims=keepdim)
    variance = graph("Div", total, np.asarray(max(n - less, 0) if n else 0, op.dtype))
    return graph("Sqrt", variance) if op.name == "std" else variance


# ---- positions and truth -------------------------------------------------------------------------

@translates("argmax", "argmin")
def position(graph: Graph, op: Op) -> Operand:
    """The first of several, as in NumPy. onnxruntime has it for floats and int32"""
    dim, keepdim = op.static["dim"], op.static["keepdim"]
    x: Operand = op.x
    if op.x.dtype.kind == "b":
        x = graph("Cast", x, to=6)
    elif op.x.dtype == np.int64:
        x = graph("Cast", x, to=11)             # to float64, exact below 2^53
    if op.x.ndim == 0:
        return graph.integers([0]).reshape(())
    kind = "ArgMax" if op.name == "argmax" else "ArgMin"
    if dim is not None:
        return graph(kind, x, axis=dim, keepdims=int(keepdim))
    y = graph(kind, graph("Reshape", x, graph.integers([-1])), axis=0, keepdims=0)
    return graph.reshape(y, [1] * op.x.ndim) if keepdim else y


@translates("any", "all")
def truth(graph: Graph, op: Op) -> Operand:
    """The largest or smallest of zeros and ones"""
    if op.x.dtype == np.uint8:
        raise CannotTranslate("of uint8")
    x = _as_bools(graph, op.x)
    dims = op.static["dim"]
    if not dims:
        return x
    ones = graph("Cast", x, to=2)               # uint8, whose least is 0: what any of none is
    y = graph("ReduceMax" if op.name == "any" else "ReduceMin", ones, graph.integers(dims),
              keepdims=int(op.static["keepdim"]))
    return graph("Cast", y, to=9)


def _as_bools(graph: Graph, x: Value) -> Operand:
    return x if x.dtype.kind == "b" else graph("Cast", x, to=9)
