"""How faces are split and judged: what must stay apart does, and scores equal scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.writer import write_faces
from comparisons.errors import Fault
from comparisons.tasks import protocols
from comparisons.tasks.dexpression import DexpressionOptions as Options, DexpressionTask
from comparisons.tasks.face_recipe import FACES
from comparisons.tasks.statistics import (
    balanced_accuracy,
    confusion_matrix,
    group_intervals,
    per_class,
    wilson,
)
from comparisons.tasks.task import Trained
from comparisons.training.results import Results
from comparisons.training.training import prepare
from minigrad import checkpoint
from minigrad.models import CNN

TASK = DexpressionTask()
pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")


# ---- the recipe ----------------------------------------------------------------------------------

@pytest.fixture(params=["minigrad", "torch"])
def side(request):
    return implementations.get(request.param, "cpu")


def test_mirrored_images_are_read_alike(side, faces):
    model = side.new_model(lambda impl: TASK.model(impl, faces, Options(size=16)), 1,
                           np.float32)
    x = faces.x[:40]
    mirrored = np.ascontiguousarray(x[..., ::-1])
    assert np.abs(side.predict(model, x) - side.predict(model, mirrored)).max() > 0.001
    logits = TASK.outputs(side, model, x)
    np.testing.assert_allclose(TASK.outputs(side, model, mirrored), logits, atol=1e-6)
    np.testing.assert_allclose(2 * logits, side.predict(model, x) + side.predict(model, mirrored),
                               atol=1e-6)


def test_rare_classes_weigh_more(side, faces):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), [1, 4, 9, 16, 25])      # of seven: two are not there
    logits, target = rng.standard_normal((20, 7)), rng.integers(0, 5, 20)
    found = TASK.loss(side, faces, y)(side.tensor(logits), side.tensor(target))
    weight = torch.tensor([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1, 1], dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(target), weight, label_smoothing=FACES.smoothing)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_casts_are_other_persons():
    one, three = generated(16), generated(16, casts=3)
    assert len(three.y) == 3 * len(one.y)
    np.testing.assert_array_equal(three.x[:len(one.y)], one.x)
    np.testing.assert_array_equal(three.x[len(one.y):2 * len(one.y)], generated(16, 1).x)
    assert len(np.unique(three.subjects)) == 3 * len(np.unique(one.subjects))
    assert (np.unique(three.clips, return_counts=True)[1] == 3).all()       # frames
    first = np.unique(three.subjects[:len(one.y)], return_inverse=True)[1]
    np.testing.assert_array_equal(first, np.unique(one.subjects, return_inverse=True)[1])


def test_casts_are_of_generated_faces_only(tmp_path, capsys):
    for flags in (["--data", str(tmp_path)], ["--frames", "peak"]):
        assert main(["run", "dexpression", "--casts", "2", *flags, "--out",
                     str(tmp_path / "out")]) == 1
        assert "--casts: applies to the generated faces" in capsys.readouterr().err


def test_training_starts_where_it_is_told_to(side, faces, tmp_path, capsys):
    first = tmp_path / "first" / f"dexpression-{side.name}" / "last.safetensors"
    argv = ["run", "dexpression", "--impl", side.name, "--quick", "--size", "16", "--out"]
    assert main([*argv, str(tmp_path / "first")]) == 0
    split = TASK.splits(faces, Options())[0]
    kept = checkpoint.load(first)
    for impl in map(implementations.get, implementations.NAMES):
        begun = prepare(TASK, impl, faces, split, Options(size=16, start=str(first)), 7)
        for weights in (begun.model, begun.judged):
            for key, value in impl.weights(weights).items():
                np.testing.assert_array_equal(value, kept.weights[key], err_msg=key)
    capsys.readouterr()
    assert main([*argv, str(tmp_path / "second"), "--start", str(first)]) == 0
    assert f"{first}: was also trained on faces-generated" in capsys.readouterr().out
    record, = Results(tmp_path / "second").runs
    assert record["start"] == str(first)


def test_an_average_forgets_the_first_weights_in_a_short_training_too(side, faces):
    """Two epochs of 25 steps: at 0.99 a step, three fifths of the average would be the start."""
    split = TASK.splits(faces, Options())[0]
    parts = prepare(TASK, side, faces, split, Options(size=16, epochs=2), 1)
    for _ in range(2 * len(parts.loader) - 1):
        parts.averaged.update_parameters(parts.model)
        if int(parts.averaged.n_averaged) == 1:
            for p in parts.model.parameters():
                p.data = p.data + 1
    before, after = (next(iter(m.parameters())) for m in (parts.judged, parts.model))
    gap = (after - before).detach().numpy()
    np.testing.assert_allclose(gap, 0.9 ** (2 * len(parts.loader) - 2), rtol=1e-3)


@pytest.mark.parametrize(("start", "flags", "names"), [
    ("nowhere.safetensors", [], "no such file"),
    ("digits.safetensors", [], "cannot start from it: its task is None, not dexpression"),
    ("faces.safetensors", [], "cannot start from it: its variant is paper, not compact"),
    ("faces.safetensors", ["--variant", "paper"], "its shape is [1, 48, 48], not [1, 16, 16]"),
])
def test_a_start_that_does_not_fit_is_one_line(start, flags, names, tmp_path, capsys):
    path = tmp_path / start
    if start.startswith("digits"):
        checkpoint.save(path, model=CNN(10))
    if start.startswith("faces"):
        checkpoint.save(path, model=CNN(10), config={
            "task": "dexpression", "shape": [1, 48, 48], "options": {"variant": "paper"}})
    assert main(["run", "dexpression", "--impl", "minigrad", "--quick", "--size", "16", *flags,
                 "--out", str(tmp_path / "out"), "--start", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(path) in told
    assert names in told


# ---- figures -------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(20))
def test_scores_are_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 9))
    truth = rng.integers(0, classes, 40)
    guesses = np.where(rng.random(40) < 0.5, truth, rng.integers(0, classes, 40))
    labels = range(classes)
    table = confusion_matrix(truth, guesses, classes)
    np.testing.assert_array_equal(table, reference.confusion_matrix(truth, guesses, labels=labels))
    precision, recall, f1, count = reference.precision_recall_fscore_support(
        truth, guesses, labels=labels, zero_division=0)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1),
                           ("count", count)):
        np.testing.assert_allclose(per_class(table)[name], expected, rtol=1e-14)
    present = np.isin(guesses, truth)       # scikit-learn warns of guesses of unseen classes
    assert balanced_accuracy(confusion_matrix(truth[present], guesses[present], classes)) == \
        pytest.approx(reference.balanced_accuracy_score(truth[present], guesses[present]))


def test_a_bootstrap_over_groups_is_scipys():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 600)
    skill = rng.random(60)                  # some persons are read well, others are not
    truth = rng.integers(0, 3, 600)
    guesses = np.where(rng.random(600) < skill[groups], truth, (truth + 1) % 3)
    right = np.bincount(groups, guesses == truth)
    count = np.bincount(groups)
    expected = stats.bootstrap((right, count), lambda r, n, axis: r.sum(axis) / n.sum(axis),
                               paired=True, method="percentile", n_resamples=20000,
                               rng=np.random.default_rng(1)).confidence_interval
    low, high = group_intervals(truth, guesses, groups, 20000)["accuracy"]
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.03 * width)
    assert high == pytest.approx(expected.high, abs=0.03 * width)
    naive = wilson(int(right.sum()), 600)
    assert high - low > 1.3 * (naive[1] - naive[0])     # images of a person are not independent


def test_an_image_more_of_each_person_tells_nothing_new():
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(0, 4, 100), np.arange(100)
    guesses = np.where(rng.random(100) < 0.7, truth, 0)
    once = group_intervals(truth, guesses, groups)
    thrice = group_intervals(np.repeat(truth, 3), np.repeat(guesses, 3), np.repeat(groups, 3))
    assert thrice == once
    assert group_intervals(truth, truth, groups) == {"accuracy": (1, 1),
                                                     "balanced_accuracy": (1, 1)}


# ---- splits --------------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol", ["random", "clip", "person"])
def test_repeats_share_out_anew(faces, protocol):
    splits = TASK.splits(faces, Options(protocol=protocol, folds=3, repeats=2, size=16))
    assert [s.title for s in splits] == [f"fold {k}/3, repeat {r}/2" for r in (1, 2)
                                         for k in (1, 2, 3)]
    for repeat in (splits[:3], splits[3:]):
        rows = np.sort(np.concatenate([s.test_rows for s in repeat]))
        np.testing.assert_array_equal(rows, np.arange(981))
    assert len({frozenset(s.test_rows.tolist()) for s in splits}) == 6
    first = TASK.splits(faces, Options(protocol=protocol, folds=3, size=16))
    for a, b in zip(first, splits, strict=False):
        np.testing.assert_array_equal(a.test_rows, b.test_rows)


def test_what_is_shared_is_told_of_each_split(faces):
    for protocol, told in (("person", "0.0% share their person with training, 0.0% share"),
                           ("clip", "0.0% share their clip")):
        splits = TASK.splits(faces, Options(protocol=protocol, folds=2, size=16))
        lines = TASK.introduction(faces, splits, Options())
        assert len(lines) == 2
        assert all(told in line for line in lines)
        assert lines[0].startswith(f"fold 1/2: {len(splits[0].y)} training images")
    stranger = replace(faces, subjects=None, clips=None)
    line, = TASK.introduction(stranger, TASK.splits(stranger, Options(protocol="random")),
                              Options())
    assert line.endswith("it is not known whether they share persons")


def test_a_person_on_both_sides_ends_it(faces, monkeypatch):
    monkeypatch.setattr(protocols, "person_split",
                        lambda *_: (np.arange(500), np.arange(499, 981)))
    with pytest.raises(AssertionError, match="a person is on both sides"):
        TASK.splits(faces, Options())


def test_the_split_that_comes_with_the_data(faces):
    own = replace(faces, subjects=None, clips=None, test_rows=np.arange(10, 30))
    split, = TASK.splits(own, Options(protocol="given"))
    assert sorted(split.test_rows) == list(range(10, 30))
    assert sorted([*split.train_rows, *split.test_rows]) == list(range(981))
    for data, options, told in (
            (faces, Options(protocol="given"), "has no test set of its own"),
            (own, Options(protocol="given", folds=2), "neither --folds nor --repeats"),
            (own, Options(protocol="given", repeats=2), "neither --folds nor --repeats"),
            (own, Options(protocol="person"), "only --protocol random or given can split it"),
            (own, Options(protocol="clip"), "does not say which images belong to one clip")):
        with pytest.raises(Fault, match=told):
            TASK.splits(data, options)


def test_a_verdict_over_folds_is_pooled(faces):
    options = Options(folds=3, repeats=2)
    rng = np.random.default_rng(0)
    trained = [Trained(s, {}, rng.standard_normal((len(s.y_test), 7)) + 2 * np.eye(7)[s.y_test])
               for s in TASK.splits(faces, options)]
    metrics, details = TASK.judge(faces, trained)
    truth = np.concatenate([t.split.y_test for t in trained])
    guesses = np.concatenate([t.outputs.argmax(1) for t in trained])
    assert metrics["test_accuracy"] == reference.accuracy_score(truth, guesses)
    assert metrics["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(truth, guesses))
    assert metrics["macro_f1"] == pytest.approx(reference.f1_score(truth, guesses, average="macro"))
    assert metrics["person_overlap"] == metrics["clip_overlap"] == 0
    for name in ("test_accuracy", "balanced_accuracy"):
        assert metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"]
    for t, score in zip(trained, details["splits"], strict=True):
        assert score["accuracy"] == np.mean(t.outputs.argmax(1) == t.split.y_test)
        assert score["person_overlap"] == score["clip_overlap"] == 0
        assert set(score["persons"]) == set(faces.subjects[t.split.test_rows])
    first_repeat = [person for score in details["splits"][:3] for person in score["persons"]]
    assert sorted(first_repeat) == sorted(set(faces.subjects))      # each tested once
    lines = TASK.remarks(metrics, details)
    assert len(lines) == 2 + 6 + 1 + 1 + 7
    assert "(bootstrap over persons)" in lines[0]
    surprise = lines[-1].split()
    assert surprise[0] == "surprise"
    assert int(surprise[-1]) == details["confusion"][6][6]


def test_without_persons_images_count_as_independent(faces):
    stranger = replace(faces, subjects=None, clips=None)
    split, = TASK.splits(stranger, Options(protocol="random"))
    trained = Trained(split, {}, np.eye(7)[np.roll(split.y_test, 1)])
    metrics, details = TASK.judge(stranger, [trained])
    right = int((np.roll(split.y_test, 1) == split.y_test).sum())
    assert (metrics["test_accuracy_low"], metrics["test_accuracy_high"]) == \
        wilson(right, len(split.y_test))
    assert "person_overlap" not in metrics
    assert "(of independent images)" in TASK.remarks(metrics, details)[0]


def test_the_linear_reference_is_judged_the_same_way():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 1, 1], 30)
    x = (y[:, None, None, None] + rng.standard_normal((120, 1, 4, 4))).astype(np.float32)
    data = Data("a", "b", x, y, classes=["anger", "happy"])
    splits = TASK.splits(data, Options(protocol="random", folds=3))
    found = TASK.baselines(data, splits)
    assert found["majority_accuracy"] == 0.75
    assert 0.5 < found["linear_balanced_accuracy"] <= found["linear_accuracy"] <= 1


# ---- the command line ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder / "ck", "ck", 16)
    (folder / "ck/Emotion/S001/001").rename(folder / "gone")
    return folder / "ck"


def test_a_run_on_a_folder_of_faces(written, tmp_path, capsys):
    assert main(["run", "dexpression", "--impl", "minigrad", "--data", str(written), "--size", "16",
                 "--frames", "peak", "--folds", "2", "--quick", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"{written / 'cohn-kanade-images'}, CK+'s own tree: 326 images of 16 px, 326 " in out
    assert "1 recording without a label" in out
    assert "fold 2/2: 64 training images, 64 test images; 0.0% share their person" in out
    assert "balanced accuracy" in out
    run, = Results(tmp_path).runs
    assert (run["dataset"], run["frames"], run["repeats"]) == ("faces-generated", "peak", 1)
    assert run["n_test"] == 128


def test_data_says_what_is_there_and_what_is_wrong(written, tmp_path, capsys):
    bad = next((written / "cohn-kanade-images").glob("S002/*/*_00000006.png"))
    content = bad.read_bytes()
    try:
        bad.write_bytes(b"")
        assert main(["data", "--data", str(written)]) == 0
    finally:
        bad.write_bytes(content)
    out = capsys.readouterr().out
    assert f"found: {written / 'cohn-kanade-images'}, CK+'s own tree: 977 images" in out
    assert "1 recording without a label; 1 left out as faulty" in out
    assert f"left out: {bad}: not a picture" in out
    for words in ("cohn-kanade-images/S005/001", "ckextended.csv", "--frames", "CK+48"):
        assert words in out
    (tmp_path / "cohn-kanade-images/S005/001").mkdir(parents=True)
    (tmp_path / "cohn-kanade-images/S005/001/S005_001_00000001.png").touch()
    assert main(["data", "--data", str(tmp_path)]) == 0
    assert "UNUSABLE: " in capsys.readouterr().out
    assert main(["data", "--data", str(tmp_path / "nowhere")]) == 1
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_faces_are_written_once(tmp_path, capsys):
    argv = ["faces", "--size", "16", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    assert "981 pictures of 16 px" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert str(tmp_path / "out") in err
    assert err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


@pytest.mark.parametrize(("argv", "told"), [
    (["run", "dexpression", "--frames", "last:0"], "--frames: must be last:N"),
    (["run", "dexpression", "--repeats", "0"], "--repeats: must be at least 1"),
    (["run", "mnist-mlp", "--repeats", "2"], "--repeats is for dexpression only"),
    (["run", "mnist-mlp", "--frames", "peak"], "--frames is for dexpression only"),
    (["faces"], "--out"), (["faces", "--out", "a", "--layout", "fer"], "'fer'")])
def test_usage_errors(argv, told, capsys):
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
