"""Reverse-mode automatic differentiation: the whole engine.

A computation is recorded while it runs. Every op returns a value and, for each of its inputs, a
function that sends a gradient back through it (a *vjp*, a vector-Jacobian product):

    @op
    def mul(a, b):
        return a.data * b.data, lambda g: g * b, lambda g: g * a

    @op
    def exp(x):
        return np.exp(x.data), lambda g, y: g * y

`g` is the gradient of the loss with respect to the op's output. A vjp that asks for a second
argument gets the output `y` itself, and only then does the engine keep `y` alive. Forward works on
arrays (`x.data`), a vjp on Tensors, so a gradient is itself a recorded computation whenever
`create_graph=True`, and can be differentiated again.

The record is a graph of `Node`s that points from outputs to inputs only. It holds no cycle, so
reference counts give memory back the moment it is no longer needed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import inplace
from minigrad.inplace import Array as Array
from minigrad.kernels import tape
from minigrad.modes import (
    enable_grad as enable_grad,
    is_grad_enabled as is_grad_enabled,
    is_quiet,
    mode,
    no_grad as no_grad,
    quiet,
    quietly as quietly,
)
from minigrad.visit import in_place as in_place, together as together, visit

if TYPE_CHECKING:
    from minigrad.hooks import RemovableHandle
    from minigrad.tensor import Tensor as Tensor

Vjp = Callable[..., "Tensor"]
Vertex = Any                # a Node for what an op made, the Tensor itself for a leaf
Recorded = tuple[Any, ...]  # what an op returns: an array, and a vjp or None for each input


class Node:
    """One recorded op, and how a gradient flows back to its inputs.

    Each edge is a pair (parent, vjp). A parent is the vertex an input came from: another Node, or
    the Tensor itself where that is a leaf. Only inputs that want a gradient have an edge. After the
    backward pass `edges` is None: the node has been freed.
    """

    __slots__ = ("__weakref__", "dtype", "edges", "hooks", "name", "output", "retaining", "shape",
                 "time")

    def __init__(self, name: str, edges: list[tuple[Vertex, Vjp]], y: Array) -> None:
        self.name, self.time = name, inplace.tick()
        self.edges: Sequence[tuple[Vertex, Vjp]] | None = edges
        self.shape, self.dtype = y.shape, y.dtype
        self.hooks: dict[RemovableHandle, Callable[[Tensor], Tensor | None]] | None = None
        self.retaining: Callable[[], Tensor | None] | None = None   # the Tensor whose .grad to set
        self.output: Array | None = None
        for _, vjp in edges:
            if _asks_for_output(vjp):
                self.output = y

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _asks_for_output(vjp: Vjp) -> bool:
    """Whether a vjp takes (g, y), not counting what has a default: `lambda g, i=i: …` takes g."""
    if type(vjp) is FunctionType:
        return vjp.__code__.co_argcount - len(vjp.__defaults__ or ()) == 2
    parameters = inspect.signature(vjp).parameters.values()         # a partial, a bound method
    return sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters) == 2


# ---- recording -----------------------------------------------------------------------------------

registry: dict[str, Callable[..., Tensor]] = {}        # every @op there is, by its full name
Inputs = tuple[Any, ...]
Prepare = Callable[[str, Inputs], Inputs]


def op(forward: Callable[..., Recorded], prepare: Prepare | None = None,
       arrange: Callable[..., Any] | None = None) -> Callable[..., Tensor]:
    """Make a differentiable op of a function that returns `(value, vjp of input 0, ...)`.

    Positional arguments are differentiable: each arrives in `forward` as a Tensor, whatever was
    given (None where that is its default). Keyword-only arguments are static. A caller may give an
    input by name (its own, or torch's `input` and `other` for the first two), leave out one that
    defaults to None, and give static arguments by position after the inputs. A vjp is None where an
    input has no gradient. It may return a gradient of the shape to which its input was broadcast:
    the engine sums it back. `prepare(name, inputs)` may change the inputs first: bring them to one
    dtype, say; `arrange(args, given)`, what is given by position and what by name.
    """
    name = forward.__name__
    parameters = inspect.signature(forward).parameters.values()
    input_parameters = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    n_inputs = -1 if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(input_parameters)
    optional = {i for i, p in enumerate(input_parameters) if p.default is None}
    static_names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def bind(args: Inputs, given: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        args, given = arrange(args, given) if arrange else (args, given)
        if len(args) < n_inputs or given:
            args = bind_inputs(args, given)
        if len(args) > (most := n_inputs + len(static_names)):
            raise TypeError(f"{name}: takes at most {most} arguments; got {len(args)}")
        static = dict(zip(static_names, args[n_inputs:]))       # noqa: B905  # strict costs time
        if given and (twice := static.keys() & given.keys()):
            raise TypeError(f"{name}: got {', '.join(sorted(twice))} by position and by name")
        return args[:n_inputs], static | given

    def bind_inputs(args: Inputs, given: dict[str, Any]) -> Inputs:
        for i, parameter in enumerate(input_parameters[len(args):], len(args)):
            torch_name = ("input", "other")[i] if i < 2 else ""
            keyword = torch_name if torch_name in given else parameter.name
            args = (*args, given.pop(keyword, parameter.default))
            if args[-1] is parameter.empty:
                raise TypeError(f"{name}: missing input {parameter.name!r}")
        return args

    @functools.wraps(forward)
    def apply(*args: Any, **static: Any) -> Tensor:
        if len(args) != n_inputs != -1:
            args, static = bind(args, static)
        observer = mode.observer
        if observer is not None:
            observer.op_begins(apply, args, static)
        if prepare is not None:
            args = prepare(name, args) if is_quiet.get() else quiet.run(prepare, name, args)
        for i, x in enumerate(args):
            if not isinstance(x, Tensor) and (x is not None or i not in optional):
                args = (*args[:i], as_tensor(name, x), *args[i + 1:])
        try:
            if tape.running:
                value, *vjps = quietly(tape.run_op, forward, args, static)
            elif is_quiet.get():
                value, *vjps = forward(*args, **static)
            else:
                value, *vjps = quiet.run(forward, *args, **static)
        except ValueError as error:
            if "could not be broadcast" not in str(error):
                raise
            shapes = " and ".join(str(x.shape) for x in args)
            raise RuntimeError(f"{name.lstrip('_')}: shapes {shapes} do not broadcast") from None
        y = Tensor(value)
        if mode.enabled:
            for x in args:
                if x is not None and x._requires_grad:
                    _record(name, args, vjps, y)
                    break
        if observer is not None:
            observer.op_ends(apply, args, static, y)
        return y

    registry[f"{forward.__module__}.{name}"] = apply
    return apply


def as_tensor(name: str, x: Any) -> Tensor:
    """`x` as a Tensor that shares its memory; a TypeError naming the function if it is not one."""
    if isinstance(x, Tensor):
        return x
    try:
        return Tensor(x)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: needs a Tensor, an array or numbers; got {x!r}") from None


def _record(name: str, inputs: tuple[Any, ...], vjps: list[Vjp | None], y: Tensor) -> None:
    if len(vjps) != len(inputs):
        raise TypeError(f"{name}: the op returned {len(vjps)} vjps for {len(inputs)} inputs")
    edges: list[tuple[Vertex, Vjp]] = []
    for x, vjp in zip(inputs, vjps):    # noqa: B905  # they are equally many; strict costs time
        # an unwanted vjp is dropped here, and with it the values that only it would need
        if x is not None and x._requires_grad and vjp is not None:
            edges.append((x.node or x, vjp))
    if edges and y._data.dtype.kind == "f":
        y.node = Node(name, edges, y._data)
        y._requires_grad = True


# ---- the backward pass ---------------------------------------------------------------------------

def backward(outputs: Sequence[Tensor], gradients: Sequence[Tensor], *,
             inputs: Sequence[Tensor] | None = None, retain_graph: bool = False,
             create_graph: bool = False) -> list[Tensor | None]:
    """Send `gradients` from `outputs` back through the graph.

    Without `inputs`, the gradients are added to the `.grad` of the leaves once all has succeeded.
    With them, only the paths to `inputs` are followed; their gradients, or None, are returned.
    """
    order = _latest_first(roots := [y.node or y for y in outputs])
    targets = None if inputs is None else {x.node or x for x in inputs}
    for vertex in order:
        if vertex.edges is None and vertex not in (targets or ()):
            raise RuntimeError(f"backward: the graph through {vertex.name} was already freed; "
                               "call the first backward() with retain_graph=True")
    if targets is not None:
        needed = set(targets)
        for vertex in reversed(order):
            if any(parent in needed for parent, _ in vertex.edges or ()):
                needed.add(vertex)
        order = [vertex for vertex in order if vertex in needed]
    known_changes = inplace.latest
    for vertex in order:
        if vertex.edges and vertex.time < known_changes:
            inplace.refuse_changes(vertex)

    pending: dict[Vertex, Tensor] = {}          # gradients that have arrived so far
    finished: dict[Vertex, Tensor] = {}         # whole gradients of leaves or targets
    found: dict[Any, Any] = {}
    own: dict[Vertex, Tensor] = {}
    seen_outside = {id(g._data) for g in gradients}     # arrays that the caller or a hook may keep
    for root, g in zip(roots, gradients, strict=True):
        pending[root] = pending[root] + g if root in pending else g

    before, observer = (mode.enabled, visit.__dict__.copy()), mode.observer
    mode.enabled, visit.found, visit.pending = create_graph, found, pending
    visit.own = own if observer is None else None       # an observer is shown each gradient alone
    try:
        if observer is not None:
            observer.backward_begins(outputs, gradients, inputs)
        for vertex in filter(pending.__contains__, order):      # asked anew for each vertex
            g = pending.pop(vertex)
            own.pop(vertex, None)
            if targets is not None and vertex in targets:
                finished[vertex] = g                    # before its own hooks, as in torch
            if vertex.hooks:
                for hook in tuple(vertex.hooks.values()):
                    seen_outside.add(id(g._data))
                    g = _replaced(g, hook(g))
                    seen_outside.add(id(g._data))
            if not vertex.edges:
                finished[vertex] = g
            elif inplace.latest != known_changes:       # a hook may have made a change
                inplace.refuse_changes(vertex)
            if vertex.retaining is not None and (tensor := vertex.retaining()) is not None:
                tensor.grad = g if tensor.grad is None else tensor.grad + g
            for parent, vjp in vertex.edges or ():
                if targets is not None and parent not in needed:
                    continue
                visit.parent = parent
                if observer is not None:
                    observer.vjp_begins(vertex, parent, g)
                gx = sent = _sent_through(vertex, vjp, g)
                if not isinstance(gx, Tensor):
                    raise TypeError(f"{vertex.name}: a vjp must return a Tensor; "
                                    f"got {type(gx).__name__}")
                if gx._data.shape != parent.shape or gx._data.dtype != parent.dtype:
                    gx = unbroadcast(gx, parent.shape, vertex.name).to(parent.dtype)
                if observer is not None:
                    observer.vjp_ends(vertex, parent, sent, gx)
                if parent not in pending:
                    pending[parent] = gx
                elif not gx is pending[parent] is own.get(parent):      # not yet added in place
                    pending[parent] = pending[parent] + gx
            found.clear()
            if vertex.edges and not retain_graph:
                vertex.edges = vertex.output = None
        if inputs is None:
            _accumulate(finished, seen_outside, create_graph)
    finally:
        mode.enabled = before[0]
        visit.__dict__.clear()
        visit.__dict__.update(before[1])

    return [finished.get(x.node or x) for x in inputs or ()]


def _replaced(g: Tensor, replacement: Tensor | None) -> Tensor:
    if not (replacement is None or isinstance(replacement, Tensor)):
        raise TypeError("backward: a hook must return a Tensor or None; got "
                        f"{type(replacement).__name__}")
    if replacement is not None and (replacement.shape, replacement.dtype) != (g.shape, g.dtype):
        raise RuntimeError(f"backward: a hook returned {replacement.dtype} of shape "
                           f"{replacement.shape} for a gradient of {g.dtype} of shape {g.shape}")
    return g if replacement is None else replacement


def _latest_first(roots: Iterable[Vertex]) -> list[Vertex]:
    """All that `roots` were made from, the latest first: each comes before its parents."""
    stack = list(found := dict.fromkeys(roots))
    while stack:
        for parent, _ in stack.pop().edges or ():
            if parent not in found:
                found[parent] = None
                stack.append(parent)
    return sorted(found, key=attrgetter("time"), reverse=True)


def _sent_through(node: Node, vjp: Vjp, g: Tensor) -> Tensor:
    if tape.running:
        tape.adopt(g)
    if node.output is None or not _asks_for_output(vjp):
        return vjp(g) if is_quiet.get() else quiet.run(vjp, g)
    y = Tensor(node.output)                     # the op's output, back in its place in the graph
    y.node, y._requires_grad = node, True
    return vjp(g, y) if is_quiet.get() else quiet.run(vjp, g, y)


def unbroadcast(g: Tensor, shape: tuple[int, ...], name: str = "unbroadcast") -> Tensor:
    """Sum `g` over the axes along which an input of `shape` was broadcast."""
    lead = g.ndim - len(shape)
    if lead > 0 and g.shape[lead:] == shape:        # as for a bias
        return g.sum(tuple(range(lead)))
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=True)):
        raise RuntimeError(f"{name}: a vjp returned a gradient of shape {g.shape} for an input of "
                           f"shape {shape}")
    axes = (*range(lead), *(i for i, n in enumerate(shape, lead) if n == 1 != g.shape[i]))
    return g.sum(axes, keepdim=True).reshape(shape) if axes else g


def _accumulate(finished: dict[Vertex, Tensor], seen: set[int], create_graph: bool) -> None:
    for leaf, g in finished.items():
        if leaf._grad is not None:
            leaf._grad = leaf._grad + g
        elif create_graph:
            leaf._grad = g
        else:       # a leaf owns its .grad: no other tensor may share that memory
            leaf._grad = (g.clone() if inplace.is_shared(g._data, seen) else g).detach()
            seen |= {id(g._data), id(inplace.memory_owner(g._data))}
        if tape.running:
            tape.again(setattr)(leaf, "_grad", leaf._grad)


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor],
         grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
         retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, without touching any `.grad`.

    grad_outputs: the gradients to start from, one for each output; for a scalar, None means 1.
    create_graph: the results can be differentiated again.
    allow_unused: the gradient of an input that the outputs do not depend on is None.
    Raises: RuntimeError for such an input otherwise.
    Source: torch.autograd.grad.
    """
    ys, xs = _tensors("outputs", outputs), _tensors("inputs", inputs)
    gs: list[Any] = ([None] * len(ys) if grad_outputs is None else list(grad_outputs)
                     if isinstance(grad_outputs, tuple | list) else [grad_outputs])
    if len(gs) != len(ys):
        raise ValueError(f"grad: got {len(gs)} grad_outputs for {len(ys)} outputs")
    for i, x in enumerate(xs):
        if not x.requires_grad:
            raise RuntimeError(f"grad: inputs[{i}] of shape {x.shape} does not require grad")
    seeds = [seed_gradient(y, g, "grad") for y, g in zip(ys, gs, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    found = backward(ys, seeds, inputs=xs, retain_graph=retain, create_graph=create_graph)
    for i, gx in enumerate(found):
        if gx is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on inputs[{i}]; allow_unused=True "
                               "gives None for it")
    return (*found,)


def _tensors(name: str, given: Any) -> list[Tensor]:
    tensors = list(given) if isinstance(given, tuple | list) else [given]
    wrong = [repr(t) for t in tensors if not isinstance(t, Tensor)]
    if wrong or not tensors:
        raise TypeError(f"grad: {name} must be a Tensor or several; got {(*wrong, 'none')[0]}")
    return tensors


def seed_gradient(y: Tensor, gradient: Any, name: str) -> Tensor:
    """The gradient to start from at output `y`: the one given, or 1 for a scalar."""
    if not y.requires_grad:
        raise RuntimeError(f"{name}: the output of shape {y.shape} does not require grad: none of "
                           "its inputs does, or it was made under no_grad()")
    if gradient is None:
        if y._data.size != 1:
            raise RuntimeError(f"{name}: an output of shape {y.shape} needs a gradient of that "
                               "shape; only a scalar may leave it out")
        return Tensor(np.ones(y._data.shape, y._data.dtype))
    g = as_tensor(name, gradient)
    if g.shape != y.shape:
        raise RuntimeError(f"{name}: the gradient has shape {g.shape}, the output {y.shape}")
    return g.to(y.dtype)


def tie(tensor_class: type[Tensor]) -> None:
    """Tell the engine which class to build; tensor.py calls it, once, at its end."""
    globals()["Tensor"] = tensor_class
