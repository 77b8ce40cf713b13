"""Arithmetic, functions of one number, comparisons and choices.

Operands broadcast in ONNX as in NumPy, and both operands of a node have one dtype, as they have in
minigrad after promotion. Where ONNX lacks a function, it is made of others, such that it is exact
where the function is: log1p near 0, the sign of a remainder.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import Op, translates

# ---- dtypes --------------------------------------------------------------------------------------

@translates("cast")
def cast(graph: Graph, op: Op) -> Operand:
    return graph.cast(op.x, op.dtype)


@translates("clone", "_scale_gradient")
def clone(graph: Graph, op: Op) -> Operand:
    return op.x


@translates("assign")
def assign(graph: Graph, op: Op) -> Operand:
    """The value that all of a tensor is given: in its dtype and shape"""
    return graph("Expand", graph.cast(op.x, op.dtype), graph.sizes(op.shape))


# ---- arithmetic ----------------------------------------------------------------------------------

@translates("add")
def add(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    if op.dtype.kind == "b":
        return graph("Or", a, b) if op.static["alpha"] else a
    return graph("Add", a, _scaled(graph, b, op.static["alpha"]))


@translates("sub")
def sub(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    return graph("Sub", a, _scaled(graph, b, op.static["alpha"]))


def _scaled(graph: Graph, x: Value, alpha: float) -> Operand:
    return x if alpha == 1 else graph("Mul", x, graph.like(x, alpha))


@translates("mul")
def mul(graph: Graph, op: Op) -> Operand:
    return graph("And" if op.dtype.kind == "b" else "Mul", *op.inputs)


@translates("square")
def square(graph: Graph, op: Op) -> Operand:
    x = graph.cast(op.x, op.dtype)
    return graph("Mul", x, x)


@translates("div")
def div(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    rounding = op.static["rounding_mode"]
    if rounding is None:
        return graph("Div", graph.cast(a, op.dtype), graph.cast(b, op.dtype))
    if rounding == "trunc":
        if not op.x.is_float:
            return graph("Div", a, b)           # of integers it rounds towards 0
        quotient = graph("Div", a, b)
        return graph("Where", graph("Less", quotient, graph.like(a, 0)),
                     graph("Ceil", quotient), graph("Floor", quotient))
    # (a - remainder) / b is a whole number, up to rounding
    quotient = graph("Div", graph("Sub", a, _remainder(graph, a, b)), b)
    return graph("Round", quotient) if op.x.is_float else quotient


@translates("remainder")
def remainder(graph: Graph, op: Op) -> Operand:
    return _remainder(graph, *op.inputs)


def _remainder(graph: Graph, a: Value, b: Value) -> Operand:
    """a - ⌊a / b⌋·b, which has the sign of b. ONNX's Mod has that for integers; for floats it has
    the sign of a."""
    if not a.is_float:
        return graph("Mod", a, b)
    rest, zero = graph("Mod", a, b, fmod=1), graph.like(a, 0)
    # rest·b < 0 could underflow to 0
    apart = graph("Xor", graph("Less", rest, zero), graph("Less", b, zero))
    other_sign = graph("And", apart, graph("Not", graph("Equal", rest, zero)))
    return graph("Where", other_sign, graph("Add", rest, b), rest)


@translates("pow")
def power(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    if op.dtype.kind == "b":
        return graph("Or", a, graph("Not", b))
    if not a.is_float and (b.array is None or (b.array < 0).any()):
        # an integer to a negative power: 1 stays 1, -1 becomes ±1, all others 0
        is_one = graph("Equal", graph("Abs", a), graph.like(a, 1))
        root = graph("Where", is_one, a, graph.like(a, 0))
        return graph("Pow", graph("Where", graph("Less", b, graph.like(b, 0)), root, a),
                     graph("Abs", b))
    return graph("Pow", a, b)


# ---- functions of one number ---------------------------------------------------------------------

SAME = {"neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
        "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "reciprocal": "Reciprocal"}


@translates(*SAME)
def same(graph: Graph, op: Op) -> Operand:
    if op.dtype.kind == "b":                    # the sign of a bool
        return op.x
    return graph(SAME[op.name], op.x)


@translates("rsqrt")
def rsqrt(graph: Graph, op: Op) -> Operand:
    return graph("Reciprocal", graph("Sqrt", op.x))


@translates("expm1")
def expm1(graph: Graph, op: Op) -> Operand:
    """e^x - 1 = tanh(x/2)·(e^x + 1), without the difference, which is inexact for small x"""
    half = graph("Tanh", graph("Mul", op.x, graph.like(op.x, 0.5)))
    return graph("Mul", half, graph("Add", graph("Exp", op.x), graph.like(op.x, 1)))


@translates("log1p")
def log1p(graph: Graph, op: Op) -> Operand:
    """With u = 1 + x as it is rounded: log(u)·x/(u - 1) for small x, where that factor makes up for
    the rounding; x itself where u is 1 (Kahan)"""
    x, one = op.x, graph.like(op.x, 1)
    u = graph("Add", x, one)
    plain, rounded = graph("Log", u), graph("Sub", u, one)
    is_one = graph("Equal", rounded, graph.like(x, 0))
    factor = graph("Div", x, graph("Where", is_one, one, rounded))
    near = graph("Where", is_one, x, graph("Mul", plain, factor))
    return graph("Where", graph("Less", graph("Abs", x), graph.like(x, 0.5)), near, plain)


# ---- comparisons ---------------------------------------------------------------------------------

COMPARISONS = {"less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
               "greater_equal": "GreaterOrEqual", "equal": "Equal", "not_equal": "Equal"}


@translates(*COMPARISONS)
def compare(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    if a.dtype.kind == "b" and op.name not in ("equal", "not_equal"):
        a, b = (graph.cast(x, np.int32) for x in (a, b))    # bools are only equal or not
    y = graph(COMPARISONS[op.name], a, b)
    return graph("Not", y) if op.name == "not_equal" else y


@translates("bitwise_and", "bitwise_or", "bitwise_xor")
def bitwise(graph: Graph, op: Op) -> Operand:
    name = op.name.removeprefix("bitwise_").capitalize()
    return graph(name if op.dtype.kind == "b" else f"Bitwise{name}", *op.inputs)


@translates("invert")
def invert(graph: Graph, op: Op) -> Operand:
    return graph("Not" if op.dtype.kind == "b" else "BitwiseNot", op.x)


# ---- choices -------------------------------------------------------------------------------------

@translates("maximum", "minimum")
def extreme(graph: Graph, op: Op) -> Operand:
    largest = op.name == "maximum"
    if op.dtype.kind == "b":
        return graph("Or" if largest else "And", *op.inputs)
    return graph("Max" if largest else "Min", *op.inputs)


@translates("_clamp")
def clamp(graph: Graph, op: Op) -> Operand:
    return clip(graph, op.x, op.static["min"], op.static["max"])


@translates("_at_least")
def at_least(graph: Graph, op: Op) -> Operand:
    return clip(graph, op.x, op.static["least"], None)


@translates("_hardtanh")
def hardtanh(graph: Graph, op: Op) -> Operand:
    return clip(graph, op.x, op.static["low"], op.static["high"])


def clip(graph: Graph, x: Value, low: float | None, high: float | None) -> Operand:
    """x held between two numbers; high where low > high"""
    if any(bound is not None and math.isnan(bound) for bound in (low, high)):
        return graph("Add", x, graph.like(x, math.nan))
    if not x.is_float:                          # a bound may be no integer
        low, high = (None if bound is None else round_(bound)
                     for bound, round_ in ((low, math.ceil), (high, math.floor)))
    return graph("Clip", x, *(None if bound is None else graph.like(x, bound)
                              for bound in (low, high)))


@translates("_clamp_between")
def clamp_between(graph: Graph, op: Op) -> Operand:
    x, low, high = op.inputs
    if op.dtype.kind == "b":
        return graph("And", graph("Or", x, low), high)
    return graph("Min", graph("Max", x, low), high)


@translates("_where")
def where(graph: Graph, op: Op) -> Operand:
    a, b = op.inputs
    mask: Any = op.static["mask"]
    if op.dtype.kind == "b":                    # onnxruntime's Where has no bools
        return graph("Or", graph("And", mask, a), graph("And", graph("Not", mask), b))
    return graph("Where", mask, a, b)
