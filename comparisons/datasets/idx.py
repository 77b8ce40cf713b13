"""Images in IDX files, the format of MNIST: what they are is known by their checksums.

A dataset is four files, for example `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
`t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`. Each may be compressed (`.gz`), have a dot in
its name (`train-images.idx3-ubyte`), lie in a folder of its own name, as Kaggle packs MNIST, and
begin with the name of the dataset (`emnist-balanced-test-images-idx3-ubyte.gz`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comparisons.datasets.base import Array, Data, own_name, visible
from comparisons.errors import DataError

FILE = re.compile(r"(?:(?P<set>.+?)[-_.])?(?P<part>train|t10k|test)[-_.](?P<kind>images|labels)"
                  r"[-_.]idx[13][-_.]ubyte(?:\.gz)?", re.IGNORECASE)
PARTS = ("train", "t10k")
ROLES = tuple((part, kind) for part in PARTS for kind in ("images", "labels"))
USUAL = {role: f"{role[0]}-{role[1]}-idx{3 if role[1] == 'images' else 1}-ubyte" for role in ROLES}
CHUNK = 2**20           # bytes that are unpacked at a time
DIMS = 32               # more dimensions than any array has

Role = tuple[str, str]
Files = dict[Role, list[Path]]


@dataclass(frozen=True)
class Known:
    """A published dataset, recognised by the MD5 checksums of its four files, in the order of
    ROLES: of the `.gz` files as they are published, or of what they contain."""

    name: str
    title: str
    noun: str
    classes: tuple[str, ...]
    packed: tuple[str, ...]
    plain: tuple[str, ...] = ()         # empty if not known


KNOWN = (
    Known("mnist", "MNIST", "digits", tuple(map(str, range(10))),
          ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
           "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
          ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
           "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637")),
    Known("fashion-mnist", "Fashion-MNIST", "images",
          ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot"),
          ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
           "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
          ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
           "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965")),
    Known("kmnist", "KMNIST", "images",
          ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
          ("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
           "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134")),
)


def sets_in(folder: Path) -> dict[str, Files]:
    """The IDX files in a folder, by dataset: the word before `train` in their names, mostly none.

    Raises: DataError if the folder cannot be read.
    """
    found: dict[str, Files] = {}
    for path in visible(folder):
        # Kaggle packs each file into a folder of the same name
        for file in visible(path) if path.is_dir() and FILE.fullmatch(path.name) else [path]:
            name = FILE.fullmatch(file.name)
            if name and file.is_file():
                part = "train" if name["part"].lower() == "train" else "t10k"
                files = found.setdefault((name["set"] or "").lower(), {})
                files.setdefault((part, name["kind"].lower()), []).append(file)
    return found


def load_set(folder: Path, prefix: str, files: Files) -> Data:
    """The dataset of four IDX files, named by what it is.

    Files with the checksums of a published dataset have its name and its classes. Others are named
    after `prefix`, the word before `train` in their names, or else after their folder. Their
    classes are the numbers from the lowest label to the highest.

    Shapes: x (N, 1, H, W) uint8, y (N,) int64.
    Raises: DataError naming the file that is missing, damaged, or does not fit the others.
    """
    arrays, sums = {}, []
    for role in ROLES:
        if role not in files:
            raise DataError(f"{folder / prefixed(prefix, USUAL[role])}: no such file, plain or .gz")
        content, found = one_content(files[role])
        arrays[role] = array_in(content, files[role][0])
        sums.append(found)
    for part in PARTS:
        insist_on_pairs(arrays[part, "images"], arrays[part, "labels"],
                        files[part, "images"][0], files[part, "labels"][0])
    size = arrays["train", "images"].shape[1:]
    if (other := arrays["t10k", "images"].shape[1:]) != size:
        raise DataError(f"{files['t10k', 'images'][0]}: its images have {dims(other)} pixels, but "
                        f"the training images have {dims(size)}")
    known = next((known for known in KNOWN if all(
        found & {*pair} for found, pair in zip(sums, zip(
            known.packed, known.plain or known.packed, strict=True), strict=True))), None)
    labels = [arrays[part, "labels"] for part in PARTS]
    if known:
        name, told, noun, classes = known.name, known.title, known.noun, list(known.classes)
        lowest = 0
    else:
        lowest, highest = (int(f(np.concatenate(labels))) for f in (np.min, np.max))
        classes = [str(label) for label in range(lowest, highest + 1)]
        name = own_name(folder, [k.name for k in KNOWN], prefix)
        told, noun = "IDX files", "images"
    n, n_test = map(len, labels)
    source = (f"{told} in {folder}: {n:,} training {noun} and {n_test:,} test {noun}"
              + (f" of {dims(size)} pixels, {len(classes)} classes" if noun == "images" else ""))
    x, y, x_test, y_test = (arrays[role] for role in ROLES)
    return Data(name, source, x[:, None], y.astype(np.int64) - lowest,
                x_test[:, None], y_test.astype(np.int64) - lowest, classes)


def prefixed(prefix: str, name: str) -> str:
    return f"{prefix}-{name}" if prefix else name


def dims(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))


def insist_on_pairs(pixels: Array, labels: Array, image_file: Path, label_file: Path) -> None:
    """Raises: DataError if images and labels do not belong together."""
    if pixels.ndim != 3 or 0 in pixels.shape[1:]:
        raise DataError(f"{image_file}: expected images of (N, height, width); got {pixels.shape}")
    if labels.ndim != 1:
        raise DataError(f"{label_file}: expected labels of (N,); got {labels.shape}")
    if len(pixels) != len(labels):
        raise DataError(f"{label_file}: {len(labels):,} labels for {len(pixels):,} images")
    if not len(labels):
        raise DataError(f"{image_file}: holds no images")


# ---- one file ------------------------------------------------------------------------------------

def read_idx(path: Path) -> Array:
    """The array in an IDX file of bytes, which may be compressed with gzip.

    An IDX file consists of two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each
    dimension as a big-endian uint32, and the values.

    Raises: DataError if the file is missing, cut short, too long, or of another kind.
    Source: Y. LeCun's description of the format on the MNIST page.
    """
    return array_in(one_content([path])[0], path)


def one_content(paths: list[Path]) -> tuple[bytes, set[str]]:
    """What all files at some paths contain, unpacked, and the MD5 sums that it is known by.

    Raises: DataError if one cannot be read, or if they differ.
    """
    contents, sums = [], set()
    for path in paths:
        try:
            raw = path.read_bytes()
            content = unpacked(raw) if raw[:2] == b"\x1f\x8b" else raw
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        contents.append(content)
        sums |= {hashlib.md5(some, usedforsecurity=False).hexdigest() for some in (raw, content)}
    for path, content in zip(paths, contents, strict=True):
        if content != contents[0]:
            raise DataError(f"{path}: differs from {paths[0]}; keep only one of them")
    return contents[0], sums


def unpacked(raw: bytes) -> bytes:
    """The content of a gzip file, but no more than one byte beyond what its IDX header promises."""
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
        head = file.read(4)
        if not starts_like_idx(head):
            return head
        content = bytearray(head + file.read(4 * head[3]))
        most = promised(bytes(content)) + 1
        while len(content) < most and (more := file.read(min(CHUNK, most - len(content)))):
            content += more
        return bytes(content)


def starts_like_idx(content: bytes) -> bool:
    return len(content) >= 4 and content[:3] == b"\0\0\x08" and 0 < content[3] <= DIMS


def shape_in(content: bytes) -> tuple[int, ...]:
    return tuple(int(n) for n in np.frombuffer(content[4:4 + 4 * content[3]], ">u4"))


def promised(content: bytes) -> int:
    """The number of bytes that the header of an IDX file promises."""
    start = 4 + 4 * content[3]
    return start if len(content) < start else start + math.prod(shape_in(content))


def array_in(content: bytes, path: Path) -> Array:
    """The array in the content of an IDX file. Raises: DataError naming `path`."""
    if not starts_like_idx(content):
        raise DataError(f"{path}: not an IDX file of unsigned bytes (it starts with "
                        f"{content[:4].hex(' ') or 'nothing'})")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: ends within its header, after {len(content)} bytes")
    if len(content) != promised(content):
        raise DataError(f"{path}: {len(content):,} bytes, but its header says "
                        f"{promised(content):,}")
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape_in(content))
    except ValueError:          # of no values, but in more places than can be counted
        raise DataError(f"{path}: its header says {dims(shape_in(content))}, which no array can "
                        "have") from None
