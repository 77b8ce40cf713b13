"""Reading pictures of every kind; one that cannot be read is one line."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from untrained import grey

from comparisons import cli
from comparisons.datasets import pictures
from comparisons.errors import DataError, Fault


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_picture_is_read(tmp_path, mode):
    """A square, dark on light, in every mode that files come in."""
    levels = np.full((40, 60), 255, np.uint8)
    levels[10:30, 20:40] = 0
    if mode in ("I;16", "I", "F"):
        factor = {"I;16": 257, "I": 257, "F": 1 / 255}[mode]
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(levels.astype(kind) * kind(factor))
    else:
        picture = Image.fromarray(levels).convert(mode)
    path = tmp_path / ("picture.png" if mode not in ("CMYK", "F", "I") else "picture.tif")
    picture.save(path)
    read = pictures.read_picture(path, "picture")
    assert read.mode == "RGB"
    np.testing.assert_allclose(np.asarray(read.convert("L"), int), levels, atol=2)
    assert np.array_equal(read, pictures.read_picture(path.read_bytes(), "picture"))
    assert np.array_equal(read.convert("L"), pictures.read_grey(path))


def test_what_is_transparent_is_white(tmp_path):
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.putpixel((3, 3), (0, 0, 0, 255))
    picture.save(tmp_path / "ink.png")
    read = np.asarray(pictures.read_picture(tmp_path / "ink.png", "ink").convert("L"))
    assert read[3, 3] == 0
    assert read.sum() == 255 * 63


def test_unreadable_pictures_are_one_line_each(tmp_path, monkeypatch):
    grey(np.ones((50, 50))).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-40])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (("cut.png", "cut"), ("text.jpg", "not a picture"), ("none.png", "No such"),
                        ("empty.png", "not a picture"), ("", "directory")):
        with pytest.raises(Fault, match=words) as caught:
            pictures.read_picture(tmp_path / name, str(tmp_path / name))
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
        with pytest.raises(DataError) as of_data:
            pictures.read_grey(tmp_path / name)
        assert cli.one_line(of_data.value) == cli.one_line(caught.value)
    monkeypatch.setattr(pictures, "PIXELS", 2000)
    with pytest.raises(Fault, match=r"whole: more than .* million pixels"):
        pictures.read_picture(tmp_path / "whole.png", "whole")


def test_damaged_tags_are_one_line_or_nothing():
    """One wrong byte in a photo's EXIF leads to no warning, and to no error but a Fault."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010E] = 6, 72.5, "a photo"
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG", exif=exif)
    content, told = stream.getvalue(), []
    start = content.index(b"Exif")
    for at, value in itertools.product(range(start, start + 80), (1, 16, 26)):
        try:
            pictures.read_picture(content[:at] + bytes([value]) + content[at + 1:], "photo")
        except Fault as fault:
            told.append(str(fault))
    assert told
    assert all(line.startswith("photo: ") and "\n" not in line for line in told)
