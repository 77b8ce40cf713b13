"""Faces with one of seven or eight expressions: the user's own data, else drawn ones.

CK+ may not be given away, so the default are faces that a program draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comparisons.datasets.base import Data, NotThereError, images, search_folders
from comparisons.datasets.ck_frames import Frames
from comparisons.datasets.ck_tree import is_tree, list_tree
from comparisons.datasets.face_generator import CLASSES, generate
from comparisons.datasets.face_table import is_table, list_table
from comparisons.datasets.image_folders import has_classes, list_folders
from comparisons.datasets.listing import Listing, visible

DEPTH = 2       # folders below the named one that are looked into


def load_faces(data_dir: Path | None = None, size: int = 48, seed: int = 0,
               frames: Frames | None = None) -> Data:
    """Faces in `data_dir`, else in $MINIGRAD_DATA, else in the cache folder, else generated ones.

    What is there is found by looking: CK+'s own tree, folders named after expressions, or a table.

    **Shapes** x (N, 1, size, size) float32 in [0, 1], y (N,) int64.
    **Raises** NotThereError if `data_dir` holds none of these, or no recordings to take `frames`
    from; DataError if what it holds cannot be used.
    """
    for root in search_folders() if data_dir is None else [data_dir]:
        for path in found(root):
            return listed(path, frames).data(size)
    if data_dir is not None:
        raise NotThereError(f"{data_dir}: holds no faces that can be read; `python -m comparisons "
                            "data` says how to arrange them")
    if frames is not None:
        raise NotThereError("--frames: is for recordings; the generated faces are what they are")
    return generated(size, seed)


def generated(size: int = 48, seed: int = 0, casts: int = 1) -> Data:
    """Drawn faces in CK+'s counts: 118 persons, 327 recordings of 3 frames, 981 images.

    casts: so many times as many, each with other persons: those of seed, seed + 1, …
    """
    sets = [generate(size, seed + k) for k in range(casts)]
    subjects, clips = (np.concatenate([
        names if casts == 1 else np.char.add(f"cast {k}, ", names)
        for k, names in enumerate(column, 1)])
        for column in ([f.subjects for f in sets], [f.clips for f in sets]))
    labels = np.concatenate([f.labels for f in sets])
    seeds = f"seed {seed}" if casts == 1 else f"seeds {seed} to {seed + casts - 1}"
    return Data("faces-generated", f"faces generated with {seeds}: {len(labels):,} images of "
                f"{size} px, {len(np.unique(clips)):,} recordings of {len(np.unique(subjects)):,} "
                "persons who do not exist", images(np.concatenate([f.pixels for f in sets])),
                labels, classes=CLASSES, subjects=subjects, clips=clips)


def found(root: Path) -> list[Path]:
    """The sources of faces at or under a folder, those in upper folders first."""
    sources, level = [], [root] if root.is_dir() else []
    for _ in range(DEPTH + 1):
        below = []
        for folder in level:
            if is_tree(folder) or has_classes(folder):
                sources.append(folder)
                continue
            for path in visible(folder):
                if path.is_dir():
                    below.append(path)
                elif path.suffix.lower() == ".csv" and is_table(path):
                    sources.append(path)
        level = below
    return sources


def listed(path: Path, frames: Frames | None = None) -> Listing:
    """One of what `found` found, by its kind."""
    if path.is_file():
        if frames is not None:
            raise NotThereError(f"{path}: does not tell recordings apart, as --frames needs")
        return list_table(path)
    return list_tree(path, frames) if is_tree(path) else list_folders(path, frames)
