"""Records of a table in a text file (CSV): one on each line, each of which is accounted for."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comparisons.errors import DataError
from comparisons.files import insist_on_file

DELIMITERS = ",;\t"
MISSING = ("", "?", "na", "n/a", "nan", "null", "none")
"""Cells that hold no value, in lower case."""
MISSING_TOLD = "an empty cell, NA, N/A, NaN, null, None or ?"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
SHOWN = 24              # characters of a cell that a message shows
LISTED = 30             # cells that a message lists


@dataclass(frozen=True)
class Record:
    """The cells of a line, without the space around them."""

    line: int
    cells: list[str]


@dataclass
class Records:
    """The records of a file, and for each line that is none, or cannot be used, the reason."""

    path: Path
    records: list[Record] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)      # by line

    @property
    def faults(self) -> list[str]:
        """A line of text for each record that is left out, in their order."""
        return [f"{self.path}, line {line}: {why}" for line, why in sorted(self.left_out.items())]

    def insist_on(self, enough: bool, expected: str) -> None:
        """Raises: DataError, with the first fault, if too few records can be used."""
        if not enough:
            n = len(self.left_out)
            reason = f"; the first of {n:,} faults: {self.faults[0]}" if n else ""
            raise DataError(f"{self.path}: {expected}{reason}")


def read_records(path: Path) -> Records:
    """The records of a table in UTF-8, with a comma, a semicolon or a tab between the cells.

    A record is one line, so a quotation mark that is not closed spoils its own line only. Empty
    lines are no records. Where no comma stands between the cells, 3,5 is a number and becomes 3.5.
    Raises: DataError if the file cannot be read, is empty, or is not text in UTF-8.
    """
    found, delimiter = Records(path), ""
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        delimiter = delimiter or max(DELIMITERS, key=line.count)
        try:
            (cells,) = csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True)
        except csv.Error as error:
            quoted = "unexpected end of data" in str(error)
            found.left_out[number] = "a quotation mark is not closed" if quoted else str(error)
            continue
        cells = [cell.strip() for cell in cells]
        if delimiter != ",":
            cells = [cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell
                     for cell in cells]
        found.records.append(Record(number, cells))
    if not found.records and not found.left_out:
        raise DataError(f"{path}: is empty")
    return found


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file, without their ends, of whatever kind these are.

    Raises: DataError if the file cannot be read, or naming the first line that is not UTF-8.
    """
    insist_on_file(path)
    try:
        # what is not UTF-8 is decoded to code points that cannot be encoded again
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.encode()
                except UnicodeEncodeError:
                    line = "\0"
                if "\0" in line:
                    raise DataError(f"{path}, line {number}: not text in UTF-8")
                yield line.rstrip("\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def is_missing(cell: str) -> bool:
    """Whether a cell means that there is no value."""
    return cell.lower() in MISSING


def number(cell: str) -> float:
    """The number in a cell, or NaN if its value is missing.

    Raises: ValueError if it holds anything else.
    """
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan if is_missing(cell) else math.inf
    if math.isinf(value):
        raise ValueError(f"{shown(cell)} is not a number")
    return value


def is_number(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell)) or is_missing(cell)


def shown(cell: str) -> str:
    """A cell as messages show it."""
    return repr(cell if len(cell) <= SHOWN else f"{cell[:SHOWN]}…")


def listed(cells: Sequence[str]) -> str:
    """Cells as messages list them: the first ones, not too long."""
    some = [cell if len(cell) <= SHOWN else f"{cell[:SHOWN]}…" for cell in cells[:LISTED]]
    return ", ".join(some) + ", …" * (len(cells) > LISTED)
