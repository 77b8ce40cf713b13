"""What the walks share: their steps and tables, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from comparisons.datasets.base import Array
from comparisons.speed.clock import digits, in_turn, quartiles, repeated
from comparisons.speed.limits import Limits

SECONDS = 1.0                   # to spend on each measurement

Row = dict[str, Any]


# ---- tables --------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Table:
    """A table of a walk: its name, and for each column the text that it shows of a row."""

    name: str
    columns: dict[str, Callable[[Row], str]]

    def cells(self, row: Row) -> list[str]:
        """A row as the texts in its columns."""
        return [text(row) for text in self.columns.values()]

    def line(self, cells: Sequence[str]) -> str:
        """The cells of a row, or the heads of the columns, one beside the other."""
        widths = [max(11, len(head) + 2) for head in [*self.columns][1:]]
        return f"{cells[0]:45}" + "".join(f"{cell:>{width}}" for cell, width in
                                          zip(cells[1:], widths, strict=True))



def number(key: str) -> Callable[[Row], str]:
    """A column of numbers; empty where a row does not have this one."""
    return lambda row: digits(row[key]) if key in row else ""


def title(row: Row) -> str:
    """The first column."""
    text: str = row["title"]
    return text


def microseconds(row: Row) -> str:
    return digits(row["median_ms"] * 1e3)


def share(row: Row) -> str:
    """The least time that the machine's limits allow, over the time taken."""
    return f"{row['share']:.0%}" if "share" in row else ""


# ---- steps ---------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Step:
    """A way to compute the results of a walk from its inputs.

    prepared: gives the inputs the order in memory that the step takes them in; not timed.
    blas: whether NumPy's BLAS may use threads of its own.
    moved: how many arrays of the size of the input the step reads or writes; 0 if that is not told.
    """

    title: str
    compute: Callable[..., Sequence[Array]]
    prepared: Callable[..., Sequence[Array]] = lambda *inputs: inputs
    blas: bool = False
    moved: int = 0


def measured(table: str, steps: Sequence[Step], inputs: Sequence[Array], limits: Limits,
             flops: float = 0, size: float = 0) -> Iterator[Row]:
    """A row for each step, compared with the first.

    flops, size: how many operations are needed, and how many bytes have to be read and written.
    """
    first: Sequence[Array] = ()
    for step in steps:
        with nullcontext() if step.blas else threadpool_limits(1, "blas"):
            given = step.prepared(*inputs)
            outputs = [np.array(y) for y in step.compute(*given)]
            first = first or outputs
            row: Row = {
                "table": table, "title": step.title,
                "output_difference": largest_difference(outputs, first),
                **timed(partial(step.compute, *given))}
        seconds = row["median_ms"] / 1e3
        row["share"] = limits.share(flops, size, seconds)
        if flops:
            row["gflops"] = flops / seconds / 1e9
        if step.moved:
            row["moved"] = step.moved
            row["gbs"] = step.moved * inputs[0].nbytes / seconds / 1e9
        yield row


def largest_difference(outputs: Sequence[Array], first: Sequence[Array]) -> float:
    """The largest difference of two steps' outputs, as a share of the largest value of each."""
    return max(float(np.abs(y - expected).max() / np.abs(expected).max())
               for y, expected in zip(outputs, first, strict=True))


def timed(call: Callable[[], object], calls: int = 1) -> dict[str, float]:
    """The quartiles of the time of one op, of which `call` performs `calls`."""
    _, times = in_turn({"": repeated(call)}, SECONDS)
    return quartiles(times[""][:, 0] / calls)
