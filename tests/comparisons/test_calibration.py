"""Calibration: the temperature, the threshold of "unsure", and on whose answers both are fitted."""

from __future__ import annotations

import json
from pathlib import Path

import clients
import numpy as np
import pytest
import torch
from running import one_line, results
from untrained import grey, write

from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.predict import demo
from comparisons.predict.predictor import Predictor
from comparisons.tasks import calibration
from comparisons.tasks.calibration import Calibration
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
from comparisons.tasks.mnist_mlp import MnistMlpTask
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.task import Split, Trained
from minigrad import checkpoint

TASK = DexpressionTask()


def answers(n, classes, sharpness, seed=0):
    """Logits whose probabilities are true once they are divided by `sharpness`, and the truth."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (p.cumsum(1) < rng.random((n, 1))).sum(1)
    return logits * sharpness, truth


# ---- temperature and error -----------------------------------------------------------------------

@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_minimises_pytorchs_cross_entropy(sharpness):
    logits, truth = answers(4000, 5, sharpness)
    found = calibration.temperature(logits, truth)
    assert found == pytest.approx(sharpness, rel=0.08)
    t = torch.tensor(found, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(torch.tensor(logits) / t, torch.tensor(truth))
    loss.backward()
    assert abs(t.grad) < 1e-9
    p = calibration.softmax(logits / found)
    assert calibration.log_loss(p, truth) == pytest.approx(loss.item(), rel=1e-12)


def test_networks_that_are_always_or_never_right_have_a_limit():
    logits, truth = np.eye(3) * 5, np.arange(3)
    assert calibration.temperature(logits, truth) == pytest.approx(calibration.COLDEST)
    assert calibration.temperature(logits, (truth + 1) % 3) == pytest.approx(calibration.HOTTEST)


def test_the_calibration_error_is_that_of_a_sum_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.52, 1.0])
    right = np.array([True, True, True, False, False, True, True])
    # bins of width 1/15: [0.4667, 0.5333) has two items, [0.9333, 1] has five
    expected = 2 / 7 * abs(0.5 - 0.51) + 5 / 7 * abs(0.8 - 0.96)
    table = calibration.reliability(confidence, right)
    assert calibration.calibration_error(table) == pytest.approx(expected)
    assert table["share"] == pytest.approx([2 / 7, 5 / 7])


def test_the_right_temperature_lowers_the_error():
    logits, truth = answers(20000, 5, 3.0)
    found = Calibration.fitted(logits[:10000], truth[:10000])
    before, after = (calibration.calibration_error(calibration.reliability(
        p.max(1), p.argmax(1) == truth[10000:]))
        for p in (calibration.softmax(logits[10000:]), found.probabilities(logits[10000:])))
    assert before > 0.1
    assert after < 0.02


# ---- the threshold -------------------------------------------------------------------------------

@pytest.mark.parametrize("sure", [0.6, 0.8, 0.9, 0.95])
def test_the_threshold_is_the_lowest_that_reaches_the_accuracy(sure):
    """By trying every confidence that occurs, ties included."""
    rng = np.random.default_rng(1)
    confidence = rng.random(400).round(2)
    right = rng.random(400) < confidence
    possible = [c for c in np.unique(confidence) if (confidence >= c).sum() >= calibration.FEWEST
                and right[confidence >= c].mean() >= sure]
    found = Calibration(1.0, 400, calibration.steps(confidence, right))
    assert found.threshold(sure) == (min(possible) if possible else np.inf)


def test_a_few_lucky_answers_make_no_threshold():
    right = np.arange(200) < 3                      # the three most confident are right
    found = Calibration(1.0, 200, calibration.steps(1 - np.arange(200) / 400, right))
    assert found.threshold(0.95) == np.inf
    assert calibration.steps(np.ones(5), np.ones(5, bool)) == ()


def test_without_held_out_items_every_answer_is_given():
    assert Calibration().threshold() == 0
    assert Calibration.restored(None) == Calibration()


# ---- held-out persons ----------------------------------------------------------------------------

def test_a_fold_is_calibrated_by_the_other_folds_answers_alone():
    """Its own test labels can be anything; those of a fold whose persons it trains on cannot."""
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(60), 5)
    y = rng.integers(0, 3, 300)
    data = Data("", "", np.zeros((300, 1, 1, 1)), y, classes=["a", "b", "c"], subjects=persons)
    logits = rng.standard_normal((300, 3)) + 2 * np.eye(3)[y]

    def trained(labels):
        folds = [np.flatnonzero(persons % 3 == k) for k in range(3)]
        return [Trained(Split(data.x, y, data.x[rows], labels[rows], np.setdiff1d(
            np.arange(300), rows), rows), {}, logits[rows]) for rows in folds]

    first = calibration.calibrations(data, trained(y))
    changed = np.where(persons % 3 == 0, 2 - y, y)
    again = calibration.calibrations(data, trained(changed))
    assert again[0] == first[0]
    assert again[1] != first[1]
    others = persons % 3 != 0
    assert first[0].items == others.sum()
    assert first[0].temperature == calibration.temperature(
        np.concatenate([logits[persons % 3 == k] for k in (1, 2)]),
        np.concatenate([y[persons % 3 == k] for k in (1, 2)]))


@pytest.mark.parametrize("repeats", [1, 2])
def test_no_test_person_calibrates(faces, repeats):
    """With repetitions, too, where the test persons of one are training persons of another."""
    splits = TASK.splits(faces, DexpressionOptions(folds=3, repeats=repeats))
    trained = [Trained(s, {}, np.eye(7)[s.y_test]) for s in splits]
    for own in trained:
        others = [t for t in trained if t is not own]
        used = np.concatenate([t.split.test_rows[np.isin(t.split.test_rows, own.split.train_rows)]
                               for t in others])
        assert calibration.calibration(faces, own, others).items == len(used)
        assert not set(faces.subjects[used]) & set(faces.subjects[own.split.test_rows])


@pytest.mark.parametrize("protocol", ["person", "clip", "random"])
def test_what_is_set_apart_is_neither_trained_nor_tested_on(faces, protocol):
    whole, = TASK.splits(faces, DexpressionOptions(protocol=protocol))
    split, = TASK.splits(faces, DexpressionOptions(protocol=protocol, calibrate=0.2))
    np.testing.assert_array_equal(split.test_rows, whole.test_rows)
    held = np.setdiff1d(whole.train_rows, split.train_rows)
    assert len(held) == len(split.held.y)
    assert len(held) == pytest.approx(0.2 * len(whole.y), rel=0.15)
    assert sorted(split.held.y) == sorted(faces.y[held])
    group = {"person": faces.subjects, "clip": faces.clips, "random": np.arange(len(faces.y))}
    groups = group[protocol]
    assert not set(groups[held]) & set(groups[split.train_rows])
    assert not set(groups[held]) & set(groups[split.test_rows])
    trained = Trained(split, {}, np.eye(7)[split.y_test], np.eye(7)[split.held.y])
    assert calibration.calibration(faces, trained, []).items == len(held)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5])
def test_the_share_that_is_asked_for_is_set_apart(faces, share):
    """In whole persons, of each class; and of single items to within a class's rounding."""
    whole, = TASK.splits(faces, DexpressionOptions())
    split, = TASK.splits(faces, DexpressionOptions(calibrate=share))
    assert len(split.held.y) / len(whole.y) == pytest.approx(share, abs=0.02)
    for k in range(7):
        assert np.mean(split.held.y == k) == pytest.approx(np.mean(whole.y == k), abs=0.1)
    y = np.arange(2000) % 10
    one = Split(y, y, y, y, np.arange(2000), np.arange(2000))
    apart = calibration.set_apart(one, np.arange(2000), share, 0)
    assert np.bincount(apart.held.y) == pytest.approx(np.full(10, 200 * share), abs=5)


def test_a_run_on_digits_says_what_was_set_apart_and_found(tmp_path, capsys):
    assert main(["run", "mnist-mlp", "--quick", "--impl", "minigrad", "--calibrate", "0.25",
                 "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "  192 training items, 64 set apart for the calibration\n" in out
    assert f"calibration: temperature {results(tmp_path)['runs'][0]['metrics']['temperature']:.2f}"\
        in out


def test_images_without_persons_are_set_apart_singly():
    x = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1)
    data = Data("", "", x, np.arange(100) % 10, x, np.arange(100) % 10, [str(k) for k in range(10)])
    split, = MnistMlpTask().splits(data, CalibratedOptions(calibrate=0.1))
    assert sorted(np.concatenate([split.x, split.held.x]).ravel()) == list(range(100))
    assert sorted(split.held.y) == list(range(10))


def test_too_few_persons_are_one_line(tmp_path, capsys, no_data_of_this_machine):
    assert main(["run", "dexpression", "--calibrate", "0.9"]) == 2
    assert "must be at most 0.5" in capsys.readouterr().err
    assert main(["run", "dexpression", "--size", "16", "--calibrate", "0.001", "--out",
                 str(tmp_path)]) == 1
    assert "--calibrate 0.001: there are only 94 persons" in capsys.readouterr().err


# ---- a run ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    words = ["run", "dexpression", "--quick", "--size", "16", "--impl", "minigrad", "--out",
             str(out), "--calibrate", "0.3"]
    assert main(words) == 0
    return out


def test_the_checkpoint_keeps_what_the_run_has_found(run):
    metrics = results(run)["runs"][0]["metrics"]
    path = run / "dexpression-minigrad" / "last.safetensors"
    kept = checkpoint.load(path).config["calibration"]
    assert kept["temperature"] == pytest.approx(metrics["temperature"])
    assert kept["items"] == 64
    assert {"calibration_error", "calibrated_error", "calibrated_loss", "coverage"} <= set(metrics)


def test_a_run_goes_on_after_its_checkpoint_was_calibrated(run, capsys):
    before = checkpoint.load(run / "dexpression-minigrad" / "last.safetensors")
    words = ["run", "dexpression", "--quick", "--size", "16", "--impl", "minigrad", "--out",
             str(run), "--calibrate", "0.3", "--resume"]
    assert main(words) == 0
    after = checkpoint.load(run / "dexpression-minigrad" / "last.safetensors")
    assert after.config["calibration"] == before.config["calibration"]
    assert "calibration: temperature" in capsys.readouterr().out


def test_predict_divides_by_the_temperature(tmp_path):
    plain, _ = write(tmp_path / "plain", "mnist-mlp", "minigrad")
    hot, _ = write(tmp_path / "hot", "mnist-mlp", "minigrad", calibration={
        "temperature": 0.125, "items": 100, "steps": []})
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    before = torch.tensor(Predictor.load(plain).probabilities(x))
    np.testing.assert_allclose(Predictor.load(hot).probabilities(x),
                               torch.softmax(before.log() / 0.125, 1), rtol=1e-6)


# ---- unsure --------------------------------------------------------------------------------------

STEPS = [[0.05, 0.9], [0.97, 0.95], [0.99, 0.97]]


@pytest.fixture
def calibrated(tmp_path, digit_images):
    """An untrained network whose calibration says how sure it has to be, and a digit."""
    path, _ = write(tmp_path, "mnist-mlp", "minigrad", calibration={
        "temperature": 1.5, "items": 100, "steps": STEPS})
    grey(digit_images[0]).save(tmp_path / "digit.png")
    return str(path), str(tmp_path / "digit.png")


@pytest.mark.parametrize(("words", "unsure", "threshold"), [
    ([], True, 0.97), (["--sure", "0.96"], True, 0.99), (["--sure", "0.9"], False, 0.05),
    (["--sure", "0.99"], True, None), (["--sure", "0"], False, 0)])
def test_predict_answers_unsure_below_the_threshold(calibrated, tmp_path, capsys, words, unsure,
                                                    threshold):
    assert main(["predict", *calibrated, *words, "--json", str(tmp_path / "out.json"), "--out",
                 str(tmp_path)]) == 0
    told = json.loads((tmp_path / "out.json").read_text())
    (digit,) = told["images"][0]["digits"]
    assert (digit["answer"] == "unsure") == unsure
    assert digit["class"] == max(digit["probabilities"], key=digit["probabilities"].get)
    assert sum(digit["probabilities"].values()) == pytest.approx(1)
    assert (told["threshold"], told["temperature"]) == (threshold, 1.5)
    out = capsys.readouterr().out
    assert ("unsure: " in out) == unsure
    assert f"{digit['probabilities'][digit['class']]:.1%}" in out


def test_the_page_of_demo_gets_the_answer(calibrated):
    with demo.serve([Predictor.load(Path(calibrated[0]))], 0).start() as server:
        _, _, models = clients.ask(server, "GET", "/models", timeout=60)
        _, _, content = clients.ask(server, "POST", "/predict?model=0&whole=1",
                                    Path(calibrated[1]).read_bytes(), timeout=60)
    (digit,) = json.loads(content)["found"]
    assert digit["answer"] == "unsure"
    assert json.loads(models)[0]["unsure"].startswith("No class reaches 97.0%. Only from there on, "
                                                      "95.0% of the answers were right")


def test_an_old_checkpoint_is_never_unsure(tmp_path, capsys, calibrated):
    path, _ = write(tmp_path / "old", "mnist-mlp", "minigrad")
    assert main(["predict", str(path), calibrated[1]]) == 0
    assert "unsure" not in capsys.readouterr().out
    assert main(["predict", str(path), calibrated[1], "--sure", "0.9"]) == 1
    assert "--sure needs a network that was calibrated" in one_line(capsys)


@pytest.mark.parametrize("word", ["1.5", "-0.1", "nan", "often"])
def test_a_share_is_a_share(calibrated, capsys, word):
    assert main(["predict", *calibrated, f"--sure={word}"]) == 2
    assert "--sure" in one_line(capsys)


@pytest.mark.parametrize("damaged", [
    {"temperature": 0, "items": 3, "steps": []}, {"temperature": 1.0, "items": 3},
    {"temperature": 1.0, "items": 3, "steps": [[0.5]]}, [1], {"temperature": float("nan"),
                                                              "items": 3, "steps": []}])
def test_a_calibration_that_cannot_be_is_one_line(tmp_path, capsys, calibrated, damaged):
    path, _ = write(tmp_path / "damaged", "mnist-mlp", "minigrad", calibration=damaged)
    assert main(["predict", str(path), calibrated[1]]) == 1
    assert one_line(capsys).startswith(f"comparisons: {path}: its configuration cannot be used: ")
