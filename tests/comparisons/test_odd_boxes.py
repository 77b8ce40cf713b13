"""Boxes that no face has: each is one line for its picture, and the other pictures are done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from untrained import write

from comparisons.cli import main
from comparisons.datasets.crops import Crop, crop
from comparisons.datasets.faces import detector
from comparisons.datasets.pictures import upright
from comparisons.errors import DataError
from comparisons.predict.predictor import Predictor

NAN, INF = float("nan"), float("inf")
ODD = {"outside": (60, 5, 10, 10), "partly outside": (30, 5, 20, 10), "negative": (-1, 0, 10, 10),
       "reversed": (20, 20, -10, -10), "empty": (5, 5, 0, 10), "NaN": (NAN, 0, 5, 5),
       "NaN wide": (0, 0, NAN, 5), "infinite": (0, 0, INF, 5), "before": (-INF, 0, 5, 5),
       "huge": (0, 0, 10**9, 10**9)}


@pytest.fixture
def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("box", ODD.values(), ids=ODD)
def test_a_box_that_is_not_in_the_picture_is_refused(box: Any, picture: Image.Image) -> None:
    with pytest.raises(DataError, match="which is not within the picture of 40×30 px"):
        crop(picture, box, (48, 48))


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (39, 29, 1, 1), (0, 0, 40, 30), (7, 0, 1, 30)])
def test_a_box_of_a_pixel_is_one_grey(box: Any, picture: Image.Image) -> None:
    found = crop(picture, box, (48, 48)).pixels
    grey = np.asarray(picture.convert("L"))[box[1], box[0]] / 255
    assert np.isfinite(found).all()
    if box[2:] == (1, 1):
        np.testing.assert_allclose(found, grey, atol=1e-6)


def test_a_detectors_boxes_are_cut_to_the_picture(picture: Image.Image, monkeypatch: Any) -> None:
    class Odd:
        def detectMultiScale(self, *args: Any, **kwargs: Any) -> Any:
            return np.array([(-5, -5, 20, 20), (30, 20, 30, 30), (50, 5, 9, 9), (5, 5, 0, 9),
                             (9, 9, -4, -4), (3, 4, 1, 1)])
    monkeypatch.setattr(detector, "_cascade", Odd)
    assert detector.boxes(picture) == [(0, 0, 15, 15), (3, 4, 1, 1), (30, 20, 10, 10)]


@pytest.mark.parametrize("box", ODD.values(), ids=ODD)
def test_the_other_pictures_are_predicted(box: Any, picture: Image.Image, tmp_path: Path,
                                          monkeypatch: Any, capsys: Any) -> None:
    network, _ = write(tmp_path, "mnist-cnn", "minigrad")
    load = Predictor.load

    def odd(*args: Any) -> Predictor:
        found = load(*args)

        def find(picture: Image.Image, size: Any) -> list[Crop]:
            pixels = np.zeros(size, np.float32)
            return [Crop((0, 0, 9, 9), pixels), Crop(box, pixels)] if picture.width == 40 else [
                Crop((1, 2, 3, 4), pixels)]
        return replace(found, subject=replace(found.subject, find=find))
    monkeypatch.setattr(Predictor, "load", odd)
    picture.save(tmp_path / "odd.png")
    picture.crop((0, 0, 20, 20)).save(tmp_path / "good.png")
    names = [str(tmp_path / f"{name}.png") for name in ("odd", "good")]
    assert main(["predict", str(network), *names, "--json", str(tmp_path / "all.json"),
                 "--out", str(tmp_path / "drawn")]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "comparisons: " in line]
    assert len(said) == 1
    assert said[0].startswith(f"comparisons: {names[0]}: a box at ")
    bad, good = json.loads((tmp_path / "all.json").read_text())["images"]
    assert "error" in bad
    assert good["digits"][0]["box"] == [1, 2, 3, 4]


@pytest.mark.parametrize(("left", "right", "told"), [
    ((-5, 10), (20, 10), "an eye is at -5, 10, which is not in the picture"),
    ((5, 10), (1e300, 10), "which is not in the picture"),
    ((5, 10), (20, 31), "which is not in the picture"),
    ((5, 10), (5.1, 10), "both eyes are at the same place")])
def test_landmarks_that_no_face_has(left: Any, right: Any, told: str, picture: Image.Image) -> None:
    points = np.vstack([np.zeros((36, 2)), np.repeat([left, right], 6, 0), np.zeros((20, 2))])
    with pytest.raises(ValueError, match=told):
        upright(picture, points)


def test_eyes_at_the_ends_of_a_long_picture_take_no_memory() -> None:
    points = np.vstack([np.zeros((36, 2)), np.repeat([(0, 0), (40_000, 1)], 6, 0),
                        np.zeros((20, 2))])
    with pytest.raises(ValueError, match="more than 50 million pixels"):
        upright(Image.new("L", (40_000, 1)), points)
