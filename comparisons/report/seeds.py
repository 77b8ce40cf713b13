"""What several seeds say about the implementations: the table, and the figures of the page.

comparisons/training/differences.py computes the entries, and explains how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from markupsafe import Markup

from comparisons.implementations import NAMES
from comparisons.report.style import COLORS, INK, STYLE, bounded, new_axes, svg
from comparisons.training.differences import SAME

HEADER = ("task", "seeds", "metric", "minigrad", "PyTorch", "difference", "95% interval",
          "verdict")
ALONE = "only this side was trained"
SPREAD = "Mean ± standard deviation over the seeds."
EXPLAINED = (
    f"{SPREAD} The difference is minigrad − PyTorch, paired by\n"
    "seed, in points for percentages; its interval is that of Student’s t. Of twenty comparisons\n"
    "of equal sides, about one shows a difference by chance.")
ITEMS = "“With other items” also allows for the choice of the test items."


@dataclass(frozen=True)
class Row:
    """A metric of a task: a line of the table, or two."""

    cells: tuple[str, ...]              # as many as HEADER has
    items: str = ""                     # the interval that allows for other test items


@dataclass(frozen=True)
class Figure:
    """The differences of a metric, drawn."""

    title: str
    note: str
    svg: Markup


@np.errstate(over="ignore", invalid="ignore")       # a spread may be infinite
def rows(entries: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each entry. Only the first of a task shows the task and the seeds."""
    found, before = [], None
    for e in entries:
        first, before = e["task"] != before, e["task"]
        sides = [f"{np.mean(e[impl]):{e['format']}} ± {size(np.std(e[impl], ddof=1), e)}"
                 if impl in e else "–" for impl in NAMES]
        told = ("–", "–", ALONE) if "difference" not in e else (
            "0" if same(e) else size(e["difference"], e, "+"),
            "" if same(e) else interval(e, "low", "high"), e["verdict"])
        found.append(Row((e["task"] if first else "", spelled(e["seeds"]) if first else "",
                          e["label"], *sides, *told),
                         interval(e, "items_low", "items_high") if "items_low" in e else ""))
    return found


def compared(entries: Sequence[dict[str, Any]]) -> bool:
    """Whether there is a task of which both sides were trained."""
    return any("difference" in entry for entry in entries)


def same(entry: dict[str, Any]) -> bool:
    """Whether the two sides have equal values for every seed, up to rounding."""
    return bool(entry["verdict"] == SAME)


def size(value: float, entry: dict[str, Any], sign: str = "") -> str:
    """A difference in the format of its metric; in points where that is a percentage."""
    form: str = entry["format"]
    return (f"{100 * value:{sign}{form[:-1]}f}" if form.endswith("%") else
            f"{value:{sign}{form}}")


def interval(entry: dict[str, Any], *ends: str) -> str:
    return " to ".join(size(entry[end], entry, "+") for end in ends)


def spelled(seeds: Sequence[int]) -> str:
    """The seeds: 0 to 4, or 0, 2, 5."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def text(entries: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal."""
    told = rows(entries)
    lines: list[tuple[str, ...]] = [HEADER]
    for row in told:
        lines.append(row.cells)
        if row.items:
            lines.append(("", "", "  with other items", "", "", "", row.items, ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    laid = ["  ".join(cell.rjust(w) if 3 <= i <= 6 else cell.ljust(w)
                      for i, (cell, w) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]
    return "\n".join([laid[0], "─" * max(map(len, laid)), *laid[1:], "",
                      EXPLAINED if compared(entries) else SPREAD,
                      *[ITEMS] * any(row.items for row in told)])


def figures(entries: Sequence[dict[str, Any]]) -> list[Figure]:
    """A figure for each metric that was compared and is not the same on both sides."""
    return [Figure(f"{e['task']}: {e['label']}", sentence(e), drawn(e))
            for e in entries if "difference" in e and not same(e)]


def sentence(entry: dict[str, Any]) -> str:
    unit = " points" if entry["format"].endswith("%") else ""
    return (f"minigrad − PyTorch{' in' * bool(unit)}{unit}, a dot for each seed. The line is the "
            f"mean, {size(entry['difference'], entry, '+')}; the band is its 95% interval, "
            f"{interval(entry, 'low', 'high')} (p = {entry['p']:.2g}).")


def drawn(entry: dict[str, Any]) -> Markup:
    """The difference of each seed, their mean and its interval."""
    percent = entry["format"].endswith("%")
    scale = 100 if percent else 1
    ours, theirs = (scale * bounded(entry[impl]) for impl in NAMES)
    low, high, mean = (scale * float(bounded(entry[key])) for key in ("low", "high", "difference"))
    places = np.arange(len(entry["seeds"]))
    with mpl.rc_context(STYLE):
        figure, ax = new_axes(height=2.4)
        ax.axhspan(low, high, color=COLORS["minigrad"], alpha=0.14, lw=0)
        ax.axhline(mean, color=COLORS["minigrad"], lw=1.6)
        ax.axhline(0, color=INK, lw=0.8)
        ax.plot(places, ours - theirs, "o", color=INK, ms=5, mew=0)
        ax.set_xlim(-0.5, len(places) - 0.5)
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(10, integer=True))
        ax.xaxis.set_major_formatter(lambda at, _: str(entry["seeds"][int(at)])
                                     if 0 <= at < len(places) else "")
        ax.set_xlabel("seed")
        ax.set_ylabel("difference" + " in points" * percent)
        return svg(figure, f"{entry['task']}: difference of {entry['label']} for each seed")
