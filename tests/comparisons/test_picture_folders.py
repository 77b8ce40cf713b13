"""Folders of the user's own pictures: what is read, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import message
from untrained import grey

from comparisons.datasets.picture_folders import load_pictures
from comparisons.errors import DataError


def fill(folder: Path, n: int, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        grey(rng.random((6, 8))).save(folder / f"{i}.png")


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    fill(tmp_path / "Birds" / "owl", 15, 1)
    fill(tmp_path / "Birds" / "crow" / "young", 5, 2)
    data = load_pictures(tmp_path / "Birds", (6, 8))
    assert (data.name, data.classes, data.left_out) == ("birds", ["crow", "owl"], ())
    assert (data.x.shape, data.x_test.shape) == ((16, 1, 6, 8), (4, 1, 6, 8))
    assert np.bincount(data.y_test).tolist() == [1, 3]          # a fifth of each class
    assert data.source.endswith("16 for training and 4 for the test, of 6×8 px, grey, 2 classes: "
                                "crow 5, owl 15")
    known = {np.asarray(Image.open(path), np.float32).tobytes(): path.parent.name
             for path in (tmp_path / "Birds").rglob("*.png")}
    for x, y in zip(np.r_[data.x, data.x_test], np.r_[data.y, data.y_test], strict=True):
        place = known[np.float32(x[0] * 255).round().tobytes()]
        assert ("young", "owl")[y] == place
    again = load_pictures(tmp_path / "Birds", (6, 8), seed=1)
    assert not np.array_equal(data.x_test, again.x_test)


def test_folders_for_training_and_test(tmp_path: Path) -> None:
    for part, n in (("Train", 4), ("val", 2)):
        for k, name in enumerate(("owl", "crow")):
            fill(tmp_path / part / name, n, k)
    fill(tmp_path / "extra", 1)
    data = load_pictures(tmp_path, (6, 8))
    assert (len(data.x), len(data.x_test)) == (8, 4)
    assert "; 4 test pictures are equal to training pictures" in data.source
    assert data.left_out == (f"{tmp_path / 'extra'}: in neither Train/ nor val/",)
    fill(tmp_path / "val" / "gull", 1)
    with pytest.raises(DataError, match="the class gull has no training pictures"):
        load_pictures(tmp_path, (6, 8))


def test_a_folder_for_training_alone_is_split(tmp_path: Path) -> None:
    for k, name in enumerate(("owl", "crow")):
        fill(tmp_path / "train" / name, 5, k)
    (tmp_path / "labels.csv").write_text("any")
    data = load_pictures(tmp_path, (6, 8))
    assert (data.classes, len(data.x), len(data.x_test)) == (["crow", "owl"], 8, 2)
    assert data.left_out == (f"{tmp_path / 'labels.csv'}: not in train/",)


def test_a_train_may_also_be_a_vehicle(tmp_path: Path) -> None:
    for k, name in enumerate(("bus", "train")):
        fill(tmp_path / name, 5, k)
    assert load_pictures(tmp_path, (6, 8)).classes == ["bus", "train"]


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    for name in ("owl", "crow"):
        fill(tmp_path / name, 5)
    (tmp_path / "notes.txt").write_text("any")
    (tmp_path / "empty").mkdir()
    (tmp_path / "owl" / "cut.png").write_bytes((tmp_path / "owl" / "0.png").read_bytes()[:50])
    (tmp_path / "owl" / "list.csv").write_text("a,b")
    (tmp_path / "owl" / ".DS_Store").write_text("")
    data = load_pictures(tmp_path, (6, 8))
    assert len(data.x) + len(data.x_test) == 10
    (empty, note, *owls) = sorted(data.left_out, key=lambda line: ("owl" in line, line))
    assert empty == f"{tmp_path / 'empty'}: holds no files"
    assert note == f"{tmp_path / 'notes.txt'}: not in the folder of a class"
    assert [line.partition(": ")[0] for line in owls] == [
        str(tmp_path / "owl" / name) for name in ("cut.png", "list.csv")]
    assert "; 4 files left out" in data.source


@pytest.mark.parametrize(("made", "told"), [
    ({}, "0 pictures of 0 classes; expected a folder of pictures for each of two classes"),
    ({"owl": 9}, "9 pictures of 1 classes; expected"),
    ({"owl": 9, "crow": 1}, "the class crow has one picture; expected two or more"),
    ({"owl": 2, "crow": 2}, "4 pictures; expected at least 5")])
def test_too_few_are_one_line(made: dict[str, int], told: str, tmp_path: Path) -> None:
    for name, n in made.items():
        fill(tmp_path / name, n)
    with pytest.raises(DataError) as info:
        load_pictures(tmp_path, (6, 8))
    assert message(info).startswith(f"{tmp_path}: {told}")
    with pytest.raises(DataError, match="no such folder"):
        load_pictures(tmp_path / "none", (6, 8))


def test_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("owl", "crow"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).save(
                tmp_path / name / f"{i}.png")
    data = load_pictures(tmp_path, (6, 8), 3)
    known = {np.asarray(Image.open(path)).tobytes() for path in tmp_path.rglob("*.png")}
    seen = {np.moveaxis(x * 255, 0, -1).round().astype(np.uint8).tobytes()
            for x in np.r_[data.x, data.x_test]}
    assert seen == known
    with pytest.raises(ValueError, match="channels must be 1 or 3; got 2"):
        load_pictures(tmp_path, (6, 8), 2)


def test_pictures_may_be_kept_as_bytes(tmp_path: Path) -> None:
    for k, name in enumerate(("owl", "crow")):
        fill(tmp_path / name, 5, k)
    floats, levels = load_pictures(tmp_path, (6, 8)), load_pictures(tmp_path, (6, 8), dtype="uint8")
    for one, other in ((floats.x, levels.x), (floats.x_test, levels.x_test)):
        assert (one.dtype, other.dtype) == (np.float32, np.uint8)
        assert np.array_equal(one, other / np.float32(255))
    assert np.array_equal(floats.y, levels.y)
    with pytest.raises(ValueError, match="dtype must be float32 or uint8; got int64"):
        load_pictures(tmp_path, (6, 8), dtype="int64")
