"""Small data that `new-task` writes, so that a new task has something to learn at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPES = {"circle": 32, "square": 4, "triangle": 3}     # the number of corners that are drawn
EACH, SIDE = 60, 48             # pictures of each shape, and their height and width in pixels
RECORDS = 300
COLOURS = ("red", "green", "blue")


def write_shapes(folder: Path, seed: int = 0) -> None:
    """Write pictures of light shapes on a dark ground into a folder, in one for each shape."""
    rng = np.random.default_rng(seed)
    for name, corners in SHAPES.items():
        (folder / name).mkdir()
        for i in range(EACH):
            ground, light = rng.integers(0, 80), rng.integers(150, 256)
            middle, radius = rng.uniform(0.4, 0.6, 2) * SIDE, rng.uniform(0.2, 0.36) * SIDE
            turn = rng.uniform(-0.05, 0.05) - 0.25          # a triangle points upwards
            angle = 2 * np.pi * (np.arange(corners) / corners + turn)
            outline = middle + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
            picture = Image.new("L", (SIDE, SIDE), int(ground))
            ImageDraw.Draw(picture).polygon([(x, y) for x, y in outline.tolist()],
                                            fill=int(light))
            soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), float)
            noisy = np.clip(soft + rng.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{i:03}.png")


def table(seed: int = 0) -> str:
    """A table of invented fruit: measurements, a colour, the kind, and the price.

    A few cells are empty.
    """
    rng = np.random.default_rng(seed)
    lines = ["length,width,colour,kind,price"]
    for _ in range(RECORDS):
        kind = rng.integers(3)
        length = rng.normal((6, 9, 8)[kind], 1)
        width = rng.normal((5, 4, 7)[kind], 0.7)
        colour = rng.choice(COLOURS, p=np.roll((0.7, 0.2, 0.1), kind))
        price = 0.3 * length + 0.5 * width + (1, 0, 2)[kind] + rng.normal(0, 0.3)
        cells = [f"{length:.1f}", f"{width:.1f}", str(colour)]
        gaps = rng.uniform(size=3) < 0.03
        told = ["" if gap else cell for gap, cell in zip(gaps, cells, strict=True)]
        lines.append(",".join([*told, ("plum", "quince", "medlar")[kind], f"{price:.2f}"]))
    return "\n".join(lines) + "\n"
