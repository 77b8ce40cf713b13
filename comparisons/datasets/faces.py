"""Faces with one of seven expressions. CK+ may not be given away, so the default are drawn ones."""

from __future__ import annotations

from pathlib import Path

from comparisons.datasets.base import Data, NotThereError, images
from comparisons.datasets.face_generator import CLASSES, generate


def load_faces(data_dir: Path | None = None, size: int = 48, seed: int = 0) -> Data:
    """The generated faces, in CK+'s counts: 118 persons, 327 recordings of 3 frames, 981 images.

    **Shapes** x (981, 1, size, size) float32 in [0, 1], y, subjects and clips (981,).
    **Raises** DataError if data_dir is given: no reader of real recordings is there.
    """
    if data_dir is not None:
        raise NotThereError(f"{data_dir}: faces are generated; no folder of real ones can be read")
    faces = generate(size, seed)
    return Data("faces-generated", f"faces generated with seed {seed}: {len(faces.labels)} images "
                f"of {size} px, {len(set(faces.clips))} recordings of {len(set(faces.subjects))} "
                "persons who do not exist", images(faces.pixels), faces.labels, classes=CLASSES,
                subjects=faces.subjects, clips=faces.clips)
