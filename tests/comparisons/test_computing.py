"""How PyTorch computes, and how a recipe treats gradients: flags, results, page, resuming."""

from __future__ import annotations

import numpy as np
import pytest
from running import one_line, run_of, spiral

import torch_impl.train
from comparisons.cli import main
from comparisons.report import table
from comparisons.tasks.registry import TASKS, find
from comparisons.training import runner
from minigrad import checkpoint


@pytest.mark.parametrize(("argv", "message"), [
    (["run", "mnist-mlp", "--amp", "--impl", "minigrad"], "--amp is for PyTorch only"),
    (["run", "mnist-mlp", "--compile", "--impl", "minigrad"], "--compile is for PyTorch only"),
    (["run", "regression", "diabetes", "--amp"], "--amp: these tasks compute in float64"),
    (["run", "mnist-mlp", "--clip-norm", "0"], "--clip-norm: must be above 0"),
    (["run", "mnist-mlp", "--accumulate", "0"], "--accumulate: must be at least 1"),
    (["parity", "regression", "--amp"], "--amp"),
])
def test_a_flag_without_effect_is_refused(argv, message, capsys):
    assert main(argv) == 2
    assert message in one_line(capsys)


def test_mixed_precision_is_told_and_kept(careful, tmp_path, capsys):
    argv = ["run", str(careful), "regression", "--epochs", "2", "--out", str(tmp_path)]
    assert main([*argv, "--amp"]) == 0
    assert "spiral: PyTorch in mixed precision (bfloat16)\n" in capsys.readouterr().out
    ours, theirs = (run_of(tmp_path, "spiral", impl) for impl in ("minigrad", "torch"))
    assert "amp" not in ours
    assert (theirs["amp"], theirs["compile"], theirs["processes"]) == (True, False, 1)
    assert run_of(tmp_path, "regression", "torch")["amp"] is False      # it computes in float64
    assert (tmp_path / "report.html").read_text().count("in mixed precision (bfloat16)") == 2
    a, b = (checkpoint.load(tmp_path / run["checkpoint"]) for run in (ours, theirs))
    for key, value in a.model.items():
        assert b.model[key].dtype == value.dtype
        assert np.abs(b.model[key] - value).max() > 1e-6
    losses = [[entry["loss"] for entry in kept.config["history"]] for kept in (a, b)]
    np.testing.assert_allclose(*losses, rtol=0.05)                      # bfloat16 has 8 bits
    # minigrad's side may go on without the flag, PyTorch's may not
    assert main([*argv[:2], *argv[3:], "--impl", "minigrad", "--resume"]) == 0
    capsys.readouterr()
    assert main([*argv[:2], *argv[3:], "--impl", "torch", "--resume"]) == 1
    assert "trained with amp True, not False" in one_line(capsys)


def test_compiling_reaches_the_training(tmp_path, monkeypatch, capsys):
    asked = []

    def fit(*args, **options):
        asked.append((options.pop("compile"), options["amp"], options["device"]))
        whole(*args, **options)
    whole = torch_impl.train.fit
    monkeypatch.setattr(torch_impl.train, "fit", fit)
    argv = ["run", "regression", "--epochs", "2", "--out", str(tmp_path)]
    assert main([*argv, "--compile"]) == 0
    assert asked == [(True, False, "cpu")] * 2                          # the warm-up, too
    assert "regression: PyTorch compiled by torch.compile\n" in capsys.readouterr().out
    assert run_of(tmp_path, "regression", "torch")["compile"] is True


def test_the_warm_up_takes_a_step_of_each_size_of_batch(tmp_path, monkeypatch):
    """torch.compile compiles anew for a smaller last batch, which is not to cost training time."""
    sizes = []

    def fit(model, loader, *args, **options):
        sizes.append(sorted({len(x) for x, _ in loader}))
        whole(model, loader, *args, **options)
    whole = torch_impl.train.fit
    monkeypatch.setattr(torch_impl.train, "fit", fit)
    for size, expected in (("300", [100, 300]), ("250", [250]), ("2000", [1000])):
        sizes.clear()
        assert main(["run", "regression", "--impl", "torch", "--epochs", "1", "--batch-size", size,
                     "--out", str(tmp_path)]) == 0
        assert sizes == [expected] * 2                                  # warm-up, training


def test_what_is_unusual_is_told_once_for_all_tasks_that_have_it():
    def run(task, impl, **settings):
        return {"task": task, "impl": impl, "dataset": "d"} | settings
    assert table.settings([
        run("regression", "torch", processes=1), run("mnist-mlp", "torch", amp=True, processes=2),
        run("mnist-mlp", "minigrad"), run("mnist-cnn", "torch", amp=True, processes=2),
        run("diabetes", "torch", compile=True)]) == [
            "diabetes: PyTorch compiled by torch.compile",
            "mnist-mlp, mnist-cnn: PyTorch in mixed precision (bfloat16), in 2 processes"]


@pytest.fixture(scope="module")
def careful(tmp_path_factory):
    """A user's task whose recipe clips gradients and computes each batch in parts."""
    path = tmp_path_factory.mktemp("own") / "careful.py"
    path.write_text(spiral().replace("    lr = 1e-2", "    lr = 1e-2\n    clip_norm = 0.25\n"
                                     "    accumulate = 3"))
    return path


def test_a_recipe_that_clips_and_accumulates(careful, tmp_path, capsys):
    argv = ["run", str(careful), "--epochs", "2", "--out"]
    assert main([*argv, str(tmp_path / "parts")]) == 0
    assert main([*argv, str(tmp_path / "whole"), "--accumulate", "1"]) == 0
    assert main([*argv, str(tmp_path / "free"), "--clip-norm", "1e9"]) == 0
    for impl in ("minigrad", "torch"):
        parts, whole, free = (run_of(tmp_path / name, "spiral", impl)
                              for name in ("parts", "whole", "free"))
        assert (parts["clip_norm"], parts["accumulate"]) == (0.25, 3)
        assert (whole["clip_norm"], whole["accumulate"]) == (0.25, 1)
        a, b, c = (checkpoint.load(tmp_path / name / run["checkpoint"]) for name, run in
                   (("parts", parts), ("whole", whole), ("free", free)))
        assert (a.config["clip_norm"], a.config["accumulate"]) == (0.25, 3)
        np.testing.assert_allclose(*([e["loss"] for e in kept.config["history"]]
                                     for kept in (a, b)), rtol=1e-4)
        assert max(np.abs(c.model[key] - a.model[key]).max() for key in a.model) > 1e-3
    page = (tmp_path / "parts" / "report.html").read_text()
    assert "32, computed in 3 parts" in page
    assert "to a norm of 0.25" in page
    assert "Gradient clipping" in page
    capsys.readouterr()
    assert main([*argv, str(tmp_path / "parts"), "--resume", "--accumulate", "2"]) == 1
    assert "trained with accumulate 3, not 2" in one_line(capsys)


@pytest.mark.parametrize("line", ["clip_norm = 0", "accumulate = 0", "accumulate = 1.5"])
def test_a_recipe_that_cannot_be_is_refused(tmp_path, capsys, line):
    file = tmp_path / "wrong.py"
    file.write_text(spiral().replace("    lr = 1e-2", f"    lr = 1e-2\n    {line}"))
    assert main(["run", str(file)]) == 2
    assert f"SpiralTask.{line.split(' = ')[0]} is {line.split(' = ')[1]}" in one_line(capsys)


def test_a_checkpoint_from_before_these_settings_is_resumed():
    task = TASKS["mnist-mlp"]
    recipe = task.recipe(task.options(), 100)
    defaults = task.options.defaults() | runner.RECIPE
    asked = {"clip_norm": recipe.clip_norm, "accumulate": recipe.accumulate, "amp": False}
    assert runner.difference({}, asked, defaults) == ""
    assert runner.difference({}, asked | {"accumulate": 2}, defaults) == "accumulate 1, not 2"
    assert runner.difference({}, asked | {"amp": True}, defaults) == "amp False, not True"


def test_an_own_task_without_these_settings_has_none(careful):
    recipe = find(str(careful)).recipe(find(str(careful)).options(clip_norm=2.0), 100)
    assert (recipe.clip_norm, recipe.accumulate) == (2.0, 3)
