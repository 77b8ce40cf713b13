"""The user's own tables: a CSV file with a line of column names, one of which is the target."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.datasets.base import Array, Data, own_name
from comparisons.datasets.records import (
    MISSING_TOLD,
    Record,
    Records,
    is_missing,
    is_number,
    listed,
    number,
    read_records,
    shown,
)
from comparisons.datasets.splits import stratified_folds
from comparisons.errors import DataError

HOLD_OUT = 5            # one fifth of the records is the test set
MOSTLY = 0.9            # a column of numbers: this share of its cells, or more, are numbers
CATEGORIES = 50         # a column of words with more different ones is not used
LEAST = 10              # records

Row = dict[str, str]    # the cells of a record by column


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: a missing one is replaced by the median; then it is standardised.

    All three are those of the training records.
    """

    name: str
    median: float
    mean: float
    std: float

    def values(self, cell: str) -> list[float]:
        """The column's one value. Raises: ValueError if the cell holds no number."""
        value = number(cell)
        return [((self.median if math.isnan(value) else value) - self.mean) / self.std]


@dataclass(frozen=True)
class Categorical:
    """A column of words: each has a value of its own, which is 1 for it and 0 for the others.

    A missing word, or one that no training record has, makes all of them 0.
    """

    name: str
    categories: list[str]

    def values(self, cell: str) -> list[float]:
        """A value for each category."""
        return [float(cell == category) for category in self.categories]


@dataclass(frozen=True)
class Encoding:
    """How a record becomes the inputs of a network, and an output a value of the target.

    scale: the mean and the standard deviation of a target that is a number; else None.
    """

    target: str
    columns: list[Numeric | Categorical]
    scale: tuple[float, float] | None = None

    def inputs(self, row: Row) -> list[float]:
        """The inputs for a record. Raises: ValueError naming the column that is wrong."""
        values = []
        for column in self.columns:
            try:
                values += column.values(row[column.name])
            except ValueError as error:
                raise ValueError(f"{column.name}: {error}") from None
        return values

    @property
    def width(self) -> int:
        """The number of inputs."""
        return sum(len(c.categories) if isinstance(c, Categorical) else 1 for c in self.columns)

    def as_json(self) -> dict[str, Any]:
        """The encoding as a checkpoint keeps it."""
        return {"target": self.target, "columns": [asdict(column) for column in self.columns],
                "scale": self.scale and list(self.scale)}

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Encoding:
        """The encoding that a checkpoint has kept."""
        return cls(kept["target"], [
            Categorical(c["name"], c["categories"]) if "categories" in c else
            Numeric(c["name"], c["median"], c["mean"], c["std"]) for c in kept["columns"]],
                   kept["scale"] and (kept["scale"][0], kept["scale"][1]))


def load_table(path: Path, target: str, *, regression: bool = False,
               categorical: Sequence[str] = (), unused: Sequence[str] = (), seed: int = 0) -> Data:
    """The records of a table, encoded for a network; one fifth of them is the test set.

    target: the column to predict, a class or, with `regression`, a number. categorical: columns
    whose numbers are codes. unused: columns that the network must not see. A column is numeric if
    nearly all of its cells are numbers. A record that cannot be used is left out, with its line and
    the reason.

    Shapes: x (N, inputs) float32; y (N,) int64, or with `regression` (N, 1) float32, standardised.
    Raises: DataError naming the file, and the line if there is one, if the table cannot be used.
    """
    records, header, rows = read_rows(path)
    for name in (target, *categorical, *unused):
        if name not in header.cells:
            raise DataError(f"{path}, line {header.line}: no column is named {name!r}; the columns "
                            f"are {listed(header.cells)}")
    names = [name for name in header.cells if name != target and name not in unused]
    numeric = [name for name in names if name not in categorical and mostly_numbers(rows, name)]
    wanted = numeric + [target] * regression
    for line in list(rows):
        try:
            insist_on_numbers(rows[line], wanted)
            if is_missing(rows[line][target]):
                raise ValueError(f"{target}: no value")
        except ValueError as error:
            records.left_out[line] = str(error)
            del rows[line]
    if not regression:
        counts = Counter(row[target] for row in rows.values())
        if len(counts) > max(len(rows) / 2, 2):
            raise DataError(f"{path}: {target} has {len(counts):,} different values in "
                            f"{len(rows):,} records; to predict a number, use TableRegressor")
        for line in [line for line, row in rows.items() if counts[row[target]] == 1]:
            records.left_out[line] = f"{target}: no other record is {shown(rows.pop(line)[target])}"
    records.insist_on(len(rows) >= max(LEAST, len(records.left_out)), f"{len(rows):,} usable "
                      f"records; expected at least {LEAST}, and half of all")
    table = list(rows.values())
    classes = [] if regression else sorted({row[target] for row in table}, key=in_order)
    if not regression and len(classes) < 2:
        records.insist_on(False, f"{target} has one value; expected two classes or more")
    y: Array = np.array([float(row[target]) if regression else classes.index(row[target])
                         for row in table], np.float64 if regression else np.int64)
    train, test = split(y, regression, seed)
    columns, idle = encoded([table[i] for i in train], names, numeric)
    if not columns:
        raise DataError(f"{path}: no column can be used: {'; '.join(idle)}")
    scale = None
    if regression:
        with np.errstate(over="ignore", invalid="ignore"):
            scale = float(y[train].mean()), float(y[train].std())
        if not usable(scale[1]):
            raise DataError(f"{path}: the standard deviation of {target} is {scale[1]:g}")
        y = ((y - scale[0]) / scale[1]).astype(np.float32)[:, None]
    encoding = Encoding(target, columns, scale)
    x = np.array([encoding.inputs(row) for row in table], np.float32)
    idle = [*(f"{name}: as the task says" for name in unused if name != target), *idle]
    return Data(own_name(path, ()),
                told(records, encoding, classes, len(train), len(test), idle),
                x[train], y[train], x[test], y[test], classes, left_out=tuple(records.faults),
                encoding=encoding.as_json())


def read_rows(path: Path) -> tuple[Records, Record, dict[int, Row]]:
    """What a file holds: its records, its line of column names, and the others by their lines.

    Raises: DataError if it has no column names, or two columns of one name.
    """
    records = read_records(path)
    if not records.records or min(records.left_out, default=math.inf) < records.records[0].line:
        raise DataError(records.faults[0])
    header, *others = records.records
    if all(map(is_number, header.cells)):
        raise DataError(f"{path}, line {header.line}: expected the names of the columns; got "
                        f"{shown(', '.join(header.cells))}")
    for name, times in Counter(header.cells).items():
        if times > 1 or not name:
            raise DataError(f"{path}, line {header.line}: {times} columns are named "
                            f"{shown(name)}")
    rows = {}
    for record in others:
        if len(record.cells) == len(header.cells):
            rows[record.line] = dict(zip(header.cells, record.cells, strict=True))
        else:
            records.left_out[record.line] = (f"{len(record.cells)} cells; expected "
                                             f"{len(header.cells)}")
    return records, header, rows


def mostly_numbers(rows: dict[int, Row], name: str) -> bool:
    cells = [row[name] for row in rows.values() if not is_missing(row[name])]
    return sum(map(is_number, cells)) >= MOSTLY * len(cells)


def insist_on_numbers(row: Row, names: Sequence[str]) -> None:
    """Raises: ValueError naming the first column whose cell is neither a number nor missing."""
    for name in names:
        try:
            number(row[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def in_order(word: str) -> tuple[bool, float, str]:
    """A key that sorts numbers by value, before words."""
    return (False, float(word), word) if is_number(word) else (True, 0.0, word)


def split(y: Array, regression: bool, seed: int) -> tuple[Array, Array]:
    """The rows for training and for the test; classes are spread evenly."""
    if not regression:
        return next(stratified_folds(y, HOLD_OUT, seed=seed))
    rows = np.random.default_rng(seed).permutation(len(y))
    return np.sort(rows[len(y) // HOLD_OUT:]), np.sort(rows[:len(y) // HOLD_OUT])


def encoded(train: list[Row], names: Sequence[str], numeric: Sequence[str]
            ) -> tuple[list[Numeric | Categorical], list[str]]:
    """The encoding of each column, from the training records alone; and which are of no use."""
    columns: list[Numeric | Categorical] = []
    idle = []
    for name in names:
        cells = [row[name] for row in train if not is_missing(row[name])]
        if len(set(cells)) < 2:
            idle.append(f"{name}: {'one value' if cells else 'no value'} in the training records")
        elif name in numeric:
            known = np.array([float(cell) for cell in cells])
            median = float(np.median(known))
            values = np.concatenate([known, np.full(len(train) - len(known), median)])
            with np.errstate(over="ignore", invalid="ignore"):
                mean, std = float(values.mean()), float(values.std())
            if usable(std):
                columns.append(Numeric(name, median, mean, std))
            else:
                idle.append(f"{name}: its standard deviation is {std:g}")
        elif len(set(cells)) > CATEGORIES:
            idle.append(f"{name}: {len(set(cells)):,} different words")
        else:
            columns.append(Categorical(name, sorted(set(cells), key=in_order)))
    return columns, idle


def usable(std: float) -> bool:
    """Whether one can divide by a standard deviation."""
    return 0 < std < math.inf


def told(records: Records, encoding: Encoding, classes: list[str], n: int, n_test: int,
         idle: Sequence[str]) -> str:
    """What was read, in one line."""
    kinds = Counter(type(column) for column in encoding.columns)
    what = f"{len(classes)} classes" if classes else "a number"
    line = (f"table {records.path}: {n:,} records for training and {n_test:,} for the test; "
            f"{encoding.target}, {what}, from {kinds[Numeric]} columns of numbers and "
            f"{kinds[Categorical]} of words; {MISSING_TOLD} means missing")
    if idle:
        line += f"; not used: {', '.join(idle)}"
    if records.left_out:
        n_all = n + n_test + len(records.left_out)
        line += f"; {len(records.left_out):,} of {n_all:,} records left out"
    return line
