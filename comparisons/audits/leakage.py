"""How much test sets of faces share with training, and how much accuracy that alone provides.

A split leaks if the answers can be looked up. The lookup needs no training: each test image gets
the label of the training image whose pixels are nearest. Wherever its accuracy is higher than on
strangers, the difference is due to knowing the person or the recording ("clip"). docs/leakage.md
explains this in detail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.stored import Images
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
from comparisons.tasks.protocols import PROTOCOLS, kinds, overlaps
from comparisons.tasks.task import Split

MEASURED = tuple(protocol for protocol in PROTOCOLS if protocol != "given")
HEADER = ("protocol", "person seen", "clip seen", "nearest image", "same person", "same clip",
          "commonest class")


def measure(data: Data, options: DexpressionOptions) -> list[tuple[str, dict[str, float]]]:
    """A row for each protocol by which the data can be split: shares of all test images.

    person, clip: those whose person (clip) is also in training. nearest: those that get the right
    label from the nearest training image. nearest_person, nearest_clip: those whose nearest
    training image is of the same person (clip). majority: those of the commonest training class.
    """
    rows = []
    for protocol in MEASURED:
        if protocol == "random" or protocol in kinds(data):
            splits = DexpressionTask().splits(data, replace(options, protocol=protocol))
            parts = [leaks(data, split) for split in splits]
            weights = [len(split.test_rows) for split in splits]
            rows.append((protocol, {key: float(np.average([p[key] for p in parts],
                                                          weights=weights)) for key in parts[0]}))
    return rows


def persons(data: Data, options: DexpressionOptions) -> dict[str, Any]:
    """Who is in the test set of each fold, as JSON.

    Raises: Fault if the data do not say who is shown.
    """
    splits = DexpressionTask().splits(data, replace(options, protocol="person"))
    subjects = data.subjects
    assert subjects is not None         # else they could not be split by person
    return {"dataset": data.name, "seed": options.seed, "images": [len(s.y_test) for s in splits],
            "folds": [sorted({str(name) for name in subjects[s.test_rows]}) for s in splits]}


def leaks(data: Data, split: Split) -> dict[str, float]:
    """The shares for the test images of one split; see `measure`."""
    train, test = split.train_rows, split.test_rows
    found = train[nearest(split.x, split.x_test)]
    shares = {"nearest": float(np.mean(data.y[found] == split.y_test)),
              "majority": float(np.mean(split.y_test == np.bincount(split.y).argmax()))}
    for kind, groups in kinds(data).items():
        shares[f"nearest_{kind}"] = float(np.mean(groups[found] == groups[test]))
    return shares | overlaps(data, split)


def nearest(x: Images, x_test: Images) -> Array:
    """For each test image, the place in x of the image at the least Euclidean distance.

    Each image is first brought to mean 0 and length 1; otherwise the nearest image would be
    one with similar light.
    Shapes: x (N, C, H, W), x_test (M, C, H, W) → (M,).
    """
    flat, flat_test = (unit(inputs(images).reshape(len(images), -1)) for images in (x, x_test))
    found: Array = (flat_test @ flat.T).argmax(1)       # |a - b|² = 2 - 2 a·b
    return found


def unit(rows: Array) -> Array:
    """Each row with mean 0 and length 1."""
    rows = rows - rows.mean(1, keepdims=True)
    scaled: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return scaled


def text(data: Data, options: DexpressionOptions) -> str:
    """The table for the terminal."""
    keys = ("person", "clip", "nearest", "nearest_person", "nearest_clip", "majority")
    cells = [HEADER, *((protocol, *(f"{shares[k]:.1%}" if k in shares else "–" for k in keys))
                       for protocol, shares in measure(data, options))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width
                                                   in zip(row[1:], widths[1:], strict=True))])
             for row in cells]
    lines.insert(1, "─" * len(lines[0]))
    return (f"{data.name}: {data.source}\nShares of the test images of {options.folds} folds. "
            "Nearest image: those that get the right label from the\ntraining image whose pixels "
            "are nearest. The two columns after it: those for which that image\nis of the same "
            "person, or of the same clip (recording).\n\n" + "\n".join(lines))
