"""The report's pictures: the classes, what was classified rightly and wrongly, and what the
network looked at.

Everything is taken from a task's details; whatever they lack is left out.
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

from comparisons.implementations import NAMES, TITLES
from comparisons.report.style import AGAINST, FOR

Details = dict[str, dict[str, Any]]     # by implementation

PUBLIC = ("mnist", "mnist-subset", "faces-generated")      # anybody may see these images
ORANGE_ONLY = f"#b4b4b4,{FOR}"
BOTH_COLORS = f"{AGAINST},{ORANGE_ONLY}"
LIKE_RANDOM = 0.5       # a rank correlation with a random network's maps that is too much
FULL = 0.99             # the part of all places whose colour is not yet full
MAPS = {"grad_cam": "Grad-CAM", "occlusion": "occlusion"}


@dataclass(frozen=True)
class Sheet:
    """A dozen images of each class, and how many there are."""

    rows: list[dict[str, Any]]
    private: bool                   # whose images may not be for everybody


@dataclass(frozen=True)
class Sample:
    """A test image and what it was taken for."""

    png: str
    truth: str
    guess: str
    confidence: str
    other: str                      # what the other implementation took it for; may be empty

    @property
    def right(self) -> bool:
        return self.truth == self.guess


@dataclass(frozen=True)
class Samples:
    """Test images by one implementation's verdict."""

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
    """A test image, what it was taken for, and the maps of what spoke for that."""

    truth: str
    guess: str
    confidence: str
    png: str
    grad_cam: str
    occlusion: str


@dataclass(frozen=True)
class Maps:
    """Of each class, one example that was classified rightly and one that was not."""

    who: str
    keys: list[Key]
    rows: list[tuple[str, list[Example | None]]]


@dataclass(frozen=True)
class Check:
    """Whether the maps of one kind are those of any network: rank correlations with random ones."""

    impl: str
    who: str
    kind: str
    mean: str
    each: str
    passed: bool


def contact_sheet(known: dict[str, Any], dataset: str) -> Sheet | None:
    """The contact sheet that a task's details hold, if they do."""
    return Sheet(known["sheet"], dataset not in PUBLIC) if "sheet" in known else None


def samples(details: Details) -> Samples | None:
    """Images classified rightly and wrongly by minigrad, or by PyTorch where it ran alone."""
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
    """The examples that the details hold, a row a class, drawn on one scale."""
    mine = next(impl for impl in NAMES if impl in details)
    known = details[mine]
    if not known.get("examples"):
        return None
    # full colour for one place in a hundred: a single strong one would leave all others pale
    most = {kind: float(np.quantile(np.abs([e[kind] for e in known["examples"]]), FULL)) or 1.0
            for kind in MAPS}
    keys = [Key("Grad-CAM", "0", f"{most['grad_cam']:.2g} logits or more", ORANGE_ONLY),
            Key("Occlusion", f"rise by {most['occlusion']:.2g}",
                f"fall by {most['occlusion']:.2g} nats or more", BOTH_COLORS)]
    found: dict[tuple[int, bool], Example] = {}
    for e in known["examples"]:
        positive = np.maximum(e["grad_cam"], 0).tolist()        # the side that the paper shows
        found.setdefault((e["target"], e["guess"] == e["target"]), Example(
            known["classes"][e["target"]], known["classes"][e["guess"]], f"{e['confidence']:.0%}",
            e["png"], overlay(e["png"], positive, most["grad_cam"]),
            overlay(e["png"], e["occlusion"], most["occlusion"])))
    return Maps(TITLES[mine], keys, [(name, [found.get((c, right)) for right in (True, False)])
                                     for c, name in enumerate(known["classes"])])


def overlay(png: str, values: Sequence[Sequence[float]], most: float) -> str:
    """A map over its image: orange where it is positive, blue where negative, full at ±most.

    png: a grey image, as base64; so is the result, twice as fine as the image or 96 pixels.
    """
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
    side = max(96, 2 * image.width)
    grey = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), float)[..., None]
    strength = np.asarray(Image.fromarray(np.asarray(values, np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC))[..., None] / most
    color = np.where(strength > 0, *(255 * np.array(mpl.colors.to_rgb(c)) for c in (FOR, AGAINST)))
    alpha = 0.8 * np.clip(np.abs(strength), 0, 1)
    stream = io.BytesIO()
    # the image paler and flatter, so that the colours and not its shadows are what is dark
    paler = 70 + 0.7 * grey
    Image.fromarray((paler + alpha * (color - paler)).astype(np.uint8)).save(stream, "PNG",
                                                                             optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def sanity(details: Details) -> list[Check]:
    """Whether the maps depend on what was learned: how they rank places, against random weights."""
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
