"""Folders of pictures, named after expressions: CK+48, FER2013, and the user's own."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from PIL import Image

from comparisons.datasets.base import files_below, visible
from comparisons.datasets.faces.expressions import expression
from comparisons.datasets.faces.frames import Frames
from comparisons.datasets.faces.listing import Item, Listing, name_of
from comparisons.datasets.pictures import middle, read_grey
from comparisons.errors import NotThereError

FRAME = re.compile(r"(S\d{3}_\d{3})_(\d{8})\.\w+")      # a frame of CK+: recording, number
TESTS = ("test", "privatetest", "validation", "val", "publictest")      # the first one found
TRAINS = ("train", "training")


def has_classes(folder: Path) -> bool:
    """Whether at least two folders in it, or in its train/, are named after expressions."""
    return bool(_named(folder)) or any(_named(path) for name, path in _folders(folder)
                                       if name in TRAINS)


def list_folders(folder: Path, frames: Frames | None = None) -> Listing:
    """The pictures in folders named after expressions, which may be inside train/ and test/.

    Pictures that are named like frames of CK+ (S005_001_00000011.png) have a known person and
    recording, and `frames` selects among them. If most pictures are named so, the others are left
    out, because their person is not known. A picture that is not square is cropped to the square in
    its middle.
    Raises: NotThereError if `frames` is given but the names do not state the recordings.
    """
    parts = _folders(folder)
    test = next((name for name in TESTS if name in dict(parts)), None)
    tests = [path for name, path in parts if name == test]
    trains = [path for name, path in parts if name in TRAINS + TESTS and name != test]
    listing = Listing("", f"{folder}, folders named after expressions")
    nameless: list[Path] = []
    for part in [folder] if _named(folder) else trains + tests:
        for _, place in _folders(part):
            nameless += _list_class(place, part in tests, listing)
    if 0 < len(nameless) < len(listing.items) / 2:
        listing.items = [item for item in listing.items if item.clip]
        listing.left_out += [f"{path}: not named like the others (S005_001_00000011.png), so "
                             "the person is not known" for path in nameless]
    clips = all(item.clip for item in listing.items)
    listing.name = name_of(folder, "ck+48" if clips else folder.resolve().name.lower())
    if frames is not None:
        if not clips:
            raise NotThereError(f"{folder}: the names of its pictures do not say which recording "
                                "each is from, as S005_001_00000011.png does; --frames needs this")
        if frames.neutral:
            raise NotThereError(f"{folder}: holds no neutral frames; --frames neutral-to-peak "
                                "needs CK+'s own tree")
        of_clip: dict[str, list[Item]] = {}
        for item in listing.items:              # in the order of their numbers
            of_clip.setdefault(item.clip, []).append(item)
        listing.items = [item for items in of_clip.values() for item in items[-frames.last:]]
    return listing


def _folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders in it, with their names in lower case; `Anger` and `anger` may both exist."""
    return [(path.name.lower(), path) for path in visible(folder) if path.is_dir()]


def _named(folder: Path) -> bool:
    return len({expression(name) for name, _ in _folders(folder)} - {None}) >= 2


def _list_class(folder: Path, test: bool, listing: Listing) -> list[Path]:
    """Add a class to the listing; return the pictures that are not named like frames of CK+."""
    label = expression(folder.name)
    paths = [Path(path) for path in files_below(folder)]
    if label is None:
        listing.left_out.append(f"{folder}: not named after an expression; its {len(paths):,} "
                                "files are left out")
        return []
    nameless = []
    for path in paths:
        named = FRAME.fullmatch(path.name)
        listing.items.append(Item(label, partial(_read, path), named[1] if named else "", test))
        if not named:
            nameless.append(path)
    return nameless


def _read(path: Path) -> Image.Image:
    return middle(read_grey(path))
