"""The figures on calibration: how far confidence can be believed, and what it costs to be sure."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
from markupsafe import Markup

from comparisons.implementations import TITLES
from comparisons.report.figures import Details, sides
from comparisons.report.style import (
    COLORS,
    FAINT,
    LINES,
    RULE,
    STYLE,
    legend_entries,
    new_axes,
    percent,
    svg,
)

DOT = 160               # the area of a dot that stands for all test items, in square points
WORDS = {"before": "", "after": ", calibrated"}


def charts(name: str, details: Details) -> Iterator[tuple[str, str, Markup]]:
    """The title, the explanation and the picture of each figure whose data are there."""
    if found := {impl: d for impl, d in details.items() if d.get("reliability")}:
        after = any("after" in d["reliability"] for d in found.values())
        yield ("Reliability", "Whether the network is right as often as it claims. The test items "
               "are grouped by their confidence, the probability of the likeliest class, in steps "
               "of a fifteenth. On the diagonal, the accuracy of a group equals its mean "
               "confidence; below it, the network claims too much. The larger a dot, the more "
               "items it stands for." + " Pale, dotted lines are before the temperature was "
               "applied, which was fitted to items that were held out of training." * after,
               diagram(found, f"{name}: reliability"))
    if found := {impl: d for impl, d in details.items() if d.get("risk_coverage")}:
        yield ("Accuracy of the answers that are given", "If only the most confident answers are "
               "given, and the network says “unsure” otherwise: the accuracy of the given "
               "answers, for each share of the test items.",
               coverage(found, f"{name}: accuracy of the answers that are given"))


def diagram(details: Details, label: str) -> Markup:
    """The accuracy of the test items by their confidence, before and after calibration."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes(height=3.4)
        ax.plot([0, 1], [0, 1], color=RULE, lw=1.2)
        for impl, found in sides(details):
            tables = found["reliability"]
            for when, table in tables.items():
                plain = when == "before" and "after" in tables
                ax.plot(table["confidence"], table["accuracy"], color=COLORS[impl],
                        label=f"{TITLES[impl]}{WORDS.get(when, '')}",
                        **{"lw": 1.2, "ls": ":"} if plain else LINES[impl])
                ax.scatter(table["confidence"], table["accuracy"],
                           [DOT * share for share in table["share"]], color=COLORS[impl], lw=0,
                           alpha=0.25 if plain else 0.6, zorder=4)
        percent(ax.xaxis)
        percent(ax.yaxis)
        ax.set_xlabel("mean confidence of the group")
        ax.set_ylabel("accuracy of the group")
        ax.legend(*legend_entries(ax), loc="upper left")
        return svg(figure, label)


def coverage(details: Details, label: str) -> Markup:
    """The accuracy of the most confident answers by their share of all."""
    with mpl.rc_context(STYLE):
        figure, ax = new_axes()
        for impl, found in sides(details):
            curve, chosen = found["risk_coverage"], found["risk_coverage"].get("chosen")
            ax.plot(curve["share"], curve["accuracy"], color=COLORS[impl], label=TITLES[impl],
                    **LINES[impl])
            if chosen:
                ax.plot(*chosen, "o", color=COLORS[impl], ms=8, mec="white", zorder=5)
        if any(found["risk_coverage"].get("chosen") for found in details.values()):
            ax.plot([], [], "o", color=FAINT, ms=8, mec="white", label="the threshold that is kept")
        percent(ax.xaxis)
        percent(ax.yaxis)
        ax.set_xlabel("share of the test items that are answered")
        ax.set_ylabel("accuracy of these answers")
        ax.legend(*legend_entries(ax), loc="best")
        return svg(figure, label)
