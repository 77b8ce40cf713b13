"""Finds the faces in a picture with OpenCV, which is an optional dependency (`.[faces]`)."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from comparisons.datasets.crops import Box, Crop, Size, crop
from comparisons.errors import Fault

DETECTED_AT = 1024      # pixels of the longer side of the picture that is searched for faces
SMALLEST_FACE = 1 / 24  # as a share of that picture's shorter side; at least 24 pixels
INSTALL = 'pip install -e ".[faces]"'


def faces(picture: Image.Image, size: Size) -> list[Crop]:
    """The faces in a picture, from left to right.

    The detector's boxes frame a face as CK+48 and the generated images do, to within 3%, so they
    are used unchanged.
    Raises: Fault if OpenCV is not installed.
    """
    return [crop(picture, box, size) for box in boxes(picture)]


def boxes(picture: Image.Image) -> list[Box]:
    """The boxes around the faces that look into the camera, from left to right.

    Raises: Fault if OpenCV is not installed.
    Source: Viola and Jones 2001; Lienhart's cascade "alt2", which comes with OpenCV 4.
    """
    scale = min(1.0, DETECTED_AT / max(picture.size))
    small = picture.convert("L").resize((max(1, round(picture.width * scale)),
                                         max(1, round(picture.height * scale))))
    least = max(24, round(SMALLEST_FACE * min(small.size)))
    found = _cascade().detectMultiScale(np.asarray(small), 1.1, 5, minSize=(least, least))
    inside = []
    for x, y, w, h in sorted(tuple(int(n) for n in box) for box in found):
        left, right = (min(max(0, round(n / scale)), picture.width) for n in (x, x + w))
        top, bottom = (min(max(0, round(n / scale)), picture.height) for n in (y, y + h))
        if left < right and top < bottom:
            inside.append((left, top, right - left, bottom - top))
    return inside


@functools.cache
def _cascade() -> Any:
    try:
        cv2: Any = import_module("cv2")         # its own types lack `data`
        return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
    except (ImportError, AttributeError):       # OpenCV 5 has no cascades
        raise Fault(f"finding faces needs OpenCV 4 ({INSTALL}); "
                    "with --whole, the picture itself is used as the face") from None
