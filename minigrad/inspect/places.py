"""Where in a user's program an op runs: in which module of a network, and at which line."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import minigrad
from minigrad.nn import Module
from minigrad.observer import All

LIBRARY = str(Path(minigrad.__file__).parent)
AS_USERS = (str(Path(LIBRARY, "models")), str(Path(LIBRARY, "inspect", "examples")),
            str(Path(LIBRARY, "inspect", "playground")))
"""What is read as a user's."""


@dataclass(frozen=True)
class Place:
    """Where an op runs.

    modules: from the network to the innermost module that is running, each with its path below the
    network, "" for the network itself; empty outside of any. file, line: the user's line that is
    running, "" and 0 if there is none.
    """

    modules: tuple[tuple[str, Module], ...]
    file: str
    line: int

    @property
    def path(self) -> str:
        """The path of the innermost module, such as "features.0"."""
        return self.modules[-1][0] if self.modules else ""

    @property
    def code(self) -> str:
        """The user's line as it is written."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        if not self.modules:
            module = ""
        elif self.path:
            module = f"{self.path} ({type(self.modules[-1][1]).__name__})"
        else:
            module = f"the network ({type(self.modules[-1][1]).__name__})"
        line = f"{Path(self.file).name}:{self.line}: {self.code}" if self.file else ""
        return ", ".join(filter(None, [module, line]))


Paths = dict[Module, dict[Module, str]]


def here(net: Module | None = None, known: Paths | None = None) -> Place:
    """The place that the calling thread is at, from the calls that are in progress.

    net: paths begin there; without it, at the outermost module that is running. known: keeps the
    paths of each network's modules, for a caller that asks again and again.
    """
    running: list[Module] = []
    file, line = "", 0
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code is _CALL:
            running.append(frame.f_locals["self"])
        elif code is _TELL:
            file = ""                           # what came before was an observer's
        elif not file and _is_users(code.co_filename):
            file, line = code.co_filename, frame.f_lineno
        frame = frame.f_back
    return Place(_paths(running[::-1], net, {} if known is None else known), file, line)


_CALL, _TELL = Module.__call__.__code__, All.tell.__code__


def _is_users(file: str) -> bool:
    return not file.startswith((LIBRARY, "<frozen")) or file.startswith(AS_USERS)


def _paths(running: list[Module], net: Module | None, known: Paths
           ) -> tuple[tuple[str, Module], ...]:
    if net is not None:
        while running and running[0] is not net:
            del running[0]
    if not running:
        return ()
    if len(running) == 1:
        return (("", running[0]),)
    return tuple((path_of(module, running[0], known), module) for module in running)


def path_of(module: Module, root: Module, known: Paths) -> str:
    """The path of a module below another, or the name of its class if it is not there."""
    if root not in known:
        known[root] = {m: path for path, m in root.named_modules()}
    return known[root].get(module, f"<{type(module).__name__}>")
