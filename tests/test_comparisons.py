"""The command line: what it prints, writes and refuses; its tasks against their exact answers."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import minigrad
import torch_impl.train
from comparisons import cli, implementations, progress, runner, statistics
from comparisons.classification import samples
from comparisons.cli import TASK_NAMES, main
from comparisons.datasets import generated
from comparisons.registry import TASKS
from comparisons.task import Options, Trained
from minigrad import checkpoint

ROOT = Path(__file__).resolve().parent.parent
RUN_KEYS = {"task", "impl", "dataset", "seed", "epochs", "n_train", "n_test", "metrics",
            "baselines", "train_seconds", "peak_rss_mb", "checkpoint"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several libraries with several threads each mostly wait for one another."""
    before = numba.get_num_threads()
    with threadpool_limits(1):
        numba.set_num_threads(1)
        yield
    numba.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a quick run of every task in both implementations."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", "all", "--quick", "--out", str(folder)]) == 0
    return folder


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def run_of(folder: Path, task: str, impl: str) -> dict[str, Any]:
    (run,) = [r for r in results(folder)["runs"] if (r["task"], r["impl"]) == (task, impl)]
    return run


def one_line(capsys: Any) -> str:
    """The one line on stderr."""
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    return err


# ---- what a run leaves -------------------------------------------------------------------------

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
               for s in task.splits(faces, Options(size=16, folds=3, repeats=2))]
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
    monkeypatch.setitem(cli.COMMANDS, "run", lambda arguments: asked.append(arguments) or 0)
    assert main([]) == 0
    assert main(["run", "regression"]) == 0
    assert [a.embedded for a in asked] == [True, False]
    assert cli.chosen(asked[0].tasks) == list(TASK_NAMES)
    assert (asked[0].impl, asked[0].seed, asked[0].quick) == ("both", 0, False)


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["run", "regression", "--impl", "minigrad", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "regression (minigrad):" in err
    assert "epoch 300/300" not in out


# ---- what is refused ---------------------------------------------------------------------------

@pytest.mark.parametrize(("argv", "pattern"), [
    (["run"], "TASK"),
    (["run", "mnist"], "unknown task 'mnist'; choose from regression, .*all"),
    (["walk"], "'walk'"),
    (["run", "regression", "--epochs", "0"], "--epochs: must be at least 1; got 0"),
    (["run", "regression", "--epochs", "two"], "--epochs: 'two' is not a whole number"),
    (["run", "regression", "--batch-size", "0"], "--batch-size: must be at least 1"),
    (["run", "regression", "--threads", "0"], "--threads: must be at least 1"),
    (["run", "regression", "--seed", "-1"], "--seed: must be from 0"),
    (["run", "regression", "--seed", str(2**64)], "--seed: must be from 0"),
    (["run", "regression", "--lr", "0"], "--lr: must be above 0 and finite"),
    (["run", "regression", "--lr", "nan"], "--lr: must be above 0 and finite"),
    (["run", "regression", "--lr", "inf"], "--lr: must be above 0 and finite"),
    (["run", "regression", "--lr", "fast"], "--lr: 'fast' is not a number"),
    (["run", "regression", "--impl", "jax"], "--impl: .*'jax'"),
    (["run", "regression", "--device", "tpu"], "--device: .*'tpu'"),
    (["run", "regression", "--device", "cuda", "--impl", "minigrad"],
     "--device cuda: minigrad runs on the CPU only"),
    (["run", "regression", "--device", "mps"], "--device mps: not available"),
    (["run", "regression", "--resume"], "--resume needs --out DIR"),
    (["run", "regression", "--protocol", "clip"], "--protocol is for dexpression only"),
    (["run", "mnist-mlp", "--folds", "3"], "--folds is for dexpression only"),
    (["run", "dexpression", "--folds", "1"], "--folds: must be at least 2"),
    (["run", "all", "--start", "x"], "--start is for dexpression alone"),
    (["run", "dexpression", "--size", "8"], "--size: must be from 16 to 512"),
    (["run", "dexpression", "--variant", "big"], "--variant: .*'big'"),
    (["run", "regression", "--fast"], "--fast"),
    (["run", "regression", "--epo", "3"], "--epo"),
    (["parity", "mnist"], "unknown task 'mnist'"),
    (["report"], "DIR"),
])
def test_usage_errors_are_one_line_and_status_2(argv, pattern, capsys, monkeypatch, tmp_path):
    import torch
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert re.search(pattern, one_line(capsys))
    assert not list(tmp_path.iterdir())


def test_help_is_no_error(capsys):
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    assert "--protocol" in capsys.readouterr().out


def idx_folder(folder: Path) -> Path:
    """MNIST in IDX files, 40 + 20 digits."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 40), ("t10k", 20)):
        for name, shape, top in ((f"{part}-images-idx3-ubyte", (n, 28, 28), 256),
                                 (f"{part}-labels-idx1-ubyte", (n,), 10)):
            head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            body = rng.integers(0, top, shape, dtype=np.uint8).tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + body))
    return folder


@pytest.mark.parametrize("fault", ["no folder", "missing", "cut", "bit"])
def test_bad_data_is_one_line_that_names_the_file_and_results_stay(tmp_path, capsys, fault):
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    target = idx_folder(data) / "train-images-idx3-ubyte.gz"
    argv = ["run", "regression", "mnist-mlp", "--data", str(data), "--quick", "--out", str(out),
            "--impl", "minigrad"]
    assert main(argv) == 0
    assert run_of(out, "mnist-mlp", "minigrad")["n_train"] == 40
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    capsys.readouterr()
    content = target.read_bytes()
    if fault == "no folder":
        target = tmp_path / "nowhere"
        argv[4] = str(target)
    elif fault == "missing":
        target.unlink()
    elif fault == "cut":
        target.write_bytes(content[:len(content) // 2])
    else:
        target.write_bytes(content[:2000] + bytes([content[2000] ^ 16]) + content[2001:])
    assert main(argv) == 1
    assert target.name.removesuffix(".gz") in one_line(capsys)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_damaged_results_are_left_as_they_are(tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text('{"schema": 1, "runs"')
    assert main(["run", "regression", "--quick", "--out", str(tmp_path)]) == 1
    assert str(path) in one_line(capsys)
    assert path.read_text() == '{"schema": 1, "runs"'
    path.write_text('{"schema": 2, "environment": {}, "runs": []}')
    assert main(["report", str(tmp_path)]) == 1
    assert "schema 2" in one_line(capsys)


@pytest.mark.parametrize(("argv", "names"), [
    (["run", "regression", "--out", "file"], "file"),
    (["run", "regression", "--out", "file/below"], "file"),
    (["run", "mnist-mlp", "--data", "nowhere"], "nowhere"),
    (["run", "mnist-mlp", "--data", "."], "train-images-idx3-ubyte"),
    (["report", "nowhere"], "nowhere"),
    (["report", "file"], "file"),
    (["run", "regression", "--lr", "1e30", "--out", "a"], "--lr"),
    (["run", "regression", "--lr", "1e308", "--epochs", "1", "--out", "a"], "--lr"),
    (["run", "regression", "--lr", "1e200", "--epochs", "1", "--out", "a"], "--lr"),
    (["run", "mnist-mlp", "--lr", "1e30", "--quick", "--out", "c"], "--lr"),
    (["run", "dexpression", "--folds", "500", "--size", "16", "--out", "b"], "--folds 500"),
])
def test_faults_are_one_line_and_status_1(argv, names, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("something else")
    assert main(argv) == 1
    assert names in one_line(capsys)
    assert not Path("runs").exists()
    assert Path("file").read_text() == "something else"


@pytest.mark.parametrize(("device", "flags", "size"), [
    ("cuda", ["--variant", "paper"], 224),
    ("cuda", ["--variant", "paper", "--size", "96"], 96),
    ("cuda", ["--variant", "paper", "--impl", "minigrad"], 48),
    ("cuda", ["--variant", "paper", "--device", "cpu"], 48),
    ("cuda", ["--variant", "compact"], 48),
    ("cuda", [], 48),
    ("cpu", ["--variant", "paper"], 48),
])
def test_the_papers_network_has_its_size_on_a_gpu(device, flags, size, monkeypatch):
    seen = []

    def stop(tasks, impls, options, results, **kwargs):
        seen.append(options.size)
        raise KeyboardInterrupt
    monkeypatch.setattr(torch_impl.train, "pick_device", lambda name: torch.device(device))
    monkeypatch.setattr(runner, "run_tasks", stop)
    assert main(["run", "dexpression", *flags]) == 130
    assert seen == [size]


def test_data_for_one_task_leave_the_others_to_theirs(tmp_path, capsys):
    argv = ["run", "mnist-mlp", "dexpression", "--data", str(idx_folder(tmp_path)), "--quick",
            "--size", "16", "--impl", "minigrad", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert f"MNIST in {tmp_path}: 40 digits" in told
    assert "faces generated" in told
    assert main([*argv[:1], *argv[2:]]) == 1                    # nothing uses that folder
    assert str(tmp_path) in one_line(capsys)
    argv[argv.index("--data") + 1] = str(tmp_path / "out")      # nor this one
    assert main(argv) == 1
    assert "train-images-idx3-ubyte" in one_line(capsys)


def test_a_page_of_damaged_results_names_the_file(tmp_path, capsys):
    assert main(["run", "regression", "--impl", "minigrad", "--epochs", "1",
                 "--out", str(tmp_path)]) == 0
    path, whole = tmp_path / "results.json", results(tmp_path)
    details = tmp_path / "regression-minigrad" / "details.json"
    runs = [{k: v for k, v in run.items() if k != "source"} for run in whole["runs"]]
    for content in (whole | {"environment": {}}, whole | {"runs": runs}):
        path.write_text(json.dumps(content))
        capsys.readouterr()
        assert main(["report", str(tmp_path)]) == 1
        assert str(path) in one_line(capsys)
    path.write_text(json.dumps(whole))
    details.write_text("{}")
    assert main(["report", str(tmp_path)]) == 1
    assert str(details) in one_line(capsys)


def test_a_folder_that_cannot_be_written_to_is_told_before_training(tmp_path, capsys, monkeypatch):
    def refuse(**kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(["run", "regression", "--out", str(tmp_path)]) == 1
    assert one_line(capsys) == f"comparisons: {tmp_path}: Permission denied\n"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_a_reader_who_goes_away_gets_one_line(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "comparisons", "run", "regression", "--impl", "minigrad",
         "--epochs", "2", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert told.startswith("comparisons: standard output was closed")
    assert told.count("\n") == 1


# ---- resuming ----------------------------------------------------------------------------------

def state(folder: Path, task: str, impl: str) -> dict[str, Any]:
    """All that must not depend on an interruption."""
    kept = checkpoint.load(folder / f"{task}-{impl}" / "last.safetensors")
    details = json.loads((folder / f"{task}-{impl}" / "details.json").read_text())
    for entry in details["history"]:
        del entry["seconds"]
    return {"model": {k: v.tobytes() for k, v in kept.model.items()},
            "averaged": {k: v.tobytes() for k, v in (kept.averaged or {}).items()},
            "optimizer": {(i, k): np.asarray(v).tobytes()
                          for i, values in kept.optimizer["state"].items()
                          for k, v in values.items()},
            "scheduler": kept.scheduler, "details": details,
            "metrics": run_of(folder, task, impl)["metrics"]}


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
@pytest.mark.parametrize(("task", "flags", "stop_at"), [
    ("mnist-mlp", [], 2),
    ("mnist-cnn", [], 2),
    ("dexpression", ["--folds", "2", "--size", "16"], 5),       # in the second fold
])
def test_a_resumed_run_is_bit_identical(tmp_path, capsys, monkeypatch, impl, task, flags, stop_at):
    argv = ["run", task, "--impl", impl, "--quick", "--epochs", "3", *flags, "--out"]
    assert main([*argv, str(tmp_path / "whole")]) == 0

    seen = []

    def interrupt(self, split, entry):
        seen.append(entry)
        if len(seen) == stop_at:
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "epoch", interrupt)
        capsys.readouterr()
        assert main([*argv, str(tmp_path / "parts")]) == 130
        assert "interrupted" in capsys.readouterr().err
    assert results_or_none(tmp_path / "parts") is None
    assert main([*argv, str(tmp_path / "parts"), "--resume"]) == 0
    assert state(tmp_path / "parts", task, impl) == state(tmp_path / "whole", task, impl)
    # nothing is left to do: resuming once more changes nothing either
    assert main([*argv, str(tmp_path / "parts"), "--resume"]) == 0
    assert state(tmp_path / "parts", task, impl) == state(tmp_path / "whole", task, impl)


def results_or_none(folder: Path) -> dict[str, Any] | None:
    return results(folder) if (folder / "results.json").exists() else None


@pytest.mark.parametrize("damage", ["seed", "lr", "cut"])
def test_a_checkpoint_that_does_not_fit_is_named(tmp_path, capsys, damage):
    argv = ["run", "mnist-mlp", "--impl", "minigrad", "--quick", "--out", str(tmp_path)]
    assert main(argv) == 0
    before = (tmp_path / "results.json").read_bytes()
    path = tmp_path / "mnist-mlp-minigrad" / "last.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    flags = {"seed": ["--seed", "1"], "lr": ["--lr", "0.1"], "cut": []}[damage]
    capsys.readouterr()
    assert main([*argv, "--resume", *flags]) == 1
    line = one_line(capsys)
    assert str(path) in line
    assert damage == "cut" or f"trained with {damage}" in line
    assert (tmp_path / "results.json").read_bytes() == before


def test_other_data_of_the_same_kind_are_not_resumed_on(tmp_path, capsys):
    argv = ["run", "dexpression", "--impl", "minigrad", "--quick", "--size", "16",
            "--out", str(tmp_path / "out"), "--data"]
    for seed in "01":
        assert main(["faces", "--size", "16", "--seed", seed, "--out", str(tmp_path / seed)]) == 0
    assert main([*argv, str(tmp_path / "0")]) == 0
    capsys.readouterr()
    assert main([*argv, str(tmp_path / "1"), "--resume"]) == 1
    assert "it was trained with data " in one_line(capsys)


def test_ctrl_c_ends_in_one_line_and_keeps_what_was_finished(tmp_path):
    argv = [sys.executable, "-m", "comparisons", "run", "regression", "mnist-mlp", "--impl",
            "minigrad", "--threads", "1", "--quick", "--epochs", "3000", "--out", str(tmp_path)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    last = tmp_path / "mnist-mlp-minigrad" / "last.safetensors"
    deadline = time.monotonic() + 60
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert [line for line in err.splitlines() if line] == ["interrupted; what was finished is kept"]
    assert [r["task"] for r in results(tmp_path)["runs"]] == ["regression"]
    checkpoint.load(last)


# ---- parity, data ------------------------------------------------------------------------------

def test_parity_agrees_and_notices(monkeypatch, capsys):
    assert main(["parity", "diabetes", "mnist-mlp"]) == 0
    table = capsys.readouterr().out
    assert "∂ " in table
    assert "(Linear)" in table
    forward = minigrad.nn.ReLU.forward
    monkeypatch.setattr(minigrad.nn.ReLU, "forward",
                        lambda self, x: forward(self, x) * (1 + 1e-4))
    assert main(["parity", "mnist-mlp"]) == 1
    assert "OUT OF BOUNDS" in capsys.readouterr().out


def test_data_says_what_is_there_and_how_to_get_the_rest(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    assert main(["data"]) == 0
    text = capsys.readouterr().out
    for words in ("768 rows", "10,000 digits", "not here: the full 60,000", "--data", "generated"):
        assert words in text


# ---- the pieces --------------------------------------------------------------------------------

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

    from comparisons.diabetes import exact
    task = TASKS["diabetes"]
    split = task.splits(task.load(Options()), Options())[0]
    w, error = exact(split)
    known = LogisticRegression(C=1e12, tol=1e-12, max_iter=1000).fit(split.x, split.y)
    np.testing.assert_allclose(w, [*known.coef_[0], known.intercept_[0]], atol=1e-4)
    assert (error > 0).all()


@pytest.mark.parametrize("task", TASK_NAMES)
def test_both_start_from_equal_weights(task):
    options = Options(embedded=True, size=16)
    data = TASKS[task].load(options)
    split = TASKS[task].splits(data, options)[0]
    ours, theirs = (runner.prepare(TASKS[task], impl, data, split, options, 5).model
                    for impl in map(implementations.get, implementations.NAMES))
    a = implementations.get("minigrad").weights(ours)
    b = implementations.get("torch").weights(theirs)
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])
