"""Plots of many ratios side by side: a dot for each, on logarithmic axes, for `--zoo` and `--ops`.

Right of 1, where the ground is tinted, minigrad is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparisons.report.style import COLORS, FAINT, INK, RULE, name_rows
from comparisons.speed import ops, zoo

Rows = Sequence[dict[str, Any]]
TINT = "#f1f7f5"                        # of the ground where minigrad is faster
SIZE_COLORS = dict(zip(ops.SIZES, ("#f0c39f", COLORS["torch"], "#8a4413"), strict=True))


@dataclass(frozen=True)
class Dots:
    """One dot for each name, or None where there is none. ring: whether they are hollow."""

    label: str
    color: str
    values: Sequence[float | None]
    ring: bool = False


def zoo_dots(rows: Rows) -> Figure:
    """A panel for each kind, a row for each network, and the geometric mean below."""
    several = len({str(row["threads"]) for row in rows}) > 1
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        name = row["title"] + (f", threads {row['threads']['numba']}" if several else "")
        found.setdefault(name, {})[row["kind"]] = row
    figure = Figure(figsize=(11, 1.7 + 0.27 * len(found)), layout="constrained")
    axes = figure.subplots(1, len(zoo.KINDS), sharex=True, squeeze=False)[0]
    for ax, (kind, title) in zip(axes, zoo.KINDS.items(), strict=True):
        series = []
        for key, label, color, ring in (
                ("ratio_torch", "to PyTorch", COLORS["torch"], False),
                ("ratio_torch_recorded", "recorded, to PyTorch", COLORS["minigrad"], False),
                ("ratio_compiled", "to torch.compile", COLORS["torch"], True)):
            values = [networks[kind].get(key) for networks in found.values()]
            known = [value for value in values if value]
            if known:
                series.append(Dots(label, color, [*values, zoo.geometric_mean(known)], ring))
        draw(ax, series)
        ax.axhline(len(found) - 0.5, color=RULE, lw=1)
        means = " · ".join(f"{each.values[-1]:.2f}" for each in series)
        ax.set_title(f"{title}: {means}", fontsize=9, loc="left", color=INK)
        name_rows(ax, [*found, "geometric mean"] if ax is axes[0] else [""] * (len(found) + 1))
    finish(figure, axes)
    return figure


def ops_dots(rows: Rows) -> Figure:
    """A panel for each pass, a row for each function, the worst at the top; a dot for each size."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        found.setdefault(row["title"], {})[row["pass"], row["size"]] = row["ratio_torch"]
    names = sorted(found, key=lambda name: min(found[name].values()))
    figure = Figure(figsize=(9, 1.7 + 0.17 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(ops.PASSES), sharex=True, squeeze=False)[0]
    for ax, passing in zip(axes, ops.PASSES, strict=True):
        draw(ax, [Dots(f"{size}, {ops.BYTES[size]}", color,
                       [found[name].get((passing, size)) for name in names])
                  for size, color in SIZE_COLORS.items()])
        ax.set_title(passing, fontsize=9.5, loc="left", color=INK)
        name_rows(ax, names if ax is axes[0] else [""] * len(names))
        ax.tick_params(axis="y", labelsize=7.5)
        ax.tick_params(axis="x", labeltop=True)
    finish(figure, axes)
    return figure


def draw(ax: Axes, series: Sequence[Dots]) -> None:
    """The dots of a panel, and a faint line from each row's lowest to its highest."""
    for row, values in enumerate(zip(*(each.values for each in series), strict=True)):
        known = [value for value in values if value]
        if len(known) > 1:
            ax.plot([min(known), max(known)], [row, row], color=RULE, lw=1.5, zorder=1)
    for each in series:
        places, values = zip(*((value, row) for row, value in enumerate(each.values) if value),
                             strict=True)
        ax.plot(places, values, "o", ms=5, label=each.label, zorder=2, mew=1.3,
                mec=each.color, mfc="white" if each.ring else each.color)
    ax.axvline(1, color=INK, lw=1, zorder=1)
    ax.set_xscale("log", base=2)
    ax.margins(x=0.08)


def finish(figure: Figure, axes: Sequence[Axes]) -> None:
    """The ticks, the tinted ground, the legend, and what the axes mean."""
    low, high = axes[0].get_xlim()
    axes[0].set_xlim(min(low, 0.9), max(high, 1.1))
    for ax in axes:
        ax.xaxis.set_major_locator(mpl.ticker.LogLocator(2, numticks=9))
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}" if v >= 1 else f"1/{1 / v:g}")
        ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        ax.axvspan(1, axes[0].get_xlim()[1], color=TINT, lw=0, zorder=0)
        ax.set_ylim(len(ax.get_yticks()) - 0.4, -0.6)
        ax.spines["left"].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    figure.supxlabel("PyTorch's time over minigrad's: right of 1, minigrad is faster",
                     fontsize=9.5, color=FAINT)
