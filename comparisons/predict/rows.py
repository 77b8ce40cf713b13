"""`predict` for a network that was trained on a table: a line of text for each record."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.datasets.base import Array
from comparisons.datasets.tables import Encoding, read_rows
from comparisons.errors import DataError, Fault
from comparisons.files import check_writable, write_json
from comparisons.predict.prediction import answer_of, text_of
from comparisons.predict.trained import (
    calibration_of,
    config_of,
    network_of,
    task_of,
    usable,
    with_options_of,
)
from comparisons.tasks.calibration import SURE, Calibration
from comparisons.tasks.task import Task
from minigrad.checkpoint import Checkpoint
from minigrad.streams import printable

SCHEMA = 1


def reads_rows(kept: Checkpoint) -> bool:
    """Whether the network of a checkpoint was trained on a table."""
    return isinstance(kept.config, dict) and bool(kept.config.get("encoding"))


def main(kept: Checkpoint, tables: Sequence[Path], *, json: Path | None = None,
         task: Task[Any] | None = None, sure: float | None = None) -> int:
    """Predict each record of each table; the tables need not have the target's column.

    A record that cannot be used is reported in one line and does not stop the others. json: a file
    for the predictions. sure: the accuracy that answers should have. Returns the exit status: 1 if
    anything could not be predicted.
    """
    path, task = kept.path, task_of(kept, task)
    config = config_of(kept)
    encoding, classes = Encoding.restored(config["encoding"]), config["classes"]
    if config["shape"] != [encoding.width]:
        raise Fault(f"{path}: its network takes inputs of shape {tuple(config['shape'])}, but its "
                    f"columns have {encoding.width} values")
    task = with_options_of(kept, task, config)
    implementation, model = network_of(kept, task, config)
    calibration = calibration_of(kept, config, sure)
    sure = SURE if sure is None else sure
    print(f"{printable(path)}: {task.name}, trained on {config['dataset']}{calibration.told(sure)}")
    if json is not None:
        check_writable(json)
    entries: list[dict[str, Any]] = []
    faults = []
    for table in tables:
        try:
            lines, x, left_out = inputs_of(table, encoding)
        except DataError as error:
            left_out, lines = [str(error)], []
        if lines:
            outputs = usable(path, task.outputs(implementation, model, x), classes)
            found = answers(outputs, classes, encoding, calibration, calibration.threshold(sure))
            for line, (told, entry) in zip(lines, found, strict=True):
                print(f"{printable(table)}, line {line}: {told}")
                entries.append({"table": str(table), "line": line} | entry)
        for fault in left_out:
            print(f"comparisons: {printable(fault)}", file=sys.stderr)
        faults += left_out
    if json is not None:
        write_json(json, {"schema": SCHEMA, "checkpoint": str(path), "task": task.name,
                          "dataset": config["dataset"], "target": encoding.target,
                          "classes": classes, **calibration.described(sure),
                          "records": entries, "left_out": faults}, indent=2)
    return int(bool(faults))


def inputs_of(table: Path, encoding: Encoding) -> tuple[list[int], Array, list[str]]:
    """The lines of a table's records, the inputs for them, and a line for each that has none.

    Raises: DataError naming the table if it cannot be read, or lacks a column.
    """
    records, header, rows = read_rows(table)
    for column in encoding.columns:
        if column.name not in header.cells:
            raise DataError(f"{table}, line {header.line}: no column is named {column.name!r}, "
                            "which the network was trained with")
    lines, inputs = [], []
    for line, row in rows.items():
        try:
            inputs.append(encoding.inputs(row))
            lines.append(line)
        except ValueError as error:
            records.left_out[line] = str(error)
    if not lines and not records.left_out:
        raise DataError(f"{table}: holds no records")
    return lines, np.array(inputs, np.float32), records.faults


def answers(outputs: Array, classes: list[str], encoding: Encoding, calibration: Calibration,
            threshold: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each record the predicted number, or the class and all probabilities: as text, and for
    JSON."""
    if encoding.scale:
        mean, std = encoding.scale
        for value in (mean + std * output for output in outputs[:, 0].tolist()):
            yield f"{encoding.target} {value:.6g}", {"value": value}
        return
    for row in calibration.probabilities(outputs).tolist():
        probabilities = dict(zip(classes, row, strict=True))
        best = sorted(probabilities.items(), key=lambda pair: -pair[1])
        yield text_of(best, threshold), {"answer": answer_of(best, threshold), "class": best[0][0],
                                         "probabilities": probabilities}


def insist_on_no_flags(path: Path, **given: Any) -> None:
    """Raises: Fault naming the first flag that was given and that only pictures have."""
    for name, value in given.items():
        if value:
            raise Fault(f"--{name}: applies to pictures, but the network of {path} was trained on "
                        "a table")
