"""What data there is on this machine, what there is not, and how to get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from comparisons.datasets.base import EMBEDDED, Data, cache_folder, search_folders
from comparisons.datasets.diabetes import load_diabetes
from comparisons.datasets.faces.reader import found, listed
from comparisons.datasets.mnist import SUBSET, load_mnist, load_subset
from comparisons.errors import DataError, NotThereError

FACE = 48       # px, to look at what is there

ARRANGE = """To read real faces, put one of these into a folder DIR and name it with --data DIR:
  CK+ as it is given out (ask its authors; agreement needed), unpacked side by side
    DIR/cohn-kanade-images/S005/001/S005_001_00000011.png
    DIR/Emotion/S005/001/S005_001_00000011_emotion.txt
    DIR/Landmarks/S005/001/S005_001_00000011_landmarks.txt
      (without landmarks, OpenCV looks for the face; a square picture is taken as it is)
    --frames last:3, peak or neutral-to-peak chooses among the frames of each recording
  folders named after expressions, an inner CK+48/ or not, train/ and test/ or not
    DIR/anger/S010_004_00000017.png     named so, pictures keep person and recording
    DIR/happy/anything.jpg              else only --protocol random, or given with test/, is left
  a table, ckextended.csv or fer2013.csv
    DIR/ckextended.csv                  columns emotion, pixels and perhaps Usage"""


def text(data_dir: Path | None = None) -> str:
    """A paragraph a dataset; data_dir: a folder to look into as well."""
    folders = "\n".join(f"  {folder}{'' if folder.is_dir() else '  (not there)'}"
                        for folder in search_folders())
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder (--data)")
    places = [*([data_dir] if data_dir else []), *search_folders()]
    return f"""regression
  here: generated from --seed

diabetes
  {embedded(load_diabetes, EMBEDDED / 'pima-indians-diabetes.csv')}

mnist-mlp, mnist-cnn
  {embedded(load_subset, EMBEDDED / SUBSET)}
  {full_mnist(data_dir)}

dexpression
  here: generated faces, as many as CK+ has, of persons who do not exist
{real_faces(places)}

{ARRANGE}

Folders that are searched when --data names none ($MINIGRAD_DATA first):
{folders}"""


def real_faces(places: Sequence[Path]) -> str:
    """What the folders hold of real faces, with counts and a line for each fault."""
    lines = []
    for path in (path for place in places for path in found(place)):
        try:
            data = listed(path).data(FACE)
        except DataError as error:
            lines.append(f"  UNUSABLE: {error}")
            continue
        counts = ", ".join(f"{name} {n:,}" for name, n
                           in zip(data.classes, np.bincount(data.y), strict=True))
        lines += [f"  here: {data.source}", f"    {counts}",
                  *(f"    left out: {line}" for line in data.left_out)]
    return "\n".join(lines) or "  not here: real faces"


def embedded(load: Callable[[], Data], path: Path) -> str:
    try:
        return f"here: {load().source}"
    except DataError as error:
        return f"MISSING: {error}; it comes with the project: git checkout -- {path}"


def full_mnist(data_dir: Path | None) -> str:
    try:
        try:
            data = load_mnist(data_dir)
        except NotThereError:           # that folder is for faces
            data = load_mnist()
    except DataError as error:
        return f"DAMAGED: {error}"
    if data.name == "mnist":
        return f"here: {data.source}"
    return (f"not here: the full 60,000 + 10,000 digits. `python -m comparisons run mnist-mlp` "
            f"downloads them\n  where there is internet; or put the four IDX files, .gz or not, "
            f"into {cache_folder()}\n  or any folder, and name that folder with --data")
