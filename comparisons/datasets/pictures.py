"""Reading pictures from files, in colour or grey; cutting out squares and faces."""

from __future__ import annotations

import base64
import functools
import io
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from comparisons.datasets.base import Array
from comparisons.errors import DataError
from comparisons.files import insist_on_file

PIXELS = 50_000_000     # a larger picture is refused before it is decoded
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
EYES_APART, EYES_DOWN = 0.38, 0.39      # fractions of the side, averaged over CK+48's faces
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)      # of the 68 landmarks


def read_picture(source: Path | bytes, name: str) -> Image.Image:
    """A picture, upright and in colour, with white where it is transparent.

    source: a file or its content. name: what messages call it.
    Raises: DataError naming the picture if it is missing, damaged, too large, or in a format that
    Pillow does not read.
    """
    try:
        if isinstance(source, Path):
            insist_on_file(source, name)
        with warnings.catch_warnings(), (
                io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")) as file:
            warnings.simplefilter("ignore")     # its size is checked here
            with Image.open(file, formats=readable()) as opened:
                if opened.width * opened.height > PIXELS:
                    raise Image.DecompressionBombError
                if opened.format == "PNG":      # decoding alone leaves its checksums unread
                    opened.verify()
            file.seek(0)
            with Image.open(file, formats=readable()) as opened:
                picture = ImageOps.exif_transpose(_with_alpha(opened, file))
        if picture.mode[0] in "IF":
            return _from_levels(np.asarray(picture)).convert("RGB")
        if "A" in picture.getbands() or "transparency" in picture.info:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        return picture.convert("RGB")
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{name}: more than {PIXELS // 10**6} million pixels") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: not a picture that can be read ({', '.join(readable())})"
                        ) from None
    except Exception as error:          # in Pillow's readers, damage leads to errors of any type
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{name}: {reason or type(error).__name__}") from None


@functools.cache
def readable() -> tuple[str, ...]:
    """The formats of pictures that are opened, as far as this Pillow has them.

    It has others whose files could start a program: for PostScript, it calls Ghostscript.
    """
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _with_alpha(opened: ImageFile, file: IO[bytes]) -> Image.Image:
    """The picture; as RGBA if it is a PNG of 16 bits in which one colour is transparent.

    Pillow reads only the upper byte of such colours, and does not compare a grey one at all. So the
    lower bytes are read as well, and all 16 bits are compared. Grey levels of 2 and of 4 bits it
    scales to 8, but not the transparent one.
    """
    colour, kinds = opened.info.get("transparency"), [tile[3] for tile in opened.tile]
    if opened.format == "PNG" and colour is not None and kinds in (["L;2"], ["L;4"]):
        opened.info["transparency"] = colour * (85 if kinds == ["L;2"] else 17)
    if opened.format != "PNG" or colour is None or kinds not in (["I;16B"], ["RGB;16B"]):
        return opened
    levels = np.asarray(opened)
    if opened.mode == "I;16":
        picture, seen = _from_levels(levels).convert("RGB"), levels != colour
    else:
        file.seek(0)
        with Image.open(file, formats=["PNG"]) as lower:
            lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
            seen = (levels.astype(np.uint16) * 256 + np.asarray(lower) != colour).any(-1)
        picture = opened.convert("RGB")
    picture.putalpha(Image.fromarray(seen.astype(np.uint8) * 255))
    picture.info = {"exif": opened.info["exif"]} if "exif" in opened.info else {}
    return picture


def _from_levels(levels: Array) -> Image.Image:
    """Levels as 8-bit grey. White is 65,535 for integers, else the largest finite value; infinity
    is white, too, and NaN is black."""
    if levels.dtype.kind in "iu":
        grey = (np.arange(65536) / 65535 * 255).round().astype(np.uint8)
        return Image.fromarray(grey[levels if levels.dtype == np.uint16 else
                                    levels.clip(0, 65535).astype(np.uint16)])
    white = np.max(levels, initial=1e-6, where=np.isfinite(levels))
    known = np.nan_to_num(levels, nan=0, posinf=white, neginf=0)
    return Image.fromarray((np.clip(known / white, 0, 1) * 255).round().astype(np.uint8))


def read_grey(path: Path) -> Image.Image:
    """The picture in a file as 8-bit grey. Raises: DataError as `read_picture` does."""
    return read_picture(path, str(path)).convert("L")


def read_landmarks(path: Path) -> Array:
    """The 68 points (x, y) in a landmark file of CK+, in pixels: (68, 2).

    Raises: DataError naming the file.
    """
    insist_on_file(path)
    try:
        points = np.array(path.read_text("ascii").split(), float).reshape(-1, 2)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise DataError(f"{path}: expected two numbers on each line") from None
    if len(points) != 68 or not np.isfinite(points).all():
        raise DataError(f"{path}: expected 68 points; got {len(points)}")
    return points


def middle(image: Image.Image) -> Image.Image:
    """The largest square around the centre of a picture."""
    return ImageOps.fit(image, (min(image.size),) * 2)


def upright(image: Image.Image, points: Array) -> Image.Image:
    """The square around a face, rotated and cropped so that the eyes are placed as in CK+48.

    points: the 68 landmarks, (68, 2) in pixels.
    Raises: ValueError if both eyes are at the same place, or one is not in the picture.
    """
    left, right = points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)
    for eye in (left, right):
        if not ((eye >= 0) & (eye <= image.size)).all():
            raise ValueError(f"upright: an eye is at {eye[0]:.4g}, {eye[1]:.4g}, which is not in "
                             f"the picture of {image.width}×{image.height} px")
    across, (x, y) = right - left, (left + right) / 2
    side = np.hypot(*across) / EYES_APART
    if side < 1:
        raise ValueError("upright: both eyes are at the same place")
    if side ** 2 > PIXELS:
        raise ValueError(f"upright: the face would have more than {PIXELS // 10**6} million pixels")
    turned = image.rotate(np.degrees(np.arctan2(across[1], across[0])), Image.Resampling.BICUBIC,
                          center=(x, y))
    corner = np.round([x - side / 2, y - EYES_DOWN * side]).astype(int)
    return turned.crop((*corner, *(corner + round(side))))


def png(image: Array) -> str:
    """An image in [0, 1] as a PNG in base64.

    Shapes: (H, W) or (1, H, W) for grey, (3, H, W) for colour; of others, the first channel.
    """
    if image.ndim == 3:
        image = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    stream = io.BytesIO()
    Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
