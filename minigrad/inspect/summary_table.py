"""The rows of a summary, and the table that they make on a terminal and in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

HEADINGS = ("layer", "type", "output", "parameters", "multiply-adds", "activations", "gradients",
            "forward", "backward")
WORDS = 3           # the first columns are words; the others numbers, aligned to the right


@dataclass
class Row:
    """A module and all below it, except what the docstring of `summary` says otherwise.

    path: "" for the network itself. calls: how often it ran. output: the shape of what it returned,
    "" if it did not run. parameters: how many numbers it learns. multiply_adds, and the same of the
    backward pass. activations, gradients: bytes. forward, backward: seconds.
    """

    path: str
    kind: str
    calls: int = 0
    output: str = ""
    parameters: int = 0
    multiply_adds: int = 0
    backward_multiply_adds: int = 0
    activations: int = 0
    gradients: int = 0
    forward: float = 0.0
    backward: float = 0.0

    @property
    def depth(self) -> int:
        return self.path.count(".") + 1 if self.path else 0


@dataclass
class Summary:
    """The rows, the network's own first. Prints itself as a table, also in a notebook.

    trainable: how many of the parameters require grad. buffers: how many numbers the buffers hold.
    """

    rows: list[Row]
    trainable: int
    buffers: int

    @property
    def total(self) -> Row:
        return self.rows[0]

    def __getitem__(self, path: str) -> Row:
        """The row of a module, by its path."""
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(path)

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)


def as_text(summary: Summary) -> str:
    lines = [HEADINGS, *(cells(row) for row in summary.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(cell.ljust(width) if i < WORDS else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
             for line in lines]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([texts[0], rule, *texts[1:], rule, *totals(summary)])


def as_html(summary: Summary) -> str:
    head = "".join(f"<th{_align(i)}>{heading}</th>" for i, heading in enumerate(HEADINGS))
    body = "".join("<tr>" + "".join(
        f"<td{_align(i)}>{escape(cell.lstrip())}</td>" if i else
        f"<td style='text-align:left;padding-left:{.6 + 1.2 * row.depth:.1f}em'>"
        f"<b>{escape(cell.lstrip())}</b></td>"
        for i, cell in enumerate(cells(row))) + "</tr>" for row in summary.rows)
    foot = "".join(f"<p style='margin:.2em 0'>{escape(line)}</p>" for line in totals(summary))
    return (f"<div style='overflow-x:auto'><table style='font-variant-numeric:tabular-nums'>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}</div>")


def _align(column: int) -> str:
    return f" style='text-align:{'left' if column < WORDS else 'right'};white-space:nowrap'"


def cells(row: Row) -> tuple[str, ...]:
    """The row's columns as text; the layer's name is indented by its depth."""
    name = row.path.rpartition(".")[2] or "(network)"
    times = f" × {row.calls}" if row.calls > 1 else ""
    return ("  " * row.depth + name + times, row.kind, row.output, f"{row.parameters:,}",
            count(row.multiply_adds), size(row.activations), size(row.gradients),
            time(row.forward), time(row.backward))


def totals(summary: Summary) -> list[str]:
    """What holds for the network as a whole, in plain sentences."""
    total = summary.total
    frozen = total.parameters - summary.trainable
    return [
        f"{total.parameters:,} parameters"
        + (f", of which {frozen:,} are frozen" if frozen else "")
        + (f", and {summary.buffers:,} numbers in buffers" if summary.buffers else ""),
        f"{total.multiply_adds:,} multiply-adds forward, "
        f"{total.backward_multiply_adds:,} backward",
    ]


def count(n: float) -> str:
    """1234567 as 1.23 M."""
    if not n:
        return "–"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= limit:
            return f"{n / limit:.3g} {unit}" if n < 1000 * limit else f"{n / limit:,.0f} {unit}"
    return f"{n:,.0f}"


def size(n: float) -> str:
    """Bytes: 1536 as 1.5 KiB."""
    if not n:
        return "–"
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if n >= 2**power:
            return f"{n / 2**power:.1f} {unit}"
    return f"{n:,.0f} B"


def time(seconds: float) -> str:
    """0.00123 as 1.23 ms."""
    if not seconds:
        return "–"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
