"""What a run prints and leaves, and the tasks against their exact answers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from running import results, run_of

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets.drawn.data import generated
from comparisons.tasks import statistics
from comparisons.tasks.dexpression import DexpressionOptions
from comparisons.tasks.exact import maximum_likelihood
from comparisons.tasks.images import samples
from comparisons.tasks.names import NAMES as TASK_NAMES
from comparisons.tasks.registry import TASKS
from comparisons.tasks.task import Trained
from comparisons.training import progress, runner
from comparisons.training.training import prepare
from minigrad import checkpoint

RUN_KEYS = {"task", "impl", "dataset", "seed", "epochs", "n_train", "n_test", "metrics",
            "baselines", "train_seconds", "peak_rss_mb", "checkpoint"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a quick run of every task in both implementations."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", "all", "--quick", "--out", str(folder)]) == 0
    return folder


def test_results_have_the_promised_schema(finished):
    content = results(finished)
    assert content["schema"] == 1
    told = {"cpu", "cores", "threads", "blas", "versions", "platform"}
    assert told <= content["environment"].keys()
    assert [(r["task"], r["impl"]) for r in content["runs"]] == [
        (task, impl) for task in TASK_NAMES for impl in ("minigrad", "torch")]
    for run in content["runs"]:
        assert run.keys() >= RUN_KEYS
        assert run["peak_rss_mb"] > 30
        assert run["train_seconds"] > 0
        assert run["n_train"] > 0
        assert run["n_test"] > 0
        assert run["checkpoint"] == f"{run['task']}-{run['impl']}/last.safetensors"
        checkpoint.load(finished / run["checkpoint"])
        for headline in TASKS[run["task"]].headlines:
            assert np.isfinite(run["metrics"][headline.metric])
            assert np.isfinite(run["baselines"][headline.baseline])
    assert not list(finished.rglob(".*")), "a temporary file was left"


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
def test_regression_and_diabetes_reach_the_exact_answers(finished, impl):
    regression = run_of(finished, "regression", impl)["metrics"]
    assert regression["coefficient_error"] < 1e-6
    run = run_of(finished, "diabetes", impl)
    found = run["metrics"]
    assert run["n_test"] == 768
    assert found["coefficient_error"] < 1e-4
    assert abs(found["test_accuracy"] - 0.77) < 0.015
    assert found["auc"] == pytest.approx(run["baselines"]["auc_irls"], abs=1e-6)
    assert found["auc_low"] < found["auc"] < found["auc_high"]


@pytest.mark.parametrize("task", TASK_NAMES)
def test_both_implementations_take_the_same_path(finished, task):
    """Same weights, bytes and order: after a quick run the losses agree to rounding."""
    ours, theirs = ([e["loss"] for e in json.loads(
        (finished / f"{task}-{impl}" / "details.json").read_text())["history"]]
        for impl in ("minigrad", "torch"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_the_page_needs_nothing_else(finished, capsys):
    page = (finished / "report.html").read_text()
    for task in TASK_NAMES:
        assert f'<section id="{task}">' in page
    assert page.count("<svg") >= 20
    assert page.count("data:image/png;base64,") >= 20
    assert not re.search(r'(src|href)="(?!data:|#)[^"]*"', page)
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").read_text() == page
    assert "report.html" in capsys.readouterr().out


def test_images_shown_are_of_every_class_and_of_different_clips():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 0, 1, 2])
    guesses = np.array([0, 0, 0, 0, 1, 1, 2, 1, 2, 0])
    confidence = np.array([0.9] * 7 + [0.6, 0.9, 0.8])
    clips = np.array(["a", "a", "b", "b", "c", "c", "d", "e", "f", "f"])
    assert samples(truth, guesses, confidence, clips) == [0, 4, 6, 2, 8, 7]
    assert samples(truth, truth, confidence, np.arange(10)) == [0, 4, 6, 1, 5, 9, 2, 8, 3, 7]
    faces, task = generated(16), TASKS["dexpression"]
    trained = [Trained(s, {}, np.random.default_rng(0).standard_normal((len(s.y_test), 7))
                       + 2 * np.eye(7)[s.y_test])
               for s in task.splits(faces, DexpressionOptions(size=16, folds=3, repeats=2))]
    _, found = task.judge(faces, trained)
    shown = {True: [], False: []}
    for at in (sample["at"] for sample in found["samples"]):
        shown[found["guesses"][at] == found["targets"][at]].append(at)
    assert {found["targets"][at] for at in shown[True]} == set(range(7))
    for places in shown.values():
        assert len(places) == 12
        assert len({faces.clips[found["rows"][at]] for at in places}) == 12


def test_a_run_replaces_its_like_and_keeps_the_others(tmp_path, capsys):
    out = ["--quick", "--out", str(tmp_path)]
    assert main(["run", "regression", "--impl", "torch", *out]) == 0
    assert main(["run", "regression", "--impl", "minigrad", *out]) == 0
    before = run_of(tmp_path, "regression", "torch")
    assert main(["run", "regression", "--impl", "minigrad", "--seed", "3", *out]) == 0
    assert run_of(tmp_path, "regression", "torch") == before
    assert run_of(tmp_path, "regression", "minigrad")["seed"] == 3
    table = capsys.readouterr().out
    for words in ("regression", "linear-1000x8, 1,000 + 200", "test RMSE", "least squares"):
        assert words in table


def test_protocols_measure_what_test_images_share_with_training(tmp_path):
    overlaps = {}
    for protocol in ("random", "clip", "person"):
        folder = tmp_path / protocol
        assert main(["run", "dexpression", "--impl", "minigrad", "--quick", "--size", "16",
                     "--protocol", protocol, "--out", str(folder)]) == 0
        run = run_of(folder, "dexpression", "minigrad")
        assert run["protocol"] == protocol
        overlaps[protocol] = run["metrics"]["person_overlap"], run["metrics"]["clip_overlap"]
    assert overlaps["person"] == (0, 0)
    assert overlaps["clip"][0] > 0 == overlaps["clip"][1]
    assert min(overlaps["random"]) > 0


def test_no_arguments_mean_every_task_on_the_embedded_data(monkeypatch):
    asked = []

    def stop(jobs, impls, results, **kwargs):
        asked.append((jobs, impls))
        raise KeyboardInterrupt
    monkeypatch.setattr(runner, "run_jobs", stop)
    assert main([]) == 130
    assert main(["run", "regression"]) == 130
    assert [{options.embedded for _, options in jobs} for jobs, _ in asked] == [{True}, {False}]
    jobs, impls = asked[0]
    assert [task.name for task, _ in jobs] == list(TASK_NAMES)
    assert impls == implementations.NAMES
    assert {(options.seed, options.quick) for _, options in jobs} == {(0, False)}


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["run", "regression", "--impl", "minigrad", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "regression (minigrad):" in err
    assert "epoch 300/300" not in out


def test_data_says_what_is_there_and_how_to_get_the_rest(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    assert main(["data"]) == 0
    text = capsys.readouterr().out
    for words in ("768 rows", "10,000 training", "not found: the full", "--data", "generated"):
        assert words in text


def test_auc_and_intervals_against_scikit_learn_and_scipy():
    from scipy.stats import binomtest
    from sklearn.metrics import roc_auc_score
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 200)
    score = np.round(rng.standard_normal(200) + truth, 1)           # with ties
    assert statistics.auc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    for hits, n in ((0, 9), (7, 9), (9, 9), (590, 768)):
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert statistics.wilson(hits, n) == pytest.approx(tuple(expected), abs=1e-4)


def test_irls_against_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    task = TASKS["diabetes"]
    split = task.splits(task.load(task.options()), task.options())[0]
    w, error = maximum_likelihood(split)
    known = LogisticRegression(C=1e12, tol=1e-12, max_iter=1000).fit(split.x, split.y)
    np.testing.assert_allclose(w[:, 0], [*known.coef_[0], known.intercept_[0]], atol=1e-4)
    assert (error > 0).all()


@pytest.mark.parametrize("task", TASK_NAMES)
def test_both_start_from_equal_weights(task):
    options = TASKS[task].options(embedded=True)
    data = TASKS[task].load(options)
    split = TASKS[task].splits(data, options)[0]
    ours, theirs = (prepare(TASKS[task], impl, data, split, options, 5).model
                    for impl in map(implementations.get, implementations.NAMES))
    a = implementations.get("minigrad").weights(ours)
    b = implementations.get("torch").weights(theirs)
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])
