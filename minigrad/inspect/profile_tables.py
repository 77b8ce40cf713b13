"""A profile as tables: text for a terminal, HTML for a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from minigrad.inspect.profile_events import Event, Measured

ROWS = 16           # of a table of ops; the rest is summed up


@dataclass
class Row:
    """Sums over events, a step: calls, seconds, multiply-adds and bytes, forward and backward.

    predicted: the bytes of the outputs, from their shapes. held: the bytes that were in fact kept
    for the backward pass.
    """

    name: str
    calls: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    products: float = 0.0
    bytes: float = 0.0
    predicted: float = 0.0
    held: float = 0.0

    @property
    def seconds(self) -> float:
        return self.forward + self.backward

    @property
    def gflops(self) -> float:
        """Floating-point operations by time, in 10⁹ a second; a multiply-add is two."""
        return 2 * self.products / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """Bytes that had to be moved, by time, in 10⁹ a second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


SUMS = ("calls", "forward", "backward", "products", "bytes", "predicted", "held")


def module_of(event: Event) -> str:
    if not event.modules:
        return "(outside)"
    path, kind = event.modules[-1]
    return f"{path} ({kind})" if path else f"({kind})"


def rows(events: Sequence[Event], steps: int, key: Callable[[Event], str], sort: bool = True
         ) -> list[Row]:
    """Sums by key. What runs inside a vjp is part of that vjp's row."""
    found: dict[str, Row] = {}
    vjp: Event | None = None
    for event in events:
        inside = event.phase == "inside"
        if event.phase == "backward":
            vjp = event
        owner = vjp if inside and vjp is not None else event
        row = found.setdefault(key(owner), Row(key(owner)))
        if event.phase == "forward":
            row.calls += 1
            row.forward += event.own
            row.predicted += event.output
            row.held += event.held
        else:
            row.backward += event.own
        if not inside:
            row.products += event.products
            row.bytes += event.bytes
    for row in found.values():
        for field in SUMS:
            setattr(row, field, getattr(row, field) / steps)
    return sorted(found.values(), key=lambda row: -row.seconds) if sort else list(found.values())


def by_op(profile: Measured) -> list[Row]:
    """A row for each kind of op, the slowest first."""
    return rows(profile.events, profile.steps, lambda event: event.name)


def by_module(profile: Measured) -> list[Row]:
    """A row for each module, in the order in which they run first."""
    return rows(profile.events, profile.steps, module_of, sort=False)


Table = tuple[str, list[str], list[list[str]]]


def tables(profile: Measured) -> list[Table]:
    ops, modules = by_op(profile), by_module(profile)
    total = sum(row.seconds for row in ops)
    if len(ops) > ROWS:
        ops = [*ops[:ROWS - 1], added(ops[ROWS - 1:], f"{len(ops) - ROWS + 1} others")]
    return [(title, [first, "calls", "forward ms", "backward ms", "share", "GFLOP/s", "GB/s"],
             [speed(row, total) for row in several]) for title, first, several in
            (("Time by op", "op", ops), ("Time by module", "module", modules))] + [
        ("Memory by module, in bytes", ["module", "outputs (predicted)",
                                        "kept for backward (measured)"],
         [[row.name, f"{row.predicted:,.0f}", f"{row.held:,.0f}"]
          for row in [*modules, added(modules, "all")] if row.predicted or row.held])]


def added(several: Sequence[Row], name: str) -> Row:
    row = Row(name)
    for field in SUMS:
        setattr(row, field, sum(getattr(each, field) for each in several))
    return row


def speed(row: Row, total: float) -> list[str]:
    return [row.name, f"{row.calls:g}", f"{1e3 * row.forward:.3f}", f"{1e3 * row.backward:.3f}",
            f"{row.seconds / total:.1%}" if total else "", f"{row.gflops:.1f}" * (row.products > 0),
            f"{row.gbytes:.1f}" * (row.bytes > 0)]


def balance(profile: Measured) -> str:
    """Where the time of a step went, in a sentence or two."""
    n = profile.steps
    wall, ops, own, python = (1e3 * seconds / n for seconds in (
        profile.wall, profile.observed, profile.profiler, profile.python))
    text = (f"A step took {wall:.3f} ms: {ops:.3f} ms in ops and their gradients, {python:.3f} ms "
            f"outside of them (the engine, the optimiser, Python), and {own:.3f} ms for the "
            "profiler itself.")
    if profile.plain is not None:
        text += (f" Without the profiler it takes {1e3 * profile.plain:.3f} ms; the profile "
                 f"accounts for {ops + python:.3f} ms.")
    return text


def peak(profile: Measured) -> str:
    """How much memory was needed, in a sentence."""
    kept = sum(event.held for event in profile.events) / profile.steps
    return (f"The outputs that the backward pass needs took {kept:,.0f} bytes; at most "
            f"{profile.peak:,} bytes of large arrays were in use at once, gradients and "
            "parameters' updates included.")


def as_text(profile: Measured) -> str:
    parts = [balance(profile), peak(profile)]
    for title, head, lines in tables(profile):
        widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
        shown = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(
            zip(line, widths, strict=True))).rstrip() for line in [head, *lines]]
        parts.append("\n".join([title, shown[0], "-" * len(shown[0]), *shown[1:]]))
    return "\n\n".join(parts)


def as_html(profile: Measured) -> str:
    parts = [f"<p>{escape(balance(profile))} {escape(peak(profile))}</p>"]
    for title, head, lines in tables(profile):
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(
            f'<td style="text-align:{"left" if i == 0 else "right"}">{escape(cell)}</td>'
            for i, cell in enumerate(line)) + "</tr>" for line in lines)
        parts.append('<div style="overflow-x:auto"><table style="margin:1em 0">'
                     f"<caption>{escape(title)}</caption><thead><tr>{cells}</tr></thead>"
                     f"<tbody>{body}</tbody></table></div>")
    return "\n".join(parts)
