"""The user's own pictures: one folder for each class."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
from tqdm import tqdm

from comparisons.datasets.base import Array, Data, files_below, own_name, unit, visible
from comparisons.datasets.crops import Size, levels, whole
from comparisons.datasets.levels import pieces
from comparisons.datasets.pictures import read_picture
from comparisons.datasets.splits import stratified_folds
from comparisons.datasets.stored import Collected, Images, taken
from comparisons.errors import DataError

TRAINS = ("train", "training")
TESTS = ("test", "testing", "validation", "val", "valid")       # the first one found is used
HOLD_OUT = 5            # without a folder for the test, one fifth of the pictures is the test set


def load_pictures(folder: Path, size: Size, channels: int = 1, *, seed: int = 0,
                  dtype: DTypeLike = np.float32) -> Data:
    """The pictures in folders named after their classes, scaled to `size`.

        folder/cat/*.png                or  folder/train/cat/*.png  and  folder/test/cat/*.png

    Of each picture, the largest part around its centre with the proportions of `size` is used, as
    `predict` does. Without a folder for the test, one fifth of each class is the test set, which
    depends on the seed. A file that cannot be used is left out, with the reason. channels: 1 for
    grey, 3 for colour.

    Of each picture, only the scaled one is kept. So memory depends on the number of pictures, but
    not on the size of their files.
    dtype: uint8 keeps a byte for each value, which is scaled to [0, 1] when it is trained on;
    float32 needs four times the memory, and its values can be computed with at once.

    Shapes: x (N, channels, *size), float32 in [0, 1] or uint8; y (N,) int64.
    Raises: DataError naming the folder if it holds fewer than two classes with pictures.
    """
    if channels not in (1, 3):
        raise ValueError(f"load_pictures: channels must be 1 or 3; got {channels}")
    if np.dtype(dtype) not in (np.float32, np.uint8):
        raise ValueError(f"load_pictures: dtype must be float32 or uint8; got {dtype}")
    if not folder.is_dir():
        raise DataError(f"{folder}: " + ("not a folder; expected one with a folder of pictures for "
                                         "each class" if folder.exists() else "no such folder"))
    left_out: list[str] = []
    # a folder `train` that holds pictures, but no folders, is a class beside `car` and `bus`
    parts = {path.name.lower(): path for path in visible(folder)
             if path.is_dir() and holds_folders(path)}
    train = next((parts[name] for name in TRAINS if name in parts), None)
    test = next((parts[name] for name in TESTS if name in parts), None)
    halves = [half for half in (train, test if train else None) if half is not None]
    if halves:
        where = " nor ".join(f"{half.name}/" for half in halves)
        left_out += [f"{path}: {'in neither' if len(halves) == 2 else 'not in'} {where}"
                     for path in visible(folder) if path not in halves]
    x, labels = pictures_of(train or folder, size, channels, left_out)
    x_test, labels_test = x[:0], labels[:0]
    if len(halves) == 2:
        x_test, labels_test = pictures_of(halves[1], size, channels, left_out)
        if not len(x_test):
            raise DataError(f"{test}: no picture in the folder of a class{first(left_out)}")
    counts = Counter(labels)
    classes = sorted(counts)
    if len(classes) < 2:
        raise DataError(f"{folder}: {len(labels):,} pictures of {len(classes)} classes; expected "
                        f"a folder of pictures for each of two classes or more{first(left_out)}")
    if unknown := sorted({*labels_test} - {*classes}):
        raise DataError(f"{test}: the class {unknown[0]} has no training pictures")
    if min(counts.values()) < 2:
        (name, _), = counts.most_common()[-1:]
        raise DataError(f"{folder}: the class {name} has one picture; expected two or more")
    y, y_test = (np.array([classes.index(label) for label in some], np.int64)
                 for some in (labels, labels_test))
    if not len(x_test):
        if len(y) < HOLD_OUT:
            raise DataError(f"{folder}: {len(y)} pictures; expected at least {HOLD_OUT}")
        rows, held = next(stratified_folds(y, HOLD_OUT, seed=seed))
        x, x_test, y, y_test = taken(x, rows), taken(x, held), y[rows], y[held]
    told = ", ".join(f"{name} {counts[name] + list(labels_test).count(name):,}"
                     for name in classes)
    kind = "grey" if channels == 1 else "colour"
    source = (f"pictures in {folder}: {len(x):,} for training and {len(x_test):,} for the test, of "
              f"{size[0]}×{size[1]} px, {kind}, {len(classes)} classes: {told}")
    if twice := equal(x, x_test):
        source += f"; {twice:,} test pictures are equal to training pictures"
    if left_out:
        source += f"; {len(left_out):,} files left out"
    if np.dtype(dtype) == np.float32:
        x, x_test = unit(x), unit(x_test)
    return Data(own_name(folder, ()), source, x, y, x_test, y_test, classes,
                left_out=tuple(left_out))


def pictures_of(folder: Path, size: Size, channels: int, left_out: list[str]
                ) -> tuple[Images, Array]:
    """The pictures below a folder and their classes; what cannot be used joins `left_out`.

    Shapes: (N, channels, *size) uint8, (N,) str.
    """
    collected, labels = Collected((channels, *size)), []
    for place in visible(folder):
        if not place.is_dir():
            left_out.append(f"{place}: not in the folder of a class")
            continue
        paths = files_below(place)
        if not paths:
            left_out.append(f"{place}: holds no files")
        label = os.fsencode(place.name).decode("utf-8", "replace")
        for path in tqdm(map(Path, paths), f"reading {place.name}", len(paths), leave=False,
                         disable=None):
            try:
                picture = read_picture(path, str(path))
            except DataError as error:
                left_out.append(str(error))
                continue
            collected.add(levels(picture, whole(picture, size)[0].box, size, channels))
            labels.append(label)
    return collected.images(), np.array(labels, object)


def holds_folders(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.is_dir() for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from None


def equal(x: Images, x_test: Images) -> int:
    """The number of test pictures that are also in training, to the last pixel."""
    known = set(digests(x_test))
    known &= {digest for digest in digests(x) if digest in known}
    return sum(digest in known for digest in digests(x_test))


def digests(x: Images) -> Iterator[bytes]:
    """16 bytes that stand for each picture, so that a set of them holds no second copy of all."""
    for piece in pieces(x):
        for picture in piece:
            yield hashlib.blake2b(picture.tobytes(), digest_size=16).digest()


def first(left_out: list[str]) -> str:
    return f"; the first of {len(left_out):,} faults: {left_out[0]}" if left_out else ""
