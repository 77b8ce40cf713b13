"""A look at one training step: what each layer computes, and the gradients that flow back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minigrad.autograd import Array
from minigrad.func.tree import leaves
from minigrad.inspect.draw import Drawing
from minigrad.inspect.encode import encoded, number
from minigrad.inspect.graph import Graph, existing, names_in
from minigrad.inspect.places import here
from minigrad.inspect.recording import Calls, Ran, public_name
from minigrad.inspect.watch.history import Measured
from minigrad.nn import Module
from minigrad.tensor import Tensor


@dataclass(frozen=True)
class Layer:
    """A module that has parameters of its own, or that has no modules inside. parameters: by name;
    one that several layers share is in the first of them. shared: for each name of another layer's
    parameter, its path there."""

    path: str
    module: Module
    parameters: Mapping[str, Tensor]
    shared: Mapping[str, str]


def layers_of(net: Module) -> list[Layer]:
    paths: dict[int, str] = {}                  # of the parameters that were found, by their id
    found = []
    for path, module in net.named_modules():
        own: dict[str, Tensor] = {}
        shared: dict[str, str] = {}
        for name, p in module.named_parameters(recurse=False):
            if id(p) in paths:
                shared[name] = paths[id(p)]
            else:
                own[name], paths[id(p)] = p, f"{path}.{name}".lstrip(".")
        if own or shared or not list(module.children()):
            found.append(Layer(path, module, own, shared))
    return found


class Capture(Calls):
    """Looks at the forward and the backward pass of one step of a network.

    Values are measured as they come by, and are not kept: what is known of a vertex of the graph is
    forgotten as soon as the vertex is.

    learning: what the optimiser changes; backward passes that lead to none of it are ignored.
    drawing: the number of the picture of the first backward pass's graph. norms: of the gradients
    at the vertices in that picture, by their numbers.
    """

    def __init__(self, net: Module, layers: Sequence[Layer], drawings: Drawings,
                 learning: Iterable[Tensor]) -> None:
        super().__init__(net)
        self.root, self.layers, self.drawings = net, layers, drawings
        self.drawing: int | None = None
        self.norms: dict[int, float] = {}
        self.activations: dict[str, Measured] = defaultdict(Measured)
        self.gradients: dict[str, Measured] = defaultdict(Measured)
        self.first_items: dict[str, Array] = {}
        self._parameters = [p for layer in layers for p in layer.parameters.values()]
        self._learning = frozenset(learning)
        self._ran: WeakKeyDictionary[Any, Ran] = WeakKeyDictionary()
        self._outputs: WeakKeyDictionary[Any, list[tuple[str, Measured]]] = WeakKeyDictionary()
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._last: Any = None
        self._before: dict[Tensor, Array] = {}
        self._of_parameters: dict[Tensor, Measured] = defaultdict(Measured)

    def output(self, path: str, y: Any) -> None:
        """Look at what a layer returned."""
        for each in leaves(y):
            if isinstance(each, Tensor) and each.node is not None:
                self._outputs.setdefault(each.node, []).append((path, measured(each.data)))
                self.first_items[path] = each.data[:1].copy() if each.ndim else each.data

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        call = self.innermost()
        if y.node is not None:
            self._ran[y.node] = Ran(op, static, here(self.net, self._known), call, public_name(op))

    def backward_begins(self, outputs: Sequence[Tensor], gradients: Sequence[Tensor],
                        inputs: Sequence[Tensor] | None) -> None:
        if inputs is not None:
            return
        graph = existing(outputs, names_in(self.root))
        if self._learning.isdisjoint(vertex.node for vertex in graph.vertices):
            return                              # it leads to nothing that the step changes
        for vertex in graph.vertices:
            vertex.step = self._ran.get(vertex.node)
            if vertex.step is not None:
                vertex.name = vertex.step.name
            for path, values in self._outputs.get(vertex.node, ()):
                self.activations[path].merge(values)
        if self.drawing is None and (drawing := self.drawings.number(graph)) is not None:
            self.drawing = drawing
            self._numbers.update((vertex.node, vertex.number) for vertex in graph.vertices
                                 if vertex.node is not None)

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        if vertex is self._last:                # a vertex is told of once for each of its parents
            return
        self._last = vertex
        if vertex in self._numbers:
            self.norms[self._numbers[vertex]] = norm(g.data)
        for path, _ in self._outputs.get(vertex, ()):
            self.gradients[path].add(g.data)

    def begin_again(self) -> None:
        """Forget the backward passes so far: the gradients that they left were cleared."""
        self.drawing, self._last = None, None
        self._numbers.clear()
        for seen in (self.norms, self.activations, self.gradients):
            seen.clear()

    def values_before(self) -> None:
        """Look at the parameters before the optimiser's step."""
        self._before = {p: p.data.copy() for p in self._parameters}

    def gradients_complete(self) -> None:
        """Look at the gradients of the parameters, as the optimiser's step uses them."""
        self._frames, self._calls, self._last = [], [], None
        for x, vertex in self._numbers.items():
            if isinstance(x, Tensor) and x.grad is not None:
                self.norms[vertex] = norm(x.grad.data)
        for p in self._parameters:
            if p.grad is not None:
                self._of_parameters[p].add(p.grad.data)

    def record(self) -> dict[str, Any]:
        """What was seen, after the optimiser's step: of each layer the values, the gradients and
        the relative changes of its parameters, the activations and their gradients."""
        rows: list[dict[str, Any]] = []
        for layer in self.layers:
            own = layer.parameters.values()
            rows.append({
                "values": [measured(p.data).encoded() for p in own],
                "gradients": [self._of_parameters[p].encoded() for p in own],
                "changes": [self._change(p) for p in own],
                "activations": self.activations[layer.path].encoded(),
                "flowing": self.gradients[layer.path].encoded()})
        return {"drawing": self.drawing, "layers": rows,
                "norms": {vertex: number(value) for vertex, value in self.norms.items()}}

    def _change(self, p: Tensor) -> Any:
        """‖Δp‖ / ‖p‖, None where that is 0 / 0."""
        before = self._before.get(p)
        if before is None or not (size := norm(before)):
            return None
        return number(norm(p.data - before) / size)


class Drawings:
    """Pictures of the graphs that occur; a program that is the same each time has one.

    svgs: they themselves, at most MOST.
    """

    MOST = 8

    def __init__(self) -> None:
        self.svgs: list[str] = []
        self._numbers: dict[tuple[Any, ...], int] = {}

    def number(self, graph: Graph) -> int | None:
        """The number of the picture of this graph, which is drawn if it is new; None if there are
        too many."""
        key = tuple((v.kind, v.name, tuple(x.number for x in v.inputs)) for v in graph.vertices)
        if key not in self._numbers and len(self.svgs) < self.MOST:
            self._numbers[key] = len(self.svgs)
            self.svgs.append(Drawing(graph).svg)
        return self._numbers.get(key)


def measured(x: Array) -> Measured:
    found = Measured()
    found.add(x)
    return found


def norm(x: Array) -> float:
    return float(np.sqrt(np.square(x, dtype=np.float64).sum()))


def pictures(layer: Layer, first_item: Array | None) -> list[dict[str, Any]]:
    """The weights of a layer, and what it makes of the first item of a batch, as maps."""
    found = [{"name": name} | encoded(as_pictures(p.data)) for name, p in layer.parameters.items()]
    if first_item is not None:
        found.append({"name": "output"} | encoded(first_item))
    return found


def as_pictures(weight: Array) -> Array:
    """Weights of a linear layer as pictures, if its inputs may be the pixels of a square."""
    if weight.ndim == 2:
        side = round(weight.shape[1]**0.5)
        if side >= 8 and side * side == weight.shape[1]:
            return weight.reshape(-1, side, side)
    return weight
