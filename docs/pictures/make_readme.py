"""Make pictures of the README from the results of two commands:

    python -m comparisons run dexpression --impl minigrad --out faces
    python -m comparisons speed --json speeds.json
    python docs/pictures/make_readme.py faces speeds.json
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

HERE = Path(__file__).parent
WARM = mpl.colors.LinearSegmentedColormap.from_list("warm", ["#ffffff00", "#e8702acc"])
OURS, GREY = "#0f8074", "#8a857a"       # to be seen on light and on dark pages
CLEAR = {"facecolor": "none", "transparent": True, "bbox_inches": "tight", "pad_inches": 0.05}


def faces(folder: Path, picture: Path) -> None:
    """The surest right answer of each class, and below it the same with what speaks for the class
    coloured: where covering the face makes the network less sure."""
    details = json.loads((folder / "dexpression-minigrad" / "details.json").read_text("utf-8"))
    names = details["classes"]
    right = {e["target"]: e for e in details["examples"] if e["target"] == e["guess"]}
    figure = Figure((1.1 * len(right), 2.5))
    for column, (k, example) in enumerate(sorted(right.items())):
        face = np.asarray(Image.open(io.BytesIO(base64.b64decode(example["png"]))).convert("L"))
        evidence = np.maximum(np.asarray(example["occlusion"]), 0)
        for row in range(2):
            ax = figure.add_subplot(2, len(right), row * len(right) + column + 1)
            ax.axis("off")
            ax.imshow(face, "gray", vmin=0, vmax=255, extent=(0, 1, 0, 1))
            if row:
                ax.imshow(evidence, WARM, extent=(0, 1, 0, 1), interpolation="bicubic",
                          vmin=0, vmax=evidence.max() or 1)
            else:
                ax.set_title(names[k], fontsize=8, color=GREY)
    figure.subplots_adjust(0, 0, 1, 0.92, 0.06, 0.06)
    figure.savefig(picture, dpi=96, **CLEAR)


def speeds(results: Path, picture: Path) -> None:
    """How many times as long a training step takes in PyTorch as in minigrad."""
    rows = [(f"{row['title']}, batches of {row['batch']}",
             row["torch"]["median_ms"] / row["minigrad"]["median_ms"])
            for row in json.loads(results.read_text("utf-8"))["rows"]]
    figure = Figure((7, 0.34 * len(rows) + 0.6))
    ax = figure.subplots()
    places = np.arange(len(rows))[::-1]
    ax.barh(places, [ratio for _, ratio in rows], 0.62, color=OURS)
    ax.axvline(1, color=GREY, lw=1)
    for place, (_, ratio) in zip(places, rows, strict=True):
        ax.text(ratio + 0.04, place, f"{ratio:.2f}", va="center", fontsize=9, color=GREY)
    ax.set_yticks(places, [title for title, _ in rows])
    ax.set_xlabel("time of a training step: PyTorch / minigrad", fontsize=9, color=GREY)
    ax.tick_params(colors=GREY, length=0, labelsize=9)
    ax.spines[:].set_visible(False)
    figure.savefig(picture, **CLEAR)


if __name__ == "__main__":
    faces(Path(sys.argv[1]), HERE / "faces.png")
    speeds(Path(sys.argv[2]), HERE / "speeds.svg")
