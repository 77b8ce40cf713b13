"""Reads faces with one of seven or eight expressions from the user's own folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comparisons.datasets.base import Data, search_folders, visible
from comparisons.datasets.faces.folders import has_classes, list_folders
from comparisons.datasets.faces.frames import Frames
from comparisons.datasets.faces.listing import Listing
from comparisons.datasets.faces.table import is_table, list_table
from comparisons.datasets.faces.tree import is_tree, list_tree
from comparisons.errors import NotThereError

DEPTH = 2       # levels of folders below the named one that are searched


def load_faces(data_dir: Path | None = None, size: int = 48, frames: Frames | None = None,
               neutral: bool = False) -> Data | None:
    """Faces in `data_dir`, else in $MINIGRAD_DATA, else in the cache folder.

    The kind of a source is recognised by its content: CK+'s own tree, folders named after
    expressions, or a table. The result is None if no folder was named and the usual ones hold no
    faces.

    neutral: insist on neutral faces, which CK+'s own tree has if the first frames are used.

    Shapes: x (N, 1, size, size) uint8, y (N,) int64.
    Raises: NotThereError if `data_dir` holds none of these, no recordings from which `frames`
    could be selected, or no neutral faces; DataError if what it holds cannot be used.
    """
    for root in search_folders() if data_dir is None else [data_dir]:
        for path in found(root):
            return listed(path, frames, neutral).data(size)
    if data_dir is not None:
        raise NotThereError(f"{data_dir}: holds no faces that can be read; `python -m comparisons "
                            "data` says how to arrange them")
    return None


def found(root: Path) -> list[Path]:
    """The sources of faces in a folder and below it, the upper ones first; or a table itself."""
    if root.is_file():
        return [root] if is_table(root) else []
    sources: list[Path] = []
    level = [root] if root.is_dir() else []
    for _ in range(DEPTH + 1):
        below = []
        for folder in level:
            if is_tree(folder) or has_classes(folder):
                sources.append(folder)
                continue
            for path in visible(folder):
                if path.is_dir():
                    below.append(path)
                elif path.suffix.lower() == ".csv" and is_table(path):
                    sources.append(path)
        level = below
    return sources


def listed(path: Path, frames: Frames | None = None, neutral: bool = False) -> Listing:
    """The items of a source that `found` returned, read according to its kind.

    Raises: NotThereError if `frames` is given but the source does not identify recordings, or if it
    lacks the neutral faces that are insisted on; DataError if it cannot be used.
    """
    if path.is_file():
        if frames is not None:
            raise NotThereError(f"{path}: a table does not identify recordings, which --frames "
                                "requires")
        listing = list_table(path)
    elif is_tree(path):
        frames = frames or Frames()
        listing = list_tree(path, replace(frames, neutral=frames.neutral or neutral))
    else:
        listing = list_folders(path, frames)
    if neutral and not any(item.label == "neutral" for item in listing.items):
        raise NotThereError(f"{path}: holds no neutral faces; --neutral needs a folder neutral, "
                            "rows that say so, or CK+'s own tree, whose recordings begin with one")
    return listing
