"""Folders and tables that the user may not read: each is named, and none is left out silently."""

from __future__ import annotations

import codecs
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import message, one_line
from test_report import RUN, page_of

from comparisons.cli import main
from comparisons.datasets.diabetes_table import find_diabetes
from comparisons.datasets.faces.reader import load_faces
from comparisons.datasets.mnist import load_mnist
from comparisons.datasets.picture_folders import load_pictures
from comparisons.errors import DataError, Fault
from comparisons.files import make_folder
from comparisons.predict import demo, films

pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")
DATA = Path("data")         # relative, since a user may not enter pytest's own folder of root
FRAMES = "S00{}/001/S00{}_001_00000011.png"


@contextmanager
def forbidden(place: Path, mode: int = 0) -> Iterator[None]:
    """Let nobody read a place while the block runs."""
    codecs.lookup("ascii")              # loads a module, which nobody else may be allowed to
    before = place.stat().st_mode
    place.chmod(mode)
    root = os.geteuid() == 0            # root may read everything
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        place.chmod(before)


def fill(*places: str) -> None:
    for k, place in enumerate(places):
        path = DATA / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            pixels = np.random.default_rng(k).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(path)
        else:
            path.write_text("1.0" if path.suffix == ".txt" else "any")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: Any) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)


def many(*folders: str) -> list[str]:
    return [f"{folder}/{k}.png" for folder in folders for k in range(5)]


PICTURES = many("owl", "owl/young", "crow")
PARTS = many("train/owl", "train/crow", "test/owl/young", "test/crow")
FACES = many("anger", "anger/more", "fear", "train/anger", "train/fear")
TREE = [f"images/{FRAMES.format(k, k)}" for k in (1, 2)] + [
    f"Emotion/S00{k}/001/S00{k}_001_00000011_emotion.txt" for k in (1, 2)]
Reader = Callable[[Path], Any]


@pytest.mark.parametrize(("read", "files", "place"), [
    (lambda path: load_pictures(path, (8, 8)), PICTURES, "."),
    (lambda path: load_pictures(path, (8, 8)), PICTURES, "owl"),
    (lambda path: load_pictures(path, (8, 8)), PICTURES, "owl/young"),
    (lambda path: load_pictures(path, (8, 8)), PARTS, "test/owl/young"),
    (load_faces, FACES, "."),
    (load_faces, FACES, "anger"),
    (load_faces, FACES, "anger/more"),
    (load_faces, many("train/anger/more", "train/anger", "train/fear"), "train/anger/more"),
    (load_faces, TREE, "images/S002"),
    (load_faces, TREE, "images/S001/001"),
    (load_faces, TREE, "Emotion/S001/001"),
    (load_faces, ["faces.csv"], "faces.csv"),
    (load_mnist, many("digits/raw"), "digits/raw"),
    (find_diabetes, ["table.csv", "other.csv"], "other.csv"),
    (find_diabetes, ["table.csv"], "."),
    (films.of_folder, many("."), "."),
])
def test_what_may_not_be_read_is_named(read: Reader, files: list[str], place: str) -> None:
    fill(*files)
    with forbidden(DATA / place), pytest.raises(DataError) as caught:
        read(DATA)
    assert message(caught) == f"{DATA / place}: Permission denied"


def test_what_is_no_file_is_accounted_for() -> None:
    """A link to a folder below a class, which could lead in a circle, and a pipe."""
    fill(*PICTURES, *many("anger", "fear"))
    for name in ("owl", "anger"):
        (DATA / name / "round").symlink_to("..")
        os.mkfifo(DATA / name / "pipe")
    left_out = (f"{DATA / 'anger/pipe'}: not a file", f"{DATA / 'anger/round'}: Is a directory")
    data = load_pictures(DATA, (8, 8))
    assert data.left_out == left_out + tuple(line.replace("anger", "owl") for line in left_out)
    assert len(data.x) + len(data.x_test) == 25
    for name in ("owl", "crow"):
        shutil.rmtree(DATA / name)
    found = load_faces(DATA)
    assert found is not None
    assert (found.left_out, len(found.x)) == (left_out, 10)


RESULTS, DETAILS = "runs/results.json", "runs/my-task-minigrad/details.json"
QUICK = ["run", "regression", "--impl", "minigrad", "--quick", "--out", "runs"]


@pytest.mark.parametrize(("argv", "place"), [
    (["report", "runs"], RESULTS), (["report", "runs"], DETAILS), (QUICK, RESULTS),
    ([*QUICK, "--resume"], RESULTS), (["run", "mnist-mlp", "--data", RESULTS], RESULTS),
    (["run", "diabetes", "--data", RESULTS], RESULTS),
    (["run", "dexpression", "--data", RESULTS], RESULTS)])
def test_a_pipe_and_a_device_are_not_read(argv: list[str], place: str, capsys: Any) -> None:
    """One would be waited for, and the other has no end."""
    page_of(Path("runs"), RUN)
    capsys.readouterr()
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        Path(place).unlink()
        make(Path(place))
        assert main(argv) == 1
        assert one_line(capsys) == f"comparisons: {place}: not a file\n"


def test_pipes_among_faces_and_films_are_not_waited_for() -> None:
    """S002 has no square picture, so that its landmarks are read."""
    landmarks, emotion = (f"{name}/S00{k}/001/S00{k}_001_00000011_{end}.txt" for name, k, end in (
        ("Landmarks", 2, "landmarks"), ("Emotion", 3, "emotion")))
    fill(*TREE, landmarks, emotion, *[f"images/{FRAMES.format(k, k)}" for k in (3, 4)],
         "Emotion/S004/001/S004_001_00000011_emotion.txt")
    Image.new("L", (9, 8)).save(DATA / TREE[1])
    (DATA / TREE[2]).write_text("2.0")
    for name in (landmarks, emotion, "film.mp4"):
        (DATA / name).unlink(missing_ok=True)
        os.mkfifo(DATA / name)
    found = load_faces(DATA)
    assert found is not None
    assert sorted(found.left_out) == [f"{DATA / emotion}: not a file",
                                      f"{DATA / landmarks}: not a file"]
    with pytest.raises(DataError, match=r"film\.mp4: not a file"):
        films.of_video(DATA / "film.mp4")


def test_a_file_in_the_place_of_a_folder_is_called_so() -> None:
    Path("file").touch()
    with pytest.raises(Fault, match=r"^file: Not a directory$"):
        make_folder(Path("file"))


def test_a_pipe_named_like_a_table_is_not_waited_for() -> None:
    fill(*many("anger"))
    os.mkfifo(DATA / "faces.csv")
    with pytest.raises(DataError, match="holds no faces"):
        load_faces(DATA)


def test_runs_that_may_not_be_read_hide_no_checkpoint() -> None:
    """The demo shows the newest one, not an older one without a word."""
    for stamp in ("1", "2"):
        folder = DATA / stamp / "mnist-cnn-minigrad"
        folder.mkdir(parents=True)
        (folder / "last.safetensors").touch()
    assert len(demo.newest(DATA)) == 1
    for place in (DATA, DATA / "2"):
        with forbidden(place), pytest.raises(DataError) as caught:
            demo.newest(DATA)
        assert message(caught).endswith(": Permission denied")
    assert demo.newest(DATA / "none") == []
