"""Plots of what was measured, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from comparisons.errors import Fault
from comparisons.implementations import TITLES
from comparisons.report.style import COLORS, INK, LINES, STYLE, name_rows, plain_log
from comparisons.speed.clock import digits
from comparisons.speed.dots import ops_dots, zoo_dots

Rows = Sequence[dict[str, Any]]
AGAINST = {"ratio_torch": ("PyTorch, eager", COLORS["torch"]),
           "ratio_compiled": ("PyTorch, torch.compile", "#f0c39f"),
           "ratio_jax": ("JAX, jit", "#7a5c8e")}
KINDS = {"conv2d": "#0b6e69", "linear": "#6fb3ad", "max_pool2d": "#e08a4f", "relu": "#f0c39f",
         "batch_norm": "#7a5c8e", "local_response_norm": "#c3aed0", "flatten": "#dedad2",
         "loss": "#b23a48", "Adam": "#77736b", "others": "#22211f"}


def write(path: Path, report: dict[str, Any]) -> None:
    """Draw a report of `speed`. Raises: Fault naming the file if it cannot be written."""
    with mpl.rc_context(STYLE | {"savefig.facecolor": "white"}):
        draw = {"models": ratios, "zoo": zoo_dots, "jax": ratios, "ops": ops_dots,
                "layers": shares, "scaling": scaling, "walk": walk}[report["measured"]]
        figure = draw(report["rows"])
        try:
            figure.savefig(path, format="png", dpi=160)
        except OSError as error:
            raise Fault(f"{path}: {error.strerror}") from None


def ratios(rows: Rows) -> Figure:
    """Other times over minigrad's, a bar for each row; right of 1, minigrad is faster."""
    kinds = [key for key in AGAINST if any(row.get(key) for row in rows)]
    figure = Figure(figsize=(8, 1.2 + 0.2 * len(rows) * (len(kinds) + 0.6)), layout="constrained")
    ax = figure.subplots()
    thick = 0.8 / len(kinds)
    for k, key in enumerate(kinds):
        label, color = AGAINST[key]
        shown = [(i + (k - (len(kinds) - 1) / 2) * thick, row[key])
                 for i, row in enumerate(rows) if row.get(key)]
        places, values = zip(*shown, strict=True)
        bars = ax.barh(places, [v - 1 for v in values], thick * 0.9, left=1, color=color,
                       label=label)
        ax.bar_label(bars, [f"{v:.2f}" for v in values], padding=3, fontsize=8, color=INK)
    ax.axvline(1, color=INK, lw=1)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(2, subs=(1, 1.5), numticks=12))
    plain_log(ax.xaxis)
    ax.margins(x=0.15, y=0.01)
    name_rows(ax, [named(row, rows) for row in rows])
    other = "JAX" if "ratio_jax" in kinds else "PyTorch"
    ax.set_xlabel(f"{other}'s time over minigrad's: right of 1, minigrad is faster")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def named(row: dict[str, Any], rows: Rows) -> str:
    """The row's title and batch, and its threads if the rows differ in them."""
    several = len({str(other["threads"]) for other in rows}) > 1
    return (f"{row['title']}, batch {row['batch']}"
            + (f", threads {row['threads']['numba']}" if several else ""))


def shares(rows: Rows) -> Figure:
    """The share of each kind of layer in a step, of PyTorch's sum: two bars for each model."""
    times: dict[str, dict[str, dict[str, float]]] = {}      # model, implementation, kind
    for row in rows:
        kind = kind_of(row)
        for impl in TITLES:
            kinds = times.setdefault(named(row, rows), {}).setdefault(impl, {})
            kinds[kind] = kinds.get(kind, 0) + row["count"] * row[impl]["median_ms"]
    figure = Figure(figsize=(8, 1.2 + 0.75 * len(times)), layout="constrained")
    ax = figure.subplots()
    for i, sides in enumerate(times.values()):
        whole = sum(sides["torch"].values())
        for impl, place in (("minigrad", i - 0.2), ("torch", i + 0.2)):
            end = 0.0
            for kind, color in KINDS.items():
                part = sides[impl].get(kind, 0) / whole
                ax.barh(place, part, 0.36, left=end, color=color)
                end += part
            ax.text(end + 0.01, place, f"{TITLES[impl]} {digits(end * whole)} ms", va="center",
                    fontsize=8)
    name_rows(ax, list(times))
    ax.margins(x=0.2)
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    ax.set_xlabel("all layers, each measured by itself, and the step; 100% is PyTorch's sum")
    present = set(map(kind_of, rows))
    figure.legend([Patch(color=color) for kind, color in KINDS.items() if kind in present],
                  [kind for kind in KINDS if kind in present], loc="outside upper center", ncols=5)
    return figure


def kind_of(row: dict[str, Any]) -> str:
    """The kind of a layer that a row is counted under."""
    kind: str = row["layer"].split()[0]
    return kind if kind in KINDS else "others"


def scaling(rows: Rows) -> Figure:
    """The time per item as the batch grows, and per step as the image grows, for each model."""
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        panels.setdefault((row["grows"], row["task"]), []).append(row)
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 0.7 + 2.7 * lines), layout="constrained")
    every = figure.subplots(lines, columns, squeeze=False).flat
    for ax, ((grows, task), points) in zip(every, panels.items(), strict=False):
        panel(ax, grows, points)
        ax.set_title(" ".join(filter(None, [task, points[0]["variant"]])), fontsize=9.5)
    for ax in every[len(panels):]:
        ax.set_visible(False)
    handles, names = every[0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside upper center", ncols=4)
    return figure


def walk(rows: Rows) -> Figure:
    """Operations per second, a bar for each step."""
    steps = [row for row in rows if "gflops" in row]
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(steps)), layout="constrained")
    ax = figure.subplots()
    bars = ax.barh(range(len(steps)), [row["gflops"] for row in steps], color=COLORS["minigrad"])
    ax.bar_label(bars, [f"{digits(row['median_ms'])} ms" for row in steps], padding=3, fontsize=8,
                 color=INK)
    ax.set_xscale("log")
    plain_log(ax.xaxis)
    ax.margins(x=0.15)
    several = len({row["threads"]["numba"] for row in steps}) > 1
    name_rows(ax, [row["title"] + (f", threads {row['threads']['numba']}" if several else "")
                   for row in steps])
    ax.set_xlabel("GFLOP/s")
    return figure


def panel(ax: Axes, grows: str, rows: Rows) -> None:
    """A line for each implementation and number of threads."""
    counts = sorted({row["threads"]["numba"] for row in rows})
    for threads, style in zip(counts, ("-", "--", ":", "-."), strict=False):
        points = [row for row in rows if row["threads"]["numba"] == threads]
        for impl in ("torch", "minigrad"):
            ax.plot([row[grows] for row in points],
                    [row[impl]["median_ms"] / (row["batch"] if grows == "batch" else 1)
                     for row in points], color=COLORS[impl], marker="o", ms=3, ls=style,
                    label=f"{TITLES[impl]}, threads {threads}" if len(counts) > 1
                    else TITLES[impl], **LINES[impl])
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(sorted({row[grows] for row in rows}))
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.set_xlabel("batch" if grows == "batch" else
                  f"height and width of {rows[0]['batch']} images, px")
    ax.set_ylabel("ms per item" if grows == "batch" else "ms per step")
