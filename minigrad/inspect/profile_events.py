"""What a profile consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Event:
    """An op that has run, or a vjp.

    phase: "forward", "backward" for a vjp, "inside" for an op that a
    vjp calls, or that adds up gradients after it. start, seconds: when it began, since the profile
    was entered, and how long it took; own: without the ops inside it.
    modules: the paths of the modules it belongs to, from the outermost; of a vjp those of its op in
    the forward pass. products, bytes: multiply-adds, and bytes that must be read and written.
    shapes: those of the inputs and, last, of the output. output: the bytes of what it returned, 0
    for a view. held: what is kept for the backward pass. in_use: the bytes of all large arrays at
    its end. index: its place among the events.
    """

    name: str
    phase: str
    start: float
    modules: tuple[tuple[str, str], ...] = ()
    line: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    seconds: float = 0.0
    own: float = 0.0
    products: int = 0
    bytes: int = 0
    output: int = 0
    held: int = 0
    in_use: int = 0
    index: int = -1

    @property
    def path(self) -> str:
        return self.modules[-1][0] if self.modules else ""


class Measured:
    """Events, and the time around them.

    wall: seconds from beginning to end. observed: seconds in ops and vjps. profiler: seconds that
    the profile itself took, and which the step takes less without it. plain: the median of steps
    without it, None where none was run. steps: how many are in it; tables show means of these.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.wall = self.profiler = 0.0
        self.plain: float | None = None
        self.steps = 1

    @property
    def observed(self) -> float:
        return sum(event.own for event in self.events)

    @property
    def peak(self) -> int:
        """The most bytes of large arrays that were in use at once, after any op."""
        return max((event.in_use for event in self.events), default=0)

    @property
    def python(self) -> float:
        """Seconds outside of all ops: the engine, the optimiser, and the program itself."""
        return self.wall - self.observed - self.profiler
