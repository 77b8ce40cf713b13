"""`predict` for videos and folders of frames: curves, gaps, and what is no film."""

from __future__ import annotations

import csv
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from running import one_line
from untrained import grey, write

from comparisons.cli import main
from comparisons.datasets.base import unit
from comparisons.datasets.drawn.generator import CLASSES
from comparisons.predict import films
from comparisons.predict.predictor import Predictor
from comparisons.report import style

FPS = 8


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write(tmp_path_factory.mktemp("network"), "dexpression", "minigrad")[0]


@pytest.fixture(scope="module")
def pictures(faces):
    """Five frames, 64 × 48, with a face of 48 pixels in each but the third, which is white."""
    frames = np.ones((5, 48, 64), np.float32)
    for frame, face in zip(frames, faces.x, strict=False):
        frame[:, 8:56] = np.kron(unit(face[0]), np.ones((3, 3)))
    frames[2] = 1
    return [grey(frame).convert("RGB") for frame in frames]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    """The frames as frame-1.png and so on, the last as frame-10.png; and a file that is none."""
    folder = tmp_path_factory.mktemp("frames")
    for number, picture in zip((1, 2, 3, 4, 10), pictures, strict=True):
        picture.save(folder / f"frame-{number}.png")
    (folder / "notes.txt").write_text("a person at a window")
    return folder


def filmed(path, pictures):
    """The path of a video of these pictures."""
    code = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), FPS, pictures[0].size)
    for picture in pictures:
        writer.write(np.asarray(picture)[:, :, ::-1])
    writer.release()
    return path


@pytest.fixture
def seen(monkeypatch):
    """In a frame that is not white, a small box and a large one are found, as OpenCV might."""
    def boxes(picture):
        return [(0, 0, 10, 10), (8, 0, 48, 48)] if np.asarray(picture).min() < 128 else []
    monkeypatch.setattr("comparisons.datasets.faces.detector.boxes", boxes)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_gives_the_predictions_of_its_pictures(network, folder, seen, tmp_path, capsys):
    found = tmp_path / "found.json"
    assert main(["predict", str(network), str(folder), "--out", str(tmp_path / "curves"),
                 "--json", str(found)]) == 0
    assert "5 frames, a face in 4: " in capsys.readouterr().out
    rows = table(tmp_path / "curves" / f"{folder.name}-curves.csv")
    assert [row["frame"] for row in rows] == [f"frame-{n}.png" for n in (1, 2, 3, 4, 10)]
    predictor = Predictor.load(network)
    for row in rows:
        assert row["seconds"] == ""
        with Image.open(folder / row["frame"]) as picture:
            both = predictor(picture.convert("RGB"))
        if row["frame"] == "frame-3.png":
            assert not both
            assert {row[key] for key in (*CLASSES, "x", "y", "width", "height", "answer")} == {""}
            continue
        _, large = both                         # from left to right
        assert [int(row[key]) for key in ("x", "y", "width", "height")] == [8, 0, 48, 48]
        assert row["answer"] == large.answer
        for name in CLASSES:
            assert float(row[name]) == pytest.approx(large.probabilities[name], abs=1e-4)
    (entry,) = json.loads(found.read_text())["images"]
    assert (entry["frames"], entry["with_face"]) == (5, 4)
    with Image.open(entry["drawing"]) as drawing:
        assert drawing.format == "PNG"
        assert drawing.size == (1350, 540)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4"])
def test_a_video_is_a_folder_with_a_clock(network, name, pictures, folder, seen, tmp_path):
    out, video = tmp_path / "curves", filmed(tmp_path / name, pictures)
    assert main(["predict", str(network), str(video), str(folder), "--out", str(out)]) == 0
    rows, pictures = table(out / "clip-curves.csv"), table(out / f"{folder.name}-curves.csv")
    assert [float(row["seconds"]) for row in rows] == pytest.approx([n / FPS for n in range(5)],
                                                                    abs=1e-3)
    for row, picture in zip(rows, pictures, strict=True):
        for name in CLASSES:                    # apart from what coding has lost
            assert bool(row[name]) == bool(picture[name])
            assert float(row[name] or 0) == pytest.approx(float(picture[name] or 0), abs=0.05)


def test_ctrl_c_keeps_what_was_predicted(network, folder, seen, tmp_path, monkeypatch):
    calls = []

    def stopping(self, picture, whole=False, usual=Predictor.__call__):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return usual(self, picture, whole)
    monkeypatch.setattr(Predictor, "__call__", stopping)
    assert main(["predict", str(network), str(folder), "--out", str(tmp_path)]) == 130
    assert len(table(tmp_path / f"{folder.name}-curves.csv")) == 2
    assert (tmp_path / f"{folder.name}-curves.png").exists()


def test_frames_without_a_face_are_no_error(network, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("comparisons.datasets.faces.detector.boxes", lambda picture: [])
    assert main(["predict", str(network), str(folder), "--out", str(tmp_path)]) == 0
    assert "5 frames, a face in 0\n" in capsys.readouterr().out


def test_a_frame_that_cannot_be_read_leaves_a_gap(network, folder, seen, tmp_path, capsys):
    """Hidden files and folders are no frames; of the others, each fault is told, and none stops
    the film."""
    frames = tmp_path / "frames"
    shutil.copytree(folder, frames)
    (frames / "._frame-1.png").write_bytes(b"what macOS adds")
    (frames / "frame-5.png").mkdir()
    for name in ("frame-2.png", "frame-9.png"):
        (frames / name).write_bytes(b"no picture")
    found = tmp_path / "found.json"
    assert main(["predict", str(network), str(frames), "--out", str(tmp_path), "--json",
                 str(found)]) == 1
    said = capsys.readouterr()
    assert "6 frames, a face in 3: " in said.out
    assert [line.partition(": not a picture")[0] for line in said.err.splitlines()] == [
        f"comparisons: {frames / name}" for name in ("frame-2.png", "frame-9.png")]
    rows = table(tmp_path / "frames-curves.csv")
    assert [row["frame"] for row in rows if not row["answer"]] == [
        f"frame-{n}.png" for n in (2, 3, 9)]
    (entry,) = json.loads(found.read_text())["images"]
    assert [fault.partition(": ")[0] for fault in entry["left_out"]] == [
        str(frames / name) for name in ("frame-2.png", "frame-9.png")]


def test_a_folder_without_a_readable_picture_is_a_fault(network, tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "frames" / name).write_bytes(b"no picture")
    assert main(["predict", str(network), str(tmp_path / "frames"), "--out", str(tmp_path)]) == 1
    assert "frames: holds no frame that can be read" in capsys.readouterr().err
    assert not (tmp_path / "frames-curves.csv").exists()


def test_a_long_film_keeps_no_pictures(network, folder, seen):
    """Of a frame, the box and the probabilities are kept: a film has tens of thousands."""
    frames = list(films.predicted(folder, Predictor.load(network), []))
    assert sum(frame.box is not None for frame in frames) == 4
    assert max(len(pickle.dumps(frame)) for frame in frames) < 1000


def test_the_curves_show_the_whole_time_and_the_threshold(monkeypatch):
    """A face that comes late and leaves early; one frame; none with a face."""
    drawn = []

    def axes(*size, usual=style.new_axes):
        drawn.append(usual(*size))
        return drawn[-1]
    monkeypatch.setattr(style, "new_axes", axes)
    p = (0.8, 0.2)
    frames = [films.Frame(str(k), k / 10, *([(0, 0, 9, 9), "a", p] if k in (3, 4) else []))
              for k in range(9)]
    films.picture(frames, ["a", "b"], "late", "face", 0.7)
    _, ax = drawn[-1]
    low, high = ax.get_xlim()
    assert low <= 0 < 0.8 <= high
    assert [line.get_ydata()[0] for line in ax.lines if line.get_label() == "unsure below"] == [0.7]
    films.picture(frames[3:4], ["a", "b"], "one", "face", 0)
    _, ax = drawn[-1]
    assert ax.get_xticks().tolist() == [0.3]
    films.picture(frames[:2], ["a", "b"], "none", "face", np.inf)
    _, ax = drawn[-1]
    assert [text.get_text() for text in ax.texts] == ["no face in any frame"]
    films.picture([films.Frame(f"{k}.png") for k in range(3)], ["a", "b"], "none", "face", 0)
    assert all(at == int(at) for at in drawn[-1][1].get_xticks())


def test_of_many_classes_those_with_the_highest_peaks_are_named(monkeypatch):
    drawn = []

    def axes(*size, usual=style.new_axes):
        drawn.append(usual(*size))
        return drawn[-1]
    monkeypatch.setattr(style, "new_axes", axes)
    p = np.full((3, 47), 0.001)
    p[[0, 1, 2], [40, 5, 46]] = 0.9
    films.picture([films.Frame(str(k), k / 10, (0, 0, 9, 9), "", tuple(row))
                   for k, row in enumerate(p)], [f"letter {k}" for k in range(47)], "", "letter", 0)
    figure, _ = drawn[-1]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == films.NAMED + 1
    assert {"letter 5", "letter 40", "letter 46"} < set(names)
    assert names[-1] == "37 others"
    assert legend.get_window_extent().y0 >= 0           # nothing is cut off


def test_a_damaged_end_is_said(network, pictures, seen, tmp_path, capsys):
    whole = filmed(tmp_path / "whole.avi", pictures).read_bytes()
    last = whole.rindex(b"00dc", 0, whole.rindex(b"idx1"))      # where the last frame begins
    (tmp_path / "cut.avi").write_bytes(whole[:last])
    assert main(["predict", str(network), str(tmp_path / "cut.avi"), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    n = len(table(tmp_path / "cut-curves.csv"))
    assert 0 < n < 5
    assert f"cut.avi: ends after {n} of 5 frames\n" in said.err


@pytest.mark.parametrize(("name", "content", "message"), [
    ("list.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "is no AVI, MP4, QuickTime, Matroska or"),
    ("empty.avi", b"", "is no AVI, MP4, QuickTime, Matroska or WebM video"),
    ("cut.mp4", b"\0\0\0\x1cftypisom\0\0\x02\0", "damaged, or coded in a way that OpenCV does not"),
    ("nothing", None, "holds no pictures"), ("gone.mkv", ..., "No such file or directory")])
def test_what_is_no_film_is_one_line(network, tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    elif content is not ...:
        path.write_bytes(content)
    assert main(["predict", str(network), str(path), "--out", str(tmp_path / "out")]) == 1
    assert f"{name}: {message}" in one_line(capsys)


def test_a_film_needs_a_folder_for_its_curves(network, folder, capsys):
    assert main(["predict", str(network), str(folder)]) == 1
    assert "a film needs --out DIR" in one_line(capsys)


def test_without_opencv_a_video_says_what_to_install(network, pictures, tmp_path, monkeypatch,
                                                     capsys):
    video = filmed(tmp_path / "clip.avi", pictures)

    def missing(name):
        raise ImportError(name)
    monkeypatch.setattr(films, "import_module", missing)
    assert main(["predict", str(network), str(video), "--out", str(tmp_path)]) == 1
    assert 'videos need OpenCV (pip install -e ".[faces]")' in one_line(capsys)
