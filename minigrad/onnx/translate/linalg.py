"""Matrix products."""

from __future__ import annotations

from minigrad.onnx.graph import Graph, Operand
from minigrad.onnx.translate.registry import Op, translates
from minigrad.onnx.translate.shape import swapped


@translates("_matmul", "_dot")
def matmul(graph: Graph, op: Op) -> Operand:
    return graph("MatMul", *op.inputs)


@translates("linear")
def linear(graph: Graph, op: Op) -> Operand:
    """Gemm for matrices: y = x @ wᵀ + b; otherwise the same in parts"""
    x, w, b = op.inputs
    if x.ndim == 2 and w.ndim == 2 and (b is None or b.ndim < 3) and x.is_float:
        return graph("Gemm", x, w, b, transB=1)
    y = graph("MatMul", x, swapped(graph, w, 0, 1) if w.ndim == 2 else w)
    return y if b is None else graph("Add", y, b)
