"""The report's figures, each as the text of an inline SVG."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from comparisons.implementations import TITLES

INK, FAINT, RULE = "#22211f", "#77736b", "#dedad2"
COLORS = {"minigrad": "#0b6e69", "torch": "#e08a4f"}
# PyTorch's line is wide and pale, minigrad's thin and on top: where they agree, both are seen
LINES: dict[str, dict[str, Any]] = {
    "torch": {"lw": 5, "alpha": 0.55, "solid_capstyle": "round"},
    "minigrad": {"lw": 1.6, "zorder": 3}}
# blue and orange differ to every kind of colour vision, and both from a grey photograph
FOR, AGAINST = "#f08000", "#2a6fdb"
BLUES = LinearSegmentedColormap.from_list("page", ["#ffffff", "#cfe3e0", "#0b6e69"])
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": RULE, "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT,
    "text.color": INK, "axes.grid": True, "grid.color": "#eeebe4", "axes.axisbelow": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0, "xtick.minor.size": 0,
    "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none"}

Details = dict[str, dict[str, Any]]     # by implementation


def svg(figure: Figure, label: str) -> str:
    """The figure as an SVG in the page's font, as large as meant or, on a phone, smaller."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    text = re.sub(r"(font: (?:\w+ )*[\d.]+px) [^;\"]*", r"\1 var(--sans)", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    width = round(figure.get_figwidth() * 96)           # CSS has 96 pixels an inch
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', rf'<svg role="img" aria-label="{label}" '
                  rf'style="max-width:{width}px" \1', text, count=1)


def axes(width: float = 4.8, height: float = 2.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def learning_curve(details: Details, key: str, label: str, *, log: bool) -> str:
    """One quantity after each epoch; thin lines are single trainings, strong ones their mean."""
    with mpl.rc_context(STYLE):
        figure, ax = axes()
        for impl in ("torch", "minigrad"):
            if impl not in details:
                continue
            history = details[impl]["history"]
            folds = [[e[key] for e in history if e["fold"] == k]
                     for k in sorted({e["fold"] for e in history})]
            length = min(map(len, folds))
            values = np.array([fold[:length] for fold in folds])
            values = np.maximum(values, 1e-17) if log else values
            epochs = np.arange(1, length + 1)
            if len(values) > 1:
                ax.plot(epochs, values.T, color=COLORS[impl], lw=0.5, alpha=0.3)
            middle = np.exp(np.log(values).mean(0)) if log else values.mean(0)
            ax.plot(epochs, middle, color=COLORS[impl], label=TITLES[impl],
                    marker="o" if length == 1 else None, **LINES[impl])
        ax.set_xlabel("epoch")
        if log:
            ax.set_yscale("log")
            if key == "loss":
                ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
                ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
                ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        elif key.endswith("accuracy"):
            ax.yaxis.set_major_formatter(lambda v, _: f"{v * 100:.4g}%")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
        if length == 1:
            ax.set_xlim(0, 2)           # else its ticks would be parts of an epoch
        handles, names = ax.get_legend_handles_labels()
        ax.legend(handles[::-1], names[::-1], loc="best")
        return svg(figure, label)


def confusion(targets: Sequence[int], guesses: Sequence[int], classes: Sequence[str],
              label: str) -> str:
    """How often each class (a row) was taken for each other; the shade is the share of the row."""
    n = len(classes)
    table = np.zeros((n, n), int)
    np.add.at(table, (np.asarray(targets), np.asarray(guesses)), 1)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.left": False,
                                 "axes.spines.bottom": False}):
        side = 1.4 + 0.34 * max(n, 5)
        figure, ax = axes(min(side, 4.8), min(side, 4.8))
        ax.imshow(share ** 0.5, cmap=BLUES, vmin=0, vmax=1)     # √: single mistakes stay visible
        for i, j in zip(*np.nonzero(table), strict=True):
            ax.text(j, i, str(table[i, j]), ha="center", va="center",
                    color="white" if share[i, j] > 0.4 else INK, fontsize=8)
        if max(map(len, classes)) < 3:
            ax.set_xticks(range(n), classes)
        else:
            ax.set_xticks(range(n), classes, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(n), classes)
        ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="#f3f0ea", lw=1)
        ax.set_xlabel("taken for")
        ax.set_ylabel("is")
        return svg(figure, label)


def per_class(details: Details, label: str) -> str:
    """Recall (a dot) and F1 (a ring) of each class, the rarest class at the bottom."""
    known = next(iter(details.values()))
    count = np.array(known["per_class"]["count"])
    order = np.argsort(count, kind="stable")
    rows = np.arange(len(order))
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x", "axes.spines.left": False}):
        figure, ax = axes(height=0.9 + 0.27 * len(order))
        for impl, size, width in (("torch", 9, 2.2), ("minigrad", 4.5, 1.2)):
            if impl not in details:
                continue
            scores, color = details[impl]["per_class"], COLORS[impl]
            pale = {"alpha": 0.55} if impl == "torch" else {"zorder": 3}
            ax.plot(np.array(scores["recall"])[order], rows, "o", ms=size, color=color, mew=0,
                    label=f"recall, {TITLES[impl]}", **pale)
            ax.plot(np.array(scores["f1"])[order], rows, "o", ms=size + 1, mfc="none", mec=color,
                    mew=width, label=f"F1, {TITLES[impl]}", **pale)
        ax.set_yticks(rows, [f"{known['classes'][k]}, {count[k]:,}" for k in order])
        ax.tick_params(axis="y", labelcolor=INK)
        ax.set_xlim(right=1.02)
        ax.xaxis.set_major_formatter(lambda v, _: f"{v * 100:.4g}%")
        figure.legend(loc="outside lower center", ncols=len(details) * 2, columnspacing=1,
                      handletextpad=0.2, fontsize=8.5)
        return svg(figure, label)


def split_accuracies(details: Details, label: str) -> str:
    """The accuracy of each split; a line at that of all their test images together."""
    with mpl.rc_context(STYLE):
        figure, ax = axes()
        for impl in ("torch", "minigrad"):
            if impl not in details:
                continue
            splits = details[impl]["splits"]
            found, count = (np.array([s[key] for s in splits]) for key in ("accuracy", "count"))
            ax.axhline(np.average(found, weights=count), color=COLORS[impl], **LINES[impl])
            dots: dict[str, Any] = ({"ms": 9, "alpha": 0.55} if impl == "torch" else
                                    {"ms": 4.5, "zorder": 3})
            ax.plot(np.arange(1, len(found) + 1), found, "o", color=COLORS[impl], mew=0,
                    label=TITLES[impl], **dots)
        ax.set_xlabel("split")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(10, integer=True))
        ax.yaxis.set_major_formatter(lambda v, _: f"{v * 100:.4g}%")
        handles, names = ax.get_legend_handles_labels()
        ax.legend(handles[::-1], names[::-1], loc="best")
        return svg(figure, label)


def coefficients(details: Details, label: str) -> str:
    """The learned coefficients on the exact ones, with the exact ones' 95% interval if known."""
    first = next(iter(details.values()))["coefficients"]
    names, exact = first["names"], np.array(first["exact"])
    rows = np.arange(len(names))[::-1]
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x", "axes.spines.left": False}):
        figure, ax = axes(height=0.75 + 0.25 * len(names))
        ax.axvline(0, color=RULE, lw=1)
        if "half_width" in first:
            ax.errorbar(exact, rows, xerr=first["half_width"], fmt="none", ecolor="#bdb8ae", lw=1.4,
                        label="95% interval")
        ax.plot(exact, rows, "|", ms=15, mew=1.2, color=INK, label="exact")
        for impl, marker in (("torch", 8.5), ("minigrad", 4)):
            if impl in details:
                ax.plot(details[impl]["coefficients"]["learned"], rows, "o", ms=marker,
                        color=COLORS[impl], label=TITLES[impl], alpha=1 if marker < 5 else 0.6,
                        mew=0)
        ax.set_yticks(rows, names)
        ax.tick_params(axis="y", labelcolor=INK)
        figure.legend(loc="outside lower center", ncols=4, columnspacing=1, handletextpad=0.3)
        return svg(figure, label)


def calibration(details: Details, label: str) -> str:
    """What was predicted against what came true, in tenths of the test rows."""
    with mpl.rc_context(STYLE):
        figure, ax = axes(height=3.4)
        ax.plot([0, 1], [0, 1], color=RULE, lw=1.2)
        for impl in ("torch", "minigrad"):
            if impl not in details:
                continue
            table = details[impl]["calibration"]
            ax.plot(table["predicted"], table["observed"], color=COLORS[impl], **LINES[impl],
                    label=TITLES[impl])
        last = details["minigrad" if "minigrad" in details else "torch"]["calibration"]
        ax.vlines(last["predicted"], last["low"], last["high"], color="#bdb8ae", lw=1.2,
                  label="95% interval", zorder=1)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda v, _: f"{v:.0%}")
        ax.set_xlabel("predicted")
        ax.set_ylabel("observed")
        ax.legend(loc="upper left")
        return svg(figure, label)


def predicted(details: Details, label: str) -> str:
    """Predicted against true values of the test rows."""
    with mpl.rc_context(STYLE):
        figure, ax = axes(height=3.4)
        for impl, size in (("torch", 26), ("minigrad", 7)):
            if impl in details:
                fit = details[impl]["fit"]
                ax.scatter(fit["truth"], fit["predicted"], s=size, color=COLORS[impl], lw=0,
                           alpha=0.9 if size < 10 else 0.4, label=TITLES[impl])
        low, high = ax.get_xlim()
        ax.plot([low, high], [low, high], color=RULE, lw=1.2, zorder=0)
        ax.set_xlabel("true")
        ax.set_ylabel("predicted")
        ax.legend(loc="upper left")
        return svg(figure, label)


def overlay(png: str, values: Sequence[Sequence[float]], most: float) -> str:
    """A map over its image: orange where it is positive, blue where negative, full at ±most.

    png: a grey image, as base64; so is the result, twice as fine as the image or 96 pixels.
    """
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
    side = max(96, 2 * image.width)
    grey = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), float)[..., None]
    strength = np.asarray(Image.fromarray(np.asarray(values, np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC))[..., None] / most
    color = np.where(strength > 0, *(255 * np.array(mpl.colors.to_rgb(c)) for c in (FOR, AGAINST)))
    alpha = 0.8 * np.clip(np.abs(strength), 0, 1)
    stream = io.BytesIO()
    # the image paler and flatter, so that the colours and not its shadows are what is dark
    paler = 70 + 0.7 * grey
    Image.fromarray((paler + alpha * (color - paler)).astype(np.uint8)).save(stream, "PNG",
                                                                             optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
