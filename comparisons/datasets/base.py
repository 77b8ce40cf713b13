"""What every dataset of the comparisons consists of, and where datasets are found."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.datasets.stored import Images
from comparisons.errors import DataError

Array = NDArray[Any]

INNER = ("raw", "gzip")         # folders whose names say nothing about the data in them
EMBEDDED = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True)
class Data:
    """One dataset.

    name: short, for files and tables. source: one line for people, which says what was read, from
    where, and how many items there are.
    x, y: the training set; x_test, y_test: the test set. If there is no test set, both are None,
    and the task splits x and y.
    Images have the shape (N, C, H, W), class labels are int64. Images are float32 in [0, 1] or, as
    all that are read from files are, uint8, which takes a quarter of the memory: these levels are
    scaled to [0, 1] a batch at a time, before the task's transform and before the network; see
    `levels.py`. Many of them lie in a file; see `stored.py`.
    subjects, clips: for each row of x, the person that it shows and its recording (clip).
    test_rows: the rows of x that the dataset's own split tests on, if it has such a split.
    left_out: one line for each item that could not be used, naming its file.
    encoding: how the cells of a table become the values of x, in a form that JSON can hold; see
    `tables.py`. A checkpoint keeps it.
    """

    name: str
    source: str
    x: Images
    y: Array
    x_test: Images | None = None
    y_test: Array | None = None
    classes: list[str] = field(default_factory=list)
    subjects: Array | None = None
    clips: Array | None = None
    test_rows: Array | None = None
    left_out: tuple[str, ...] = ()
    encoding: dict[str, Any] | None = None


def read_embedded(name: str, sha256: str, folder: Path = EMBEDDED) -> bytes:
    """The bytes of a file that ships with the package.

    Raises: DataError if the file is missing or was altered.
    """
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: damaged (its SHA-256 is not the recorded {sha256[:12]}…)")
    return content


def cache_folder() -> Path:
    """The folder for the current user's downloads, where the platform keeps its caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "minigrad"


def search_folders() -> list[Path]:
    """Where to look for data if the user named no folder: $MINIGRAD_DATA, then the cache folder,
    unless it may not be read.

    Raises: DataError if $MINIGRAD_DATA names a folder that does not exist.
    """
    named = os.environ.get("MINIGRAD_DATA")
    if named and not Path(named).is_dir():
        raise DataError(f"{named}: no such folder (named by MINIGRAD_DATA)")
    found = [Path(named)] if named else []
    with suppress(PermissionError, RuntimeError):       # no home folder, or somebody else's
        cache = cache_folder()
        if cache.is_dir():
            os.listdir(cache)
        found.append(cache)
    return found


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files such as .DS_Store."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from None


def files_below(folder: Path) -> list[str]:
    """What a folder and the folders below it hold, without hidden files, sorted as paths are.

    Folders are walked and not listed, but for links to them, which could lead in a circle. The
    result are strings, since each Path that has been compared keeps a list of its parts.
    Raises: DataError naming a folder that cannot be read.
    """
    def refuse(error: OSError) -> None:         # os.walk itself would leave the folder out
        raise DataError(f"{error.filename}: {error.strerror}")

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [os.path.join(place, name) for name in names + links if not name.startswith(".")]
    return sorted(found, key=lambda path: os.path.normcase(path).replace(os.sep, "\0"))


def own_name(place: Path, known: Collection[str], word: str = "") -> str:
    """A name for the user's own data: `word` if there is one, else that of their folder or file.

    known: the names of published datasets, which are kept for them; data that only call themselves
    so are "-unverified".
    """
    path = place.resolve()
    if path.name.lower() in INNER:              # torchvision's MNIST/raw, EMNIST's gzip
        path = path.parent
    stem = path.stem if place.is_file() else path.name
    name = os.fsencode(word or stem or "data").decode("utf-8", "replace").lower()
    return f"{name}-unverified" if name in known else name


def unit(levels: Images) -> Array:
    """uint8 levels as float32 in [0, 1]."""
    return np.divide(levels, np.float32(255), dtype=np.float32)
