"""Writes generated faces to files arranged like CK+'s, to look at them or to test the readers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image

from comparisons.datasets.drawn.generator import CLASSES, FRAMES, generate
from comparisons.datasets.faces.expressions import TREE_CODES
from comparisons.datasets.faces.listing import GENERATED
from comparisons.datasets.faces.tree import EMOTION, IMAGES
from comparisons.errors import DataError
from comparisons.files import whole_folder

LAYOUTS = ("ck48", "ck")
SUMS = "SHA256SUMS"
ONSET = (0.0, 0.25, 0.5)        # how far towards the apex the frames before FRAMES are


def write_faces(out: Path, layout: str = "ck48", size: int = 48, seed: int = 0) -> int:
    """Draw the faces, write them as PNG under `out`, and return how many there are.

    layout: "ck48" for `CK+48/anger/S001_001_00000006.png`, the last three frames of each recording;
    "ck" for CK+'s own tree, six frames from neutral to the apex, and an Emotion file for each
    recording. In both, a frame shows the face alone, size × size pixels. `SHA256SUMS` holds a
    checksum of every file, in the format that `sha256sum -c` reads.
    Raises: Fault if `out` exists and is not an empty folder, or if it cannot be written; then
    nothing has been.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: not a folder")
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: not empty; faces are written into an empty or a new folder")
    if out.is_dir() and out.samefile("."):
        raise DataError(f"{out}: is the current folder; name a new one in it")
    with whole_folder(out) as folder:
        return _write(folder, layout, size, seed)


def _write(out: Path, layout: str, size: int, seed: int) -> int:
    whole = layout == "ck"
    faces = generate(size, seed, ONSET + FRAMES if whole else FRAMES)
    (out / GENERATED).write_text(
        f"Drawn by `python -m comparisons faces --seed {seed} --size {size} "
        f"--layout {layout}`.\nThese persons do not exist; this is not CK+.\n", "utf-8")
    per_clip = len(ONSET) * whole + len(FRAMES)
    for i, (pixels, label, clip) in enumerate(zip(faces.pixels, faces.labels, faces.clips,
                                                  strict=True)):
        number = i % per_clip + 1 + len(ONSET) * (not whole)
        inside = Path(*clip.split("_"))                         # S001/001
        folder = out / IMAGES / inside if whole else out / "CK+48" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{clip}_{number:08}.png")
        if whole and number == per_clip:
            (out / EMOTION / inside).mkdir(parents=True)
            (out / EMOTION / inside / f"{clip}_{number:08}_emotion.txt").write_text(
                f"   {TREE_CODES.index(CLASSES[label]):.7e}\n", "ascii")
    (out / SUMS).write_text("".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out).as_posix()}\n"
        for path in sorted(out.rglob("*")) if path.is_file()), "utf-8")
    return len(faces.pixels)
