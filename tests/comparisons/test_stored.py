"""Images that are too many for memory lie in a file; nothing else about a run changes."""

from __future__ import annotations

import contextlib
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets import stored
from comparisons.datasets.faces.reader import load_faces
from comparisons.datasets.levels import parts
from comparisons.datasets.picture_folders import load_pictures
from comparisons.datasets.stored import Collected, Stored, taken
from comparisons.errors import DataError
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import CalibratedOptions
from comparisons.training.training import first_step, prepare
from minigrad import checkpoint

SHAPE = (1, 4, 3)


def collected(x: Any) -> Any:
    into = Collected(x.shape[1:])
    for image in x:
        into.add(image)
    return into.images()


@pytest.fixture
def levels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (50, *SHAPE), np.uint8)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "LIMIT", 100)


def test_few_images_are_an_array(levels: Any) -> None:
    x = collected(levels)
    assert type(x) is np.ndarray
    assert np.array_equal(x, levels)


@pytest.mark.usefixtures("small_limit")
def test_stored_images_are_indexed_as_an_array_is(levels: Any) -> None:
    x = collected(levels)
    assert isinstance(x, Stored)
    assert (x.shape, x.dtype, x.ndim, len(x)) == (levels.shape, levels.dtype, 4, 50)
    rng = np.random.default_rng(1)
    some = rng.permutation(50)[:20]
    for mine, expected in ((x, levels), (x[3:40], levels[3:40]), (x[::-2], levels[::-2]),
                           (x[:0], levels[:0]), (taken(x, some), levels[some]),
                           (taken(taken(x, some), some[:3] % 20), levels[some][some[:3] % 20]),
                           (taken(x, some)[2:9], levels[some][2:9])):
        assert isinstance(mine, Stored)         # nothing was read
        assert mine.shape == expected.shape
        assert np.array_equal(mine, expected)
        assert np.array_equal(np.concatenate(list(parts(mine))), np.float32(expected) / 255)
    for key in (5, -1, [1, -2], some, rng.random(50) > 0.5, np.arange(0), None,
                (slice(2, 5), 0), (..., slice(None, None, -1)), (some, 0, 1)):
        found = x[key]
        assert type(found) is np.ndarray, key
        assert np.array_equal(found, levels[key]), key
    for wrong in (50, [50]):
        with pytest.raises(IndexError):
            x[wrong]


@pytest.mark.usefixtures("small_limit")
def test_whatever_else_an_array_can_do(levels: Any) -> None:
    x = collected(levels)
    assert np.array_equal(x / np.float32(255), levels / np.float32(255))
    assert np.array_equal(1 - x, 1 - levels)
    assert (x == levels).all()
    assert x.mean() == levels.mean()
    assert np.array_equal(x.reshape(50, -1), levels.reshape(50, -1))
    assert np.array_equal(np.concatenate([x, levels]), np.concatenate([levels, levels]))
    assert np.asarray(x, np.float64).dtype == np.float64
    assert all(np.array_equal(a, b) for a, b in zip(x, levels, strict=True))


def fill(folder: Path, count: int, side: int = 12) -> None:
    rng = np.random.default_rng(0)
    for k, name in enumerate(("anger", "happy")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            picture = rng.integers(0, 200, (side, side), np.uint8) + np.uint8(40 * k)
            Image.fromarray(picture).save(folder / name / f"{i}.png", compress_level=0)


OWN = """
from comparisons.datasets.picture_folders import load_pictures
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import CalibratedOptions

class Pictures(ImageTask[CalibratedOptions]):
    name = title = "pictures"
    options, reads, epochs, batch_size, lr = CalibratedOptions, "pictures", 2, 16, 1e-2

    def load(self, options):
        return load_pictures(options.data, (12, 12), dtype="uint8", seed=options.seed)

    def model(self, implementation, data, options):
        nn = implementation.nn
        return nn.Sequential(nn.AvgPool2d(3), nn.Flatten(), nn.Linear(16, len(data.classes)))
"""


@pytest.mark.parametrize("words", [
    ["dexpression", "--impl", "minigrad", "--protocol", "random", "--size", "24", "--folds", "2"],
    ["task.py", "--calibrate", "0.2", "--device", "cpu", "--seeds", "2"]])
def test_a_run_on_stored_images_has_the_same_results(
        words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("task.py").write_text(OWN)
    fill(tmp_path / "data", 40)
    found = []
    for limit in (2**26, 500):
        monkeypatch.setattr(stored, "LIMIT", limit)
        with contextlib.redirect_stdout(None):
            assert main(["run", *words, "--data", "data", "--epochs", "2", "--out", "out"]) == 0
        runs = json.loads(Path("out/results.json").read_text("utf-8"))["runs"]
        kept = sorted(Path("out").glob("*/last.safetensors"))
        assert len(runs) == len(kept) == (1 if "--impl" in words else 2)
        found.append([[(run["metrics"], run["baselines"]) for run in runs],
                      [details_of(path.parent) for path in kept],
                      [checkpoint.load(path).config["data"] for path in kept]])
    assert found[0] == found[1]


def details_of(folder: Path) -> Any:
    return without_seconds(json.loads((folder / "details.json").read_text("utf-8")))


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


class Pictures(ImageTask[CalibratedOptions]):
    name = title = "pictures"
    options, epochs, batch_size, lr = CalibratedOptions, 1, 64, 1e-2

    def load(self, options: CalibratedOptions) -> Any:
        return load_pictures(options.data, (48, 48), dtype="uint8")

    def model(self, implementation: Any, data: Any, options: CalibratedOptions) -> Any:
        nn = implementation.nn
        return nn.Sequential(nn.AvgPool2d(12), nn.Flatten(), nn.Linear(16, len(data.classes)))


def test_no_array_has_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 pictures of 48×48 are 6.9 MB. Reading, splitting, training and evaluation hold less."""
    monkeypatch.setattr(stored, "LIMIT", 2**18)
    monkeypatch.setattr("comparisons.datasets.levels.ITEMS", 64)
    monkeypatch.setattr("comparisons.tasks.classification.LINEAR_VALUES", 48 * 48 * 100)
    fill(tmp_path / "few", 70, 48)
    fill(tmp_path / "data", 70, 48)
    for name in ("anger", "happy"):
        for i in range(70, 1500):
            (tmp_path / "data" / name / f"{i}.png").hardlink_to(
                tmp_path / "data" / name / f"{i % 70}.png")

    def run(folder: Path) -> None:
        task, options = Pictures(), CalibratedOptions(data=folder, calibrate=0.3)
        data = task.load(options)
        split, = splits = task.splits(data, options)
        assert split.held is not None
        task.baselines(data, splits)
        implementation = implementations.get("minigrad")
        first_step(task, implementation, data, split, options, 0)
        training = prepare(task, implementation, data, split, options, 0)
        training.fit()
        for x in (split.x, split.x_test, split.held.x):
            training.outputs(x)

    run(tmp_path / "few")           # what is imported, compiled and kept for the next time
    tracemalloc.start()
    try:
        run(tmp_path / "data")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3000 * 48 * 48 / 2, peak


@pytest.mark.usefixtures("small_limit")
def test_faces_are_stored_as_well(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    data = load_faces(tmp_path, 12)
    assert data is not None
    assert isinstance(data.x, Stored)
    assert data.x.shape == (6, 1, 12, 12)


@pytest.mark.usefixtures("small_limit")
def test_no_room_for_the_file_is_one_line(levels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DataError, match=": the file for the images cannot be written: No "
                       "space left on device; TMPDIR names its folder"):
        collected(levels)
