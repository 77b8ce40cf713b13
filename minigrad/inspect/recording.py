"""A computation as it ran: each op, its inputs and output, and the calls of modules around it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from minigrad.inspect.places import _CALL, LIBRARY, Paths, Place, here, path_of
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.tensor import Tensor

OPS = (str(Path(LIBRARY, "ops")), str(Path(LIBRARY, "functional.py")))
BETWEEN = (str(Path(__file__).parent), *(str(Path(LIBRARY, file)) for file in (
    "observer.py", "autograd.py", "modes.py", "onnx")))
"""What runs between the function that was called and the op's observer."""


@dataclass(eq=False)
class Call:
    """A call of a module. path: from the outermost module that runs around it, "" for that itself.
    number: 1 for the module's first call. parent: the call that made this one, None for none."""

    module: Module
    path: str
    number: int
    parent: Call | None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def chain(self) -> list[Call]:
        """From the outermost call to this one."""
        return [*(self.parent.chain if self.parent else ()), self]


@dataclass(eq=False)
class Ran:
    """An op that has run. call: the innermost module call around it, None outside of any. name: the
    public function that was called, such as max_pool2d, where the op itself has a private name."""

    op: Any
    static: dict[str, Any]
    place: Place
    call: Call | None
    name: str


@dataclass(eq=False)
class Step(Ran):
    """An op that has run, with the values that went in and came out."""

    inputs: tuple[Tensor | None, ...]
    y: Tensor


@dataclass
class Calls(Observer):
    """Follows which calls of modules are in progress while ops run.

    net: paths of places begin there. meets: is told of each call's module, before the first op in
    that call runs.
    """

    net: Module | None = None
    meets: Callable[[Module], object] = lambda module: None
    _frames: list[FrameType] = field(default_factory=list)
    _calls: list[Call] = field(default_factory=list)
    _times: Counter[Module] = field(default_factory=Counter)
    _known: Paths = field(default_factory=dict)

    def op_begins(self, op: Any, args: tuple[Any, ...], static: dict[str, Any]) -> None:
        self._see_calls()

    def innermost(self) -> Call | None:
        """The innermost call that is in progress."""
        self._see_calls()
        return self._calls[-1] if self._calls else None

    def _see_calls(self) -> None:
        """Bring the list of the calls in progress up to date.

        A call that was in progress at the last op and still is has the same frame; the list keeps
        these frames alive, so that no new one can be taken for an old one.
        """
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code is _CALL:
                frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        same = 0
        while same < min(len(frames), len(self._frames)) and frames[same] is self._frames[same]:
            same += 1
        del self._calls[same:]
        self._frames = frames
        for frame in frames[same:]:
            module = frame.f_locals["self"]
            parent = self._calls[-1] if self._calls else None
            self._times[module] += 1
            self.meets(module)
            path = path_of(module, self._calls[0].module if self._calls else module, self._known)
            self._calls.append(Call(module, path, self._times[module], parent))

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._frames, self._calls = [], []


@dataclass
class Recording(Calls):
    """Keeps each op that runs within `with recording:`, and everything that it computed."""

    steps: list[Step] = field(default_factory=list)

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        call = self.innermost()
        place = here(self.net, self._known)
        self.steps.append(Step(op, static, place, call, public_name(op), inputs, y))

    def by_output(self) -> dict[int, Step]:
        """The op that made a Tensor, by the id of the Tensor, which this recording keeps alive."""
        return {id(step.y): step for step in self.steps}

    def outermost(self) -> list[Module]:
        """The modules that were called outside of all others."""
        return list(dict.fromkeys(step.call.chain[0].module for step in self.steps if step.call))


def public_name(op: Any) -> str:
    """The name of an op, or of the innermost public function that it runs in."""
    name = str(op.__name__)
    frame: FrameType | None = sys._getframe(1)
    while name.startswith("_") and frame is not None:
        code, frame = frame.f_code, frame.f_back
        if code.co_filename.startswith(OPS):
            name = code.co_name if code.co_name.isidentifier() else name
        elif not code.co_filename.startswith(BETWEEN):
            break
    return name.lstrip("_")
