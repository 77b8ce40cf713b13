"""MNIST and data like it, from IDX files; or MNIST's embedded subset."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import urllib.request
from pathlib import Path

import numpy as np

from comparisons.datasets.base import (
    EMBEDDED,
    Data,
    cache_folder,
    read_embedded,
    search_folders,
    visible,
)
from comparisons.datasets.idx import FILE, USUAL, Files, load_set, sets_in
from comparisons.errors import DataError, NotThereError

SUBSET = "mnist-subset.npz"
SUBSET_SHA256 = "15150770272f86d7b81bdbd130b610cf88d284db1a3be2c24ab07dd7af22fc22"
CLASSES = [str(digit) for digit in range(10)]
DEPTH = 2                                   # levels of folders below the named one to be searched
INSIDE = (".", "mnist", "MNIST/raw")        # torchvision uses the last one


def load_mnist(data: Path | None = None) -> Data:
    """IDX files in `data`, else in $MINIGRAD_DATA or the cache folder, else the embedded subset.

    data: a folder, or one of the files. `load_set` says how a dataset is named, and what its
    classes are. The embedded subset has 10,000 + 2,000 digits.
    Shapes: x (N, 1, H, W) uint8, y (N,) int64.
    Raises: NotThereError if `data` holds no IDX files; DataError if a file is missing or damaged,
    or if there are several datasets.
    """
    if data is not None:
        return load_set(*the_set_in(Path(data)))
    for root in search_folders():
        for folder in (root / inside for inside in INSIDE):
            if folder.is_dir() and (found := sets_in(folder)):
                return load_set(folder, *one_of(found, folder))
    return load_subset()


def load_subset(folder: Path = EMBEDDED) -> Data:
    """The 12,000 digits that ship with the package."""
    content = read_embedded(SUBSET, SUBSET_SHA256, folder)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        part = {name: file[name] for name in file.files}
    x, y, x_test, y_test = (part[f"{half}_{kind}"] for half in ("train", "test")
                            for kind in ("images", "labels"))
    return Data("mnist-subset", f"the embedded subset ({SUBSET}): {len(x):,} training digits and "
                f"{len(x_test):,} test digits", x[:, None], y.astype(np.int64),
                x_test[:, None], y_test.astype(np.int64), CLASSES)


def download_mnist(target: Path | None = None, timeout: float = 5.0) -> Path:
    """Download MNIST with torchvision into `target`, by default the cache folder; return it.

    The attempt ends if no server answers within `timeout` seconds. Nothing is printed.

    Raises: DataError if no server answers, or if the download fails.
    """
    target = cache_folder() if target is None else Path(target)
    from torchvision.datasets import MNIST

    if not any(_answers(mirror + MNIST.resources[0][0], timeout) for mirror in MNIST.mirrors):
        raise DataError(f"{target}: cannot download MNIST, no server answered "
                        f"within {timeout:g} s")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout)           # torchvision itself sets no time limit
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            MNIST(str(target), download=True)
    except Exception as error:                  # a download can fail with errors of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{target}: cannot download MNIST: {reason}") from None
    finally:
        socket.setdefaulttimeout(before)
    return target


def the_set_in(place: Path) -> tuple[Path, str, Files]:
    """The folder, the prefix and the files of the one dataset at a place: a folder or a file.

    Raises: NotThereError if there is none; DataError if there are several.
    """
    if place.is_file():
        name = FILE.fullmatch(place.name)
        if name is None:
            raise NotThereError(f"{place}: not named like an IDX file, such as "
                                f"{USUAL['train', 'images']}")
        prefix = (name["set"] or "").lower()
        # Kaggle packs each file into a folder of the same name
        inner = FILE.fullmatch(place.resolve().parent.name)
        folder = place.resolve().parent.parent if inner else place.parent
        return folder, prefix, sets_in(folder)[prefix]
    if not place.is_dir():
        raise DataError(f"{place}: no such file or folder")
    for folder in (place / inside for inside in INSIDE):
        if folder.is_dir() and (found := sets_in(folder)):
            return folder, *one_of(found, folder)
    below = [(folder, found) for folder in folders_below(place) if (found := sets_in(folder))]
    if len(below) > 1:
        raise DataError(f"{place}: holds several datasets; name the folder of one: "
                        + ", ".join(str(folder) for folder, _ in below))
    if not below:
        raise NotThereError(f"{place / USUAL['train', 'images']}: no such file, plain or .gz")
    (folder, found), = below
    return folder, *one_of(found, folder)


def one_of(found: dict[str, Files], folder: Path) -> tuple[str, Files]:
    """The only dataset of those found in a folder. Raises: DataError if there are several."""
    if len(found) > 1:
        first = [next(iter(files.values()))[0] for files in found.values()]
        raise DataError(f"{folder}: holds several datasets; name a file of one: "
                        + ", ".join(map(str, first)))
    (only,) = found.items()
    return only


def folders_below(root: Path) -> list[Path]:
    """The folders below one, down to DEPTH levels, the upper ones first."""
    found, level = [], [root]
    for _ in range(DEPTH):
        level = [path for folder in level for path in visible(folder) if path.is_dir()]
        found += level
    return found


def _answers(url: str, timeout: float) -> bool:
    """Whether a server answers. A thread asks, because looking up a name has no time-out."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(OSError, ValueError), \
                urllib.request.urlopen(request, timeout=timeout):
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()
