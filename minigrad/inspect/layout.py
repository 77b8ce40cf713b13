"""How a graph is laid out: in rows, from top to bottom, each module call in a box of its own.

Each box is laid out by itself, as in Sugiyama's method: a rank for each item, below all that it
needs; a bend wherever an edge passes a rank; and in each row an order with few crossings. All this
is the same whether a box is folded or not. An edge that leaves or enters a box does so through a
port, an item of the box's first or last row. Only the coordinates (place.py) depend on which boxes
are folded.

Source: Sugiyama, Tagawa & Toda 1981; for nested graphs Sugiyama & Misue 1991.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from minigrad.inspect.graph import Graph, Vertex
from minigrad.inspect.recording import Call

SWEEPS = 8          # how often the rows are reordered, alternately downwards and upwards


@dataclass(eq=False)
class Item:
    """What takes a place in a row. w, h: its size. x, y: its centre and its top, within the box.
    tensor: what goes through a port or a bend. label: the width of the shape that stands below."""

    kind: Literal["vertex", "box", "in", "out", "bend"]
    vertex: Vertex | None = None
    box: Box | None = None
    tensor: Vertex | None = None
    rank: int = 0
    w: float = 0.0
    h: float = 0.0
    x: float = 0.0
    y: float = 0.0
    label: float = 0.0


@dataclass
class Link:
    """A part of an edge, from an item to one in the next row. out, into: at which place of how many
    along the sides of the two it is attached."""

    a: Item
    b: Item
    tensor: Vertex
    out: tuple[int, int] = (0, 1)
    into: tuple[int, int] = (0, 1)


@dataclass(eq=False)
class Box:
    """A module call, or the whole drawing, with what is directly inside. size: when folded."""

    call: Call | None
    number: int
    parent: Box | None
    items: list[Item] = field(default_factory=list)
    rows: list[list[Item]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    open: bool = True
    size: tuple[float, float] = (0.0, 0.0)
    ports: dict[tuple[str, Vertex], Item] = field(default_factory=dict)
    item_of: dict[Box | Vertex, Item] = field(default_factory=dict)
    linked: set[tuple[Item, Item, Vertex]] = field(default_factory=set)

    def inner(self) -> Iterator[Box]:
        """The boxes directly inside."""
        return (item.box for item in self.items if item.box is not None)

    def all(self) -> Iterator[Box]:
        yield self
        for box in self.inner():
            yield from box.all()

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1


@dataclass
class Plan:
    """The root box; the boxes that each vertex is in, from the root; what is shown within an op
    because no other op uses it; and the modules that consist of a single op, which get no box."""

    root: Box
    chains: dict[Vertex, list[Box]]
    inlined: dict[Vertex, list[Vertex]]
    alone: dict[Vertex, list[Call]]


def plan(graph: Graph) -> Plan:
    """Boxes, rows and links of a graph; coordinates are still to be computed."""
    users = {vertex: list(dict.fromkeys(found)) for vertex, found in graph.users().items()}
    inlined: dict[Vertex, list[Vertex]] = {vertex: [] for vertex in graph.vertices}
    shown = []
    for vertex in graph.vertices:
        if vertex.kind not in ("op", "input") and len(users[vertex]) == 1:
            inlined[users[vertex][0]].append(vertex)
        elif not vertex.is_number:
            shown.append(vertex)
        for x in dict.fromkeys(vertex.inputs):      # a number that several ops use
            if x.is_number and len(users[x]) > 1:
                inlined[vertex].append(x)
    result = Plan(Box(None, 0, None), {}, inlined, {})
    _make_boxes(result, shown, users)
    for vertex in shown:
        for x in dict.fromkeys(vertex.inputs):
            if x in result.chains:
                _connect(result, x, vertex)
    for box in result.root.all():
        _arrange(box)
    return result


# ---- boxes and links -----------------------------------------------------------------------------

def _make_boxes(result: Plan, shown: list[Vertex], users: dict[Vertex, list[Vertex]]) -> None:
    ops = Counter(call for vertex in shown for call in vertex.calls)
    boxes: dict[Call, Box] = {}
    for vertex in shown:
        if vertex.kind == "op":
            chain = [result.root]
            for call in vertex.calls:
                if ops[call] == 1:
                    continue
                if call not in boxes:
                    boxes[call] = Box(call, len(boxes) + 1, chain[-1])
                    _add(chain[-1], boxes[call], Item("box", box=boxes[call]))
                chain.append(boxes[call])
            result.chains[vertex] = chain
            result.alone[vertex] = [call for call in vertex.calls if ops[call] == 1]
    for vertex in shown:
        if vertex.kind != "op":             # in the innermost box around all that use it
            chains = [result.chains[user] for user in users[vertex]] or [[result.root]]
            common = [level[0] for level in zip(*chains, strict=False) if len(set(level)) == 1]
            result.chains[vertex] = common[:1] if vertex.kind == "input" else common
    for vertex, chain in result.chains.items():
        _add(chain[-1], vertex, Item("vertex", vertex=vertex))


def _add(box: Box, content: Box | Vertex, item: Item) -> None:
    box.items.append(item)
    box.item_of[content] = item


def _connect(result: Plan, x: Vertex, y: Vertex) -> None:
    """Links from x to y, through the ports of the boxes that are left and entered."""
    def steps(vertex: Vertex) -> list[tuple[Box, Item]]:
        chain = result.chains[vertex]
        contents: list[Box | Vertex] = [*chain[1:], vertex]
        return [(box, box.item_of[inner]) for box, inner in zip(chain, contents, strict=True)]

    left, entered = steps(x), steps(y)
    level = 0
    while (level + 1 < min(len(left), len(entered))
           and left[level + 1][0] is entered[level + 1][0]):
        level += 1
    _link(left[level][0], left[level][1], entered[level][1], x)
    for box, item in left[level + 1:]:
        _link(box, item, _port(box, "out", x), x)
    for box, item in entered[level + 1:]:
        _link(box, _port(box, "in", x), item, x)


def _port(box: Box, side: Literal["in", "out"], tensor: Vertex) -> Item:
    if (side, tensor) not in box.ports:
        box.ports[side, tensor] = Item(side, tensor=tensor)
        box.items.append(box.ports[side, tensor])
    return box.ports[side, tensor]


def _link(box: Box, a: Item, b: Item, tensor: Vertex) -> None:
    if (a, b, tensor) not in box.linked:
        box.linked.add((a, b, tensor))
        box.links.append(Link(a, b, tensor))


# ---- ranks, bends, order -------------------------------------------------------------------------

def _arrange(box: Box) -> None:
    if not box.items:
        return
    _set_ranks(box)
    _bend_long_links(box)
    last = max(item.rank for item in box.items)
    box.rows = [[item for item in box.items if item.rank == rank] for rank in range(last + 1)]
    _order(box)
    _attach(box)


def _time(item: Item) -> float:
    """An item's place in the order of computation: each comes after those that it needs."""
    if item.kind in ("in", "out"):
        return -2.0 if item.kind == "in" else float("inf")
    if item.vertex is not None:
        return item.vertex.number if item.vertex.kind == "op" else -1.0
    assert item.box is not None
    return min(_time(inner) for inner in item.box.items if inner.kind in ("vertex", "box")
               and _time(inner) >= 0)


def _set_ranks(box: Box) -> None:
    time = {item: _time(item) for item in box.items}
    box.items.sort(key=time.__getitem__)
    before: dict[Item, list[Item]] = {item: [] for item in box.items}
    after: dict[Item, list[Item]] = {item: [] for item in box.items}
    for link in box.links:
        before[link.b].append(link.a)
        after[link.a].append(link.b)
    inside = [item for item in box.items if item.kind in ("vertex", "box")]
    for item in inside:
        item.rank = max((x.rank + 1 for x in before[item] if x.kind in ("vertex", "box")),
                        default=0)
    for item in reversed(inside):               # each stands as close as it can to what needs it
        needed_by = [x.rank for x in after[item] if x.kind in ("vertex", "box")]
        if needed_by:
            item.rank = min(needed_by) - 1
    first = min(item.rank for item in inside) - any(item.kind == "in" for item in box.items)
    last = max(item.rank for item in inside) + 1
    for item in box.items:
        item.rank = {"in": first, "out": last}.get(item.kind, item.rank) - first


def _bend_long_links(box: Box) -> None:
    """Replace a link over several rows by links from row to row. What one item sends to several
    others goes together as far as it can."""
    bends: dict[tuple[Item, Vertex, int], Item] = {}
    links: dict[tuple[Item, Item, Vertex], Link] = {}
    for link in box.links:
        a = link.a
        for rank in range(link.a.rank + 1, link.b.rank):
            key = (link.a, link.tensor, rank)
            if key not in bends:
                bends[key] = Item("bend", tensor=link.tensor, rank=rank)
                box.items.append(bends[key])
            links.setdefault((a, bends[key], link.tensor), Link(a, bends[key], link.tensor))
            a = bends[key]
        links.setdefault((a, link.b, link.tensor), Link(a, link.b, link.tensor))
    box.links = list(links.values())


def _order(box: Box) -> None:
    """Sort each row by the mean place of the neighbours above, or below, as long as this helps."""
    above: dict[Item, list[Item]] = {item: [] for item in box.items}
    below: dict[Item, list[Item]] = {item: [] for item in box.items}
    for link in box.links:
        above[link.b].append(link.a)
        below[link.a].append(link.b)
    best, fewest = [list(row) for row in box.rows], _crossings(box)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows, neighbours = (box.rows, above) if sweep % 2 == 0 else (box.rows[::-1], below)
        for previous, row in pairwise(rows):
            place = {item: i for i, item in enumerate(previous)}
            own = {item: float(i) for i, item in enumerate(row)}
            for item in row:
                if neighbours[item]:
                    places = [place[x] for x in neighbours[item]]
                    own[item] = sum(places) / len(places)
            row.sort(key=own.__getitem__)
        if (crossings := _crossings(box)) < fewest:
            best, fewest = [list(row) for row in box.rows], crossings
    box.rows = best


def _crossings(box: Box) -> int:
    place = {item: i for row in box.rows for i, item in enumerate(row)}
    by_rank: dict[int, list[tuple[int, int]]] = {}
    for link in box.links:
        by_rank.setdefault(link.a.rank, []).append((place[link.a], place[link.b]))
    return sum((a - c) * (b - d) < 0 for ends in by_rank.values()
               for i, (a, b) in enumerate(ends) for c, d in ends[:i])


def _attach(box: Box) -> None:
    """Where along an item's side each of its links ends, in the order of the items at the other
    end; what one tensor sends from one place leaves it once."""
    place = {item: i for row in box.rows for i, item in enumerate(row)}
    arriving: dict[Item, list[Link]] = {item: [] for item in box.items}
    leaving: dict[Item, list[Link]] = {item: [] for item in box.items}
    for link in box.links:
        arriving[link.b].append(link)
        leaving[link.a].append(link)
    for links in arriving.values():
        links.sort(key=lambda link: place[link.a])
        for i, link in enumerate(links):
            link.into = (i, len(links))
    for links in leaving.values():
        links.sort(key=lambda link: place[link.b])
        tensors = {tensor: i for i, tensor in enumerate(dict.fromkeys(x.tensor for x in links))}
        for link in links:
            link.out = (tensors[link.tensor], len(tensors))
