"""Interrupted and resumed runs: nothing is lost, and nothing differs from a run that was not."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import ROOT, one_line, results, run_of

from comparisons.cli import main
from comparisons.commands.run import resuming
from comparisons.training import progress, runner
from minigrad import checkpoint


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
    assert [line for line in err.splitlines() if line] == ["interrupted; finished results are kept"]
    assert [r["task"] for r in results(tmp_path)["runs"]] == ["regression"]
    checkpoint.load(last)


def test_an_option_that_a_checkpoint_does_not_know_had_its_default():
    known = {"epochs": 3, "options": {"seed": 0, "folds": None, "of_another_task": 1}}
    asked = {"epochs": 3, "options": {"seed": 0, "folds": 10, "arms": 3}}
    assert runner.difference(known, asked, {"folds": 10, "arms": 3}) == ""
    assert runner.difference(known, asked, {"folds": 10, "arms": 2}) == "arms 2, not 3"
    assert runner.difference(known | {"epochs": 4}, asked, {}) == "epochs 4, not 3"


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
def test_ctrl_c_saves_the_last_finished_epoch_and_says_how_to_go_on(tmp_path, capsys, monkeypatch,
                                                                    impl):
    """Also between two epochs after which a task saves."""
    argv = ["run", "regression", "--impl", impl, "--epochs", "250", "--out"]
    assert main([*argv, str(tmp_path / "whole")]) == 0

    def interrupt(self, split, entry):
        if entry["epoch"] + 1 == 138:
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "epoch", interrupt)
        capsys.readouterr()
        assert main([*argv, str(tmp_path / "parts")]) == 130
    out, err = capsys.readouterr()
    assert err == "\ninterrupted; finished results are kept\n"
    words = [*argv, str(tmp_path / "parts"), "--resume"]
    assert out.endswith(f"To go on: {shlex.join(['python', '-m', 'comparisons', *words])}\n")
    folder = tmp_path / "parts" / f"regression-{impl}"
    assert checkpoint.load(folder / "last.safetensors").epoch == 137
    assert checkpoint.load(folder / "previous.safetensors").epoch == 100
    assert main(words) == 0
    assert state(tmp_path / "parts", "regression", impl) == state(tmp_path / "whole", "regression",
                                                                  impl)


def test_the_words_to_go_on_name_the_folder_once():
    stamped = Path("runs/a b")
    assert resuming([], stamped) == ["run", "all", "--out", "runs/a b", "--resume"]
    for words in (["run", "mnist-mlp", "--out", "x"], ["run", "mnist-mlp", "--out=x"]):
        assert resuming(words, Path("x")) == [*words, "--resume"]
        assert resuming([*words, "--resume"], Path("x")) == [*words, "--resume"]


def test_the_previous_checkpoint_is_there_if_the_last_is_damaged(tmp_path, capsys):
    argv = ["run", "mnist-mlp", "--impl", "minigrad", "--quick", "--epochs", "3", "--out"]
    for name in ("whole", "parts"):
        assert main([*argv, str(tmp_path / name)]) == 0
    last = tmp_path / "parts" / "mnist-mlp-minigrad" / "last.safetensors"
    assert checkpoint.load(last.with_name("previous.safetensors")).epoch == 2
    last.write_bytes(last.read_bytes()[:-1])
    capsys.readouterr()
    assert main([*argv, str(tmp_path / "parts"), "--resume"]) == 1
    assert "without it, --resume continues from previous.safetensors" in one_line(capsys)
    last.unlink()
    assert main([*argv, str(tmp_path / "parts"), "--resume"]) == 0
    assert state(tmp_path / "parts", "mnist-mlp", "minigrad") == state(
        tmp_path / "whole", "mnist-mlp", "minigrad")
