"""Faces in a table, one in each row: `ckextended.csv` and `fer2013.csv`."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from comparisons.datasets.faces.expressions import TABLE_CODES, expression
from comparisons.datasets.faces.listing import Item, Listing
from comparisons.datasets.records import read_records
from comparisons.errors import DataError

COLUMNS = ("emotion", "pixels", "usage")        # the last is optional
CELL = 2**22            # characters, enough for the pixels of 1,000 × 1,000


def is_table(path: Path) -> bool:
    """Whether a file is a CSV with the columns `emotion` and `pixels`.

    Raises: DataError naming the file if it cannot be read.
    """
    if path.exists() and not path.is_file():
        return False                        # a pipe, which would be waited for
    try:
        with path.open("rb") as file:
            first = file.readline(200).decode("utf-8-sig", "replace")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return set(COLUMNS[:2]) <= {word.strip(' "\r\n').lower() for word in first.split(",")}


def list_table(path: Path) -> Listing:
    """The rows of a table: an expression's code or name, and the pixels of a square picture.

    If there is a column `Usage`, the rows that say PrivateTest are the table's own test set. A
    table does not identify persons or recordings. A row is one line; one that cannot be used is
    left out.
    Raises: DataError if the file is not text in UTF-8, or if its first line cannot be read.
    """
    csv.field_size_limit(CELL)
    found = read_records(path)
    first, *rows = found.records
    if min(found.left_out, default=first.line) < first.line:
        raise DataError(found.faults[0])            # the names of the columns
    head = [word.lower() for word in first.cells]
    listing = Listing(path.stem.lower(), str(path))
    for row in rows:
        if len(row.cells) != len(head):
            found.left_out[row.line] = f"{len(row.cells)} cells; expected {len(head)}"
            continue
        cells = dict(zip(head, row.cells, strict=True))
        label = _label(cells["emotion"])
        if label is None:
            found.left_out[row.line] = (f"{cells['emotion'][:20]!r} is neither an expression nor "
                                        "the code of one")
            continue
        listing.items.append(Item(label, partial(_picture, f"{path}, line {row.line}",
                                                 cells["pixels"]),
                                  test=cells.get("usage", "").lower() == "privatetest"))
    listing.left_out = found.faults
    return listing


def _label(cell: str) -> str | None:
    codes = {str(code): name for code, name in enumerate(TABLE_CODES)}
    return codes.get(cell.lstrip("0") or "0") if cell.isdecimal() else expression(cell)


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
