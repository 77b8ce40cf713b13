"""A diabetes table of the user's own: every record is accounted for, and faults have lines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import message, one_line, run_of

from comparisons.cli import main
from comparisons.datasets.base import EMBEDDED
from comparisons.datasets.diabetes import FILE, load_diabetes
from comparisons.datasets.diabetes_table import find_diabetes
from comparisons.errors import DataError, NotThereError

pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")

LINES = (EMBEDDED / FILE).read_text().splitlines()
KAGGLE = ("Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,"
          "Age,Outcome")
OPENML = "preg,plas,pres,skin,insu,mass,pedi,age,class"


def written(folder: Path, lines: list[str], name: str = "clinic.csv", end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes((end.join(lines) + end).encode())
    return path


def as_openml(line: str) -> str:
    *cells, outcome = line.split(",")
    return ",".join([*cells, ("tested_negative", "tested_positive")[int(outcome)]])


@pytest.mark.parametrize("lines", [
    LINES, LINES[1:], [KAGGLE, *LINES[1:]], [OPENML, *map(as_openml, LINES[1:])],
    [line.replace(",", ";") for line in LINES], ["", "\ufeff" + LINES[0], "", *LINES[1:]][1:],
    [",".join([str(i), *reversed(line.split(","))]) for i, line in enumerate(LINES, 0)],
], ids=["ours", "no header", "Kaggle's", "OpenML's", "semicolons", "BOM", "other order"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_pima_table_is_known_however_it_is_written(lines: list[str], end: str, tmp_path: Path
                                                       ) -> None:
    usual, path = load_diabetes(), written(tmp_path, lines, end=end)
    for place in (path, tmp_path):
        data = find_diabetes(place)
        np.testing.assert_array_equal(data.x, usual.x)
        np.testing.assert_array_equal(data.y, usual.y)
        assert (data.name, data.left_out) == ("pima-diabetes", ())
        assert f"in {path}: 768 rows" in data.source
        assert "values missing (a 0 from glucose to body mass index, an empty cell" in data.source
    assert ("not used: 0" in data.source) == (lines[0][0] == "0")       # the numbers of the rows


def test_other_tables_are_named_after_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "Ward"
    folder.mkdir()
    path = written(folder, LINES[:-1])
    assert find_diabetes(path).name == "clinic"
    assert find_diabetes(folder).name == "ward"
    assert find_diabetes(path.rename(folder / "pima-diabetes.csv")).name == (
        "pima-diabetes-unverified")


def test_missing_values_may_be_written_in_many_ways(tmp_path: Path) -> None:
    row = "1,NA,?,nan,,33.6,0.627,50,1"
    data = find_diabetes(written(tmp_path, [*LINES, row]))
    np.testing.assert_array_equal(data.x[-1], [1, *[np.nan] * 4, 33.6, 0.627, 50])
    assert data.left_out == ()


ROWS = {
    "6,148,72,35,0,33.6,0.627,50": "8 cells; expected 9",
    "6,148,72,35,0,33.6,0.627,50,1,7": "10 cells; expected 9",
    "6,148,72,35,0,33.6,0.627,50,2": "outcome: '2' is neither 0 nor 1",
    "6,148,72,35,0,33.6,0.627,50,": "outcome: '' is neither 0 nor 1",
    "6,1x8,72,35,0,33.6,0.627,50,1": "glucose: '1x8' is not a number",
    "6,1_48,72,35,0,33.6,0.627,50,1": "glucose: '1_48' is not a number",
    "6,148,72,35,0,inf,0.627,50,1": "body mass index: 'inf' is not a number",
    "6,148,72,35,0,1e999,0.627,50,1": "body mass index: '1e999' is not a number",
    "6,-148,72,35,0,33.6,0.627,50,1": "glucose: '-148' is outside 0 to 10,000",
    "6,148,72,35,0,33.6,0.627,5e9,1": "age: '5e9' is outside 0 to 10,000",
    '6,"148,72,35,0,33.6,0.627,50,1': "a quotation mark is not closed",
    ",,,,,,,,1": "no measurement",
}


def test_each_record_that_cannot_be_used_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, [*LINES[:301], *ROWS, *LINES[301:]])
    data = find_diabetes(path)
    assert len(data.y) == 768
    assert data.left_out == tuple(f"{path}, line {line}: {why}"
                                  for line, why in enumerate(ROWS.values(), 302))
    assert f"; {len(ROWS)} of {768 + len(ROWS)} records left out" in data.source
    assert data.name == "pima-diabetes"         # the rows that are left are those


FAULTS: dict[str, tuple[Callable[[], list[str]], str]] = {
    "a column is missing": (lambda: [line.rpartition(",")[0] for line in LINES],
                            ", line 1: no column is named outcome; the columns are pregnancies, "),
    "a column is misspelt": (lambda: [LINES[0].replace("glucose", "gluc0se"), *LINES[1:]],
                             ", line 1: no column is named glucose"),
    "a column twice": (lambda: [LINES[0].replace("insulin", "bmi"), *LINES[1:]],
                       ", line 1: two columns are named body mass index"),
    "no names, eight columns": (lambda: [line.rpartition(",")[0] for line in LINES[1:]],
                                ": 768 of 768 records cannot be used; the first of 768 faults: "),
    "one outcome": (lambda: [line[:-1] + "0" for line in LINES[1:]],
                    ": 768 usable rows without diabetes and 0 with it; expected at least 10"),
    "few rows": (lambda: LINES[:15], "; expected at least 10 of each"),
    "no rows": (lambda: LINES[:1], ": 0 usable rows"),
    "a constant column": (lambda: [line.rpartition(",")[0].rpartition(",")[0] + ",50," + line[-1]
                                   for line in LINES[1:]],
                          ": the column age has the same value in all rows"),
    "an empty column": (lambda: ["0,0" + line[line.index(",", line.index(",") + 1):]
                                 for line in LINES[1:]],
                        ": the column pregnancies has the same value in all rows"),
    "names with an open quotation mark": (lambda: ['"' + LINES[0], *LINES[1:]],
                                          ", line 1: a quotation mark is not closed"),
    "empty": (list, ": is empty"),
    "another encoding": (lambda: [*LINES, "é".encode("utf-16").decode("latin-1")],
                         ", line 770: not text in UTF-8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_cannot_be_used_is_one_line_that_names_it(fault: str, tmp_path: Path) -> None:
    make, told = FAULTS[fault]
    path = tmp_path / "clinic.csv"
    path.write_bytes("\n".join(make()).encode("latin-1"))
    with pytest.raises(DataError) as info:
        find_diabetes(path)
    assert message(info).startswith(f"{path}")
    assert told in message(info)


def test_a_folder_must_hold_one_such_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, ["emotion,pixels", "0,1 2 3 4"], "faces.csv")
    with pytest.raises(NotThereError, match="holds no diabetes table"):
        find_diabetes(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_diabetes(tmp_path / "gone")
    path = written(tmp_path, LINES, "a.csv")
    assert find_diabetes(tmp_path).name == "pima-diabetes"
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert f"in {path}" in find_diabetes().source
    shutil.copy(path, tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"several diabetes tables; name one .*a\.csv, .*b\.csv"):
        find_diabetes(tmp_path)


@pytest.mark.parametrize("name", ["faces.csv", "train-images-idx3-ubyte"])
def test_a_file_of_another_kind_is_left_to_other_tasks(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        find_diabetes(written(tmp_path, ["emotion,pixels", "0,1 2 3 4"], name))


def test_run_reads_it_and_says_what_was_left_out(tmp_path: Path, capsys: Any) -> None:
    path = written(tmp_path, [*LINES[:400], "1,2,3"])
    out = tmp_path / "out"
    argv = ["run", "diabetes", "--impl", "minigrad", "--epochs", "2", "--out", str(out), "--data"]
    assert main([*argv, str(path)]) == 0
    told = capsys.readouterr().out
    assert f"  left out: {path}, line 401: 3 cells; expected 9\n" in told
    assert "clinic, 399 in 10 folds" in told
    record = run_of(out, "diabetes", "minigrad")
    assert (record["dataset"], record["n_test"]) == ("clinic", 399)
    assert re.search(r"clinic\.csv: 399 rows", (out / "report.html").read_text())
    path.write_text(path.read_text().replace("pedigree", "podigree"))
    assert main([*argv, str(path)]) == 1
    assert f"{path}, line 1: no column is named pedigree" in one_line(capsys)


def test_classes_that_a_line_separates_have_no_exact_answer(tmp_path: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [",".join(map(str, [*rng.integers(1, 99, 7), 20 + 30 * (i % 2), i % 2]))
            for i in range(60)]
    path = written(tmp_path, rows)
    assert main(["run", "diabetes", "--data", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "fold 1/10: logistic regression has no finite solution" in one_line(capsys)
