"""How much of a test set is known from training, counted by hand on faces made of numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from comparisons.audits import leakage
from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.errors import Fault
from comparisons.tasks.dexpression import DexpressionOptions as Options
from comparisons.tasks.task import Split
from comparisons.training.results import Results


def album(persons: int = 12, clips: int = 3, frames: int = 3) -> Data:
    """Each person is in three clips, one of each class, whose frames are near copies."""
    rng = np.random.default_rng(0)
    shape = (persons, clips, frames)
    person, clip, _ = (a.ravel() for a in np.indices(shape))
    x = (np.repeat(rng.normal(size=(persons * clips, 1, 6, 6)), frames, 0)
         + 0.01 * rng.normal(size=(person.size, 1, 6, 6))).astype(np.float32)
    return Data("album", "an album", x, clip, classes=["a", "b", "c"], subjects=person,
                clips=person * clips + clip)


def test_nearest_is_the_least_distance_between_images_of_equal_light():
    rng = np.random.default_rng(1)
    x, x_test = rng.normal(size=(9, 1, 4, 4)), rng.normal(size=(7, 1, 4, 4))
    a, b = ((i - i.mean((2, 3), keepdims=True)) / i.std((2, 3), keepdims=True)
            for i in (x, x_test))
    expected = [min(range(9), key=lambda k: np.linalg.norm(a[k] - image)) for image in b]
    assert leakage.nearest(x, x_test).tolist() == expected
    assert leakage.nearest(x, 3 * x + 5).tolist() == list(range(9))
    assert leakage.nearest(x, np.ones((1, 1, 4, 4))).shape == (1,)     # no light and shade at all


def test_shares_of_one_split_are_those_counted_by_hand():
    """Rows 0 to 2 are one clip; 3 is another clip of that person; 9 is another person's."""
    data = album()
    train, test = np.array([0, 3, 6, 18]), np.array([1, 2, 9, 4])
    split = Split(data.x[train], data.y[train], data.x[test], data.y[test], train, test)
    shares = leakage.leaks(data, split)
    assert shares["person"] == 3 / 4            # 1, 2 and 4; not 9
    assert shares["clip"] == 3 / 4
    assert shares["nearest_clip"] == 3 / 4
    assert shares["nearest"] >= 3 / 4           # 9 may be right by chance
    assert shares["majority"] == 3 / 4          # 0 is the commonest label of training


def test_memory_is_all_under_random_splits_and_chance_without_the_clip():
    rows = dict(leakage.measure(album(), Options(folds=4)))
    assert list(rows) == list(leakage.MEASURED)
    assert rows["random"]["clip"] == rows["random"]["nearest_clip"] > 0.8
    assert rows["random"]["nearest"] >= rows["random"]["clip"]      # some right by chance
    assert rows["clip"]["clip"] == 0
    assert rows["clip"]["person"] > 0.5
    assert rows["person"]["person"] == rows["person"]["clip"] == 0
    for protocol in ("clip", "person"):         # the clips are noise: nothing else tells a class
        assert abs(rows[protocol]["nearest"] - 1 / 3) < 0.2


def test_data_that_name_no_persons_are_split_at_random_only():
    known = album()
    data = Data("table", "a table", known.x, known.y, classes=known.classes)
    (row,) = leakage.measure(data, Options(folds=4))
    assert row[0] == "random"
    assert row[1].keys() == {"nearest", "majority"}
    last = leakage.text(data, Options(folds=4)).splitlines()[-1].split()
    assert last[:3] == ["random", "–", "–"]


def test_the_command_prints_a_row_a_protocol(capsys):
    assert main(["leakage", "--folds", "5"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[-3:]] == list(leakage.MEASURED)
    assert lines[-1][1:3] == ["0.0%", "0.0%"]
    assert float(lines[-3][3].rstrip("%")) > 95


def test_the_command_refuses_a_folder_without_faces(tmp_path, capsys):
    assert main(["leakage", "--data", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("folds", ["1", "x"])
def test_the_command_refuses_folds_that_are_none(folds, capsys):
    assert main(["leakage", "--folds", folds]) == 2
    assert "--folds" in capsys.readouterr().err


def test_the_persons_of_each_fold_are_those_that_run_tests_on(tmp_path, capsys):
    path = tmp_path / "folds.json"
    flags = ["--folds", "3", "--seed", "7"]
    assert main(["leakage", *flags, "--persons", str(path)]) == 0
    written = json.loads(path.read_text())
    assert (written["dataset"], written["seed"]) == ("faces-generated", 7)
    assert main(["run", "dexpression", "--impl", "minigrad", "--quick", "--size", "16", *flags,
                 "--out", str(tmp_path / "run")]) == 0
    results = Results(tmp_path / "run")
    tested = results.details(results.runs[0])["splits"]
    assert len(written["folds"]) == len(tested) == 3
    for persons, split in zip(written["folds"], tested, strict=True):
        assert set(split["persons"]) <= set(persons)    # --quick tests on some of them
    assert sum(written["images"]) == 981
    assert len(set().union(*written["folds"])) == sum(map(len, written["folds"])) == 118


def test_folds_of_unknown_persons_cannot_be_written():
    known = album()
    with pytest.raises(Fault, match="table does not say which images belong to one person"):
        leakage.persons(Data("table", "a table", known.x, known.y, classes=known.classes),
                        Options(folds=4))
