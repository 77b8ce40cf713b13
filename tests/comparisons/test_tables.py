"""Tables of the user's own: encoded as scikit-learn does it, and every record accounted for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from running import message
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from comparisons.datasets.examples import table
from comparisons.datasets.tables import Encoding, load_table, read_rows, split
from comparisons.errors import DataError
from comparisons.tasks.options import Options
from comparisons.tasks.tables import TableRegressor
from comparisons.tasks.task import Trained


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    (tmp_path / "example.csv").write_text(table())
    return (tmp_path / "example.csv").read_text().splitlines()


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "fruit.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("regression", [False, True])
def test_the_encoding_is_scikit_learns_on_the_training_records(regression: bool, lines: list[str],
                                                               tmp_path: Path) -> None:
    target = "price" if regression else "kind"
    data = load_table(written(tmp_path, lines), target, regression=regression, seed=3)
    assert data.encoding is not None
    assert (len(data.x), len(data.x_test), data.left_out) == (240, 60, ())
    cells = np.array([line.split(",") for line in lines[1:]], object)
    names = lines[0].split(",")
    numbers = np.where(cells[:, :2] == "", "nan", cells[:, :2]).astype(float)
    encoding = Encoding.restored(data.encoding)
    every = np.array([encoding.inputs(row) for row in read_rows(
        written(tmp_path, lines))[2].values()], np.float32)
    told = cells[:, names.index(target)]
    train, test = split(np.unique(told, return_inverse=True)[1], regression, seed=3)
    np.testing.assert_array_equal(every[train], data.x)
    np.testing.assert_array_equal(every[test], data.x_test)
    judge = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers[train])
    np.testing.assert_allclose(every[:, :2], judge.transform(numbers), atol=1e-6)
    words = OneHotEncoder(categories=[["blue", "green", "red"]], handle_unknown="ignore",
                          sparse_output=False).fit(cells[train, 2:3])
    np.testing.assert_array_equal(every[:, 2:5], words.transform(cells[:, 2:3]))
    truth = told[train]
    if regression:
        scaled = StandardScaler().fit_transform(truth.astype(float)[:, None])
        np.testing.assert_allclose(data.y, scaled, atol=1e-6)
    else:
        np.testing.assert_array_equal(np.array(data.classes)[data.y], truth)


def test_a_regressors_figures_are_scikit_learns(lines: list[str], tmp_path: Path) -> None:
    class Price(TableRegressor[Options]):
        name, title, options, epochs, batch_size, lr = "price", "Price", Options, 1, 8, 0.1
        table, target = written(tmp_path, lines), "price"

        def model(self, implementation, data, options):
            raise NotImplementedError

    task = Price()
    data = task.load(Options())
    (only,) = task.splits(data, Options())
    mean, std = data.encoding["scale"]
    truth = mean + std * only.y_test[:, 0].astype(float)
    found = task.baselines(data, [only])
    linear = LinearRegression().fit(only.x, only.y).predict(only.x_test)[:, 0] * std + mean
    assert found["rmse_linear"] == pytest.approx(root_mean_squared_error(truth, linear), rel=1e-4)
    assert found["r2_linear"] == pytest.approx(r2_score(truth, linear), rel=1e-4)
    outputs = np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32)
    metrics, details = task.judge(data, [Trained(only, {}, outputs)])
    predicted = mean + std * outputs[:, 0].astype(float)
    assert metrics["test_rmse"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert metrics["r2"] == pytest.approx(r2_score(truth, predicted))
    np.testing.assert_allclose(details["fit"]["truth"], truth, rtol=1e-6)


def test_each_record_that_cannot_be_used_is_told_with_its_line(lines: list[str], tmp_path: Path
                                                               ) -> None:
    faults = {
        "1,2,red,plum": "4 cells; expected 5",
        "1,2,red,,3": "kind: no value",
        "one,2,red,plum,3": "length: 'one' is not a number",
        "1,2,red,apple,3": "kind: no other record is 'apple'",
        '1,"2,red,plum,3': "a quotation mark is not closed",
    }
    path = written(tmp_path, [*lines, *faults, "7,,mauve,plum,3"])
    data = load_table(path, "kind")
    assert data.left_out == tuple(f"{path}, line {line}: {why}"
                                  for line, why in enumerate(faults.values(), 302))
    assert "; 5 of 306 records left out" in data.source
    assert len(data.x) + len(data.x_test) == 301
    assert data.classes == ["medlar", "plum", "quince"]


def test_a_decimal_comma_is_read_where_no_comma_separates(lines: list[str], tmp_path: Path) -> None:
    usual = load_table(written(tmp_path, lines), "price", regression=True)
    for mark in ";\t":
        other = [line.replace(",", mark).replace(".", ",") for line in lines]
        data = load_table(written(tmp_path, other), "price", regression=True)
        np.testing.assert_array_equal(data.x, usual.x)
        np.testing.assert_array_equal(data.y, usual.y)
    path = written(tmp_path, [*lines, '"1,234",2,red,plum,3'])      # a thousand, or one and a bit?
    assert load_table(path, "kind").left_out == (
        f"{path}, line 302: length: '1,234' is not a number",)


def test_columns_of_no_use_are_told(lines: list[str], tmp_path: Path) -> None:
    head, *rows = lines
    wide = [f"{head},number,same,code,secret"] + [
        f"{row},id-{i},5,{i % 4},{len(row)}" for i, row in enumerate(rows)]
    data = load_table(written(tmp_path, wide), "kind", categorical=["code"], unused=["secret"])
    assert "from 3 columns of numbers and 2 of words" in data.source
    assert "not used: secret: as the task says, number: 240 different words, same: one value" in (
        data.source)
    assert data.x.shape[1] == 3 + 3 + 4


FAULTS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "no such target": (lambda t: [t[0].replace("kind", "sort"), *t[1:]],
                       ", line 1: no column is named 'kind'; the columns are length, width"),
    "no names": (lambda t: ["1,2,3,4,5"] * 20, ", line 1: expected the names of the columns"),
    "a name twice": (lambda t: [t[0].replace("width", "length"), *t[1:]],
                     ", line 1: 2 columns are named 'length'"),
    "a name is empty": (lambda t: [t[0].replace("width", ""), *t[1:]],
                        ", line 1: 1 columns are named ''"),
    "names with an open quotation mark": (lambda t: ['"' + t[0], *t[1:]],
                                          ", line 1: a quotation mark is not closed"),
    "names only": (lambda t: t[:1], ": 0 usable records; expected at least 10"),
    "few records": (lambda t: t[:8], "usable records; expected at least 10"),
    "most are cut": (lambda t: [*t[:20], *["1,2"] * 30],
                     "the first of 30 faults: {path}, line 21: 2 cells; expected 5"),
    "one class": (lambda t: [t[0], *["1,2,red,plum,3", "2,1,blue,plum,4"] * 9],
                  ": kind has one value; expected two classes or more"),
    "a number as a class": (lambda t: [t[0], *[f"1,2,red,{i},3" for i in range(40)]],
                            "to predict a number, use TableRegressor"),
    "nothing to learn from": (lambda t: [t[0], *["1,2,red,plum,3", "1,2,red,quince,3"] * 9],
                              ": no column can be used: length: one value"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_cannot_be_used_is_one_line_that_names_it(fault: str, lines: list[str],
                                                               tmp_path: Path) -> None:
    make, told = FAULTS[fault]
    path = written(tmp_path, make(lines))
    with pytest.raises(DataError) as info:
        load_table(path, "kind")
    assert message(info).startswith(str(path))
    assert told.format(path=path) in message(info)


def test_numbers_beyond_all_measure_spoil_nothing(lines: list[str], tmp_path: Path) -> None:
    data = load_table(written(tmp_path, [*lines, *["1e300,2,red,plum,3"] * 2]), "kind")
    assert "length: its standard deviation is inf" in data.source
    assert np.isfinite(data.x).all()
    with pytest.raises(DataError, match="the standard deviation of price is inf"):
        load_table(written(tmp_path, [*lines, *["1,2,red,plum,1e300"] * 9]), "price",
                   regression=True)
