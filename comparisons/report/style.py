"""The common style of all plots: colours, fonts and axes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from markupsafe import Markup, escape
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from comparisons.implementations import TITLES
from minigrad.streams import printable

INK, FAINT, RULE = "#22211f", "#77736b", "#dedad2"
COLORS = {"minigrad": "#0b6e69", "torch": "#e08a4f"}
# PyTorch's line is wide and pale, minigrad's is thin and on top, so that both can be seen
LINES: dict[str, dict[str, Any]] = {
    "torch": {"lw": 5, "alpha": 0.55, "solid_capstyle": "round"},
    "minigrad": {"lw": 1.6, "zorder": 3}}
# blue and orange can be distinguished with any kind of colour vision
FOR, AGAINST = "#f08000", "#2a6fdb"
SHADES = LinearSegmentedColormap.from_list("page", ["#ffffff", "#cfe3e0", COLORS["minigrad"]])
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": RULE, "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT,
    "text.color": INK, "axes.grid": True, "grid.color": "#eeebe4", "axes.axisbelow": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0, "xtick.minor.size": 0,
    "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.parse_math": False}           # a class may be named "$a$"


LONGEST = 40            # characters of a name


def bounded(values: ArrayLike) -> NDArray[np.float64]:
    """Values for which axes can be computed: not all floats have a square."""
    return np.clip(np.asarray(values, np.float64), -1e100, 1e100)


def drawable(name: str) -> str:
    """A name as figures can have it: one short line, and no half of a pair of code units, which
    Matplotlib refuses."""
    text = printable(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= LONGEST else f"{text[:LONGEST - 1]}…"


@contextmanager
def any_script() -> Iterator[None]:
    """Say nothing of the characters that Matplotlib's own font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ")
        yield


def new_axes(width: float = 4.8, height: float = 2.9) -> tuple[Figure, Axes]:
    """A figure and its only axes. width, height: in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg(figure: Figure, label: str) -> Markup:
    """The figure as an inline SVG in the page's font, no wider than the screen.

    label: a description for people who cannot see the figure.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}), any_script():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    text = re.sub(r"(font: (?:\w+ )*[\d.]+px) [^;\"]*", r"\1 var(--sans)", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    head, body = text.removeprefix("<svg").split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    width = round(figure.get_figwidth() * 96)           # CSS has 96 pixels per inch
    return Markup(f'<svg role="img" aria-label="{escape(label)}" style="max-width:{width}px"'
                  f"{head}>{body}")                 # Matplotlib has escaped what it wrote


def percent(axis: Axis) -> None:
    """Label a share as a percentage."""
    axis.set_major_formatter(lambda v, _: f"{v * 100:.4g}%")


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, at its major ticks only."""
    axis.set_major_formatter(lambda v, _: f"{v:g}")
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


def name_rows(ax: Axes, names: Sequence[str], rows: Sequence[int] | None = None) -> None:
    """Label the rows of a plot at its left. Without `rows`, the first label is at the top."""
    ax.set_yticks(range(len(names)) if rows is None else rows, names)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.grid(visible=False, axis="y")
    if rows is None:
        ax.invert_yaxis()


def legend_entries(ax: Axes) -> tuple[list[Artist], list[str]]:
    """The entries of the legend: minigrad, PyTorch, then all others, in any order of drawing."""
    titles = list(TITLES.values())

    def place(entry: tuple[Artist, str]) -> int:
        return next((i for i, title in enumerate(titles) if entry[1].endswith(title)), len(titles))

    entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=place)
    return [handle for handle, _ in entries], [name for _, name in entries]
