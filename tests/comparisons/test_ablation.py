"""The ablation: its statistics against SciPy's, its files, and what it refuses."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from comparisons.audits import ablation
from comparisons.cli import main
from comparisons.tasks.classification import ACCURACY


def trial(name, values, n_test=10_000):
    seeds = [{"seed": k, "metrics": {"test_accuracy": value}, "train_seconds": 2.0 + k}
             for k, value in enumerate(values)]
    return name, None, {"seeds": seeds, "n_test": n_test}


def test_what_an_ingredient_gives_is_the_paired_difference():
    rng = np.random.default_rng(0)
    whole, less = rng.normal(0.99, 0.002, (2, 5))
    first, second = ablation.rows_of([trial(ablation.WHOLE, whole), trial("dropout", less)],
                                     ACCURACY)
    expected = stats.ttest_rel(whole, less).confidence_interval()
    assert second.gives == pytest.approx(np.mean(whole - less))
    assert (second.low, second.high) == pytest.approx((expected.low, expected.high))
    assert first.cells(".2%")[:4] == (
        "nothing", f"{whole.mean():.2%}", f"{100 * whole.std(ddof=1):.2f}", "")
    assert second.seconds == 4
    told = ablation.text([first, second], ACCURACY)
    assert f"{100 * second.low:+.2f} to {100 * second.high:+.2f}" in told


def test_equal_differences_are_no_certainty():
    _, row = ablation.rows_of([trial(ablation.WHOLE, [0.9, 0.9]), trial("x", [0.9, 0.9])],
                              ACCURACY)
    assert row.gives == 0
    assert row.low < 0 < row.high


def test_what_no_seed_reads_right():
    answers = [[0, 1, 2, 2], [0, 2, 2, 1], [1, 2, 2, 2]]
    results = SimpleNamespace(details=lambda run, seed: {
        "rows": [5, 6, 7, 8], "targets": [0, 1, 2, 0], "guesses": answers[seed],
        "classes": ["a", "b", "c"]})
    run = {"seeds": [{"seed": k} for k in range(3)]}
    assert ablation.never_right(results, run) == [{"row": 8, "class": "a", "guess": "c"}]
    # an item that only some seeds have tested is not known well enough
    answers[0] = [1, 1, 2, 0]
    assert ablation.never_right(results, run) == []
    assert ablation.never_right(SimpleNamespace(details=lambda run, seed: {}), run) == []


def test_the_command(tmp_path, capsys):
    words = ["ablation", "mnist-mlp", "--quick", "--seeds", "2", "--only", "smoothing,dropout",
             "--epochs", "2", "--out", str(tmp_path)]
    assert main(words) == 0
    told = capsys.readouterr().out
    kept = json.loads((tmp_path / "ablation.json").read_text())
    assert [each["without"] for each in kept["trials"]] == [None, "smoothing", "dropout"]
    for each in kept["trials"][1:]:
        assert each["gives"] == pytest.approx(
            np.mean(kept["trials"][0]["values"]) - np.mean(each["values"]))
        assert f"{each['without']} " in told
    page = (tmp_path / "ablation.html").read_text()
    assert page.count("<img ") == min(len(kept["never_right"]), ablation.SHOWN) > 0
    assert "http" not in page
    # what is finished is not trained again
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.safetensors")}
    assert len(before) == 6
    assert main([*words, "--resume"]) == 0
    assert json.loads((tmp_path / "ablation.json").read_text())["trials"] == kept["trials"]


@pytest.mark.parametrize(("words", "told"), [
    (["diabetes"], "diabetes has no recipe with ingredients; mnist-mlp, mnist-cnn, dexpression"),
    (["all"], "expected a single task"),
    (["mnist-cnn", "--folds", "3"], "--folds is not for mnist-cnn"),
    (["mnist-cnn", "--only", "dropout"], "dropout is no ingredient of this recipe; it has cycle"),
    (["mnist-cnn", "--only", ","], "expected names with commas between them"),
    (["mnist-cnn", "--seeds", "1"], "must be at least 2"),
    (["mnist-cnn", "--resume"], "--resume needs --out DIR"),
    (["mnist-cnn", "--amp"], "--amp is for PyTorch only"),
    (["mnist-mlp", "--without", "dropout", "--only", "dropout"],
     "dropout is no ingredient of this recipe")])
def test_what_it_refuses(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ablation", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
