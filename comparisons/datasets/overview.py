"""Lists the data on this machine, and says how to get those that are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from comparisons.datasets.base import EMBEDDED, Data, cache_folder, search_folders
from comparisons.datasets.diabetes import load_diabetes
from comparisons.datasets.diabetes_table import find_diabetes
from comparisons.datasets.faces.reader import found, listed
from comparisons.datasets.mnist import SUBSET, load_mnist, load_subset
from comparisons.errors import DataError, NotThereError

FACE = 48       # pixels, enough to see whether pictures can be read

OWN = """To train on data of your own, pass --data PATH, a folder or a file:
  diabetes                a CSV file with the Pima table's columns: with names, in any order, or
                          without, in the order of the embedded table
  mnist-mlp, mnist-cnn    four IDX files, plain or .gz, such as those of MNIST, Fashion-MNIST,
                          KMNIST or EMNIST:
    PATH/train-images-idx3-ubyte     or train-images.idx3-ubyte, or, as Kaggle packs them,
    PATH/train-labels-idx1-ubyte     train-images-idx3-ubyte/train-images-idx3-ubyte
    PATH/t10k-images-idx3-ubyte      or test-images-idx3-ubyte
    PATH/t10k-labels-idx1-ubyte
Data are named by what they are: published ones by checksums, others after their folder or file.
`python -m comparisons new-task NAME` makes a task for your own pictures or for a table."""

ARRANGE = """To use real faces, put them into a folder DIR in one of these ways and pass --data DIR:
  CK+ as its authors distribute it (on request, under an agreement), unpacked side by side
    DIR/cohn-kanade-images/S005/001/S005_001_00000011.png
    DIR/Emotion/S005/001/S005_001_00000011_emotion.txt
    DIR/Landmarks/S005/001/S005_001_00000011_landmarks.txt
      Without landmarks, OpenCV looks for the face. A square picture is taken to be a face.
      --frames last:3, peak or neutral-to-peak selects frames of each recording.
  folders named after expressions, directly in DIR, in CK+48/, or in train/ and test/
    DIR/anger/S010_004_00000017.png     such a name states the person and the recording
    DIR/happy/anything.jpg              other names do not; then only --protocol random or, with
                                        a folder test/, given can split the pictures
  a table in the format of ckextended.csv and fer2013.csv
    DIR/ckextended.csv                  columns emotion and pixels, and optionally Usage"""


def text(data_dir: Path | None = None) -> str:
    """A paragraph about each dataset.

    data_dir: a folder or a file to search before the usual places.
    Raises: DataError if it does not exist.
    """
    folders = "\n".join(f"  {folder}{'' if folder.is_dir() else '  (does not exist)'}"
                        for folder in search_folders())
    if data_dir is not None and not data_dir.exists():
        raise DataError(f"{data_dir}: no such file or folder (--data)")
    places = [*([data_dir] if data_dir else []), *search_folders()]
    return f"""regression
  found: rows generated from --seed

diabetes
  {embedded(load_diabetes, EMBEDDED / 'pima-indians-diabetes.csv')}{own_table(data_dir)}

mnist-mlp, mnist-cnn
  {embedded(load_subset, EMBEDDED / SUBSET)}
  {full_mnist(data_dir)}

dexpression
  found: generated faces of persons who do not exist, as many as in CK+
{real_faces(places)}

{OWN}

{ARRANGE}

Folders that are searched without --data ($MINIGRAD_DATA first, if it is set):
{folders}"""


def real_faces(places: Sequence[Path]) -> str:
    """The real faces in the folders, with counts and a line for each fault."""
    lines = []
    for path in (path for place in places for path in found(place)):
        try:
            data = listed(path).data(FACE)
        except DataError as error:
            lines.append(f"  UNUSABLE: {error}")
            continue
        counts = ", ".join(f"{name} {n:,}" for name, n
                           in zip(data.classes, np.bincount(data.y), strict=True))
        lines += [f"  found: {data.source}", f"    {counts}",
                  *(f"    left out: {line}" for line in data.left_out)]
    return "\n".join(lines) or "  not found: real faces"


def own_table(data_dir: Path | None) -> str:
    """The user's own diabetes table, with a line for each record that was left out, if any."""
    try:
        data = find_diabetes(data_dir)
    except NotThereError:
        return ""
    except DataError as error:
        return f"\n  UNUSABLE: {error}"
    if data.source == load_diabetes().source:
        return ""
    return "\n".join(["", f"  found: {data.source}",
                      *(f"    left out: {line}" for line in data.left_out)])


def embedded(load: Callable[[], Data], path: Path) -> str:
    """Whether a file that ships with the package is intact."""
    try:
        return f"found: {load().source}"
    except DataError as error:
        return f"MISSING: {error}; it is part of the project: git checkout -- {path}"


def full_mnist(data_dir: Path | None) -> str:
    """Whether the full MNIST, or other IDX files, were found, or how to get MNIST."""
    try:
        try:
            data = load_mnist(data_dir)
        except NotThereError:           # the folder holds faces
            data = load_mnist()
    except DataError as error:
        return f"UNUSABLE: {error}"
    if data.name != "mnist-subset":
        return f"found: {data.source}"
    return (f"not found: the full 60,000 + 10,000 digits. `python -m comparisons run mnist-mlp` "
            f"downloads them\n  if there is an internet connection. You can also put the four "
            f"IDX files, plain or .gz, into\n  {cache_folder()}, or into a folder that you pass "
            "with --data")
