"""draw: the graph of a computation as a picture, with a box for each call of a module."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from minigrad import atomic
from minigrad.inspect.graph import Graph, Vertex
from minigrad.inspect.layout import Box, Item, Link, Plan, plan
from minigrad.inspect.look import computation
from minigrad.inspect.place import STRAIGHT, enters, leaves, place
from minigrad.nn import Module

LARGE, SMALL = 7.3, 6.4     # the widths of a character
LINE, PADDING = 17.0, 12.0
ARROW = ('<marker id="minigrad-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" '
         'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
         '<path d="M0 .8 7.5 4 0 7.2z"/></marker>')
READABLE = 28               # so many items are shown at first, if the modules can be folded so


class Drawing:
    """A picture that shows itself in a notebook. svg: its text.

    Boxes fold and unfold by a click, or by Enter where they have the focus, also in the SVG itself
    if it is opened in a browser. An SVG within an <img> is a picture only: it shows the boxes as
    they are at first.
    """

    def __init__(self, graph: Graph, depth: int | None = None) -> None:
        self.graph = graph
        self._plan = plan(graph)
        _measure(self._plan)
        _fold(self._plan.root, depth)
        self._width, self._height = place(self._plan.root)
        self.svg = _svg(self._plan, graph, self._width, self._height)

    @property
    def html(self) -> str:
        """A page that holds the picture and nothing else."""
        return ("<!doctype html><meta charset='utf-8'><meta name='viewport' content='width=device-"
                "width'><title>graph</title><style>:root{color-scheme:light dark}body{margin:0;"
                "display:flex;background:#fdfcfa}svg{margin:auto}@media(prefers-color-scheme:dark)"
                f"{{body{{background:#191817}}}}</style>{self.svg}")

    def save(self, path: str | Path) -> None:
        """Write an SVG file, or a page if the name ends in .html.

        Raises: ValueError for another ending.
        """
        suffix = Path(path).suffix
        if suffix not in (".svg", ".html"):
            raise ValueError(f"save: the name must end in .svg or .html; got {str(path)!r}")
        atomic.write_text(path, self.svg if suffix == ".svg" else self.html)

    def _repr_html_(self) -> str:
        height = min(self._height + 20, 720)
        return (f"<iframe title='graph' style='width:100%;height:{height:.0f}px;border:0' "
                f"srcdoc=\"{escape(self.html)}\"></iframe>")

    def __repr__(self) -> str:
        return f"<Drawing of {len(self.graph.vertices)} vertices; save(path) writes it>"


def draw(what: Any, *inputs: Any, net: Module | None = None, depth: int | None = None,
         **kwargs: Any) -> Drawing:
    """The graph of a computation: each op with its parameters, shapes along the edges.

        draw(net, x).save("net.svg")
        draw(lambda: F.cross_entropy(net(x), target))
        draw(loss, net=net)

    A network or a function is run on the inputs, and watched: then everything is known, and the ops
    are grouped by the calls of modules that they ran in. Networks are left as they were.

    Of Tensors that have been computed already, the graph holds only what the backward pass needs:
    ops that gradients flow through, but neither modules nor inputs without a gradient. There are no
    groups; `net` gives the parameters their names.

    A parameter that one op uses stands within it; one that several use is drawn once. A module
    consisting of one op needs no box. depth: how many levels of boxes are unfolded at first; unless
    given, as many as stay readable.

    Raises: TypeError for anything else; RuntimeError for a graph that was freed by backward().
    """
    with computation("draw", what, inputs, kwargs, net) as graph:
        return Drawing(graph, depth)


# ---- what is written in boxes --------------------------------------------------------------------

def title_of(vertex: Vertex) -> str:
    return vertex.name or vertex.kind


def shape_of(vertex: Vertex) -> str:
    return " × ".join(map(str, vertex.shape)) or "scalar"


def _lines(result: Plan, vertex: Vertex) -> tuple[list[tuple[str, str]], list[str]]:
    """The first line of an op or a value, as (style, text); and those below it."""
    head = [("name", title_of(vertex))]
    below = []
    for x in result.inlined[vertex]:
        if x.is_number and x.value is not None:
            head.append(("faint", f"{x.value.item():.4g}"))
        else:
            name = x.name.rpartition(".")[2] or x.kind
            below.append(f"{name} {shape_of(x).replace(' ', '')}")
    if vertex.step is not None:
        head += [("faint", text) for text in arguments(vertex)]
    if alone := result.alone.get(vertex):
        names, kind = [call.name for call in alone if call.name], type(alone[-1].module).__name__
        below.insert(0, " ".join([*filter(None, [".".join(names)]), kind]))
    return head, below


def arguments(vertex: Vertex) -> list[str]:
    """The static arguments of an op that a caller gave, if a few characters suffice: dim=1."""
    assert vertex.step is not None
    private = vertex.step.op.__name__.startswith("_")
    return [text for name, value in vertex.step.static.items()
            if isinstance(value, bool | int | float | str | tuple) and (name == "dim" or not (
                private or value is False)) and len(text := f"{name}={value}") < 24]


def _measure(result: Plan) -> None:
    for box in result.root.all():
        if box.call is not None:
            box.size = (max(len(_heading(box)) * LARGE + 44, len(_content(box)) * SMALL + 42), 48.0)
        for item in box.items:
            if item.vertex is not None:
                head, below = _lines(result, item.vertex)
                first = sum(len(text) + 1 for _, text in head) * LARGE
                item.w = max([first, *(len(line) * SMALL for line in below)]) + 2 * PADDING
                item.h = 28.0 + LINE * len(below)
                item.label = 8 + len(shape_of(item.vertex)) * SMALL


def _heading(box: Box) -> str:
    assert box.call is not None
    kind = type(box.call.module).__name__
    name = f"{box.call.name} {kind}" if box.call.name and box.call.name != f"<{kind}>" else kind
    return f"{name}, call {box.call.number}" if box.call.number > 1 else name


def _content(box: Box) -> str:
    ops = sum(item.vertex is not None and item.vertex.kind == "op"
              for inner in box.all() for item in inner.items)
    assert box.call is not None
    n = sum(p.numel() for p in box.call.module.parameters())
    return f"{ops} ops" + (f", {n:,} parameters" if n else "")


def _fold(root: Box, depth: int | None) -> None:
    """Unfold the boxes down to a depth."""
    boxes = list(root.all())
    if depth is None:
        depth = 1
        while (depth < max(box.depth for box in boxes) + 1
               and _shown(boxes, depth + 1) <= READABLE):
            depth += 1
    for box in boxes:
        box.open = box.depth <= depth


def _shown(boxes: list[Box], depth: int) -> int:
    """How many items are seen if boxes are unfolded down to this depth."""
    return sum(item.kind in ("vertex", "box") for box in boxes if box.depth <= depth
               for item in box.items)


# ---- SVG -----------------------------------------------------------------------------------------

def _svg(result: Plan, graph: Graph, width: float, height: float) -> str:
    here = Path(__file__).parent
    data = [_data(box) for box in sorted(result.root.all(), key=lambda box: box.number)]
    label = f"Graph of {sum(v.kind == 'op' for v in graph.vertices)} ops"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="minigrad-graph" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="group" '
            f'aria-label="{label}"><style>{here.joinpath("draw.css").read_text("utf-8")}</style>'
            f'<defs>{ARROW}</defs>'
            f'{_body(result, result.root)}<script><![CDATA[\nconst boxes = '
            f'{json.dumps(data, separators=(",", ":"))};\n'
            f'{here.joinpath("place.js").read_text("utf-8")}]]></script></svg>')


def _body(result: Plan, box: Box) -> str:
    links = "".join(f'<path class="{"arrow" if _has_arrow(link) else ""}" data-tensor='
                    f'"{link.tensor.number}" d="{_curve(link)}"/>' for link in box.links)
    bends = "".join(f'<path data-bend="{i}" d="M{item.x:.1f} {item.y:.1f}v{item.h:.1f}"/>'
                    for i, item in enumerate(box.items) if item.kind == "bend")
    items = "".join(_vertex(result, item) if item.vertex is not None else _box(result, item)
                    for item in box.items if item.kind in ("vertex", "box"))
    return f'<g class="links">{links}{bends}</g>{items}'


def _vertex(result: Plan, item: Item) -> str:
    vertex = item.vertex
    assert vertex is not None
    head, below = _lines(result, vertex)
    spans = " ".join(f'<tspan class="{style}">{escape(text)}</tspan>' for style, text in head)
    lines = "".join(f'<text class="small" x="{item.w / 2:.1f}" y="{35 + LINE * i:.0f}">'
                    f'{escape(line)}</text>' for i, line in enumerate(below))
    about = [f"{title_of(vertex)}: {shape_of(vertex)} {vertex.dtype}"]
    if vertex.place is not None:
        about += [str(vertex.place), _first_line(vertex.step.op) if vertex.step else ""]
    round_ends = 6 if vertex.kind == "op" else min(item.h / 2, 14)
    return (f'<g class="vertex {vertex.kind}" data-vertex="{vertex.number}" transform="'
            f'translate({item.x - item.w / 2:.1f} {item.y:.1f})"><title>'
            f'{escape(chr(10).join(filter(None, about)))}</title><rect width="{item.w:.1f}" '
            f'height="{item.h:.1f}" rx="{round_ends}"/><text x="{item.w / 2:.1f}" y="18.5">{spans}'
            f'</text>{lines}<text class="shape" x="{item.w / 2 + 6:.1f}" y="{item.h + 14:.1f}">'
            f'{shape_of(vertex)}</text></g>')


def _box(result: Plan, item: Item) -> str:
    box = item.box
    assert box is not None
    shapes = "".join(
        f'<text class="shape" x="{x + 6:.1f}" y="{item.h + 14:.1f}">{shape_of(tensor)}</text>'
        for tensor, x in _ends(box, item))
    return (f'<g class="box {"open" if box.open else "folded"}" data-box="{box.number}" '
            f'transform="translate({item.x - item.w / 2:.1f} {item.y:.1f})">'
            f'<rect width="{item.w:.1f}" height="{item.h:.1f}" rx="9"/>'
            f'<g class="content">{_body(result, box)}</g><g class="out">{shapes}</g>'
            f'<g class="head" role="button" tabindex="0" aria-expanded="{str(box.open).lower()}">'
            f'<rect class="target" width="{len(_heading(box)) * LARGE + 40:.1f}" height="26" '
            f'rx="9"/><path class="turn" d="M0-4 7 0 0 4z"/><text x="27" y="18.5">'
            f'{escape(_heading(box))}</text></g><text class="small what" x="27" y="37">'
            f'{escape(_content(box))}</text></g>')


def _ends(box: Box, item: Item) -> list[tuple[Vertex, float]]:
    """Where each tensor leaves a folded box."""
    parent = box.parent
    assert parent is not None
    return [(tensor, item.w * (i + 1) / (n + 1)) for tensor, (i, n) in dict.fromkeys(
        (link.tensor, link.out) for link in parent.links if link.a is item)]


def _has_arrow(link: Link) -> bool:
    return link.b.kind == "vertex" or (link.b.box is not None and not link.b.box.open)


def _curve(link: Link) -> str:
    x1, y1 = link.a.x + leaves(link), link.a.y + link.a.h
    x2, y2 = link.b.x + enters(link), link.b.y
    start = min(y1 + STRAIGHT, y2)
    middle = (start + y2) / 2
    return (f"M{x1:.1f} {y1:.1f}V{start:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} "
            f"{x2:.1f} {y2:.1f}")


def _first_line(op: Any) -> str:
    return (op.__doc__ or "").strip().partition("\n")[0]


def _data(box: Box) -> dict[str, Any]:
    """What place.js needs to know of a box."""
    number = {item: i for i, item in enumerate(box.items)}

    def port(item: Item, side: str, tensor: Vertex) -> int:
        return -1 if item.box is None else item.box.items.index(item.box.ports[side, tensor])
    return {
        "open": box.open, "size": [round(side, 1) for side in box.size], "root": box.call is None,
        "items": [[item.kind, round(item.w, 1), round(item.h, 1), round(item.label, 1),
                   item.box.number if item.box else item.vertex.number if item.vertex else -1]
                  for item in box.items],
        "rows": [[number[item] for item in row] for row in box.rows],
        "links": [[number[link.a], number[link.b], *link.out, *link.into,
                   port(link.a, "out", link.tensor), port(link.b, "in", link.tensor),
                   link.tensor.number]
                  for link in box.links]}

