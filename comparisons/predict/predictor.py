"""`predict`: applies a trained network to pictures; the results are text, drawings and JSON.

A checkpoint of either implementation contains all that is needed: the name of its task, the options
of its model, and the classes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comparisons.datasets.base import Array
from comparisons.datasets.crops import Size, Subject, insist_on_box, scaled
from comparisons.datasets.pictures import read_picture
from comparisons.errors import Fault, one_line
from comparisons.files import check_writable, make_folder, write_bytes, write_json
from comparisons.implementations import Implementation
from comparisons.predict import annotate, films
from comparisons.predict.prediction import Prediction, text_of
from comparisons.predict.trained import (
    calibration_of,
    config_of,
    network_of,
    task_of,
    usable,
    with_options_of,
)
from comparisons.tasks.calibration import SURE, Calibration
from comparisons.tasks.registry import TASKS
from comparisons.tasks.task import Task
from minigrad import checkpoint
from minigrad.streams import printable

SCHEMA = 1
SOUGHT = ("faces", "digits")            # what is looked for in a picture
LONGEST_NAME = 255                      # bytes


def readers() -> dict[str, Task[Any]]:
    """The systems that read pictures, by their names."""
    return {name: task for name, task in TASKS.items() if task.subject is not None}


@dataclass(frozen=True)
class Predictor:
    """A trained network, and what it looks for in pictures."""

    path: Path
    task: Task[Any]
    subject: Subject
    dataset: str                        # what it was trained on
    classes: list[str]
    channels: int                       # of its images: 1 for grey, 3 for colour
    size: Size
    implementation: Implementation
    model: Any
    calibration: Calibration
    sure: float                         # the accuracy that answers should have

    @classmethod
    def load(cls, path: Path, task: Task[Any] | None = None, sure: float | None = None
             ) -> Predictor:
        """The network in a checkpoint.

        task: the task of the checkpoint; None for one of the five systems. sure: the accuracy that
        answers should have; None for the usual one.
        Raises: CheckpointError if the file is not a checkpoint; Fault if the checkpoint is of
        another task, or its task is unknown or reads no pictures.
        """
        kept = checkpoint.load(path)
        task = task_of(kept, task)
        if task.subject is None:
            raise Fault(f"{path}: {task.name} reads no pictures; expected a checkpoint of "
                        + ("a task whose class has a `subject`" if task.name not in TASKS else
                           ", ".join(readers())))
        config = config_of(kept)
        classes, shape, dataset = config["classes"], config["shape"], config["dataset"]
        subject = task.subject_for(dataset)
        assert subject is not None
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise Fault(f"{path}: its network takes inputs of shape {tuple(shape)}, but pictures "
                        "are read as (1, height, width) in grey or (3, height, width) in colour")
        task = with_options_of(kept, task, config)
        implementation, model = network_of(kept, task, config)
        return cls(path, task, subject, dataset, classes, shape[0], (shape[1], shape[2]),
                   implementation, model, calibration_of(kept, config, sure),
                   SURE if sure is None else sure)

    @property
    def name(self) -> str:
        """The run's folder, after the name of the task if the folder does not begin with it, and
        what the network was trained on, unless the task's name says so."""
        folder = self.path.resolve().parent.name
        name = folder if folder.startswith(self.task.name) else f"{self.task.name} ({folder})"
        usual = self.subject is self.task.subject
        return name if usual else f"{name}, trained on {self.dataset}"

    @property
    def told(self) -> str:
        """What the network is, in a line."""
        return (f"{printable(self.path)}: {self.task.name}, trained on {self.dataset}"
                f"{self.calibration.told(self.sure)}")

    @property
    def threshold(self) -> float:
        """The confidence below which an answer is "unsure"."""
        return self.calibration.threshold(self.sure)

    def __call__(self, picture: Image.Image, whole: bool = False) -> list[Prediction]:
        """What the network finds in a picture, from left to right.

        whole: the picture itself is the face or the digit. This is always so for a picture
        of exactly the network's size.
        Raises: Fault if the network's outputs are not finite.
        """
        whole = whole or picture.size == self.size[::-1]
        found = (self.subject.whole if whole else self.subject.find)(picture, self.size)
        for crop in found:
            insist_on_box(crop.box, picture)
        if not found:
            return []
        p = self.probabilities(np.stack([
            crop.pixels[None] if self.channels == 1 else
            scaled(picture, crop.box, self.size, self.channels) for crop in found]))
        return [Prediction(crop, dict(zip(self.classes, row, strict=True)), self.threshold)
                for crop, row in zip(found, p.tolist(), strict=True)]

    def probabilities(self, x: Array) -> Array:
        """The probability of each class.  Shapes: x (N, channels, H, W) → (N, classes).

        Raises: Fault if the network's outputs cannot be used.
        """
        outputs = self.task.outputs(self.implementation, self.model, x)
        return self.calibration.probabilities(usable(self.path, outputs, self.classes))


def main(path: Path, images: Sequence[Path], *, whole: bool = False, out: Path | None = None,
         json: Path | None = None, task: Task[Any] | None = None, sure: float | None = None
         ) -> int:
    """Predict each image, and each video or folder of frames. One that fails is reported in one
    line and does not stop the others.

    out: a folder for drawings. json: a file for boxes and probabilities. task, sure: as for
    `Predictor.load`. Returns the exit status: 1 if any image failed.
    """
    predictor = Predictor.load(path, task, sure)
    if whole and predictor.subject.find is predictor.subject.whole:
        raise Fault(f"--whole: {predictor.task.name}, trained on {predictor.dataset}, takes each "
                    "picture as a whole in any case; the flag is for networks that look for "
                    f"{' or '.join(SOUGHT)}")
    print(predictor.told)
    if json is not None:
        check_writable(json)
    if out is not None:
        make_folder(out)
    entries: list[dict[str, Any]] = []
    # a drawing must not take the place of a picture
    names = {image.name for image in images if out and image.resolve().parent == out.resolve()}
    undrawn = False
    for image in images:
        name = printable(image)
        try:
            if films.is_film(image):
                stem = Path(unused(f"{image.resolve().stem}-curves", names)).stem
                entries.append(films.main(image, partial(predictor, whole=whole),
                                          predictor.subject.noun, predictor.classes,
                                          predictor.threshold, out, stem))
                continue
            picture = read_picture(image, name)
            predictions = predictor(picture, whole)
            if not predictions:
                raise Fault(f"{name}: no {predictor.subject.noun} found; with --whole, the "
                            f"picture itself is the {predictor.subject.noun}")
        except Exception as error:      # whatever is wrong with one, the others are predicted
            reason = one_line(error)
            message = reason if reason.startswith(f"{name}: ") else f"{name}: {reason}"
            print(f"comparisons: {message}", file=sys.stderr)
            entries.append({"image": str(image), "error": message})
            continue
        print(text(image, predictions, predictor.subject.noun))
        drawing = None
        if out is not None:
            try:
                drawing = out / unused(f"{image.stem}-predicted", names)
                write_bytes(drawing, annotate.png(picture, predictions))
            except Exception as error:  # what was predicted is kept
                undrawn, drawing = True, None
                print(f"comparisons: {one_line(error)}", file=sys.stderr)
        entries.append({
            "image": str(image), "width": picture.width, "height": picture.height,
            "annotated": None if drawing is None else str(drawing),
            f"{predictor.subject.noun}s": [{"box": list(p.crop.box), "answer": p.answer,
                                            "class": p.best[0][0],
                                            "probabilities": p.probabilities}
                                           for p in predictions]})
    if json is not None:
        write_json(json, {"schema": SCHEMA, "checkpoint": str(path), "task": predictor.task.name,
                          "dataset": predictor.dataset, "classes": predictor.classes,
                          **predictor.calibration.described(predictor.sure),
                          "images": entries}, indent=2)
    return int(undrawn or any("error" in entry or entry.get("left_out") for entry in entries))


def text(image: Path, predictions: Sequence[Prediction], noun: str) -> str:
    """A line for the image, and one for each face or digit in it."""
    n = len(predictions)
    lines = [f"{printable(image)}: {n} {noun}{'s' if n > 1 else ''}"]
    for i, prediction in enumerate(predictions, 1):
        x, y, w, h = prediction.crop.box
        told = text_of(prediction.best, prediction.threshold)
        lines.append(f"  {i}  {told}  (at {x}, {y}, {w}×{h} px)")
    return "\n".join(lines)


def unused(stem: str, names: set[str]) -> str:
    """A file name that no other picture has taken yet; it joins `names`."""
    name, again = shortened(stem, ".png"), 1
    while name in names:
        again += 1
        name = shortened(stem, f"-{again}.png")
    names.add(name)
    return name


def shortened(stem: str, end: str) -> str:
    """A file name; file systems allow it 255 bytes."""
    while len(os.fsencode(stem + end)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + end
