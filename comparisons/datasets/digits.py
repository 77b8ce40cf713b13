"""Cuts handwritten digits out of a picture, and centres them as MNIST's are."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from comparisons.datasets.base import Array
from comparisons.datasets.crops import Crop, Size, whole

WORKED_AT = 512         # pixels of the longer side of the picture that is searched for ink
FAINTEST = 0.1          # the least difference between ink and paper, if white and black differ by 1
INK = 0.4               # ink differs by more than this share of the strongest difference
STROKE = 2.2            # pixels in MNIST's box: thin strokes are thickened to this
BOX, CENTRE = 20, 14    # MNIST: digits fill 20×20, with the centre of mass at (14, 14) of 28×28


def digits(picture: Image.Image, size: Size) -> list[Crop]:
    """The digits of one row, from left to right, light on black and centred as MNIST's are.

    A quadratic surface fitted to the brightness represents the paper, so that shading and uneven
    light do not matter. Ink differs from it: it is the darker or the lighter side, whichever is
    rarer.
    """
    scale = min(1.0, WORKED_AT / max(picture.size))
    small = picture.convert("L").resize([max(1, round(n * scale)) for n in picture.size],
                                        Image.Resampling.BOX)
    ink = _ink(np.asarray(small, np.float32) / np.float32(255))
    smooth = ndimage.gaussian_filter(ink, max(0.5, max(ink.shape) / 256), mode="nearest")
    if smooth.max() < FAINTEST:
        return []
    mask = smooth > INK * smooth.max()
    found = []
    for rows, columns, part in _groups(mask):
        level = np.percentile(ink[rows, columns][part], 75)
        if level == 0:                  # a speck, of which smoothing has left no ink at its place
            continue
        near = ndimage.binary_dilation(part, iterations=1)
        strokes = np.where(near, np.minimum(ink[rows, columns] / level, 1), 0)
        top, left = round(rows.start / scale), round(columns.start / scale)
        box = (left, top, max(1, round(columns.stop / scale) - left),
               max(1, round(rows.stop / scale) - top))
        found.append(Crop(box, _centred(_thickened(strokes, part), size)))
    return found


def whole_digit(picture: Image.Image, size: Size) -> list[Crop]:
    """The picture itself, inverted if its border is light."""
    found = whole(picture, size)[0]
    border = np.ones(size, bool)
    border[1:-1, 1:-1] = False
    light = np.median(found.pixels[border]) > 0.5
    return [Crop(found.box, 1 - found.pixels if light else found.pixels)]


def _ink(grey: Array) -> Array:
    """How much each pixel differs from the paper, (H, W)."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in grey.shape),
                       indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    values, kept = grey.ravel(), np.ones(grey.size, bool)
    for _ in range(4):                  # fit the paper, leave out outliers, and fit again
        paper = terms @ np.linalg.lstsq(terms[kept], values[kept])[0]
        rest = np.abs(values - paper)
        kept = rest <= max(3 * np.median(rest), 0.02)
    ink = values - paper
    if np.mean(ink**3) < 0:             # the longer tail is the rarer side: ink is dark
        ink = -ink / np.maximum(paper, FAINTEST)    # in shade, ink differs from paper by less
    return np.maximum(ink, 0).reshape(grey.shape)


def _groups(mask: Array) -> list[tuple[slice, slice, Array]]:
    """The rows and columns of each digit, and which of their pixels are ink.

    Strokes that are above one another or nearly touch belong to one digit; specks are dropped.
    """
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    at_edge = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    inside = [i for i in range(1, n + 1) if i not in at_edge] or list(range(1, n + 1))
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    largest = max(areas[i] for i in inside)
    strokes = sorted((i for i in inside if areas[i] >= 0.03 * largest),
                     key=lambda i: boxes[i - 1][1].start)
    tallest = max(boxes[i - 1][0].stop - boxes[i - 1][0].start for i in strokes)
    groups: list[list[int]] = []
    end = -np.inf
    for i in strokes:
        columns = boxes[i - 1][1]
        if columns.start > end + 0.05 * tallest:
            groups.append([])
        groups[-1].append(i)
        end = max(end, columns.stop)
    found = []
    for group in groups:
        rows, columns = (slice(min(boxes[i - 1][axis].start for i in group),
                               max(boxes[i - 1][axis].stop for i in group)) for axis in (0, 1))
        if rows.stop - rows.start >= tallest / 3:
            found.append((rows, columns, np.isin(labels[rows, columns], group)))
    return found


def _thickened(strokes: Array, part: Array) -> Array:
    """The strokes of a thin pen, made as wide as MNIST's thinner ones relative to the digit."""
    scale = BOX / max(part.shape)
    # the mean distance to the edge of a line is a quarter of its width
    width = 4 * ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1][part].mean()
    radius = round((STROKE - width * scale) / 2 / scale)
    if radius < 1:
        return strokes
    y, x = np.ogrid[-radius:radius + 1, -radius:radius + 1]
    thick: Array = ndimage.grey_dilation(np.pad(strokes, radius),
                                         footprint=x * x + y * y <= radius * radius)
    return thick


def _centred(strokes: Array, size: Size) -> Array:
    """The digit scaled into MNIST's box, its centre of mass on the same pixel as MNIST's."""
    scale = BOX / max(strokes.shape)
    h, w = (max(1, round(n * scale)) for n in strokes.shape)
    small = np.asarray(Image.fromarray(strokes.astype(np.float32)).resize(
        (w, h), Image.Resampling.BILINEAR))
    mass = small.sum()
    field = np.zeros(size, np.float32)
    top, left = (int(np.clip(round(CENTRE - np.arange(n) @ small.sum(1 - axis) / mass),
                             0, size[axis] - n)) for axis, n in enumerate((h, w)))
    field[top:top + h, left:left + w] = small
    return field
