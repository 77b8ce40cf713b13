"""Files and tasks that somebody made to do harm, or that break in ways nobody thinks of."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import untrained
from PIL import EpsImagePlugin, Image
from running import message, one_line, spiral
from test_report import ENVIRONMENT, EVIL, HISTORY, RUN, Outline, judged

from comparisons.cli import main
from comparisons.datasets.digits import digits
from comparisons.datasets.faces.table import list_table
from comparisons.datasets.idx import read_idx, unpacked
from comparisons.datasets.pictures import read_picture
from comparisons.datasets.tables import load_table
from comparisons.errors import DataError, Fault
from comparisons.predict import predictor
from comparisons.report import section
from comparisons.training.checks import plain
from comparisons.training.results import Results
from minigrad import checkpoint

# ---- pictures ------------------------------------------------------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: started.append(args))
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *args, **kwargs: started.append(args))
    (tmp_path / "photo.png").write_bytes(POSTSCRIPT)
    for source in (tmp_path / "photo.png", POSTSCRIPT):
        with pytest.raises(DataError, match=r"not a picture that can be read \(PNG, JPEG, "):
            read_picture(source, "photo.png")
    assert started == []


def test_a_picture_whose_checksum_is_wrong_is_refused():
    """Decoding alone would not notice: zlib finds its own sum of the changed values right."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9), np.uint8)).save(
        stream, "PNG", compress_level=0)
    sound = bytearray(stream.getvalue())
    assert read_picture(bytes(sound), "x").size == (9, 9)
    at = sound.index(b"IDAT")
    (length,) = struct.unpack(">I", sound[at - 4:at])
    values = bytearray(zlib.decompress(sound[at + 4:at + 4 + length]))
    values[-1] ^= 1
    packed = zlib.compress(values, 0)
    assert len(packed) == length
    sound[at + 4:at + 4 + length] = packed
    with pytest.raises(DataError, match="x: broken PNG file"):
        read_picture(bytes(sound), "x")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match="not a file"):
            read_picture(path, str(path))
        with pytest.raises(DataError, match="not a file"):
            load_table(path, "y")


def test_a_small_file_that_promises_a_large_picture_costs_little():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((9, 11), np.uint16)).save(stream, "TIFF")
    content = stream.getvalue()
    tag = struct.pack("<HHI", 257, 4, 1)        # the height
    assert tag in content
    content = content.replace(tag + struct.pack("<I", 9), tag + struct.pack("<I", 4_000_000))
    began = time.process_time()
    with suppress(DataError):                   # either is right
        assert read_picture(content, "x").height == 4_000_000
    assert time.process_time() - began < 2


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded():
    head = struct.pack(">IIBBBBB", 5001, 10_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", b"no pixels"), (b"IEND", b"")))
    with pytest.raises(DataError, match="x: more than 50 million pixels"):
        read_picture(content, "x")


def test_a_gzip_file_is_unpacked_only_as_far_as_its_header_says():
    head = bytes([0, 0, 8, 1, 0, 0, 0, 4])
    assert unpacked(gzip.compress(head + bytes(3_000_000))) == head + bytes(5)


@pytest.mark.parametrize("size", [(28, 28), (1, 500), (500, 1), (600, 400), (1, 1)])
def test_a_single_dark_pixel_is_looked_for_in_peace(size):
    rng = np.random.default_rng(0)
    for _ in range(2 if max(size) == 600 else 20):
        grey = np.full(size, 255, np.uint8)
        grey[rng.integers(size[0]), rng.integers(size[1])] = rng.integers(200)
        for some in (grey, 255 - grey):
            for crop in digits(Image.fromarray(some), (28, 28)):
                assert np.isfinite(crop.pixels).all()


def test_one_bad_picture_leaves_the_others_and_the_json(tmp_path, capsys, monkeypatch):
    path, _ = untrained.write(tmp_path, "mnist-mlp", "minigrad")
    names = [tmp_path / f"{i}.png" for i in range(3)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((28, 28), 40 * i, np.uint8)).save(name)
    names[0].write_bytes(b"broken")
    usual = predictor.Predictor.__call__

    def breaks(self, picture, whole=False):
        if picture.getpixel((0, 0))[0] == 40:
            raise ZeroDivisionError("nobody\nthought of this")
        return usual(self, picture, whole)
    monkeypatch.setattr(predictor.Predictor, "__call__", breaks)
    told = tmp_path / "told.json"
    assert main(["predict", str(path), *map(str, names), "--json", str(told)]) == 1
    out, err = capsys.readouterr()
    told_of = [line for line in err.splitlines() if line.startswith("comparisons: ")]
    assert [line.split(": ")[1:3] for line in told_of] == [
        [str(names[0]), "not a picture that can be read (PNG, JPEG, WEBP, AVIF, GIF, BMP, TIFF, "
         "PPM, JPEG2000)"], [str(names[1]), "ZeroDivisionError"]]
    assert str(names[2]) in out
    assert ["error" in image for image in json.loads(told.read_text())["images"]] == [
        True, True, False]


# ---- tables --------------------------------------------------------------------------------------

def test_numbers_of_many_digits_and_dimensions_without_values(tmp_path):
    table = tmp_path / "faces.csv"
    table.write_text(f"emotion,pixels\n{'9' * 5000},1 2 3 4\n03,1 2 3 4\n3,{'9' * 5000}\n")
    found = list_table(table)
    assert [item.label for item in found.items] == ["happy", "happy"]
    assert "line 2: " in found.left_out[0]
    with pytest.raises(DataError, match="line 4: the pixels are not whole numbers"):
        found.items[1].read()
    path = tmp_path / "x-idx3-ubyte"
    for shape in ([0, *[2**32 - 1] * 3], [2**32 - 1, 0, 2**32 - 1, 2**31]):
        path.write_bytes(bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes())
        with pytest.raises(DataError, match="which no array can have"):
            read_idx(path)


def test_a_message_about_a_column_is_short(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"{i}{'x' * 100}" for i in range(5000)) + "\n1\n")
    with pytest.raises(DataError) as info:
        load_table(path, "y")
    assert len(message(info)) < 1500


# ---- checkpoints ---------------------------------------------------------------------------------

@pytest.mark.parametrize(("change", "told"), [
    ({"shape": None}, "configuration cannot be used: shape: is missing"),
    ({"options": None}, "configuration cannot be used: options: is missing"),
    ({"dataset": None}, "configuration cannot be used: dataset: is missing"),
    ({"shape": [1, 28.5, 28]}, "shape[1]: expected a whole number; got 28.5"),
    ({"shape": [1, -28, 28]}, "shape: expected the shape of an input; got a list"),
    ({"shape": [1, 10**9, 10**9]}, "shape: expected the shape of an input"),
    ({"shape": [1, 30_000_000, 5]}, "its network cannot be built: "),
    ({"classes": [1, 2]}, "classes[0]: expected a text; got 1"),
    ({"classes": ["0"] * 7}, "does not fit this model"),
    ({"task": 5}, "names no task"),
    ({"task": "../mnist"}, "its task ../mnist is not one of"),
])
def test_a_configuration_from_somebody_else(tmp_path, change, told):
    config = {"task": "mnist-mlp", "dataset": "mnist", "shape": [1, 28, 28], "options": {},
              "classes": untrained.DIGITS}
    path, _ = untrained.write(tmp_path, "mnist-mlp", "minigrad")
    kept = checkpoint.load(path)
    config = {k: v for k, v in (config | change).items() if v is not None}
    checkpoint.write(checkpoint.Checkpoint(path, kept.model, config=config))
    with pytest.raises((Fault, checkpoint.CheckpointError)) as info:
        predictor.Predictor.load(path)
    assert told in message(info)
    assert str(path) in message(info)


# ---- results -------------------------------------------------------------------------------------

def evil(value):
    """The same JSON with markup in every text, one at a time."""
    if isinstance(value, str):
        yield EVIL
    elif isinstance(value, list | dict):
        for key, inner in (value.items() if isinstance(value, dict) else enumerate(value)):
            if isinstance(key, int) and key > 1:
                break
            for some in evil(inner):
                yield ({**value, key: some} if isinstance(value, dict) else
                       [*value[:key], some, *value[key + 1:]])
        if isinstance(value, dict):
            yield {**value, EVIL: next(iter(value.values()), 1.0)}


def test_no_text_of_somebody_elses_results_becomes_markup(tmp_path, capsys, monkeypatch):
    """The figures, which take long, are in tests/comparisons/test_report.py."""
    monkeypatch.setattr(section, "charts", lambda name, details: [])
    run = RUN | {"notes": ["a note"], "protocol": "person", "folds": None, "repeats": 2}
    whole = {"schema": 1, "environment": ENVIRONMENT | {"variables": {"A": "b"}}, "runs": [run]}
    shown = {k: v for k, v in judged(["a", "b"], images=True)[1].items()
             if k in ("classes", "targets", "guesses", "confidence", "samples")}
    details = {"history": HISTORY[:1], **shown}
    place = tmp_path / "my-task-minigrad"
    place.mkdir()
    pages = refused = 0
    for results, known in [*((some, details) for some in evil(whole)),
                           *((whole, some) for some in evil(details))]:
        (tmp_path / "results.json").write_text(json.dumps(results))
        (place / "details.json").write_text(json.dumps(known))
        if main(["report", str(tmp_path)]) == 0:
            page = (tmp_path / "report.html").read_text("utf-8")
            assert "<evil" not in page
            assert "evil" not in Outline(page).tags
            pages += 1
        else:
            one_line(capsys)
            refused += 1
    assert pages > 30
    assert refused > 3
    capsys.readouterr()


@pytest.mark.parametrize(("change", "told"), [
    ({"task": "../../etc"}, "runs[0].task: expected lower-case letters, digits and single hyphens"),
    ({"task": "a/b"}, "runs[0].task: expected lower-case letters"),
    ({"impl": "jax"}, "runs[0].impl: expected minigrad or torch"),
    ({"metrics": {"score": "high"}}, 'runs[0].metrics.score: expected a number; got "high"'),
    ({"epochs": 10**30}, "has a number that is too large"),
    ({"headlines": [RUN["headlines"][0] | {"format": "999999999d"}]},
     "runs[0].headlines[0].format: expected a format such as .2%"),
    ({"headlines": [RUN["headlines"][0] | {"metric": "other"}]},
     "runs[0].metrics.other: is missing"),
    ({"lr": float("nan")}, "is not JSON, which has no NaN"),
])
def test_results_that_cannot_be_are_named_with_their_key(tmp_path, capsys, change, told):
    path = tmp_path / "results.json"
    (tmp_path / "my-task-minigrad").mkdir()
    (tmp_path / "my-task-minigrad" / "details.json").write_text(json.dumps({"history": HISTORY}))
    path.write_text(json.dumps({"schema": 1, "environment": ENVIRONMENT, "runs": [RUN | change]}))
    assert main(["report", str(tmp_path)]) == 1
    line = one_line(capsys)
    assert told in line
    assert str(path) in line


@pytest.mark.parametrize(("change", "told"), [
    ({"history": []}, "history: expected at least one epoch"),
    ({"history": [{"loss": 1.0}]}, "history[0].fold: is missing"),
    ({"history": [HISTORY[0] | {"margin": 1.0}, HISTORY[1]]}, "history[1].margin: is missing"),
    ({"fit": {"truth": [1, 2], "predicted": [1]}}, "fit: expected lists of equal length; got 2"),
    ({"targets": [0, 2]}, "targets: 2 is not below the number of classes, 2"),
    ({"guesses": [0, 7]}, "guesses: 7 is not below the number of classes, 2"),
    ({"guesses": [0]}, "guesses: 1 values for 2 targets"),
    ({"confidence": [0.5]}, "confidence: 1 values for 2 targets"),
    ({"samples": [{"at": 2, "png": ""}]}, "samples.at: 2 is not below the number of targets, 2"),
    ({"samples": [{"at": 0, "png": ""}], "guesses": []},
     "guesses: is missing, which samples needs"),
    ({"samples": [{"at": 0, "png": '"><b>'}]}, "samples[0].png: expected a picture in base64"),
    ({"per_class": {"count": [1], "recall": [1], "f1": [1]}}, "per_class.count: expected 2 values"),
    ({"examples": [{"target": 0, "guess": 2, "confidence": 1, "png": "", "grad_cam": [[1]],
                    "occlusion": [[1]]}]}, "examples.guess: 2 is not below"),
    ({"examples": [{"target": 0, "guess": 1, "confidence": 1, "png": "", "grad_cam": [[1], [1, 2]],
                    "occlusion": [[1]]}]}, "examples.grad_cam: expected maps of equal size"),
])
def test_details_that_cannot_be_are_named_with_their_key(tmp_path, change, told):
    details = {"history": HISTORY, "classes": ["a", "b"], "targets": [0, 1], "guesses": [1, 1],
               "confidence": [0.5, 0.6]}
    results = Results(tmp_path)
    path = tmp_path / "my-task-minigrad" / "details.json"
    path.parent.mkdir()
    path.write_text(json.dumps(details))
    assert results.details(RUN) == details
    path.write_text(json.dumps(details | change))
    with pytest.raises(Fault) as info:
        results.details(RUN)
    assert message(info).startswith(f"{path}: damaged: {told}")


def test_details_that_could_not_be_drawn_are_told_to_their_task():
    class MyTask:
        name = "mine"
    for own in ({"own": {"a": [1, None]}}, {"targets": [0.5, -1]}, {"fit": {}}, {"classes": None}):
        assert plain(MyTask(), own) == own
    with pytest.raises(Fault, match=r"mine: the report cannot draw the details that judge returned"
                                    r": fit\.truth: is missing"):
        plain(MyTask(), {"fit": {"predicted": [1.0]}})


# ---- a user's own code ---------------------------------------------------------------------------

ODD = """
class Odd(BaseException):
    pass


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def deep():
    return deep()
"""


@pytest.mark.parametrize(("statement", "told"), [
    ("raise Odd('a\\nb')", "Odd: a b"), ("raise Silent", "Silent: its message cannot be made"),
    ("import sys; sys.exit(0)", "SystemExit: 0"), ("import sys; sys.exit('over')", "SystemExit: o"),
    ("deep()", "RecursionError: maximum recursion"), ("raise GeneratorExit", "GeneratorExit"),
    ("raise ValueError('x' * 100_000)", "ValueError: xxx"), ("raise MemoryError", "MemoryError"),
    ("raise OSError(5, 'it broke')", "OSError: [Errno 5] it broke"), ("assert False", "Assertion"),
    ("raise ExceptionGroup('several', [ValueError(1)])", "ExceptionGroup: several"),
    ("raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'no')", "UnicodeDecodeError"),
])
def test_whatever_a_task_raises_is_one_line_with_its_place(tmp_path, capsys, statement, told):
    path = tmp_path / "mine.py"
    code = spiral() + ODD
    path.write_text(code.replace("        rng = ", f"        {statement}\n        rng = ", 1))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 1
    line = one_line(capsys)
    at = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if statement in text)
    if statement != "deep()":
        assert f"{path}, line {at}: {told}" in line
    assert told in line
    assert len(line) < 3000
    assert not (tmp_path / "out").exists()
