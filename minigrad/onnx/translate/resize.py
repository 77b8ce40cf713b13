"""Resampling: the places that each sum takes are gathered, multiplied with their weights, and added
up. ONNX's Resize would compute its weights anew, by rules of its own."""

from __future__ import annotations

import numpy as np

from minigrad.onnx.graph import Graph, Operand
from minigrad.onnx.translate.registry import Op, translates
from minigrad.ops.resize import taps


@translates("_resample")
def resample(graph: Graph, op: Op) -> Operand:
    dim = op.static["dim"]
    starts, places, weights = taps(op.static["grid"])
    counts = np.diff(starts)
    k = np.arange(max(1, counts.max()))
    # the sums with the fewest terms read a place of theirs once more, with a weight of 0
    at = np.minimum(starts[:-1, None] + np.minimum(k, np.maximum(counts - 1, 0)[:, None]),
                    len(places) - 1)
    each = np.where(k < counts[:, None], weights[at], 0).astype(op.dtype)
    if len(k) == 1 and (each == 1).all():
        return graph("Gather", op.x, places[at[:, 0]], axis=dim)
    terms = graph("Mul", graph("Gather", op.x, places[at], axis=dim),
                  each.reshape(*each.shape, *[1] * (op.x.ndim - 1 - dim)))
    return graph("ReduceSum", terms, graph.integers([dim + 1]), keepdims=0)
