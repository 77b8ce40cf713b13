"""summary: what each layer of a network is made of, and what it costs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from minigrad.autograd import Node, enable_grad, grad
from minigrad.func.tree import leaves, mapped
from minigrad.inplace import memory_owner
from minigrad.inspect.flops import multiply_adds
from minigrad.inspect.ledger import kept_by
from minigrad.inspect.recording import Recording, Step
from minigrad.inspect.summary_table import Row, Summary as Summary
from minigrad.inspect.untouched import cut_off, untouched
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.tensor import Tensor


def summary(net: Module, *inputs: Any, repeats: int = 3, **kwargs: Any) -> Summary:
    """A table of the network's layers, as it runs on these inputs.

        print(summary(net, x))

    Each row includes the modules below it. A module or a parameter that is in several places counts
    once, in the first of them; a module that is called several times shows the costs of all calls.
    Multiply-adds are those of matrix products and convolutions. Activations are the arrays that the
    graph keeps for the backward pass, besides parameters, buffers and inputs: a value that several
    ops need counts once, for the layer that made it. Gradients are those of the parameters. Times
    are the sums over the layers' ops, the median of `repeats` runs after a first one.

    The network runs in the mode that it is in, and is left as it was, with its buffers, its
    gradients and the state of the random numbers.

    Raises: TypeError unless net is a Module; ValueError if repeats is not positive.
    """
    if not isinstance(net, Module):
        raise TypeError(f"summary: net must be a Module; got {type(net).__name__}")
    if repeats < 1:
        raise ValueError(f"summary: repeats must be at least 1; got {repeats}")
    paths = {module: path for path, module in net.named_modules()}
    rows = {path: Row(path, type(module).__name__) for path, module in net.named_modules()}
    args, options = cut_off((inputs, kwargs))
    with enable_grad():
        first = _run(net, args, options, paths)
        again = [_run(net, args, options, paths) for _ in range(repeats)]
    for path, row in rows.items():
        row.calls, row.output = first.calls[path], ", ".join(first.outputs[path])
    for name, values in first.counts.items():
        _add(rows, name, values.__getitem__, values)
    _add(rows, "forward", lambda path: median(run.forward[path] for run in again), first.forward)
    _add(rows, "backward", lambda path: median(run.backward[path] for run in again), first.backward)
    parameters = dict(net.named_parameters())
    for name, p in parameters.items():
        for path in _upwards(name.rpartition(".")[0]):
            rows[path].parameters += p.numel()
    return Summary(list(rows.values()), sum(p.numel() for p in parameters.values()
                                            if p.requires_grad),
                   sum(b.numel() for b in net.buffers()))


def _add(rows: dict[str, Row], name: str, value: Callable[[str], Any], paths: Any) -> None:
    """Add what was counted for each path to its row, and to the rows above."""
    for path in paths:
        for above in _upwards(path):
            setattr(rows[above], name, getattr(rows[above], name) + value(path))


def _upwards(path: str) -> Iterator[str]:
    """The path, and those of the modules around it: a.b, a, and the empty one."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


# ---- one run -------------------------------------------------------------------------------------

@dataclass
class _Run:
    """What was found, by the path of the innermost module in which it happened."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    calls: Counter[str] = field(default_factory=Counter)
    outputs: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    forward: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    backward: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def _run(net: Module, args: Any, kwargs: Any, paths: dict[Module, str]) -> _Run:
    found = _Run()
    with untouched([net]):
        handles = [module.register_forward_hook(_noting(path, found))
                   for module, path in paths.items()]
        with _Forward(net) as forward:
            result = net(*args, **kwargs)
        for handle in handles:
            handle.remove()
        path_of = {step: _innermost(step, paths) for step in forward.steps}
        for step, seconds in zip(forward.steps, forward.seconds, strict=True):
            found.forward[path_of[step]] += seconds
            found.counts["multiply_adds"][path_of[step]] += multiply_adds(
                step.op, step.inputs, step.static, step.y)
        _find_activations(found, forward.steps, path_of, net, (args, kwargs))
        outputs = [y for y in leaves(result) if isinstance(y, Tensor) and y.requires_grad]
        learnt = {name: p for name, p in net.named_parameters() if p.requires_grad}
        if not (outputs and learnt):
            return found
        nodes = {step.y.node: path for step, path in path_of.items() if step.y.node is not None}
        ones = [Tensor(y.data * 0 + 1) for y in outputs]
        with _Backward(found, nodes):
            gradients = grad(outputs, list(learnt.values()), ones, allow_unused=True)
        for name, g in zip(learnt, gradients, strict=True):
            if g is not None:
                found.counts["gradients"][name.rpartition(".")[0]] += g.data.nbytes
    return found


def _noting(path: str, found: _Run) -> Callable[..., None]:
    def note(module: Module, args: Any, output: Any) -> None:
        found.calls[path] += 1
        found.outputs[path][_shape(output)] = None
    return note


def _shape(output: Any) -> str:
    """The shapes of the Tensors in what a module returned: (2, 3), or {'mean': (2, 3)}."""
    class Shape(str):
        __repr__ = str.__str__
    return str(mapped(lambda y: Shape(y.shape if isinstance(y, Tensor) else type(y).__name__),
                      output))


def _innermost(step: Step, paths: dict[Module, str]) -> str:
    """The path of the innermost module around an op that is registered in the network."""
    chain = step.call.chain if step.call else []
    return next((paths[call.module] for call in reversed(chain) if call.module in paths), "")


def _find_activations(found: _Run, steps: list[Step], path_of: dict[Step, str], net: Module,
                      inputs: Any) -> None:
    given = [*net.parameters(), *net.buffers(), *leaves(inputs)]
    seen = {id(memory_owner(x._data)) for x in given if isinstance(x, Tensor)}
    made: dict[int, Step] = {}
    for step in steps:
        made.setdefault(id(memory_owner(step.y._data)), step)
    for step in steps:
        for array in kept_by(step.y.node) if step.y.node else ():
            owner = memory_owner(array)
            if id(owner) not in seen:
                seen.add(id(owner))
                found.counts["activations"][path_of[made.get(id(owner), step)]] += owner.nbytes


class _Forward(Recording):
    """A recording with the seconds that each op took, without those of ops inside of it."""

    def __init__(self, net: Module) -> None:
        super().__init__(net)
        self.seconds: list[float] = []
        self._running: list[tuple[Any, float, float]] = []      # op, start, time of ops inside

    def op_begins(self, op: Any, args: Any, static: Any) -> None:
        self._running.append((op, perf_counter(), 0.0))

    def op_ends(self, op: Any, inputs: Any, static: Any, y: Tensor) -> None:
        now = perf_counter()
        while True:                         # an op that raised an error began, and never ends
            began, start, inside = self._running.pop()
            if began is op:
                break
        self.seconds.append(now - start - inside)
        super().op_ends(op, inputs, static, y)
        if self._running:
            outer, began_at, before = self._running[-1]
            self._running[-1] = outer, began_at, before + perf_counter() - start


class _Backward(Observer):
    """Adds what each vjp costs to the path of its op."""

    def __init__(self, found: _Run, paths: dict[Node, str]) -> None:
        self.found, self.paths = found, paths
        self.path, self.start = "", 0.0

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self.path, self.start = self.paths.get(vertex, ""), perf_counter()

    def op_ends(self, op: Any, inputs: Any, static: Any, y: Tensor) -> None:
        counts = self.found.counts["backward_multiply_adds"]
        counts[self.path] += multiply_adds(op, inputs, static, y)

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        self.found.backward[self.path] += perf_counter() - self.start
