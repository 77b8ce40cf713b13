"""The formula of a gradient, from what its vjp does: the ops that it runs, as an expression.

A vjp is made of ops. While it is recorded it runs none that could not be differentiated again, so
every step is an op with a name, or one of those whose docstring says what they compute:

    lambda g: g * b                     ∂L/∂a = g · b
    lambda g, y: _tanh_grad(g, y)       ∂L/∂x = g·(1 - y²), the docstring of _tanh_grad
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.inplace import captured_by
from minigrad.observer import Observer
from minigrad.tensor import Tensor

LONGEST = 90            # characters; a longer formula explains nothing

SUM, PRODUCT, SIGN, ATOM = 1, 2, 3, 4       # how closely an expression binds
Expression = tuple[str, int]

INFIX: dict[str, tuple[str, int]] = {
    "add": (" + ", SUM), "sub": (" - ", SUM), "mul": (" · ", PRODUCT), "div": (" / ", PRODUCT),
    **dict.fromkeys(("_matmul", "matmul", "_dot"), (" @ ", PRODUCT))}
POSTFIX = {"square": "²", "reciprocal": "⁻¹"}
SAME_VALUES = {"cast", "clone", "expand", "reshape"}
_SAYS = re.compile(r"d\w+(?: \([^)]*\))?(?: of y = [^:;]*:| =) ?(.+)")


class Formulas(Observer):
    """Writes the formula of each vjp that is run within `with formulas:` and recorded.

    names: gives those of Tensors, by id, for a vertex of the graph. found: for each gradient, in
    the order in which they are sent, the formula, "" where it would be too long; and of the ops
    that it names, the first lines of their docstrings.
    """

    def __init__(self, names: Callable[[Any, Any], dict[int, str]]) -> None:
        self.names = names
        self.found: list[tuple[str, dict[str, str]]] = []
        self._helpers: dict[str, str] = {}
        self._known: dict[int, Expression] | None = None
        self._alive: list[Tensor] = []          # so that no id is used twice

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self._known = {key: (name, ATOM) for key, name in self.names(vertex, parent).items()}
        self._known[id(g)] = ("g", ATOM)
        self._alive, self._helpers = [g], {}
        self._node = vertex

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        if self._known is not None:
            self._known[id(y)] = self._written(op, [x for x in inputs if x is not None], static)
            self._alive += [y, *(x for x in inputs if x is not None)]

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        text = self._name(sent)[0]
        if text == "g" and sent.shape != self._alive[0].shape:
            text = "g, in the shape of the input"
        readable = len(text) <= LONGEST and "…" not in text.replace("(N, C, …)", "")
        self.found.append((text, self._helpers) if readable else ("", {}))
        self._known = None

    def _name(self, x: Tensor) -> Expression:
        assert self._known is not None
        if id(x) in self._known:
            return self._known[id(x)]
        if x.node is not None and x.node is self._node:
            return "y", ATOM
        if x.node is None and x.data.size and (x.data == x.data.flat[0]).all():
            return _number(x.data.flat[0])
        return "constants" if x.node is None else "…", ATOM

    def _written(self, op: Any, inputs: list[Tensor], static: dict[str, Any]) -> Expression:
        name = op.__name__
        parts = [self._name(x) for x in inputs]
        texts = [text for text, _ in parts]
        if name in SAME_VALUES:
            return parts[0]
        if name in INFIX and static.get("alpha", 1) == 1:
            sign, level = INFIX[name]
            right = level + (name in ("sub", "div"))
            return f"{_within(parts[0], level)}{sign}{_within(parts[1], right)}", level
        if name == "neg":
            return f"-{_within(parts[0], PRODUCT)}", SIGN
        if name in POSTFIX:
            return f"{_within(parts[0], ATOM)}{POSTFIX[name]}", ATOM
        if name == "pow":
            return f"{_within(parts[0], ATOM)}^{_within(parts[1], ATOM)}", ATOM
        if _is_transpose(name, static, inputs[0].ndim):
            if product := re.fullmatch(r"(\w+)ᵀ @ (\w+)ᵀ", texts[0]):
                return f"{product[2]} @ {product[1]}", PRODUCT
            return f"{_within(parts[0], ATOM)}ᵀ", ATOM
        said = says(op)
        if said and texts == list(op.__wrapped__.__code__.co_varnames[:len(texts)]):
            return said, SUM
        if name == "sum":
            return f"Σ {_within(parts[0], PRODUCT)}", PRODUCT
        if name == "_where":
            return f"where(mask, {texts[0]}, {texts[1]})", ATOM
        name = name.lstrip("_")
        self._helpers[name] = (op.__doc__ or "").strip().partition("\n")[0]
        return f"{name}({', '.join(texts)})", ATOM


def _number(value: Any) -> Expression:
    """2, 0.25, -3 or 1/6."""
    text = f"{value:.4g}" if isinstance(value, np.floating) else str(value)
    if value and isinstance(value, np.floating) and abs(float(text) - value) > 1e-6 * abs(value) \
            and abs(1 / value - round(1 / value)) < 1e-4:
        return f"1/{round(1 / value)}", PRODUCT
    return text, ATOM if value >= 0 else SIGN


def _is_transpose(name: str, static: dict[str, Any], ndim: int) -> bool:
    """Whether an op exchanges the last two dims and nothing else."""
    if name == "transpose":
        return {static["dim0"] % ndim, static["dim1"] % ndim} == {ndim - 2, ndim - 1}
    return name == "permute" and [d % ndim for d in static["dims"]] == [
        *range(ndim - 2), ndim - 1, ndim - 2]


def _within(part: Expression, level: int) -> str:
    return part[0] if part[1] >= level else f"({part[0]})"


def says(op: Any) -> str:
    """The right-hand side of the formula in an op's docstring, if it is that of a gradient."""
    match = _SAYS.match((op.__doc__ or "").strip().partition("\n")[0])
    return match[1].partition(" of y = ")[0].partition(", with ")[0].strip() if match else ""


def stated(op: Any, name: str) -> str:
    """What the docstring of an op states about the gradient of an input, after "vjp:"."""
    found = re.search(r"\bvjp:\s*(.+?)\s*(?:\n\s*\n|$)", op.__doc__ or "", re.S)
    parts = re.split(r"[;,]\s+(?=d\w+ = )", re.sub(r"\s+", " ", found[1])) if found else []
    for part in parts:
        if part.startswith(f"d{name} = "):
            return part.partition(" = ")[2]
    return parts[0] if len(parts) == 1 and not re.match(r"d\w+ = ", parts[0]) else ""


def names_captured(vjp: Callable[..., Any]) -> dict[int, str]:
    """The names that a vjp has for the Tensors it has captured, by id."""
    found: dict[int, str] = {}
    for function in [vjp, *(f for f in captured_by([vjp]) if hasattr(f, "__code__"))]:
        cells = getattr(function, "__closure__", None) or ()
        for name, cell in zip(function.__code__.co_freevars if cells else (), cells, strict=True):
            value = cell.cell_contents
            if isinstance(value, Tensor):
                found.setdefault(id(value), name)
    return found
