"""The user's own diabetes table: a CSV file with the columns of the Pima Indians' table."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from comparisons.datasets.base import Data, own_name, search_folders, visible
from comparisons.datasets.diabetes import (
    CLASSES,
    FEATURES,
    ZERO_IS_MISSING,
    load_diabetes,
    told,
)
from comparisons.datasets.records import (
    Record,
    Records,
    is_number,
    listed,
    number,
    read_records,
    shown,
)
from comparisons.errors import DataError, NotThereError

NAMES = (
    ("pregnancies", "pregnancy", "pregnant", "preg", "npreg", "numberoftimespregnant"),
    ("glucose", "plas", "glu", "plasmaglucose", "plasmaglucoseconcentration"),
    ("bloodpressure", "pres", "bp", "pressure", "diastolicbloodpressure"),
    ("skinthickness", "skinfold", "skin", "triceps", "tricepsskinfold",
     "tricepsskinfoldthickness"),
    ("insulin", "insu", "seruminsulin", "2hourseruminsulin"),
    ("bmi", "bodymassindex", "mass"),
    ("diabetespedigree", "diabetespedigreefunction", "pedigree", "pedi", "ped", "dpf"),
    ("age",),
    ("outcome", "class", "diabetes", "target", "label"),
)
"""The names of each column in the usual copies of the table, in lower-case letters and digits."""
OUTCOMES = {"0": 0, "0.0": 0, "neg": 0, "negative": 0, "tested_negative": 0, "no": 0, "false": 0,
            "1": 1, "1.0": 1, "pos": 1, "positive": 1, "tested_positive": 1, "yes": 1, "true": 1}
COLUMNS = (*FEATURES, "outcome")
ENDINGS = (".csv", ".tsv", ".txt", ".data")
LARGEST = 10_000.0      # no measurement in these units comes near it
LEAST = 10              # rows of each outcome: one for each fold


def find_diabetes(place: Path | None = None) -> Data:
    """The table at `place`, else in $MINIGRAD_DATA or the cache folder, else the embedded one.

    place: a file, or a folder that holds one such table.
    Raises: NotThereError if there is none at `place`; DataError if it cannot be used.
    """
    if place is None:
        for root in search_folders():
            # what was not named must say by its column names that it is such a table
            if root.is_dir() and (found := [path for path in tables_in(root) if named(path)]):
                return read_diabetes(only(root, found), root)
        return load_diabetes()
    if place.is_file():
        if place.suffix.lower() not in ENDINGS:
            raise NotThereError(f"{place}: not named like a table, which ends in "
                                f"{', '.join(ENDINGS)}")
        return read_diabetes(place, place)
    if not place.is_dir():
        raise DataError(f"{place}: no such file or folder")
    paths = tables_in(place)
    likely = [path for path in paths if named(path) or has_nine(path)]
    if not likely:
        raise NotThereError(f"{place}: holds no diabetes table, a CSV file with the columns "
                            f"{', '.join(COLUMNS)}")
    return read_diabetes(only(place, likely), place)


def tables_in(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.suffix.lower() in ENDINGS and path.is_file()]


def only(folder: Path, found: list[Path]) -> Path:
    """The only table of those found. Raises: DataError if there are several."""
    if len(found) > 1:
        raise DataError(f"{folder}: holds several diabetes tables; name one of them: "
                        + ", ".join(map(str, found)))
    return found[0]


def named(path: Path) -> bool:
    """Whether the first line of a file names most of the columns."""
    first = first_record(path)
    return first is not None and len(places(first.cells)) > len(COLUMNS) / 2


def has_nine(path: Path) -> bool:
    """Whether the first line of a file holds nine numbers."""
    first = first_record(path)
    return first is not None and len(first.cells) == len(COLUMNS) and not is_header(first)


def first_record(path: Path) -> Record | None:
    """The first record of a file, or None if it is no table.

    Raises: DataError naming the file if it may not be read.
    """
    try:
        return next(iter(read_records(path).records), None)
    except DataError:
        if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise
        return None


def places(header: list[str]) -> dict[str, int]:
    """Where each of the nine columns is.

    Raises: DataError if two columns have the name of one.
    """
    found: dict[str, int] = {}
    for at, word in enumerate(header):
        plain = re.sub(r"[^a-z0-9]", "", word.lower())
        for column, names in zip(COLUMNS, NAMES, strict=True):
            if plain in names:
                if column in found:
                    raise DataError(f"two columns are named {column}")
                found[column] = at
    return found


def is_header(first: Record) -> bool:
    """Whether a line names columns: most of its cells are no numbers."""
    return sum(is_number(cell) for cell in first.cells) < len(first.cells) / 2


def read_diabetes(path: Path, place: Path) -> Data:
    """The table in a file, with or without a line of column names; a missing value is NaN.

    Columns are found by their names, in any order; without names, they are in the usual order. A
    row that cannot be used is left out, with its line and the reason. place: what the user named.
    Raises: DataError naming the file, and the line if there is one, if the table cannot be used.
    """
    records = read_records(path)
    rows = records.records
    if records.faults and not (rows and rows[0].line < min(records.left_out)):
        raise DataError(records.faults[0])          # it may have been the column names
    if rows and is_header(rows[0]):
        first = rows.pop(0)
        try:
            at = places(first.cells)
        except DataError as error:
            raise DataError(f"{path}, line {first.line}: {error}") from None
        if lacking := [column for column in COLUMNS if column not in at]:
            # with few of the names, it is a table of another kind, which may be for another task
            fault = DataError if len(at) > len(lacking) else NotThereError
            raise fault(f"{path}, line {first.line}: no column is named {lacking[0]}; the "
                            f"columns are {listed(first.cells)}")
        width, unused = len(first.cells), [word for i, word in enumerate(first.cells)
                                           if i not in at.values()]
    else:
        at, width, unused = {c: i for i, c in enumerate(COLUMNS)}, len(COLUMNS), []
    order = [at[column] for column in COLUMNS]
    x, y = [], []
    for row in rows:
        try:
            if len(row.cells) != width:
                raise ValueError(f"{len(row.cells)} cells; expected {width}")
            cells = [row.cells[i] for i in order]
            x.append(features(cells[:-1]))
            y.append(outcome(cells[-1]))
        except ValueError as error:
            del x[len(y):]
            records.left_out[row.line] = str(error)
    return checked(records, place, np.array(x).reshape(-1, len(FEATURES)),
                   np.array(y, np.int64), unused)


def features(cells: list[str]) -> list[float]:
    """The eight measurements of a row. Raises: ValueError if one cannot be right."""
    values = []
    for name, cell in zip(FEATURES, cells, strict=True):
        try:
            value = number(cell)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if value < 0 or value > LARGEST:
            raise ValueError(f"{name}: {shown(cell)} is outside 0 to {LARGEST:,.0f}")
        values.append(value)
    if all(np.isnan(values)):
        raise ValueError("no measurement")
    return values


def outcome(cell: str) -> int:
    """The class of a row. Raises: ValueError if the cell holds none."""
    if cell.lower() not in OUTCOMES:
        raise ValueError(f"outcome: {shown(cell)} is neither 0 nor 1")
    return OUTCOMES[cell.lower()]


def checked(records: Records, place: Path, x: np.ndarray, y: np.ndarray, unused: list[str]
            ) -> Data:
    """The rows as a dataset. Raises: DataError if logistic regression could not be fitted to them.
    """
    path = records.path
    measured = x[:, ZERO_IS_MISSING]
    measured[measured == 0] = np.nan
    counts = np.bincount(y, minlength=2)
    n, faults = len(y), records.faults
    records.insist_on(n >= len(faults), f"{len(faults):,} of {n + len(faults):,} records cannot be "
                      "used")
    records.insist_on(counts.min() >= LEAST, f"{counts[0]:,} usable rows without diabetes and "
                      f"{counts[1]:,} with it; expected at least {LEAST} of each")
    for name, column in zip(FEATURES, x.T, strict=True):
        values = column[~np.isnan(column)]
        if len(np.unique(values)) < 2:
            raise DataError(f"{path}: the column {name} has "
                            + ("the same value in all rows" if len(values) else "no value"))
    usual = load_diabetes()
    same = np.array_equal(x, usual.x, equal_nan=True) and np.array_equal(y, usual.y)
    source = f"{'Pima Indians diabetes' if same else 'diabetes table'} in {path}: {told(x, y)}"
    if unused:
        source += f"; columns that are not used: {listed(unused)}"
    if faults:
        source += f"; {len(faults):,} of {n + len(faults):,} records left out"
    name = usual.name if same else own_name(place, [usual.name])
    return Data(name, source, x, y, classes=list(CLASSES), left_out=tuple(faults))
