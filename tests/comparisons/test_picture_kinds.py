"""Pictures of each kind, compared with their pixels computed here with NumPy and zlib."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from comparisons.datasets.crops import scaled, whole
from comparisons.datasets.digits import digits
from comparisons.datasets.pictures import read_picture
from comparisons.errors import DataError

GREY, COLOUR = 0, 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def png16(levels: np.ndarray, transparent: tuple[int, ...] = (), exif: bytes = b"") -> bytes:
    """A PNG of 16 bits, (H, W) grey or (H, W, 3) in colour, with a transparent colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 16,
                       GREY if levels.ndim == 2 else COLOUR, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head),
                     chunk(b"eXIf", exif) if exif else b"",
                     chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
                     if transparent else b"",
                     chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(read_picture(content, "picture"), int)


@pytest.mark.parametrize("colour", [None, 0, 1000, 1001, 32768, 65535])
def test_a_transparent_level_of_16_bit_grey_is_white(colour):
    levels = np.array([[0, 1000, 1001], [32767, 32768, 65535]])
    right = np.where(levels == colour, 255, np.round(levels / 65535 * 255))
    found = pixels(png16(levels, () if colour is None else (colour,)))
    assert np.array_equal(found, np.repeat(right[..., None], 3, -1))


def test_a_transparent_colour_of_16_bits_is_compared_in_all_of_them():
    levels = np.array([[[0, 1000, 2000], [0, 1000, 2001], [65535, 0, 300], [0, 1001, 2000]]])
    found = pixels(png16(levels, (0, 1000, 2000)))
    assert found[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_allclose(found[0, 1:], levels[0, 1:] / 257, atol=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_level_of_few_bits_is_white(bits):
    levels = np.arange(16).reshape(2, 8) % 2**bits
    each = (levels[..., None] >> np.arange(bits)[::-1]) & 1
    rows = b"".join(b"\0" + row.tobytes()
                    for row in np.packbits(each.reshape(2, -1).astype(np.uint8), axis=-1))
    for transparent in range(2**bits):
        content = b"".join([
            b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">H", transparent)), chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b"")])
        right = np.where(levels == transparent, 255, levels * 255 // (2**bits - 1))
        assert np.array_equal(pixels(content)[..., 0], right)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("transparent", [(), (9,)])
def test_exif_turns_16_bit_grey(orientation, transparent):
    levels = np.arange(6).reshape(2, 3) * 9
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels(png16(levels, transparent, exif.tobytes().removeprefix(b"Exif\0\0")))[..., 0]
    grey = np.where(levels == (transparent or (-1,))[0], 255, np.round(levels / 257))
    turned = {1: grey, 2: grey[:, ::-1], 3: grey[::-1, ::-1], 4: grey[::-1], 5: grey.T,
              6: grey[::-1].T, 7: grey[::-1, ::-1].T, 8: grey.T[::-1]}
    assert np.array_equal(found, turned[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_turns_every_format(kind, orientation):
    levels = np.kron(np.array([[0, 120, 240], [60, 180, 30]]), np.ones((16, 16))).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(levels).convert("RGB").save(file, kind, exif=exif, lossless=True, quality=95)
    turned = {1: levels, 2: levels[:, ::-1], 3: levels[::-1, ::-1], 4: levels[::-1], 5: levels.T,
              6: levels[::-1].T, 7: levels[::-1, ::-1].T, 8: levels.T[::-1]}[orientation]
    np.testing.assert_allclose(pixels(file.getvalue())[..., 0], turned, atol=12)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_alpha_is_blended_with_white(mode):
    rgba = np.array([[[10, 10, 10, 0], [10, 10, 10, 255], [200, 200, 200, 255]]], np.uint8)
    picture = Image.fromarray(rgba)
    file = io.BytesIO()
    if mode in ("P", "PA"):
        picture = Image.new("P", (3, 1))
        picture.putpalette([10] * 3 + [10] * 3 + [200] * 3)
        picture.putdata([0, 1, 2])
        picture.save(file, "PNG", transparency=0)
    else:
        picture.convert(mode).save(file, "PNG")
    assert pixels(file.getvalue())[0, :, 0].tolist() == [255, 10, 200]


def test_cmyk_is_ink():
    cmyk = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 128, 0, 128]]], np.uint8)
    file = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(file, "TIFF")
    ink = cmyk / 255
    right = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    np.testing.assert_allclose(pixels(file.getvalue()), right, atol=2)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_in_a_file_the_first_counts(kind):
    first, second = (Image.new("RGB", (9, 7), colour) for colour in ("red", "blue"))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=[second],
               **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(pixels(file.getvalue()), np.asarray(first, int))


def test_a_progressive_jpeg_is_read_and_a_cut_one_refused():
    levels = np.kron(np.array([[0, 255], [128, 64]], np.uint8), np.ones((32, 32), np.uint8))
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", progressive=True, quality=95)
    np.testing.assert_allclose(pixels(file.getvalue())[..., 0], levels, atol=6)
    with pytest.raises(DataError, match="picture: "):
        pixels(file.getvalue()[:-200])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0, -1, 3e38])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 500)])
def test_floats_of_any_value_and_shape_become_finite_boxes(value, shape):
    file = io.BytesIO()
    Image.fromarray(np.full(shape, value, np.float32)).save(file, "TIFF")
    picture = read_picture(file.getvalue(), "picture")
    assert picture.size == shape[::-1]
    for crop in [*whole(picture, (28, 28)), *digits(picture, (28, 28))]:
        assert crop.pixels.shape == (28, 28)
        assert np.isfinite(crop.pixels).all()
        assert min(crop.box[2:]) >= 1
        assert scaled(picture, crop.box, (28, 28), 3).shape == (3, 28, 28)


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2), (200, 100)])
def test_pictures_of_one_grey_have_boxes_or_none(level, size):
    picture = Image.new("RGB", size, (level,) * 3)
    (crop,) = whole(picture, (48, 48))
    np.testing.assert_allclose(crop.pixels, level / 255, atol=1e-6)
    for found in digits(picture, (28, 28)):
        assert np.isfinite(found.pixels).all()
