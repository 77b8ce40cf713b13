"""`run --seeds N`: whether the sides differ, judged by SciPy, by simulation and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from running import one_line, results, run_of, spiral
from scipy import stats

from comparisons.cli import main
from comparisons.report import seeds as shown
from comparisons.training import differences, progress

QUICK = ["run", "regression", "--quick"]


# ---- statistics ----------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_over_seeds_is_the_paired_t_test(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n))
    expected = stats.ttest_rel(a, b)
    found = differences.over_seeds(a - b)
    assert found.level() == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.interval() == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_a_few_equal_differences_are_no_certainty():
    """Five seeds with one more right item each: by signs, that has a chance of 2 / 2^5."""
    for n, contains_0 in ((2, True), (5, True), (8, False)):
        low, high = differences.over_seeds(np.full(n, 0.01), step=0.01).interval()
        assert (low <= 0 <= high) == contains_0


def test_over_items_is_the_t_interval_of_their_mean():
    d = np.random.default_rng(0).integers(-1, 2, 50).astype(float)
    expected = stats.ttest_1samp(d, 0)
    found = differences.over_items(d)
    assert found.level() == pytest.approx(expected.pvalue, rel=1e-9)


def test_copies_of_an_item_in_one_group_count_once():
    rng = np.random.default_rng(1)
    d = rng.normal(size=20)
    alone = differences.over_items(d)
    copied = differences.over_items(np.repeat(d, 4), np.repeat(np.arange(20), 4))
    assert copied == pytest.approx(alone, rel=1e-12)
    assert differences.over_items(np.repeat(d, 4)).variance < alone.variance / 3
    assert differences.over_items(d, np.zeros(20)).variance == np.inf


@pytest.mark.parametrize("spreads", [(1.0, 0.1, 0.3), (0.1, 1.0, 0.3), (0.5, 0.5, 3.0)])
def test_both_sources_of_chance_together_cover_the_truth(spreads):
    """With effects of the seed, of the item, and of both, 95 of 100 intervals hold."""
    rng, (seed, item, both) = np.random.default_rng(2), spreads
    held = 0
    for _ in range(400):
        d = 0.3 + (seed * rng.normal(size=(5, 1)) + item * rng.normal(size=(1, 40))
                   + both * rng.normal(size=(5, 40)))
        estimate = differences.over_seeds(d.mean(1)).plus(differences.over_items(d.mean(0)))
        low, high = estimate.interval()
        held += low <= 0.3 <= high
    assert held >= 0.925 * 400


def recorded(ours, theirs, form=".2%", n_test=1000):
    """The runs of both sides with these metrics, as results.json has them."""
    return [{"task": "leaves", "dataset": "d", "impl": impl, "seed": 0, "trainings": 1,
             "date": f"2026-01-01 00:00:0{side} +0000", "epochs": 3, "lr": 0.1,
             "n_test": n_test, "headlines": [{"label": "accuracy", "metric": "test_accuracy",
                                              "format": form}],
             "seeds": [{"seed": k, "metrics": {"test_accuracy": v}, "test_items": "same"}
                       for k, v in enumerate(values)]}
            for side, (impl, values) in enumerate((("torch", theirs), ("minigrad", ours)))]


def judged(ours, theirs, answers=None, **kwargs):
    runs = recorded(ours, theirs, **kwargs)
    (entry,) = differences.of_task(runs, answers or (lambda run, seed: {}))
    return entry


def test_verdicts():
    rng = np.random.default_rng(3)
    noise = 0.9 + 0.01 * rng.normal(size=6)
    assert judged(noise, noise)["verdict"] == "the same"
    assert judged(noise, noise + 1e-15)["verdict"] == "the same"
    chance = 0.004 * np.array([1, -1, 2, -2, 1, 0])
    assert judged(noise, noise + chance)["verdict"] == "no difference seen"
    assert judged(noise, noise + chance + 0.02)["verdict"] == "PyTorch is higher"
    assert judged(noise + chance + 0.02, noise)["verdict"] == "minigrad is higher"
    assert judged(1e-9 * noise, 1e-9 * noise + 3e-9, form=".1e")["verdict"] == "PyTorch is higher"


def test_a_difference_on_these_items_need_not_hold_for_others():
    """One side misses the same 5 of 40 items for every seed: that is certain, for these items."""
    truth = np.zeros(40, int)

    def answers(run, seed):
        wrong = 5 if run["impl"] == "torch" else 3
        return {"targets": truth.tolist(), "guesses": (np.arange(40) < wrong).astype(int).tolist()}
    entry = judged([37 / 40] * 9, [35 / 40] * 9, answers, n_test=40)
    assert entry["low"] > 0 > entry["items_low"]
    assert entry["verdict"] == "minigrad is higher, on these test items"
    assert "with other items" in shown.text([entry])

    def in_groups(run, seed):
        return answers(run, seed) | {"groups": (np.arange(40) // 8).tolist()}
    wide = judged([37 / 40] * 9, [35 / 40] * 9, in_groups, n_test=40)
    assert wide["items_low"] < entry["items_low"]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_other_items_make_nothing_more_certain(n):
    rng = np.random.default_rng(n)
    truth = np.zeros(500, int)

    def answers(run, seed):
        return {"targets": truth.tolist(), "guesses": rng.integers(0, 9, 500).clip(0, 1).tolist()}
    for _ in range(20):
        ours, theirs = 0.9 + 0.002 * rng.integers(-9, 9, (2, n))
        entry = judged(ours, theirs, answers, n_test=500)
        assert entry["items_low"] <= entry["low"] < entry["high"] <= entry["items_high"]


def test_runs_that_do_not_belong_together_are_not_compared():
    for changed in ({"dataset": "other"}, {"epochs": 1}, {"lr": 0.5}):
        runs = recorded([0.9, 0.8], [0.7, 0.6])
        runs[0] |= changed              # an earlier command left it in the folder
        (latest,) = differences.of_task(runs, lambda *_: {})
        assert latest["minigrad"] == [0.9, 0.8]
        assert "torch" not in latest
    runs = recorded([0.9, 0.8], [0.7, 0.6])
    runs[0] |= {"amp": True, "device": "cuda:0", "train_seconds": 1.0}    # PyTorch's own settings
    assert "difference" in differences.of_task(runs, lambda *_: {})[0]
    runs = recorded([0.9, 0.8], [0.7, 0.6])
    del runs[0]["seeds"][1:]            # interrupted: one pair is no sample
    assert differences.of_task(runs, lambda *_: {}) == []
    (alone,) = differences.of_task(recorded([0.9, 0.8], [0.7, 0.6])[1:], lambda *_: {})
    assert alone["minigrad"] == [0.9, 0.8]
    assert "only this side was trained" in shown.text([alone])


# ---- runs ----------------------------------------------------------------------------------------

def seeds_of(folder, task, impl):
    return [entry["seed"] for entry in run_of(folder, task, impl)["seeds"]]


def test_a_users_task_with_three_seeds(tmp_path, capsys, monkeypatch):
    file = tmp_path / "spiral.py"
    file.write_text(spiral())
    argv = ["run", str(file), "--epochs", "1", "--seed", "4", "--out", str(tmp_path / "out")]
    assert main([*argv, "--seeds", "3"]) == 0
    told = capsys.readouterr().out
    assert "seed 6, 3 of 3" in told
    assert "4 to 6" in told
    content = results(tmp_path / "out")
    (entry,) = content["differences"]
    assert entry["seeds"] == [4, 5, 6]
    assert len(set(entry["minigrad"])) > 1
    run = run_of(tmp_path / "out", "spiral", "torch")
    assert run["seed"] == 4
    assert run["metrics"] == run["seeds"][0]["metrics"]
    assert entry["torch"] == [of["metrics"]["test_accuracy"] for of in run["seeds"]]
    for of in run["seeds"]:
        assert (tmp_path / "out" / of["checkpoint"]).is_file()
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<section id="seeds">' in page
    # every seed is what a run with that seed alone gives
    assert main([*argv[:5], "6", "--out", str(tmp_path / "alone")]) == 0
    alone = run_of(tmp_path / "alone", "spiral", "torch")
    assert alone["metrics"] == run["seeds"][2]["metrics"]
    # resumed, only the fourth is trained
    trained = []
    monkeypatch.setattr(progress.Progress, "epoch", lambda self, split, entry: trained.append(1))
    assert main([*argv, "--seeds", "4", "--resume"]) == 0
    assert len(trained) == 2
    assert results(tmp_path / "out")["differences"][0]["minigrad"][:3] == entry["minigrad"]


def test_ctrl_c_keeps_the_seeds_that_are_finished(tmp_path, capsys, monkeypatch):
    argv = [*QUICK, "--out", str(tmp_path), "--seeds", "3"]
    count = itertools.count()

    def interrupt(self, split, entry):
        if next(count) == 550:          # in the third seed, after two pairs of 100 epochs
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "epoch", interrupt)
        assert main(argv) == 130
    assert seeds_of(tmp_path, "regression", "minigrad") == [0, 1, 2]
    assert seeds_of(tmp_path, "regression", "torch") == [0, 1]
    assert results(tmp_path)["differences"][0]["seeds"] == [0, 1]
    # an interruption of the resumed run loses none of them
    count = itertools.count(550)
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "epoch", interrupt)
        assert main([*argv, "--resume"]) == 130
    assert seeds_of(tmp_path, "regression", "minigrad") == [0, 1, 2]
    assert seeds_of(tmp_path, "regression", "torch") == [0, 1]
    assert main([*argv, "--resume"]) == 0
    assert seeds_of(tmp_path, "regression", "torch") == [0, 1, 2]
    assert {e["verdict"] for e in results(tmp_path)["differences"]} == {"the same"}
    # a run without it replaces them all
    assert main(argv[:-2]) == 0
    assert "seeds" not in run_of(tmp_path, "regression", "torch")
    assert results(tmp_path)["differences"] == []


def test_folds_and_a_single_side(tmp_path, capsys):
    argv = ["run", "diabetes", "--impl", "minigrad", "--quick", "--epochs", "3", "--seeds", "2",
            "--out", str(tmp_path)]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "only this side was trained" in told
    page = (tmp_path / "report.html").read_text()
    assert '<section id="seeds">' in page
    for text in (told, page):           # nothing is said about a difference
        assert "standard deviation over the seeds" in text
        assert "paired" not in text
        assert "Do the two differ" not in text
    found = results(tmp_path)["differences"]
    assert [e["metric"] for e in found] == ["test_accuracy", "auc", "coefficient_error"]
    assert (tmp_path / "diabetes-minigrad" / "seed-1" / "fold-10.safetensors").is_file()


def test_seeds_without_effect_are_refused(capsys, tmp_path):
    for words, told in ((["--seeds", "1"], "must be at least 2; got 1"),
                        (["--seeds", "x"], "'x' is not a whole number"),
                        (["--seeds", "3", "--seed", str(2**63 - 2)], "the last seed would exceed")):
        assert main([*QUICK, *words]) == 2
        assert told in one_line(capsys)
    file = tmp_path / "own.py"
    file.write_text(spiral().replace("arms: int", "seeds: int").replace(".arms", ".seeds"))
    assert main(["run", str(file)]) == 2
    assert "the name 'seeds' of an option is already used" in one_line(capsys)
