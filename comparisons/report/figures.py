"""The figures of the report, each as the text of an inline SVG.

Most functions take the details of a task for each implementation, and draw those that are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from markupsafe import Markup

from comparisons.implementations import TITLES
from comparisons.report.style import (
    COLORS,
    INK,
    LINES,
    RULE,
    SHADES,
    STYLE,
    bounded,
    drawable,
    legend_entries,
    name_rows,
    new_axes,
    percent,
    plain_log,
    svg,
)

Details = dict[str, dict[str, Any]]     # by implementation

SMALLEST = 1e-17        # values below it, such as 0, are drawn at it on logarithmic axes
COUNTED = 20            # with more classes, a confusion matrix has no room for numbers
LEVEL = 0.02            # a relative change below this is drawn as nearly constant
BAR = "#bdb8ae"         # the colour of an interval
DOTS: dict[str, dict[str, Any]] = {"torch": {"ms": 9, "alpha": 0.55, "mew": 0},
                                   "minigrad": {"ms": 4.5, "zorder": 3, "mew": 0}}


def sides(details: Details) -> Iterator[tuple[str, dict[str, Any]]]:
    """The implementations in the order of drawing, so that minigrad is on top."""
    return ((impl, details[impl]) for impl in ("torch", "minigrad") if impl in details)


def learning_curve(details: Details, key: str, label: str, *, log: bool) -> Markup:
    """A quantity after each epoch. Thin lines are single trainings, thick lines their mean."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes()
        lowest, highest, length = np.inf, -np.inf, 1
        for impl, found in sides(details):
            history = found["history"]
            trainings = [[e[key] for e in history if e["fold"] == k]
                         for k in sorted({e["fold"] for e in history})]
            length = min(map(len, trainings))
            values = bounded([training[:length] for training in trainings])
            values = np.maximum(values, SMALLEST) if log else values
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
            epochs = np.arange(1, length + 1)
            if len(values) > 1:
                ax.plot(epochs, values.T, color=COLORS[impl], lw=0.5, alpha=0.3)
            mean = np.exp(np.log(values).mean(0)) if log else values.mean(0)
            ax.plot(epochs, mean, color=COLORS[impl], label=TITLES[impl],
                    marker="o" if length == 1 else None, **LINES[impl])
        ax.set_xlabel("epoch")
        if log and highest > 3 * lowest:
            ax.set_yscale("log")
            if highest < 1e3 * lowest:
                ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            plain_log(ax.yaxis)
        elif key.endswith("accuracy"):
            percent(ax.yaxis)
        if highest - lowest < LEVEL * abs(highest):
            ax.set_ylim(lowest - LEVEL * abs(highest), highest + LEVEL * abs(highest))
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
        if length == 1:
            ax.set_xlim(0, 2)           # without this, ticks would be at fractions of an epoch
            ax.set_xticks([1])
        ax.legend(*legend_entries(ax), loc="best")
        return svg(figure, label)


def confusion(targets: Sequence[int], guesses: Sequence[int], classes: Sequence[str],
              label: str) -> Markup:
    """How often each true class (row) was predicted as each class. Shades are shares of the row."""
    n = len(classes)
    table = np.zeros((n, n), int)
    np.add.at(table, (np.asarray(targets), np.asarray(guesses)), 1)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.left": False,
                                 "axes.spines.bottom": False}):
        side = min(1.4 + 0.34 * max(n, 5), 4.8)
        figure, ax = new_axes(side, side)
        ax.imshow(share ** 0.5, cmap=SHADES, vmin=0, vmax=1)    # √: single mistakes stay visible
        if n <= COUNTED:
            for i, j in zip(*np.nonzero(table), strict=True):
                ax.text(j, i, str(table[i, j]), ha="center", va="center",
                        color="white" if share[i, j] > 0.7 else INK, fontsize=8)
        classes = list(map(drawable, classes))
        small: dict[str, Any] = {"fontsize": 8 if n <= COUNTED else 160 / n}
        if max(map(len, classes)) < 3:
            ax.set_xticks(range(n), classes, **small)
        else:
            ax.set_xticks(range(n), classes, rotation=40, ha="right", rotation_mode="anchor",
                          **small)
        ax.set_yticks(range(n), classes, **small)
        ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="#f3f0ea", lw=1)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        return svg(figure, label)


def per_class(details: Details, label: str) -> Markup:
    """Recall (a dot) and F1 (a ring) of each class, the rarest class at the bottom."""
    known = next(iter(details.values()))
    count = np.array(known["per_class"]["count"])
    order = np.argsort(count, kind="stable")
    rows = np.arange(len(order))
    with mpl.rc_context(STYLE | {"axes.spines.left": False}):
        figure, ax = new_axes(height=0.9 + 0.27 * len(order))
        for impl, found in sides(details):
            scores, dot = found["per_class"], DOTS[impl]
            ax.plot(np.array(scores["recall"])[order], rows, "o", color=COLORS[impl],
                    label=f"recall, {TITLES[impl]}", **dot)
            ax.plot(np.array(scores["f1"])[order], rows, "o", color=COLORS[impl],
                    label=f"F1, {TITLES[impl]}",
                    **dot | {"ms": dot["ms"] + 1, "mfc": "none", "mew": dot["ms"] / 4})
        name_rows(ax, [f"{drawable(known['classes'][k])}, {count[k]:,}" for k in order], list(rows))
        ax.set_xlim(right=1.02)
        percent(ax.xaxis)
        figure.legend(*legend_entries(ax), loc="outside lower center", ncols=2, columnspacing=1.5,
                      handletextpad=0.2, fontsize=8.5)
        return svg(figure, label)


def split_accuracies(details: Details, label: str) -> Markup:
    """The accuracy of each split, and a line at the accuracy on all their test items."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes()
        for impl, found in sides(details):
            accuracy, count = (np.array([split[key] for split in found["splits"]])
                               for key in ("accuracy", "count"))
            ax.axhline(np.average(accuracy, weights=count), color=COLORS[impl], **LINES[impl])
            ax.plot(np.arange(1, len(accuracy) + 1), accuracy, "o", color=COLORS[impl],
                    label=TITLES[impl], **DOTS[impl])
        ax.set_xlabel("split")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(10, integer=True))
        percent(ax.yaxis)
        ax.legend(*legend_entries(ax), loc="best")
        return svg(figure, label)


def coefficients(details: Details, label: str) -> Markup:
    """The learned and the exact coefficients, with 95% intervals of these if known."""
    first = next(iter(details.values()))["coefficients"]
    names, exact = first["names"], np.array(first["exact"])
    rows = np.arange(len(names))[::-1]
    with mpl.rc_context(STYLE | {"axes.spines.left": False}):
        figure, ax = new_axes(height=0.95 + 0.25 * len(names))
        ax.axvline(0, color=RULE, lw=1)
        if "half_width" in first:
            ax.errorbar(exact, rows, xerr=first["half_width"], fmt="none", ecolor=BAR, lw=1.4,
                        label="95% interval")
        ax.plot(exact, rows, "|", ms=15, mew=1.2, color=INK, label="exact")
        for impl, found in sides(details):
            ax.plot(found["coefficients"]["learned"], rows, "o", color=COLORS[impl],
                    label=TITLES[impl], **DOTS[impl])
        name_rows(ax, list(map(drawable, names)), list(rows))
        ax.set_xlabel("coefficient")
        figure.legend(*legend_entries(ax), loc="outside lower center", ncols=4, columnspacing=1,
                      handletextpad=0.3)
        return svg(figure, label)


def calibration(details: Details, label: str) -> Markup:
    """Predicted probabilities and observed frequencies, for groups of test items."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes(height=3.4)
        ax.plot([0, 1], [0, 1], color=RULE, lw=1.2)
        table: dict[str, Any] = {}
        for impl, found in sides(details):
            table = found["calibration"]
            ax.plot(table["predicted"], table["observed"], color=COLORS[impl], **LINES[impl],
                    label=TITLES[impl])
        ax.vlines(table["predicted"], table["low"], table["high"], color=BAR, lw=1.2, zorder=1,
                  label="95% interval")
        percent(ax.xaxis)
        percent(ax.yaxis)
        ax.set_xlabel("mean predicted probability of the group")
        ax.set_ylabel("observed share of the positive class")
        ax.legend(*legend_entries(ax), loc="upper left")
        return svg(figure, label)


def predicted(details: Details, label: str) -> Markup:
    """The predicted and the true values of the test items."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes(height=3.4)
        for impl, found in sides(details):
            ax.plot(found["fit"]["truth"], found["fit"]["predicted"], "o", color=COLORS[impl],
                    label=TITLES[impl],
                    **DOTS[impl] | {"ms": DOTS[impl]["ms"] / 1.7})
        ends = ax.get_xlim()
        ax.plot(ends, ends, color=RULE, lw=1.2, zorder=0)
        ax.set_xlabel("true value")
        ax.set_ylabel("predicted value")
        ax.legend(*legend_entries(ax), loc="upper left")
        return svg(figure, label)
