"""Cuts parts out of pictures as grey images of the size that a network was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from comparisons.datasets.base import Array, unit
from comparisons.errors import DataError

Box = tuple[int, int, int, int]         # left, top, width and height in a picture's pixels
Size = tuple[int, int]                  # height and width


@dataclass(frozen=True)
class Crop:
    """A part of a picture, as the network sees it.

    box: its position in the picture. pixels: what the network sees, (H, W) float32 in [0, 1].
    """

    box: Box
    pixels: Array


Cut = Callable[[Image.Image, Size], list[Crop]]


@dataclass(frozen=True)
class Subject:
    """What a network recognises: the word for it, and two ways to cut it out of a picture.

    find: cuts out each one that the picture shows. whole: uses the picture itself as one.
    """

    noun: str
    find: Cut
    whole: Cut


def whole(picture: Image.Image, size: Size) -> list[Crop]:
    """The picture itself: the largest part around its centre with the network's proportions."""
    (height, width), (w, h) = size, picture.size
    scale = min(w / width, h / height)
    cut_w, cut_h = max(1, round(width * scale)), max(1, round(height * scale))
    return [crop(picture, ((w - cut_w) // 2, (h - cut_h) // 2, cut_w, cut_h), size)]


def crop(picture: Image.Image, box: Box, size: Size) -> Crop:
    """A box of the picture in grey, scaled to the network's size."""
    return Crop(box, scaled(picture, box, size, 1)[0])


def scaled(picture: Image.Image, box: Box, size: Size, channels: int) -> Array:
    """`levels` as float32 in [0, 1]."""
    return unit(levels(picture, box, size, channels))


def levels(picture: Image.Image, box: Box, size: Size, channels: int) -> Array:
    """A box of the picture, scaled.

    Shapes: → (channels, *size) uint8; channels: 1 for grey or 3 for colour.
    Raises: DataError as `insist_on_box` does.
    """
    insist_on_box(box, picture)
    x, y, w, h = box
    part = picture.crop((x, y, x + w, y + h)).convert("L" if channels == 1 else "RGB")
    values = np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR), np.uint8)
    return np.moveaxis(values.reshape(*size, channels), -1, 0)


def insist_on_box(box: Box, picture: Image.Image) -> None:
    """Check a box, which a task's own code may have found.

    Raises: DataError unless it is at least a pixel, and within the picture.
    """
    x, y, w, h = box
    if not (x >= 0 and y >= 0 and w >= 1 and h >= 1         # which no NaN is
            and x + w <= picture.width and y + h <= picture.height):
        raise DataError(f"a box at {x}, {y} of {w}×{h} px was found, which is not within the "
                        f"picture of {picture.width}×{picture.height} px")
