"""Two curves in one picture, drawn with characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 60, 12                  # of the picture, in characters
FLOOR = 1e-16                           # anything smaller is drawn here


def draw(yours: Sequence[float], right: Sequence[float], shown: str, name: str) -> str:
    """The curves of the op `name` and of the right op over the steps, on a logarithmic scale.

    A curve that ends early, at a value that is infinite or NaN, or that leaves the picture at its
    top, is marked with ^.
    """
    top = 1e3 * max(abs(right[0]), FLOOR)           # what lies above is not worth looking at
    heights = [_log(v) for v in (*yours, *right) if math.isfinite(v) and abs(v) <= top]
    low, high = min(heights), max(heights)
    high = max(high, low + 1)                       # at least one power of ten
    steps = max(len(yours), len(right)) - 1
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]

    def place(values: Sequence[float], mark: str) -> None:
        for column in range(WIDTH):
            step = round(column * steps / (WIDTH - 1))
            value = values[step] if step < len(values) else math.inf
            outside = not math.isfinite(value) or _log(value) > high
            row = 0 if outside else round((high - _log(value)) / (high - low) * (HEIGHT - 1))
            here = grid[row][column]
            grid[row][column] = "^" if outside else "*" if here == "o" else mark
            if outside:
                break

    place(right, "o")
    place(yours, "x")
    labels = {round(i * (HEIGHT - 1) / 3): high - i * (high - low) / 3 for i in range(4)}
    lines = [f"  {shown}"]
    for row, cells in enumerate(grid):
        label = f"{10 ** labels[row]:.2g}" if row in labels else ""
        lines.append(f"{label:>9} |{''.join(cells).rstrip()}")
    lines.append(" " * 10 + "+" + "-" * WIDTH)
    lines.append(" " * 11 + "step 0" + f"step {steps}".rjust(WIDTH - 6))
    legend = f"  x {name}    o the right op"
    if any("*" in row for row in grid):
        legend += "    * both"
    if any("^" in row for row in grid):
        legend += "    ^ leaves the picture"
    return "\n".join([*lines, legend])


def _log(value: float) -> float:
    return math.log10(max(abs(value), FLOOR))
