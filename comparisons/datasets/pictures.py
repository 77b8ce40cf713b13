"""Pictures from files: grey, square, and the face alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from comparisons.datasets.base import DataError

EYES_APART, EYES_DOWN = 0.38, 0.39      # parts of the side: the mean face of CK+48
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)      # of the 68 landmarks


def read_grey(path: Path) -> Image.Image:
    """The picture in a file, upright, in 8 bits of grey. Raises DataError naming the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return ImageOps.exif_transpose(image).convert("L")
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture") from None
    # a damaged file can fail in any of Pillow's decoders
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{path}: {reason}") from None


def read_landmarks(path: Path) -> np.ndarray:
    """The 68 points (x, y) of a file of CK+'s, in pixels: (68, 2). Raises DataError naming it."""
    try:
        points = np.array(path.read_text("ascii").split(), float).reshape(-1, 2)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise DataError(f"{path}: not two numbers a line") from None
    if len(points) != 68 or not np.isfinite(points).all():
        raise DataError(f"{path}: expected 68 points; got {len(points)}")
    return points


def middle(image: Image.Image) -> Image.Image:
    """The largest square in the middle of a picture."""
    return ImageOps.fit(image, (min(image.size),) * 2)


def upright(image: Image.Image, points: np.ndarray) -> Image.Image:
    """The square around a face, turned and cut so that the eyes lie where CK+48's lie.

    points: the 68 landmarks, (68, 2) in pixels.
    **Raises** ValueError if both eyes are in one place.
    """
    left, right = points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)
    across, (x, y) = right - left, (left + right) / 2
    side = np.hypot(*across) / EYES_APART
    if side < 1:
        raise ValueError("upright: both eyes are in one place")
    turned = image.rotate(np.degrees(np.arctan2(across[1], across[0])), Image.Resampling.BICUBIC,
                          center=(x, y))
    corner = np.round([x - side / 2, y - EYES_DOWN * side]).astype(int)
    return turned.crop((*corner, *(corner + round(side))))
