"""A computation as a graph that can be shown: what every value is, and what it was made from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minigrad.autograd import Node
from minigrad.func.tree import leaves, named_leaves
from minigrad.inplace import captured_by
from minigrad.inspect.places import Place
from minigrad.inspect.recording import Call, Ran, Recording
from minigrad.inspect.untouched import referred_to
from minigrad.nn import Module
from minigrad.nn.module import Parameter
from minigrad.tensor import Tensor

Kind = Literal["op", "input", "parameter", "buffer", "constant"]


@dataclass(eq=False)
class Vertex:
    """A value: the output of an op, or what the computation started from.

    name: of the op, or of the parameter, with its path, or of the variable; "" if it is not known.
    inputs: what the op was given, in this order. value: its Tensor, None if it is not known.
    node: the engine's vertex, to which gradients flow; None if none does.
    """

    number: int
    kind: Kind
    name: str
    shape: tuple[int, ...]
    dtype: str
    value: Tensor | None
    node: Any
    inputs: list[Vertex] = field(default_factory=list)
    step: Ran | None = None

    @property
    def call(self) -> Call | None:
        return self.step.call if self.step else None

    @property
    def place(self) -> Place | None:
        return self.step.place if self.step else None

    @property
    def is_number(self) -> bool:
        """Whether it is a plain number in the program, such as the 2 of 2 * x."""
        return self.kind == "constant" and self.shape == () and not self.name

    @property
    def calls(self) -> list[Call]:
        """The calls of modules around the op, the outermost first."""
        return self.call.chain if self.call else []


@dataclass
class Graph:
    """vertices: each after its inputs."""

    vertices: list[Vertex]
    outputs: list[Vertex]

    def users(self) -> dict[Vertex, list[Vertex]]:
        """The ops that each value is an input of; one that uses it twice is there twice."""
        found: dict[Vertex, list[Vertex]] = {vertex: [] for vertex in self.vertices}
        for vertex in self.vertices:
            for x in vertex.inputs:
                found[x].append(vertex)
        return found


Names = dict[int, tuple[Kind, str]]         # by id of the Tensor


def recorded(outputs: Sequence[Tensor], recording: Recording, names: Names) -> Graph:
    """The graph of outputs that were computed while they were recorded: all of it is known."""
    steps = recording.by_output()
    times = {id(step): i for i, step in enumerate(recording.steps)}
    for net in recording.outermost():
        names = names_in(net) | names

    def expand(x: Tensor) -> tuple[Vertex, list[Tensor]]:
        step = steps.get(id(x))
        if step is None:
            return _leaf(x, names), []
        vertex = Vertex(0, "op", step.name, x.shape, str(x.dtype), x, x.node, step=step)
        return vertex, [given for given in step.inputs if given is not None]
    return _explored(outputs, expand, lambda vertex: times[id(vertex.step)])


def existing(outputs: Sequence[Tensor], names: Names) -> Graph:
    """The graph of outputs as the engine keeps it for the backward pass: the ops that gradients
    flow through, and those of the values that they need for it."""
    nodes = [x.node or x for x in outputs]
    values: dict[Any, Tensor] = {x.node or x: x for x in outputs}

    def expand(vertex: Any) -> tuple[Vertex, list[Any]]:
        if isinstance(vertex, Tensor):
            return _leaf(vertex, names), []
        if vertex.edges is None:
            raise RuntimeError(f"the graph through {vertex.name} was freed by backward(); call it "
                               "with retain_graph=True, or look before it")
        for value in captured_by(vjp for _, vjp in vertex.edges):
            if isinstance(value, Tensor) and value.node is not None:
                values.setdefault(value.node, value)
        if vertex.output is not None:
            values.setdefault(vertex, Tensor(vertex.output))
        return (Vertex(0, "op", vertex.name.lstrip("_"), vertex.shape, str(vertex.dtype), None,
                       vertex), [parent for parent, _ in vertex.edges])
    graph = _explored(nodes, expand, lambda vertex: int(vertex.node.time))
    for vertex in graph.vertices:
        if isinstance(vertex.node, Node):
            vertex.value = values.get(vertex.node)
    return graph


def _explored(outputs: Iterable[Any], expand: Callable[[Any], tuple[Vertex, list[Any]]],
              time: Callable[[Vertex], int]) -> Graph:
    """All that is found from the outputs on: the ops in the order in which they ran, and what they
    started from before the first op that uses it."""
    found: dict[int, Vertex] = {}
    inputs: dict[int, list[Any]] = {}
    outputs = list(outputs)
    stack = list(outputs)
    while stack:
        x = stack.pop()
        if id(x) not in found:
            found[id(x)], inputs[id(x)] = expand(x)
            stack.extend(inputs[id(x)])
    for key, vertex in found.items():
        vertex.inputs = [found[id(x)] for x in inputs[key]]
    order: dict[Vertex, None] = {}
    for vertex in sorted((v for v in found.values() if v.kind == "op"), key=time):
        order |= dict.fromkeys([x for x in vertex.inputs if x.kind != "op"] + [vertex])
    order |= dict.fromkeys(found.values())      # an output that is no op's
    for number, vertex in enumerate(order):
        vertex.number = number
    return Graph(list(order), [found[id(x)] for x in outputs])


def _leaf(x: Tensor, names: Names) -> Vertex:
    kind, name = names.get(id(x), ("parameter" if isinstance(x, Parameter) else
                                   "input" if x.requires_grad else "constant", ""))
    return Vertex(0, kind, name, x.shape, str(x.dtype), x, x if x.requires_grad else None)


# ---- names ---------------------------------------------------------------------------------------

def names_in(net: Module) -> Names:
    """Those of a network's parameters and buffers."""
    found: Names = {id(b): ("buffer", name) for name, b in net.named_buffers()}
    found |= {id(p): ("parameter", name) for name, p in net.named_parameters()}
    return found


def names_of_arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Names:
    """Those of the Tensors that a function is given, and of those that it refers to."""
    found: Names = {}
    for name, value in referred_to(function).items():
        if isinstance(value, Module):
            found |= names_in(value)
        else:
            found |= {id(x): ("input", full) for full, x in named_leaves(value, name)
                      if isinstance(x, Tensor)}
    try:
        forward = function.forward if isinstance(function, Module) else function
        given = inspect.signature(forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):             # a builtin, or arguments that do not fit
        given = {f"input {i}": value for i, value in enumerate(args)} | kwargs
    for name, value in given.items():
        found |= {id(x): ("input", full) for full, x in named_leaves(value, name)
                  if isinstance(x, Tensor)}
    return found


def tensors_in(result: Any) -> list[Tensor]:
    return [y for y in leaves(result) if isinstance(y, Tensor)]
