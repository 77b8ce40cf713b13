"""Writes the page: the errors of every tensor as a picture, and the drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comparisons.audits.parity.drift import Drift
from comparisons.audits.parity.findings import Found
from comparisons.audits.parity.measure import DOUBLE, ORDER, SINGLE, Line
from comparisons.audits.parity.recording import BACKWARD, FORWARD, PARAMETER
from comparisons.files import write_text
from comparisons.report.templating import TEMPLATES
from comparisons.training import environment

LOWEST, HIGHEST = -18, 0                # powers of ten at the ends of the picture
TITLES = {FORWARD: "Forward: the activation of each layer",
          BACKWARD: "Backward: the gradient of each activation, from the loss to the input",
          PARAMETER: "The gradient of each parameter"}
WIDTH, HEIGHT = 640, 230                # of the drift, in pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 30


def write(found: Sequence[Found], path: Path) -> None:
    """Write the page of some networks."""
    versions = environment.describe()["versions"]
    write_text(path, TEMPLATES.get_template("parity.html").render(
        networks=[network(of) for of in found], single=SINGLE, double=DOUBLE,
        ticks=[(f"1e{power}", place(10.0**power)) for power in range(LOWEST + 2, HIGHEST, 4)],
        bounds=[(place(DOUBLE), "double"), (place(SINGLE), "single")],
        made=f"minigrad {versions['minigrad']}, PyTorch {versions['torch']}"))


def network(found: Found) -> dict[str, Any]:
    """What the page shows of a network."""
    name = "-".join("".join(c if c.isalnum() else " " for c in found.subject.title).split())
    return {"id": name, "title": found.subject.title, "introduction": found.introduction,
            "verdict": found.verdict, "bad": found.bad, "source": found.subject.data.source,
            "parts": [(TITLES[kind], [row(line) for line in found.lines if line.kind == kind])
                      for kind in ORDER],
            "drifted": found.drifted, "drift": picture(found.drifts)}


def row(line: Line) -> dict[str, Any]:
    errors = {"minigrad": line.minigrad, "torch": line.torch, "double": line.double}
    return {"name": line.label, "shape": "×".join(map(str, line.shape)) or "scalar",
            "out": line.out,
            "errors": [(kind, told(value), place(value)) for kind, value in errors.items()]}


def told(value: float) -> str:
    return "–" if math.isnan(value) else "0" if value == 0 else f"{value:.1e}"


def place(value: float) -> float | None:
    """The place of an error in the picture, in percent from its left; None for one that is none."""
    if math.isnan(value):
        return None
    power = math.log10(value) if value > 0 else -math.inf
    return round(100 * (min(max(power, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST), 2)


def picture(drifts: dict[str, Drift]) -> dict[str, Any]:
    """The curves of the drift, as points of an SVG, with the ticks of its axes."""
    steps = max(len(drift.weights) for drift in drifts.values())

    def at(step: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (step / (steps - 1) if steps > 1 else 0.5)
        height = place(value)
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (100 if height is None else height) / 100
        return f"{x:.1f},{y:.1f}"

    curves = [(dtype, what, [at(k, value) for k, value in enumerate(values)])
              for dtype, drift in drifts.items()
              for what, values in (("weights", drift.weights), ("loss", drift.losses))]
    every = max(1, round(steps / 8))
    return {"width": WIDTH, "height": HEIGHT, "curves": curves, "left": LEFT,
            "right": WIDTH - RIGHT,
            "y": [(f"1e{power}", float(at(0, 10.0**power).split(",")[1]))
                  for power in range(LOWEST + 2, HIGHEST + 1, 4)],
            "x": [(step + 1, float(at(step, 1).split(",")[0]))
                  for step in range(0, steps, every)]}
