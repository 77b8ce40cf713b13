"""Where a step's time and memory go: by op and by module, forward and backward."""

from __future__ import annotations

import statistics
import weakref
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from minigrad.inspect import flops, ledger, profile_tables, trace_events
from minigrad.inspect.causes import title
from minigrad.inspect.places import Paths, here
from minigrad.inspect.profile_events import Event, Measured
from minigrad.kernels import memory
from minigrad.modes import mode
from minigrad.nn import Module
from minigrad.observer import All, Observer
from minigrad.tensor import Tensor
from minigrad.visit import visit


class Profile(Measured, Observer):
    """What was measured: `print` it, look at `events`, or write a `chrome_trace`."""

    def __init__(self, net: Module | None = None) -> None:
        super().__init__()
        self.net = net
        self._began = self._entered = self._cost = 0.0
        self._open: list[tuple[Event, float]] = []          # with the time of what is inside
        self._made: weakref.WeakKeyDictionary[Any, Event] = weakref.WeakKeyDictionary()
        self._leaves: list[weakref.ref[Any]] = []
        self._counted = False
        self._paths: Paths = {}

    # ---- being told ------------------------------------------------------------------------------

    def __enter__(self) -> Profile:
        super().__enter__()
        self._cost = cost_of_telling()
        self._entered = perf_counter()
        self._began = self._entered - self.wall         # a further step follows the ones before
        return self

    def __exit__(self, *exc: object) -> None:
        self.wall += perf_counter() - self._entered
        super().__exit__(*exc)
        self._open.clear()
        self._made.clear()
        self._leaves.clear()
        self._counted = False

    def op_begins(self, op: Any, args: tuple[Any, ...], static: dict[str, Any]) -> None:
        entered = perf_counter()
        in_backward = visit.pending is not None     # also between vjps, where gradients are added
        self._begin(title(op), "inside" if in_backward else "forward", entered)

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        ended = perf_counter()
        event = self._end(ended)
        event.products = flops.multiply_adds(op, inputs, static, y)
        event.bytes = flops.bytes_moved(op, inputs, static, y)
        event.output = y.data.nbytes if event.bytes else 0
        event.shapes = (*(x.shape for x in inputs if x is not None), y.shape)
        event.in_use = memory.bytes_in_use()
        if event.phase == "forward":
            place = here(self.net, self._paths)
            event.modules = tuple((path, type(module).__name__) for path, module in place.modules)
            event.line = f"{Path(place.file).name}:{place.line}" if place.file else ""
            if y.node is not None:
                self._made[y.node] = event
            self._leaves += [weakref.ref(x) for x in inputs if x is not None and x.node is None]
        self._account(ended)

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        entered = perf_counter()
        if not self._counted:               # the graph is complete, and nothing is freed yet
            self._counted = True
            self._count()
        made = self._made.get(vertex)
        event = self._begin(title(vertex.name), "backward", entered)
        if made is not None:
            event.modules, event.line, event.shapes = made.modules, made.line, made.shapes

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        ended = perf_counter()
        event = self._end(ended)
        inside = self.events[event.index + 1:]
        event.products = sum(each.products for each in inside)
        event.bytes = sum(each.bytes for each in inside)
        if not inside:                      # a kernel of its own: it reads and writes a gradient
            event.bytes = 2 * flops.held_bytes(gx.data)
        event.output, event.in_use = gx.data.nbytes, memory.bytes_in_use()
        self._account(ended)

    # ---- accounts --------------------------------------------------------------------------------

    def _begin(self, name: str, phase: str, entered: float) -> Event:
        event = Event(name, phase, 0.0, index=len(self.events))
        self.events.append(event)
        self._account(entered)
        self._open.append((event, 0.0))
        event.start = perf_counter() - self._began
        return event

    def _end(self, ended: float) -> Event:
        event, inside = self._open.pop()
        event.seconds = max(ended - self._began - event.start, 0.0)
        event.own = max(event.seconds - inside, 0.0)
        if self._open:
            outer, sum_inside = self._open[-1]
            self._open[-1] = outer, sum_inside + event.seconds
        return event

    def _account(self, since: float) -> None:
        """Book the time of this call of ours, which the op around it must not be charged with."""
        spent = perf_counter() - since + self._cost
        self.profiler += spent
        if self._open:
            outer, inside = self._open[-1]
            self._open[-1] = outer, inside + spent

    def _count(self) -> None:
        """Note what the graph holds, before the backward pass frees it."""
        outside = [x.data for ref in self._leaves if (x := ref()) is not None]
        for vertex, held in ledger.held_by(self._made.keys(), outside).items():
            self._made[vertex].held += held

    # ---- showing ---------------------------------------------------------------------------------

    def by_op(self) -> list[profile_tables.Row]:
        """A row for each kind of op, the slowest first."""
        return profile_tables.by_op(self)

    def by_module(self) -> list[profile_tables.Row]:
        """A row for each module that ops run in, in the order in which they run first; a vjp
        belongs to the module of its op."""
        return profile_tables.by_module(self)

    def __str__(self) -> str:
        return profile_tables.as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return profile_tables.as_html(self)

    def chrome_trace(self, path: str | Path) -> None:
        """Write Trace Event JSON, which ui.perfetto.dev and chrome://tracing open."""
        trace_events.write(self.events, path)


def profile(step: Callable[[], object] | None = None, *, net: Module | None = None,
            warmup: int = 2, repeat: int = 5) -> Profile:
    """Measure where the time and memory of a step go.

        print(profile(lambda: step(x, y)))      # a function without arguments: it is called
        with profile() as p:                    # or whatever runs in a block
            step(x, y)
        p.chrome_trace("step.json")

    A function is called `warmup` times first, because kernels are compiled on first use and memory
    is fresh then; and then in turn to be timed as it is and to be profiled, `repeat` times each.
    net: module paths begin there; without it, at the outermost module that runs.

    A vjp is counted for the module and the line of its op in the forward pass. Time outside of all
    ops is shown as such: the engine's bookkeeping, the optimiser, and the program itself.
    """
    found = Profile(net)
    if step is None:
        return found
    for _ in range(warmup):
        step()
    times = []
    for _ in range(repeat):             # in turn, so that both see the same machine
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
        with found:
            step()
    found.plain, found.steps = statistics.median(times), repeat
    return found


def cost_of_telling() -> float:
    """Seconds that telling an observer of something takes, besides what that does."""
    everybody, times, before = All([Observer()]), 100, mode.observer
    start = perf_counter()
    for _ in range(times):
        everybody.tell("op_begins", (None, (), {}))
    mode.observer = before
    return (perf_counter() - start) / times
