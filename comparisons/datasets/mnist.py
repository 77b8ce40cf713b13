"""MNIST: 28×28 handwritten digits, from IDX files or from the embedded subset."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import socket
import threading
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from comparisons.datasets.base import (
    EMBEDDED,
    Array,
    Data,
    cache_folder,
    images,
    read_embedded,
    search_folders,
)
from comparisons.errors import DataError, NotThereError

SUBSET = "mnist-subset.npz"
SUBSET_SHA256 = "15150770272f86d7b81bdbd130b610cf88d284db1a3be2c24ab07dd7af22fc22"
CLASSES = [str(digit) for digit in range(10)]
PARTS = ("train", "t10k")
NAMES = [f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1")]
INSIDE = (".", "mnist", "MNIST/raw")        # torchvision uses the last one


def load_mnist(data_dir: Path | None = None) -> Data:
    """MNIST from `data_dir`, else $MINIGRAD_DATA, else the cache folder, else the embedded subset.

    Shapes: x (N, 1, 28, 28) float32 in [0, 1], y (N,) int64: 60,000 + 10,000 or, embedded,
    10,000 + 2,000.
    Raises: NotThereError if `data_dir` holds no MNIST; DataError if a file is missing or damaged.
    """
    if data_dir is not None:
        folder = _folder_with_mnist(Path(data_dir))
        return _load_idx(folder or _missing(Path(data_dir), error=NotThereError))
    for root in search_folders():
        if folder := _folder_with_mnist(root):
            return _load_idx(folder)
    return load_subset()


def load_subset(folder: Path = EMBEDDED) -> Data:
    """The 12,000 digits that ship with the package."""
    content = read_embedded(SUBSET, SUBSET_SHA256, folder)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        part = {name: file[name] for name in file.files}
    return _data("mnist-subset", f"the embedded subset ({SUBSET})",
                 part["train_images"], part["train_labels"],
                 part["test_images"], part["test_labels"])


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


def read_idx(path: Path) -> Array:
    """The array in an IDX file of bytes, which may be compressed with gzip.

    An IDX file consists of two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each
    dimension as a big-endian uint32, and the values.

    Raises: DataError if the file is missing, cut short, too long, or of another kind.
    Source: Y. LeCun's description of the format on the MNIST page.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] == 0:
        raise DataError(f"{path}: not an IDX file of unsigned bytes (it starts with "
                        f"{content[:4].hex(' ') or 'nothing'})")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: ends within its header, after {len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(f"{path}: {len(content):,} bytes, but its header says {expected:,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _load_idx(folder: Path) -> Data:
    parts = []
    for part in PARTS:
        image_file = _find(folder, f"{part}-images-idx3-ubyte")
        label_file = _find(folder, f"{part}-labels-idx1-ubyte")
        pixels, labels = read_idx(image_file), read_idx(label_file)
        if pixels.ndim != 3 or pixels.shape[1:] != (28, 28):
            raise DataError(f"{image_file}: expected images of (N, 28, 28); got {pixels.shape}")
        if labels.ndim != 1:
            raise DataError(f"{label_file}: expected labels of (N,); got {labels.shape}")
        if len(pixels) != len(labels):
            raise DataError(f"{label_file}: {len(labels):,} labels for {len(pixels):,} images")
        if not len(labels):
            raise DataError(f"{image_file}: holds no images")
        if labels.max() > 9:
            raise DataError(f"{label_file}: a label is {labels.max()}, but digits are 0 to 9")
        parts += [pixels, labels]
    return _data("mnist", f"MNIST in {folder}", *parts)


def _data(name: str, origin: str, x: Array, y: Array, x_test: Array, y_test: Array) -> Data:
    return Data(name, f"{origin}: {len(x):,} training digits and {len(x_test):,} test digits",
                images(x), y.astype(np.int64), images(x_test), y_test.astype(np.int64), CLASSES)


def _folder_with_mnist(root: Path) -> Path | None:
    """The folder in or under root that holds an MNIST file, if any does."""
    for folder in (root / inside for inside in INSIDE):
        if any((folder / (name + end)).exists() for name in NAMES for end in ("", ".gz")):
            return folder
    return None


def _find(folder: Path, name: str) -> Path:
    plain, packed = folder / name, folder / f"{name}.gz"
    return plain if plain.exists() else packed if packed.exists() else _missing(folder, name)


def _missing(folder: Path, name: str = NAMES[0], error: type[DataError] = DataError) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    raise error(f"{folder / name}: no such file, plain or .gz")


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
