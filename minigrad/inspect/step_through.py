"""step_through: forward and backward through a computation, a vertex at a time, on one page."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from minigrad import atomic, autograd
from minigrad.autograd import registry
from minigrad.inspect.draw import Drawing, shape_of
from minigrad.inspect.encode import Table, number
from minigrad.inspect.formula import Formulas, names_captured, stated
from minigrad.inspect.graph import Graph, Vertex
from minigrad.inspect.look import computation
from minigrad.inspect.pages import filled
from minigrad.inspect.recording import Step
from minigrad.inspect.sources import short, source_of
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.tensor import Tensor

SHORT = {"input": "x", "weight": "w", "bias": "b", "other": "b", "exponent": "b"}
"""How the formulas in minigrad call what torch's names for arguments stand for."""


class StepThrough:
    """A page, which shows itself in a notebook. html: its text. data: what it shows, by vertex."""

    def __init__(self, graph: Graph, title: str) -> None:
        self.data = _data(graph)
        data = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False,
                          allow_nan=False)
        self.html = filled(Path(__file__).with_suffix(".html"), title=escape(title),
                           drawing=Drawing(graph).svg, data=data.replace("<", "\\u003c"))

    def save(self, path: str | Path) -> None:
        atomic.write_text(path, self.html)

    def _repr_html_(self) -> str:
        return ("<iframe title='step by step' style='width:100%;height:760px;border:0' "
                f"srcdoc=\"{escape(self.html)}\"></iframe>")

    def __repr__(self) -> str:
        return (f"<StepThrough of {len(self.data['vertices'])} vertices; save(path) writes the "
                "page>")


def step_through(loss: Any, *inputs: Any, net: Module | None = None, title: str = "", **kwargs: Any
                 ) -> StepThrough:
    """A page on which one goes through a computation, first forward and then backward, a vertex at
    a time: what each op computes, the gradient that arrives, the formula of its vjp, the gradients
    that it sends on, where several add up, and where those of broadcast inputs are summed.

        step_through(lambda: F.mse_loss(net(x), y)).save("page.html")

    loss: a function that computes one number, which is run on the inputs and watched; networks are
    left as they were. Or the number itself, already computed: then values that the backward pass
    does not need are not known, nor are lines of the program, and `net` gives parameters their
    names. No `.grad` is changed.

    The page needs nothing but itself. It shows small tensors in full, and large ones as a heat map
    with a histogram.

    Raises: TypeError for anything else; ValueError if it is not one number; RuntimeError if it does
    not require grad or its graph was freed.
    """
    with computation("step_through", loss, inputs, kwargs, net) as graph:
        if len(graph.outputs) != 1 or graph.outputs[0].shape not in ((), (1,)):
            raise ValueError("step_through: needs a loss, which is one number; got shapes "
                             + ", ".join(str(y.shape) for y in graph.outputs))
        if graph.outputs[0].node is None or graph.outputs[0].kind != "op":
            raise RuntimeError("step_through: the loss does not require grad, or is no op's result")
        return StepThrough(graph, title or "Backpropagation, step by step")


# ---- the backward pass ---------------------------------------------------------------------------

class _Sent(Observer):
    """Keeps each gradient that is sent, in the order of sending."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, Any, Tensor, Tensor, Tensor]] = []

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self.g = g

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        self.found.append((vertex, parent, self.g, sent, gx))


def _run_backward(graph: Graph, *, recorded: bool, observer: Observer) -> list[Tensor | None]:
    (loss,) = graph.outputs
    seed = autograd.Tensor(loss.node.dtype.type(1).reshape(loss.shape))
    y = Tensor(seed.data)
    y.node, y._requires_grad = loss.node, True
    with observer:
        return autograd.backward([y], [seed], inputs=_leaves(graph), retain_graph=True,
                                 create_graph=recorded)


def _leaves(graph: Graph) -> list[Tensor]:
    return [vertex.node for vertex in graph.vertices if isinstance(vertex.node, Tensor)]


# ---- what the page shows -------------------------------------------------------------------------

def _data(graph: Graph) -> dict[str, Any]:
    sent, formulas = _Sent(), Formulas(_names)
    gradients = _run_backward(graph, recorded=False, observer=sent)
    _run_backward(graph, recorded=True, observer=formulas)
    table = Table()
    by_node = {vertex.node: vertex for vertex in graph.vertices if vertex.node is not None}
    shown = {vertex: _about(vertex, table) for vertex in graph.vertices if not vertex.is_number}
    for leaf, g in zip(_leaves(graph), gradients, strict=True):
        if g is not None:
            shown[by_node[leaf]]["gradient"] = table.add(g.data)
    times: Counter[tuple[Any, Any]] = Counter()
    for (node, parent, g, raw, gx), (text, helpers) in zip(sent.found, formulas.found, strict=True):
        vertex, target = by_node[node], by_node[parent]
        shown[vertex]["gradient"] = table.add(g.data)
        place = _place(vertex, target, times[node, parent])
        times[node, parent] += 1
        name = shown[vertex]["names"][place]
        op = _op(vertex)
        source = source_of(_vjp(node, parent, times[node, parent]))
        formula = stated(op, name) or text
        shown[vertex]["sends"].append({
            "to": target.number, "name": name, "formula": formula,
            "helpers": helpers if formula == text else {}, "where": str(source),
            "code": source.code, "sent": table.add(raw.data), "gradient": table.add(gx.data),
            "summed": _summed(raw.shape, gx.shape)})
    (loss,) = graph.outputs
    order = [v.number for v in sorted(by_node.values(), key=lambda v: (v.kind == "op", v.number),
                                      reverse=True) if "gradient" in shown[v]]
    return {"loss": loss.number, "vertices": {v.number: about for v, about in shown.items()},
            "forward": [v.number for v in shown if v.kind == "op"], "backward": order,
            "arrays": table.entries}


def _about(vertex: Vertex, table: Table) -> dict[str, Any]:
    about: dict[str, Any] = {
        "kind": vertex.kind, "name": vertex.name, "shape": shape_of(vertex),
        "value": None if vertex.value is None else table.add(vertex.value.data),
        "inputs": [number(x.value.item()) if x.is_number and x.value is not None else x.number
                   for x in vertex.inputs],
        "numbers": [i for i, x in enumerate(vertex.inputs) if x.is_number],
        "names": [], "sends": [], "module": "", "line": "", "code": "", "says": "", "source": ""}
    if vertex.kind == "op" and (op := _op(vertex)) is not None:
        source = source_of(op)
        about |= {"names": _input_names(op, vertex), "says": _said(op), "source": str(source)}
    elif vertex.kind == "op":
        about["names"] = _input_names(None, vertex)
    if (place := vertex.place) is not None:
        kind = type(place.modules[-1][1]).__name__ if place.modules else ""
        about |= {"module": " ".join(filter(None, [place.path, kind])), "code": place.code,
                  "line": f"{short(place.file)}:{place.line}" if place.file else ""}
    return about


def _op(vertex: Vertex) -> Any:
    """The op that made a vertex; of a graph that was not watched, the one of this name."""
    if vertex.step is not None:
        return vertex.step.op
    found = [op for op in registry.values() if op.__name__ == vertex.node.name]
    return found[0] if len(found) == 1 else None


def _said(op: Any) -> str:
    """The first paragraph of an op's docstring, without what it states about gradients."""
    text = (inspect.getdoc(op) or "").partition("\n\n")[0].partition("vjp:")[0]
    return " ".join(text.split())


def _input_names(op: Any, vertex: Vertex) -> list[str]:
    """What the inputs are called, shortly: x, w, b."""
    step = vertex.step if isinstance(vertex.step, Step) else None
    given = step.inputs if step else tuple(vertex.inputs)
    parameters = [p for p in inspect.signature(op).parameters.values()
                  if p.kind is not p.KEYWORD_ONLY] if op is not None else []
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return [f"{parameters[0].name}[{i}]" for i in range(len(given))]
    if len(parameters) < len(given) or (step is None and len(parameters) > len(given)):
        return ["x"] if len(given) == 1 else [f"x{i}" for i in range(len(given))]
    return [SHORT.get(p.name, p.name) for p, x in zip(parameters, given, strict=False)
            if x is not None]


def _names(node: Any, parent: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    for _, vjp in node.edges:
        found = names_captured(vjp) | found
    return found


def _vjp(node: Any, parent: Any, time: int) -> Any:
    """The vjp of the edge by which a gradient was sent to a parent for the time-th time."""
    return [vjp for other, vjp in node.edges if other is parent][time - 1]


def _place(vertex: Vertex, target: Vertex, time: int) -> int:
    """Which input of an op a target is, where it may be several."""
    places = [i for i, x in enumerate(vertex.inputs) if x is target]
    return places[min(time, len(places) - 1)]


def _summed(sent: Sequence[int], gx: Sequence[int]) -> str:
    """Over which dims a gradient was summed, in words; "" if it was not."""
    if tuple(sent) == tuple(gx):
        return ""
    lead = len(sent) - len(gx)
    dims = [*range(lead), *(i for i, n in enumerate(gx, lead) if n == 1 != sent[i])]
    return ", ".join(map(str, dims))
