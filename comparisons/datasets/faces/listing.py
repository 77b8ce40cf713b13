"""What the readers of faces return: a list of items, which becomes one dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from comparisons.datasets.base import Data
from comparisons.datasets.faces.expressions import NAMES
from comparisons.datasets.stored import Collected
from comparisons.errors import DataError

GENERATED = "GENERATED.txt"     # a file that `python -m comparisons faces` writes beside its faces


@dataclass(frozen=True)
class Item:
    """One picture of a face, which has not been read yet.

    read: returns the picture, square and grey, or raises DataError. clip: the recording, such as
    "S005_001", with the person before the underscore; empty if not known. test: whether the data's
    own split tests on it.
    """

    label: str
    read: Callable[[], Image.Image]
    clip: str = ""
    test: bool = False


@dataclass
class Listing:
    """A source of faces: its items, and what was left out of it, as lines or as a count."""

    name: str
    origin: str
    items: list[Item] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unlabelled: int = 0         # recordings without a label; most of CK+'s have none

    def data(self, size: int) -> Data:
        """Read every item at size × size pixels; what cannot be read joins `left_out`.

        Raises: DataError if fewer than two classes are left.
        """
        items: list[Item] = []
        collected = Collected((1, size, size))
        left_out = list(self.left_out)
        for item in self.items:
            try:
                picture = item.read().resize((size, size), Image.Resampling.BILINEAR)
            except DataError as error:
                left_out.append(str(error))
                continue
            items.append(item)
            collected.add(np.asarray(picture))
        classes = [name for name in NAMES if any(item.label == name for item in items)]
        if len(classes) < 2:
            reason = f"; the first of {len(left_out)} faults: {left_out[0]}" if left_out else ""
            raise DataError(f"{self.origin}: {len(items)} readable faces of {len(classes)} "
                            f"expressions; expected two expressions or more{reason}")
        clips = np.array([item.clip for item in items])
        known = bool(np.all(clips != ""))
        test = np.array([item.test for item in items])
        return Data(
            self.name, f"{self.origin}: {self._told(items, size, len(left_out))}",
            collected.images(), np.array([classes.index(i.label) for i in items]),
            classes=classes, clips=clips if known else None,
            subjects=np.array([clip.split("_")[0] for clip in clips]) if known else None,
            test_rows=np.flatnonzero(test) if test.any() and not test.all() else None,
            left_out=tuple(left_out))

    def _told(self, items: Sequence[Item], size: int, left_out: int) -> str:
        clips = {item.clip for item in items}
        told = f"{len(items):,} images of {size} px"
        if "" not in clips:
            persons = {clip.split("_")[0] for clip in clips}
            told += f", {counted(len(clips), 'recording')} of {counted(len(persons), 'person')}"
        if self.unlabelled:
            told += f"; {counted(self.unlabelled, 'recording')} without a label"
        return told + (f"; {left_out:,} left out as faulty" if left_out else "")


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 person, 1,200 persons."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def name_of(folder: Path, usual: str) -> str:
    """The name of the dataset in a folder; drawn faces must not be mistaken for CK+."""
    drawn = any((place / GENERATED).exists() for place in (folder, folder.parent))
    return "faces-generated" if drawn else usual
