"""The pictures in the report: examples of the classes, correct and wrong classifications, and maps
of what the network looked at.

Everything comes from the details of a task; what they do not contain is left out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from comparisons.datasets.pictures import read_picture
from comparisons.implementations import NAMES, TITLES
from comparisons.report.style import AGAINST, FOR

Details = dict[str, dict[str, Any]]     # by implementation

PUBLIC = ("mnist", "mnist-subset", "fashion-mnist", "kmnist", "faces-generated")
"""The datasets that anybody may see."""
ORANGE_ONLY = f"#b4b4b4,{FOR}"
BOTH_COLORS = f"{AGAINST},{ORANGE_ONLY}"
LIKE_RANDOM = 0.5       # the rank correlation with a random network's maps must be below this
LARGEST = 1024          # pixels of the side of a map
FULL = 0.99             # the share of all places whose colour is below its full strength
MAPS = {"grad_cam": "Grad-CAM", "occlusion": "occlusion"}


@dataclass(frozen=True)
class Sheet:
    """A dozen images of each class, and the number of its images."""

    rows: list[dict[str, Any]]
    private: bool                   # whether the images are the user's own


@dataclass(frozen=True)
class Sample:
    """A test image and its predicted class."""

    png: str
    truth: str
    guess: str
    confidence: str
    other: str                      # the class that the other implementation predicts; may be empty

    @property
    def right(self) -> bool:
        return self.truth == self.guess


@dataclass(frozen=True)
class Samples:
    """Test images that one implementation classifies correctly, and those it misclassifies."""

    who: str
    right: list[Sample]
    wrong: list[Sample]


@dataclass(frozen=True)
class Key:
    """What the colours of a kind of map mean."""

    name: str
    low: str
    high: str
    colors: str


@dataclass(frozen=True)
class Example:
    """A test image, its predicted class, and maps of the evidence for that class."""

    truth: str
    guess: str
    confidence: str
    png: str
    grad_cam: str
    occlusion: str


@dataclass(frozen=True)
class Maps:
    """For each class, one example that was classified correctly and one that was not."""

    who: str
    keys: list[Key]
    rows: list[tuple[str, list[Example | None]]]


@dataclass(frozen=True)
class Check:
    """Rank correlations of one kind of map with the maps of networks with random weights."""

    impl: str
    who: str
    kind: str
    mean: str
    each: str
    passed: bool


def contact_sheet(known: dict[str, Any], dataset: str) -> Sheet | None:
    """The contact sheet in a task's details, if there is one."""
    return Sheet(known["sheet"], dataset not in PUBLIC) if "sheet" in known else None


def samples(details: Details) -> Samples | None:
    """Images that minigrad, or PyTorch if only it was run, classifies correctly and wrongly."""
    mine = next(impl for impl in NAMES if impl in details)
    known = details[mine]
    if not known.get("samples"):
        return None
    other = next((impl for impl in details if impl != mine and same_items(known, details[impl])),
                 None)
    classes, shown = known["classes"], []
    for sample in known["samples"]:
        at = sample["at"]
        truth, guess = known["targets"][at], known["guesses"][at]
        theirs = ("" if other is None or guess == truth else
                  f"{TITLES[other]}: {classes[details[other]['guesses'][at]]}")
        shown.append(Sample(sample["png"], classes[truth], classes[guess],
                            f"{known['confidence'][at]:.0%}", theirs))
    return Samples(TITLES[mine], [s for s in shown if s.right], [s for s in shown if not s.right])


def same_items(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two runs were tested on the same items in the same order."""
    return all(a.get(key) == b.get(key) for key in ("rows", "targets"))


def maps(details: Details) -> Maps | None:
    """The examples in the details, one row for each class, with one colour scale for all."""
    mine = next(impl for impl in NAMES if impl in details)
    known = details[mine]
    if not known.get("examples"):
        return None
    # one place in a hundred has the full colour; scaled by the maximum, most would be pale
    most = {kind: float(np.quantile(np.abs([e[kind] for e in known["examples"]]), FULL)) or 1.0
            for kind in MAPS}
    keys = [Key("Grad-CAM", "0", f"{most['grad_cam']:.2g} logits or more", ORANGE_ONLY),
            Key("Occlusion", f"rise by {most['occlusion']:.2g}",
                f"fall by {most['occlusion']:.2g} nats or more", BOTH_COLORS)]
    found: dict[tuple[int, bool], Example] = {}
    for e in known["examples"]:
        positive = np.maximum(e["grad_cam"], 0).tolist()        # as in the paper
        found.setdefault((e["target"], e["guess"] == e["target"]), Example(
            known["classes"][e["target"]], known["classes"][e["guess"]], f"{e['confidence']:.0%}",
            e["png"], overlay(e["png"], positive, most["grad_cam"]),
            overlay(e["png"], e["occlusion"], most["occlusion"])))
    return Maps(TITLES[mine], keys, [(name, [found.get((c, right)) for right in (True, False)])
                                     for c, name in enumerate(known["classes"])])


def overlay(png: str, values: Sequence[Sequence[float]], most: float) -> str:
    """A map over its image: orange where it is positive, blue where negative, full at ±most.

    png: a grey image in base64. The result is one, too, of twice the size but 96 to 1,024 pixels.
    """
    image = read_picture(base64.b64decode(png), "a picture in details.json").convert("L")
    side = min(max(96, 2 * image.width), LARGEST)
    grey = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), float)[..., None]
    strength = np.asarray(Image.fromarray(np.asarray(values, np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC))[..., None] / most
    color = np.where(strength > 0, *(255 * np.array(mpl.colors.to_rgb(c)) for c in (FOR, AGAINST)))
    alpha = 0.8 * np.clip(np.abs(strength), 0, 1)
    stream = io.BytesIO()
    # lighten the image and reduce its contrast, so that the colours stand out
    paler = 70 + 0.7 * grey
    Image.fromarray((paler + alpha * (color - paler)).astype(np.uint8)).save(stream, "PNG",
                                                                             optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def sanity(details: Details) -> list[Check]:
    """For each kind of map, its rank correlations with the maps of random networks."""
    checks = []
    for impl in NAMES:
        for kind, title in MAPS.items():
            found = details.get(impl, {}).get("sanity", {}).get(kind)
            if found:
                checks.append(Check(
                    impl, TITLES[impl], title, signed(sum(found) / len(found)),
                    ", ".join(map(signed, found)), max(map(abs, found)) < LIKE_RANDOM))
    return checks


def signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")       # no -0.00
