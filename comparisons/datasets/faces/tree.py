"""CK+ as its authors distribute it, in three folders: images, labels and landmarks.

    cohn-kanade-images/S005/001/S005_001_00000011.png       640 × 490 or 640 × 480, grey or colour
    Emotion/S005/001/S005_001_00000011_emotion.txt          "3.0000000e+00"; most have none
    Landmarks/S005/001/S005_001_00000011_landmarks.txt      68 lines of x and y, in pixels

Source: P. Lucey et al., The Extended Cohn-Kanade Dataset (CK+), CVPR Workshops 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from comparisons.datasets.base import visible
from comparisons.datasets.faces.detector import INSTALL, boxes
from comparisons.datasets.faces.expressions import TREE_CODES
from comparisons.datasets.faces.frames import Frames
from comparisons.datasets.faces.listing import Item, Listing, name_of
from comparisons.datasets.pictures import middle, read_grey, read_landmarks, upright
from comparisons.errors import DataError, Fault
from comparisons.files import insist_on_file

IMAGES, EMOTION, LANDMARKS = "cohn-kanade-images", "Emotion", "Landmarks"
PLACES = ("{}", "{}_labels/{}", "{0}/{0}")              # folders that the archives contain
FRAME = re.compile(r"S\d{3}_\d{3}_\d{8}\.\w+")


def is_tree(folder: Path) -> bool:
    """Whether a folder, whatever its name, holds recordings arranged and named as CK+'s are."""
    persons = (path for path in visible(folder) if re.match(r"S\d", path.name))
    return any(FRAME.fullmatch(path.name) for clip in _clips(persons) for path in visible(clip))


def list_tree(folder: Path, frames: Frames | None = None) -> Listing:
    """The labelled recordings of a folder such as `cohn-kanade-images`.

    frames: by default the last three.
    Raises: DataError if there is no folder Emotion beside it.
    """
    frames = frames or Frames()
    emotions = _beside(folder, EMOTION)
    if emotions is None:
        raise DataError(f"{folder}: there is no folder {EMOTION} beside it; CK+'s labels are "
                        "in Emotion_labels.zip")
    landmarks = _beside(folder, LANDMARKS)
    listing = Listing(name_of(folder, "ck+"), f"{folder}, CK+'s own tree")
    for clip in _clips(visible(folder)):
        inside = clip.relative_to(folder)
        label = _label(emotions / inside, listing)
        paths = [path for path in visible(clip) if FRAME.fullmatch(path.name)]
        if label is None or not paths:
            continue
        chosen = [(path, label) for path in paths[-frames.last:]]
        if frames.neutral and len(paths) > frames.last:
            chosen.insert(0, (paths[0], "neutral"))
        for path, name in chosen:
            points = landmarks and landmarks / inside / f"{path.stem}_landmarks.txt"
            listing.items.append(Item(name, partial(read_face, path, points), path.name[:8]))
    return listing


def _clips(persons: Iterable[Path]) -> Iterator[Path]:
    """The folders of recordings in those of persons."""
    return (clip for person in persons if person.is_dir()
            for clip in visible(person) if clip.is_dir())


def read_face(path: Path, landmarks: Path | None) -> Image.Image:
    """The face in a frame, as a grey square: cut out by its landmarks, or else by the detector.

    A square picture is taken to be a face: CK+'s frames are not square, so it was cut out before.
    Raises: DataError naming the file at fault.
    """
    picture = read_grey(path)
    if picture.width == picture.height:
        return picture
    if landmarks is not None and landmarks.exists():
        try:
            return upright(picture, read_landmarks(landmarks))
        except ValueError as error:
            raise DataError(f"{landmarks}: {error}") from None
    return _found_face(path, picture)


def _beside(folder: Path, name: str) -> Path | None:
    for root in (folder.parent, folder.parent.parent):
        for place in PLACES:
            if (root / place.format(name, name)).is_dir():
                return root / place.format(name, name)
    return None


def _label(folder: Path, listing: Listing) -> str | None:
    """The expression in a recording's Emotion file, or None, with a note in the listing."""
    files = [path for path in visible(folder) if path.suffix == ".txt"] if folder.is_dir() else []
    if not files:
        listing.unlabelled += 1
        return None
    try:
        insist_on_file(files[0])
        text = files[0].read_text("ascii", "replace").strip()
        code = float(text)
        if code in range(len(TREE_CODES)):
            return TREE_CODES[int(code)]
    except DataError as error:
        listing.left_out.append(str(error))
        return None
    except OSError as error:
        text = str(error.strerror)
    except ValueError:
        pass
    listing.left_out.append(f"{files[0]}: expected a number from 0 to {len(TREE_CODES) - 1}; "
                            f"got {text[:40]!r}")
    return None


def _found_face(path: Path, picture: Image.Image) -> Image.Image:
    try:
        found = boxes(picture)
    except Fault:                       # the next pictures would fail in the same way
        raise Fault(f"{path}: has no landmarks, and finding its face needs OpenCV 4 "
                    f"({INSTALL})") from None
    if not found:
        raise DataError(f"{path}: no face found, and no landmarks say where it is")
    x, y, width, height = max(found, key=lambda box: box[2] * box[3])
    return middle(picture.crop((x, y, x + width, y + height)))
