"""The generated faces as a dataset. They replace CK+, which may not be redistributed."""

from __future__ import annotations

import numpy as np

from comparisons.datasets.base import Data
from comparisons.datasets.drawn.generator import CLASSES, FRAMES, generate
from comparisons.datasets.faces.expressions import NAMES


def generated(size: int = 48, seed: int = 0, casts: int = 1, neutral: bool = False) -> Data:
    """Drawn faces in CK+'s numbers: 118 persons, 327 recordings of 3 frames each, 981 images.

    casts: how many such sets there are. Each set, or cast, has 118 persons of its own, and a seed
    of its own: seed, seed + 1, and so on. neutral: whether each recording has a fourth frame, its
    first, in which the face is at rest.
    """
    frames = (0.0, *FRAMES) if neutral else FRAMES
    sets = [generate(size, seed + k, frames) for k in range(casts)]
    subjects, clips = (np.concatenate([
        names if casts == 1 else np.char.add(f"cast {k}, ", names)
        for k, names in enumerate(column, 1)])
        for column in ([f.subjects for f in sets], [f.clips for f in sets]))
    labels, classes = np.concatenate([f.labels for f in sets]), CLASSES
    if neutral:
        classes = list(NAMES)
        labels = np.array([classes.index(name) for name in CLASSES])[labels]
        labels[::len(frames)] = classes.index("neutral")
    seeds = f"seed {seed}" if casts == 1 else f"seeds {seed} to {seed + casts - 1}"
    return Data("faces-generated", f"faces generated with {seeds}: {len(labels):,} images of "
                f"{size} px, {len(np.unique(clips)):,} recordings of {len(np.unique(subjects)):,} "
                "persons who do not exist", np.concatenate([f.pixels for f in sets])[:, None],
                labels, classes=classes, subjects=subjects, clips=clips)
