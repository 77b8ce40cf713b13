"""Faces in a table, one in each row: `ckextended.csv` and `fer2013.csv`."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from comparisons.datasets.faces.expressions import TABLE_CODES, expression
from comparisons.datasets.faces.listing import Item, Listing
from comparisons.errors import DataError

COLUMNS = ("emotion", "pixels", "usage")        # the last is optional
CELL = 2**22            # characters, enough for the pixels of 1,000 × 1,000


def is_table(path: Path) -> bool:
    """Whether a file is a CSV with the columns `emotion` and `pixels`."""
    try:
        with path.open("rb") as file:
            first = file.readline(200).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return set(COLUMNS[:2]) <= {word.strip(' "\r\n').lower() for word in first.split(",")}


def list_table(path: Path) -> Listing:
    """The rows of a table: an expression's code or name, and the pixels of a square picture.

    If there is a column `Usage`, the rows that say PrivateTest are the table's own test set. A
    table does not identify persons or recordings.
    Raises: DataError if the file is not CSV in UTF-8.
    """
    listing = Listing(path.stem.lower(), str(path))
    csv.field_size_limit(CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            head = [word.strip().lower() for word in next(rows)]
            for row in rows:
                cells = dict(zip(head, row, strict=False))
                where = f"{path}, line {rows.line_num}"
                word = cells.get("emotion", "").strip()
                label = _label(word)
                if label is None:
                    listing.left_out.append(f"{where}: {word[:20]!r} is neither an expression nor "
                                            "the code of one")
                    continue
                test = cells.get("usage", "").strip().lower() == "privatetest"
                listing.items.append(Item(label, partial(_picture, where, cells.get("pixels", "")),
                                          test=test))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not CSV in UTF-8: {error}") from None
    return listing


def _label(cell: str) -> str | None:
    if cell.isdecimal():
        return TABLE_CODES[int(cell)] if int(cell) < len(TABLE_CODES) else None
    return expression(cell)


def _picture(where: str, cell: str) -> Image.Image:
    try:
        values = np.array(cell.split(), np.int64)
    except (ValueError, OverflowError):
        raise DataError(f"{where}: the pixels are not whole numbers") from None
    side = round(len(values)**0.5)
    if not len(values) or side * side != len(values):
        raise DataError(f"{where}: {len(values):,} pixels do not make a square")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{where}: a pixel is outside 0 to 255")
    return Image.fromarray(values.astype(np.uint8).reshape(side, side))
