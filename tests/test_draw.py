"""draw: what a picture holds, and where it stands."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from inspected import NETWORKS, Stateful, built

import minigrad as mg
import minigrad.functional as F
from minigrad import nn
from minigrad.inspect import draw
from minigrad.inspect.draw import Drawing
from minigrad.inspect.layout import Box, Item
from minigrad.inspect.place import GAP, place, spread
from minigrad.models.cnn import CNN
from minigrad.models.dexpression import DeXpression

SVG = "{http://www.w3.org/2000/svg}"


def drawn(name: str, depth: int | None = None) -> Drawing:
    if name == "dexpression":
        return draw(DeXpression(size=32), mg.randn(1, 1, 32, 32), depth=depth)
    if name == "cnn":
        return draw(CNN(), mg.randn(1, 1, 28, 28), depth=depth)
    net, inputs = built(name, nn, mg)
    return draw(net, *map(mg.Tensor, inputs), depth=depth)


def elements(drawing: Drawing, kind: str) -> list[ET.Element]:
    """The groups of a class."""
    return [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g")
            if kind in (g.get("class") or "").split()]


def words(element: ET.Element) -> str:
    """The text of an element, without its shape and its tooltip."""
    return " | ".join(" ".join("".join(text.itertext()).split())
                      for text in element.findall(f"{SVG}text")
                      if text.get("class") != "shape")


ALL = [*NETWORKS, "cnn", "dexpression"]


# ---- what is there -------------------------------------------------------------------------------

def test_a_perceptron() -> None:
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    x, y = mg.randn(4, 2), mg.randn(4, 1)
    drawing = draw(lambda: F.mse_loss(net(x), y))
    assert sorted(words(v) for v in elements(drawing, "vertex")) == [
        "linear | 0 Linear | weight 8×2 | bias 8", "linear | 2 Linear | weight 1×8 | bias 1",
        "mse_loss", "tanh | 1 Tanh", "x", "y"]
    shapes = {words(v).split(" ")[0]: v.findall(f"{SVG}text")[-1].text
              for v in elements(drawing, "vertex")}
    assert shapes["x"] == "4 × 2"
    assert shapes["tanh"] == "4 × 8"
    assert shapes["mse_loss"] == "scalar"
    (box,) = elements(drawing, "box")
    assert "Sequential" in "".join(box.itertext())


@pytest.mark.parametrize("name", ALL)
def test_each_vertex_is_drawn_once(name: str) -> None:
    drawing = drawn(name)
    shown = [int(v.get("data-vertex") or -1) for v in elements(drawing, "vertex")]
    assert len(shown) == len(set(shown))
    ops = {v.number for v in drawing.graph.vertices if v.kind == "op"}
    assert ops <= set(shown)
    users = drawing.graph.users()
    for vertex in drawing.graph.vertices:       # a parameter of one op stands within that op
        if vertex.kind == "parameter":
            assert (vertex.number in shown) == (len(set(users[vertex])) > 1)


def test_shared_parameters_once() -> None:
    drawing = drawn("recurrent")
    shared = [words(v) for v in elements(drawing, "parameter")]
    assert sorted(shared) == ["enter.bias", "enter.weight", "step.weight"]
    tied = drawn("transformer")
    assert [words(v) for v in elements(tied, "parameter")] == ["tokens.weight"]


def test_calls_of_one_module_are_told_apart() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

        def forward(self, x: Any) -> Any:
            return self.block(self.block(x))

    heads = ["".join(head.itertext()) for head in elements(draw(Twice(), mg.ones(1, 3)), "head")]
    assert sorted(heads) == ["Twice", "block Sequential", "block Sequential, call 2"]


def test_folding_at_first() -> None:
    counts = []
    for depth in (1, 2, 3, 9):
        drawing = drawn("dexpression", depth)
        counts.append((len(elements(drawing, "open")), len(elements(drawing, "folded"))))
    assert counts[0][0] == 1
    assert counts[-1][1] == 0
    assert [opened for opened, _ in counts] == sorted({opened for opened, _ in counts})
    folded = elements(drawn("dexpression", 1), "folded")
    expanded = {head.get("aria-expanded") for box in folded
                for head in box.findall(f"{SVG}g") if head.get("class") == "head"}
    assert expanded == {"false"}
    (box,) = [box for box in folded if "features" in "".join(box.itertext())][:1]
    assert "parameters" in "".join(box.itertext())


def test_a_graph_that_is_there_already() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    y = net(mg.ones(1, 2)).sum()
    drawing = draw(y, net=net)
    assert [words(v) for v in elements(drawing, "vertex")] == [
        "linear | weight 3×2 | bias 3", "tanh", "sum"]
    assert "0.weight" in [v.name for v in drawing.graph.vertices]
    assert elements(drawing, "box") == []
    several = draw([y, y * 2])
    assert [v.name for v in several.graph.outputs] == ["sum", "mul"]
    assert [words(v) for v in elements(draw(mg.ones(2)), "vertex")] == ["constant"]


def test_numbers_and_arguments_stand_within_ops() -> None:
    x = mg.randn(2, 3, requires_grad=True)
    drawing = draw(lambda: (x * 2).softmax(dim=1).sum(dim=0))
    assert [words(v) for v in elements(drawing, "vertex")] == [
        "x", "mul 2", "softmax dim=1", "sum dim=0"]


def test_what_is_said_about_a_vertex() -> None:
    x = mg.randn(2, 3, requires_grad=True)
    drawing = draw(lambda: x.tanh())
    (tip,) = [v.find(f"{SVG}title").text for v in elements(drawing, "op")]
    lines = tip.split("\n")
    assert lines[0] == "tanh: 2 × 3 float32"
    assert re.fullmatch(r"test_draw\.py:\d+: drawing = draw\(lambda: x\.tanh\(\)\)", lines[1])
    assert lines[2] == "y = tanh x"


# ---- where it stands -----------------------------------------------------------------------------

def opened(drawing: Drawing) -> list[Box]:
    return [box for box in drawing._plan.root.all() if box.open]


@pytest.mark.parametrize("depth", [1, 9])
@pytest.mark.parametrize("name", ALL)
def test_nothing_overlaps_and_edges_lead_down(name: str, depth: int) -> None:
    drawing = drawn(name, depth)
    for box in opened(drawing):
        if box is not drawing._plan.root and not box.parent.open:
            continue
        width, height = place(box)
        for row in box.rows:
            for a, b in pairwise(row):
                assert b.x - b.w / 2 - (a.x + a.w / 2) >= GAP - 1e-6
        for above, below in pairwise(box.rows):
            if below[0].kind != "out":
                assert max(i.y + i.h for i in above) <= min(i.y for i in below) + 1e-6
        for link in box.links:
            assert link.b.rank == link.a.rank + 1
            assert link.a.y + link.a.h <= link.b.y + 1e-6
        for item in box.items:
            assert item.x - item.w / 2 >= 0
            assert item.x + item.w / 2 <= width
            assert item.y + item.h <= height + 1e-6


@pytest.mark.parametrize("name", ALL)
def test_every_edge_can_be_followed(name: str) -> None:
    """From each op back through links, bends and ports to each of its inputs."""
    drawing = drawn(name, 9)
    plan = drawing._plan

    def sources(box: Box, item: Item, tensor: Any) -> set[Any]:
        found = set()
        for link in box.links:
            if link.b is not item or (tensor is not None and link.tensor is not tensor):
                continue
            a = link.a
            if a.kind == "vertex":
                found.add(a.vertex)
            elif a.kind == "bend":
                found |= sources(box, a, link.tensor)
            elif a.kind == "box":
                found |= sources(a.box, a.box.ports["out", link.tensor], link.tensor)
            else:
                outer = next(i for i in box.parent.items if i.box is box)
                found |= sources(box.parent, outer, link.tensor)
        return found

    for vertex, chain in plan.chains.items():
        item = next(i for i in chain[-1].items if i.vertex is vertex)
        assert sources(chain[-1], item, None) == {x for x in vertex.inputs if x in plan.chains}


def test_rows_without_crossings_are_found() -> None:
    x, y = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)

    def ladder() -> Any:
        a, b = x, y
        for _ in range(4):
            a, b = b.exp(), a.sin()
        return a + b

    (box,) = opened(draw(ladder))
    order = {item: i for row in box.rows for i, item in enumerate(row)}
    for row in box.rows[1:]:
        links = [link for link in box.links if link.b in row]
        assert not any((order[m.a] - order[n.a]) * (order[m.b] - order[n.b]) < 0
                       for m in links for n in links)


def test_spread_is_the_nearest_without_overlap() -> None:
    rng = np.random.default_rng(0)
    row = [Item("vertex", w=float(w)) for w in rng.integers(10, 90, 6)]
    wanted = [float(x) for x in rng.uniform(0, 300, 6)]
    found = spread(row, wanted)
    least = [(a.w + b.w) / 2 + GAP for a, b in pairwise(row)]
    assert all(b - a >= d - 1e-9 for (a, b), d in zip(pairwise(found), least, strict=True))
    cost = sum((x - w)**2 for x, w in zip(found, wanted, strict=True))
    for _ in range(2000):                       # no other places that are allowed cost less
        other = np.array(found) + rng.normal(0, 5, 6)
        if all(b - a >= d for (a, b), d in zip(pairwise(other), least, strict=True)):
            assert ((other - wanted)**2).sum() >= cost - 1e-6


# ---- files and notebooks -------------------------------------------------------------------------

def test_the_same_picture_every_time() -> None:
    assert drawn("transformer").svg == drawn("transformer").svg


def test_saving(tmp_path: Any) -> None:
    drawing = drawn("residual")
    drawing.save(tmp_path / "net.svg")
    drawing.save(str(tmp_path / "net.html"))
    assert ET.parse(tmp_path / "net.svg").getroot().tag == f"{SVG}svg"
    page = (tmp_path / "net.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert drawing.svg in page
    with pytest.raises(ValueError, match=r"must end in \.svg or \.html"):
        drawing.save("net.png")
    assert drawing._repr_html_().startswith("<iframe")
    assert not re.search(r"https?://(?!www\.w3\.org)", drawing.svg)


def test_the_script_knows_what_the_picture_shows() -> None:
    drawing = drawn("transformer")
    script = ET.fromstring(drawing.svg).find(f"{SVG}script").text
    data = json.loads(re.search(r"const boxes = (.*);\n", script)[1])
    boxes = list(drawing._plan.root.all())
    assert len(data) == len(boxes) == len(elements(drawing, "box")) + 1
    for box in boxes:
        entry = data[box.number]
        assert entry["open"] == box.open
        assert [item[0] for item in entry["items"]] == [item.kind for item in box.items]
        assert len(entry["links"]) == len(box.links)
        assert sorted(i for row in entry["rows"] for i in row) == list(range(len(box.items)))


def test_the_network_is_left_as_it_was() -> None:
    net = Stateful(nn, mg)
    x = mg.ones(6, 4, requires_grad=True)
    y = x * 2
    draw(net, y)
    assert net.seen == []
    assert net.net[1].num_batches_tracked.item() == 0
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("net",), TypeError, "draw: needs a network, a function, or Tensors; got str"),
    ((mg.ones(2), mg.ones(2)), TypeError, "or Tensors alone"),
    ((lambda: None,), ValueError, "returned no Tensor; got None"),
])
def test_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw(*arguments)
