"""`predict`: what a trained network says of pictures: a line, a drawing and JSON for each.

A checkpoint says all there is to know: the task, the options of its model, the classes. Which
implementation wrote it does not matter.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comparisons import crops, implementations
from comparisons.classification import softmax
from comparisons.crops import Crop
from comparisons.datasets import Data
from comparisons.implementations import Implementation
from comparisons.registry import TASKS
from comparisons.results import write_bytes, write_json
from comparisons.task import Array, Fault, Options
from minigrad import checkpoint

SCHEMA = 1
TOLD = 3                                # classes a line


@dataclass(frozen=True)
class Kind:
    """What a task's network looks at: the word for it, and how it is cut out of a picture."""

    noun: str
    find: crops.Cut
    whole: crops.Cut


DIGIT = Kind("digit", crops.digits, crops.whole_digit)
KINDS = {"mnist-mlp": DIGIT, "mnist-cnn": DIGIT,
         "dexpression": Kind("face", crops.faces, crops.whole)}


@dataclass(frozen=True)
class Prediction:
    """One face or digit: where it is, what the network saw, and each class's probability."""

    crop: Crop
    probabilities: dict[str, float]

    @property
    def best(self) -> list[tuple[str, float]]:
        """Classes and probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


@dataclass(frozen=True)
class Predictor:
    """A trained network, with the kind of picture that it reads."""

    path: Path
    task: str
    kind: Kind
    classes: list[str]
    size: crops.Size
    implementation: Implementation
    model: Any

    @classmethod
    def load(cls, path: Path) -> Predictor:
        """Raises CheckpointError for a file that is no checkpoint, Fault for one of another task.
        """
        kept = checkpoint.load(path)
        config = kept.config or {}
        name = config.get("task")
        if name not in KINDS:
            raise Fault(f"{path}: {f'{name} reads no pictures' if name else 'names no task'}; "
                        f"a checkpoint of {', '.join(KINDS)} is needed")
        if "classes" not in config:
            raise Fault(f"{path}: does not name its classes; train it again")
        classes, shape = config["classes"], config["shape"]
        told = {f.name for f in fields(Options)} & config["options"].keys()
        options = Options(**{key: config["options"][key] for key in told})
        like = Data(config["dataset"], "", np.empty((0, *shape), np.float32),
                    np.empty(0, np.int64), classes=classes)
        implementation = implementations.get("minigrad")
        model = TASKS[name].model(implementation.models, like, options)
        checkpoint.put(replace(kept, model=kept.weights), model=model)
        return cls(path, name, KINDS[name], classes, (shape[1], shape[2]), implementation, model)

    @property
    def name(self) -> str:
        """The run's folder, and the task where that does not tell it."""
        folder = self.path.resolve().parent.name
        return folder if folder.startswith(self.task) else f"{self.task} ({folder})"

    def __call__(self, picture: Image.Image, whole: bool = False) -> list[Prediction]:
        """What is in a picture, from left to right.

        whole: the picture itself is the face or the digit; one of just the network's size is.
        """
        whole = whole or picture.size == self.size[::-1]
        found = (self.kind.whole if whole else self.kind.find)(picture, self.size)
        if not found:
            return []
        p = self.probabilities(np.stack([crop.pixels for crop in found])[:, None])
        return [Prediction(crop, dict(zip(self.classes, row, strict=True)))
                for crop, row in zip(found, p.tolist(), strict=True)]

    def probabilities(self, x: Array) -> Array:
        """(N, 1, H, W) → (N, classes)."""
        outputs = TASKS[self.task].outputs(self.implementation, self.model, x)
        return softmax(outputs.astype(np.float64))


def main(path: Path, images: Sequence[Path], *, whole: bool = False, out: Path | None = None,
         json: Path | None = None) -> int:
    """Predict each image; one that fails is one line, and the others are done all the same."""
    predictor = Predictor.load(path)
    if out is not None:
        with naming(out):
            out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    names: set[str] = set()
    for image in images:
        try:
            picture = crops.read_picture(image, str(image))
            predictions = predictor(picture, whole)
            if not predictions:
                raise Fault(f"{image}: no {predictor.kind.noun} found; "
                            "--whole takes the picture for one")
        except Fault as fault:
            message = str(fault) if str(fault).startswith(f"{image}: ") else f"{image}: {fault}"
            print(f"comparisons: {message}", file=sys.stderr)
            entries.append({"image": str(image), "error": message})
            continue
        print(text(image, predictions, predictor.kind.noun))
        drawing = None
        if out is not None:
            from comparisons import annotate
            drawing = out / unused(f"{image.stem}-predicted", names)
            write_bytes(drawing, annotate.png(picture, predictions))
        entries.append({
            "image": str(image), "width": picture.width, "height": picture.height,
            "annotated": None if drawing is None else str(drawing),
            f"{predictor.kind.noun}s": [{"box": list(p.crop.box), "class": p.best[0][0],
                                         "probabilities": p.probabilities}
                                        for p in predictions]})
    if json is not None:
        write_json(json, {"schema": SCHEMA, "checkpoint": str(path), "task": predictor.task,
                          "classes": predictor.classes, "images": entries}, indent=2)
    return int(any("error" in entry for entry in entries))


def text(image: Path, predictions: Sequence[Prediction], noun: str) -> str:
    """A line for the image, and one for each face or digit in it."""
    n = len(predictions)
    lines = [f"{image}: {n} {noun}{'s' if n > 1 else ''}"]
    for i, prediction in enumerate(predictions, 1):
        x, y, w, h = prediction.crop.box
        told = ", ".join(f"{name} {p:.1%}" for name, p in prediction.best[:TOLD])
        lines.append(f"  {i}  {told}  (at {x}, {y}, {w}×{h} px)")
    return "\n".join(lines)


def unused(stem: str, names: set[str]) -> str:
    """A file name that no picture of another folder has taken."""
    name, again = f"{stem}.png", 1
    while name in names:
        again += 1
        name = f"{stem}-{again}.png"
    names.add(name)
    return name


@contextlib.contextmanager
def naming(path: Path) -> Any:
    """An error of the system as a Fault that names the path."""
    try:
        yield
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}") from None
