"""`predict` for a video or a folder of frames: what the network says over time, drawn and as CSV.

Each frame is predicted by itself. The largest face, or whatever the network looks for, is followed;
a frame without any leaves a gap, as does one that cannot be read. Frames are read one after
another, so that a film may be long.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comparisons.datasets.base import visible
from comparisons.datasets.crops import Box
from comparisons.datasets.faces.detector import INSTALL
from comparisons.datasets.pictures import PIXELS, read_picture
from comparisons.errors import DataError, Fault
from comparisons.files import insist_on_file, write_bytes, write_text
from comparisons.predict.prediction import Prediction
from minigrad.streams import printable

ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
# How such a file begins. FFmpeg also reads lists of other files and addresses, whatever their name.
CONTAINERS = (re.compile(rb"RIFF....AVI ", re.S), re.compile(rb"....ftyp", re.S),
              re.compile(rb"\x1a\x45\xdf\xa3"))
PICTURES = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif",
            ".tiff", ".webp")
LINE_EVERY = 500        # frames, where there is no bar
NAMED = 10              # of the classes, those with the highest peaks
WIDTH, HEIGHT, DPI = 9.0, 3.6, 150      # of the drawing, in inches, and its pixels an inch


Predict = Callable[[Image.Image], Sequence[Prediction]]     # all that a picture shows


@dataclass(frozen=True)
class Frame:
    """What was found in a frame: nothing, or the largest face. Its pixels are not kept.

    seconds: None if there is no clock. p: the probability of each class.
    """

    name: str
    seconds: float | None = None
    box: Box | None = None
    answer: str = ""
    p: tuple[float, ...] = ()


def is_film(path: Path) -> bool:
    """Whether a path is a folder, or is named as a video is."""
    return path.is_dir() or path.suffix.lower() in ENDINGS


def main(film: Path, predict: Predict, noun: str, classes: Sequence[str], threshold: float,
         out: Path | None, stem: str) -> dict[str, Any]:
    """Predict a film, print what was found, write OUT/STEM.csv and OUT/STEM.png; return the entry
    for JSON. After Ctrl-C, what was predicted is written first.

    noun: what the network looks for. threshold: the confidence below which it is unsure.

    Raises: Fault naming the film if it cannot be read or holds no frame, or without `out`.
    """
    name = printable(film)
    if out is None:
        raise Fault(f"{name}: a film needs --out DIR, the folder for its curves")
    frames: list[Frame] = []
    faults: list[str] = []
    stopped: KeyboardInterrupt | None = None
    try:
        for frame in predicted(film, predict, faults):
            frames.append(frame)
    except KeyboardInterrupt as stop:
        stopped = stop
    for fault in faults:
        print(f"comparisons: {fault}", file=sys.stderr)
    if len(frames) == len(faults):
        raise stopped or DataError(f"{name}: holds no frame that can be read")
    table, drawing = out / f"{stem}.csv", out / f"{stem}.png"
    write_text(table, as_csv(frames, classes))
    answers = Counter(frame.answer for frame in frames if frame.box)
    there = answers.total()
    shares = ", ".join(f"{answer} {n / there:.1%}" for answer, n in answers.most_common())
    print(f"{name}: {len(frames):,} frame{'s' * (len(frames) > 1)}, a {noun} in {there:,}"
          f"{': ' * bool(shares)}{shares}")
    write_bytes(drawing, picture(frames, classes, film.resolve().name, noun, threshold))
    print(f"  {printable(table)}\n  {printable(drawing)}")
    if stopped is not None:
        raise stopped
    return {"film": str(film), "frames": len(frames), f"with_{noun}": there,
            "answers": dict(answers), "csv": str(table), "drawing": str(drawing),
            "left_out": faults}


def predicted(film: Path, predict: Predict, faults: list[str]) -> Iterator[Frame]:
    """The frames of a film, with progress on stderr.

    faults: is given a line for each frame that cannot be read; nothing is found in it.
    """
    from tqdm import tqdm
    pictures, total = (of_folder(film) if film.is_dir() else of_video(film))
    bar = sys.stderr is not None and sys.stderr.isatty()
    with tqdm(total=total, desc=printable(film.name), unit=" frames", leave=False,
              disable=not bar) as progress:
        for number, (name, seconds, frame) in enumerate(pictures, 1):
            if isinstance(frame, DataError):
                faults.append(str(frame))
                yield Frame(name, seconds)
            else:
                yield largest(name, seconds, predict(frame))
            progress.update()
            if not bar and number % LINE_EVERY == 0:
                print(f"  {printable(film)}: {number:,} frames", flush=True)


def largest(name: str, seconds: float | None, found: Sequence[Prediction]) -> Frame:
    """The frame in which these faces were found."""
    if not found:
        return Frame(name, seconds)
    face = max(found, key=lambda prediction: math.prod(prediction.crop.box[2:]))
    return Frame(name, seconds, face.crop.box, face.answer, tuple(face.probabilities.values()))


# ---- reading -------------------------------------------------------------------------------------

# its name, its time in seconds, and itself, or why it cannot be read
Picture = tuple[str, float | None, Image.Image | DataError]


def of_folder(folder: Path) -> tuple[Iterator[Picture], int | None]:
    """The pictures in a folder, by their names, where 10 comes after 9; and how many they are.

    Raises: DataError naming the folder if it holds none.
    """
    found = sorted((path for path in visible(folder) if path.suffix.lower() in PICTURES
                    and not path.is_dir()),
                   key=lambda path: [(part.isdigit(), int(part) if part.isdigit() else 0, part)
                                     for part in re.split("([0-9]{1,18})", path.name)])
    if not found:
        raise DataError(f"{printable(folder)}: holds no pictures ({', '.join(PICTURES)})")
    return ((path.name, None, read(path)) for path in found), len(found)


def read(path: Path) -> Image.Image | DataError:
    """The picture in a file, or why it cannot be read."""
    try:
        return read_picture(path, printable(path))
    except DataError as fault:
        return fault


def of_video(path: Path) -> tuple[Iterator[Picture], int | None]:
    """The frames of a video, numbered from 1, and how many there are, where it says so.

    Raises: DataError naming the file if it is no video; Fault if OpenCV is not installed.
    """
    name = printable(path)
    insist_on_file(path, name)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}") from None
    if not any(container.match(start) for container in CONTAINERS):
        raise DataError(f"{name}: is no AVI, MP4, QuickTime, Matroska or WebM video")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")       # what is wrong is said below
    try:
        cv2: Any = import_module("cv2")
    except ImportError:
        raise Fault(f"{name}: videos need OpenCV ({INSTALL}); a folder of pictures needs nothing"
                    ) from None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    video = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise DataError(f"{name}: damaged, or coded in a way that OpenCV does not read")
    if video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT) > PIXELS:
        raise DataError(f"{name}: its frames have more than {PIXELS:,} pixels")
    total = int(max(0, video.get(cv2.CAP_PROP_FRAME_COUNT))) or None

    def frames() -> Iterator[Picture]:
        number = 0
        while (read := video.read())[0]:
            number += 1
            blue_first = np.asarray(read[1])
            yield (str(number), video.get(cv2.CAP_PROP_POS_MSEC) / 1000,
                   Image.fromarray(np.ascontiguousarray(blue_first[:, :, ::-1])))
        if total is not None and 0 < number < total:
            print(f"comparisons: {name}: ends after {number:,} of {total:,} frames",
                  file=sys.stderr)
    return frames(), total


# ---- writing -------------------------------------------------------------------------------------

def as_csv(frames: Sequence[Frame], classes: Sequence[str]) -> str:
    """A line for each frame; empty cells where nothing was found, or where there is no clock."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["frame", "seconds", "x", "y", "width", "height", "answer", *classes])
    for frame in frames:
        seconds = "" if frame.seconds is None else f"{frame.seconds:.3f}"
        cells: list[Any] = [""] * (5 + len(classes)) if frame.box is None else [
            *frame.box, frame.answer, *(f"{p:.4f}" for p in frame.p)]
        table.writerow([frame.name, seconds, *cells])
    return text.getvalue()


def picture(frames: Sequence[Frame], classes: Sequence[str], title: str, noun: str,
            threshold: float) -> bytes:
    """The probability of each class over time, as the bytes of a PNG; see `main`."""
    import matplotlib as mpl
    import matplotlib.ticker

    from comparisons.report import style
    clock = all(frame.seconds is not None for frame in frames)
    times = np.array([frame.seconds if clock else number
                      for number, frame in enumerate(frames, 1)], float)
    values = np.array([frame.p or [np.nan] * len(classes) for frame in frames])
    gap = np.isnan(values[:, 0])
    alone = ~gap & np.append(True, gap[:-1]) & np.append(gap[1:], True)
    stream = io.BytesIO()
    with mpl.rc_context(style.STYLE), style.any_script():
        figure, ax = style.new_axes(WIDTH, HEIGHT)
        named = sorted(np.argsort(-np.nan_to_num(values).max(0), kind="stable")[:NAMED])
        for column in np.delete(values, named, 1).T:
            ax.plot(times, column, color=style.RULE, lw=1)
        for k, colour in zip(named, mpl.colormaps["tab10"](range(len(named))), strict=True):
            ax.plot(times, values[:, k], color=colour, lw=1.5,
                    label=style.drawable(classes[k]))
            ax.plot(times[alone], values[alone, k], ".", color=colour)  # between two gaps
        if others := len(classes) - len(named):
            ax.plot([], [], color=style.RULE, lw=1, label=f"{others} others")
        if 0 < threshold <= 1:
            ax.axhline(threshold, color=style.FAINT, lw=1.2, ls=":", label="unsure below")
        if gap.all():
            ax.text(0.5, 0.5, f"no {noun} in any frame", ha="center", transform=ax.transAxes)
        ax.set(ylim=(-0.02, 1.02), title=style.drawable(title),
               xlabel="time in seconds" if clock else "frame", ylabel="probability")
        margin = 0.02 * float(np.ptp(times)) or 0.5
        ax.set_xlim(times.min() - margin, times.max() + margin)     # with the gaps at both ends
        if len(times) == 1:
            ax.set_xticks(times)
        elif not clock:
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator("auto", integer=True))
        ax.title.set_color(style.FAINT)
        style.percent(ax.yaxis)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
        figure.savefig(stream, format="png", dpi=DPI, facecolor="white", metadata={"Software": ""})
    return stream.getvalue()
