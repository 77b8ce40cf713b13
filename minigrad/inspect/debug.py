"""MINIGRAD_DEBUG=1 prints each op, and 2 also each gradient and the range of all values.

`import minigrad` imports this file if the variable is set, and only then.
"""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

import numpy as np

from minigrad.inplace import Array
from minigrad.inspect.causes import title
from minigrad.inspect.flops import bytes_moved
from minigrad.inspect.places import here
from minigrad.modes import mode
from minigrad.observer import All, Observer
from minigrad.streams import announce
from minigrad.tensor import Tensor


class Printer(Observer):
    """Prints a line for each op to stderr: shapes, time, bytes moved, module and line.

    level 2: also a line for each gradient that flows, and the least and greatest value of each.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self.begun: list[float] = []
        self.depth = 0                  # of vjps in progress

    def op_begins(self, op: Any, args: tuple[Any, ...], static: dict[str, Any]) -> None:
        self.begun.append(perf_counter())

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        seconds = perf_counter() - self.begun.pop()
        if self.depth and self.level < 2:
            return
        shapes = " ".join(str(x.shape) for x in inputs if x is not None)
        self.write(title(op), f"{shapes} -> {y.shape}", seconds,
                   bytes_moved(op, inputs, static, y), y.data, str(here()))

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self.depth += 1
        self.begun.append(perf_counter())

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        seconds = perf_counter() - self.begun.pop()
        self.depth -= 1
        if self.level > 1:
            self.write(f"vjp of {title(vertex.name)}", f"{vertex.shape} -> {gx.shape}", seconds,
                       gx.data.nbytes, gx.data, "")

    def write(self, name: str, shapes: str, seconds: float, size: int, values: Array, place: str
              ) -> None:
        parts = [f"{'  ' * self.depth}{name} {shapes}", f"{1e3 * seconds:.3f} ms", f"{size:,} B"]
        if self.level > 1 and values.size and values.dtype.kind in "fiu":
            parts.append(f"{np.min(values):.4g} … {np.max(values):.4g}")
        announce("  ".join(filter(None, [*parts, place])))


def start(setting: str) -> None:
    """Let all threads print, as the variable asks for. Raises: ValueError for anything else."""
    if setting not in ("0", "1", "2"):
        raise ValueError(f"MINIGRAD_DEBUG: must be 0, 1 or 2; got {setting!r}")
    if setting != "0":
        type(mode).observer = All([Printer(int(setting))])


start(os.environ.get("MINIGRAD_DEBUG", "0"))
