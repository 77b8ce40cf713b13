"""Runs that torchrun shares out: as in one process, whatever happens to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import together
from running import ROOT, one_line, results, run_of

from comparisons import implementations
from comparisons.cli import main
from comparisons.errors import Fault
from comparisons.tasks.registry import TASKS
from comparisons.training import processes
from comparisons.training.training import prepare
from minigrad import checkpoint

DOOMED = '''
"""Batch norm, class weights, parts of batches, clipping; and processes that are killed."""

import os
import signal

import numpy as np

from comparisons.datasets.base import Data
from comparisons.tasks.classification import ClassificationTask
from comparisons.tasks.options import Options

WEIGHT = np.array([0.3, 1.0, 2.5])
KILLED = {"0": ("1", 25), "1": ("0", 20)}   # by restarts: which process, at which call of the loss


class Doomed(ClassificationTask[Options]):
    name = "doomed"
    title = "Doomed"
    options = Options
    dtype = np.float64
    epochs = 4
    batch_size = 16
    lr = 0.01
    clip_norm = 0.5
    accumulate = 2
    averaging = 0.9

    def load(self, options):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 3, 101)
        x = rng.standard_normal((101, 1, 8, 8)) + y[:, None, None, None]
        return Data("noise", "noise", x[:65], y[:65], x[65:], y[65:], classes=list("abc"))

    def model(self, implementation, data, options):
        nn = implementation.nn
        return nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                             nn.Flatten(), nn.Linear(144, 3))

    def optimizer(self, implementation, parameters, recipe):
        return implementation.optim.Adam(parameters, lr=recipe.lr)

    def loss(self, implementation, data, y):
        weight, calls = implementation.tensor(WEIGHT), []
        rank, call = KILLED.get(os.environ.get("TORCHELASTIC_RESTART_COUNT"), (None, 0))

        def loss(outputs, target):
            calls.append(1)
            if os.environ.get("RANK") == rank and len(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return implementation.functional.cross_entropy(outputs, target, weight)
        return loss

    def weigh(self, data, y):
        return lambda target: WEIGHT[target].sum()
'''


def torchrun(*words: str, folder: Path, count: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False)


def test_a_run_whose_processes_are_killed_twice_ends_as_one_that_was_not_shared(tmp_path, capsys):
    file = tmp_path / "doomed.py"
    file.write_text(DOOMED)
    argv = ["run", str(file), "regression", "--epochs", "4", "--impl", "torch"]
    # checkpoints of an earlier command, which are not to be continued
    assert main([*argv, "--seed", "1", "--out", str(tmp_path / "shared")]) == 0
    done = torchrun("--max-restarts", "2", "-m", "comparisons", *argv, "--out", "shared",
                    folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"exitcode: -9", done.stderr)) >= 2   # killed
    assert main([*argv, "--out", str(tmp_path / "alone")]) == 0

    told = results(tmp_path / "shared")["runs"]
    assert [run["task"] for run in told] == ["regression", "doomed"]
    for run in told:
        alone = run_of(tmp_path / "alone", run["task"], "torch")
        assert (run["processes"], alone["processes"]) == (2, 1)
        assert run["metrics"] == pytest.approx(alone["metrics"], abs=1e-12)
        assert run["seed"] == 0
        assert run["command"].startswith("torchrun --nproc-per-node 2 -m comparisons run ")
        ours, theirs = (checkpoint.load(tmp_path / where / run["checkpoint"])
                        for where in ("shared", "alone"))
        assert (ours.epoch, ours.step) == (theirs.epoch, theirs.step)
        for part in ("model", "averaged"):
            for key, value in (getattr(theirs, part) or {}).items():
                np.testing.assert_allclose(getattr(ours, part)[key], value, rtol=0, atol=1e-12,
                                           err_msg=key)
        losses = [[entry["loss"] for entry in kept.config["history"]] for kept in (ours, theirs)]
        assert len(losses[0]) == 4
        np.testing.assert_allclose(*losses, rtol=1e-12)
    assert not list((tmp_path / "shared").rglob("*.tmp"))
    # one process prints, and one table
    assert done.stdout.count("doomed (PyTorch): epoch 4/4") == 1
    assert done.stdout.count("metric") == 1
    assert "PyTorch in 2 processes" in done.stdout
    assert "in 2 processes" in (tmp_path / "shared" / "report.html").read_text()
    # a single process goes on where several have stopped
    capsys.readouterr()
    assert main([*argv, "--resume", "--out", str(tmp_path / "shared")]) == 0
    assert run_of(tmp_path / "shared", "doomed", "torch")["processes"] == 1


@pytest.mark.parametrize(("task", "options", "size"), [
    ("mnist-cnn", {}, 2), ("dexpression", {"size": 16}, 3),
    ("dexpression", {"size": 32, "variant": "paper"}, 2)])
def test_every_network_trains_in_several_processes_as_in_one(task, options, size, monkeypatch):
    """In float64. In float32, AdamW scales up the rounding of gradients that are nearly 0."""
    it, torch = TASKS[task], implementations.get("torch", "cpu")
    monkeypatch.setattr(type(it), "dtype", np.float64)
    monkeypatch.setattr(type(it), "transform", lambda self: None)
    asked = it.options(embedded=True, quick=True, batch_size=21, **options)
    data = it.load(asked)
    split = it.splits(data, asked)[0]
    split = replace(split, x=split.x[:64].astype(np.float64), y=split.y[:64])   # one is left over

    def trained():
        training = prepare(it, torch, data, split, asked, 0)
        training.fit()
        return torch.weights(training.judged)
    expected = trained()
    for found in together(size, trained):
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-12, err_msg=key)


def test_what_the_processes_find_has_to_agree():
    def disagree(config: dict[str, Any], epoch: int) -> Any:
        def work() -> str:
            with pytest.raises(Fault) as info:
                processes.insist_on_agreement(Path("out/last"), *(
                    ({"data": "abc", "n_train": 3}, 2) if processes.leads() else (config, epoch)))
            return str(info.value)
        first, second = together(2, work)
        assert first == second
        return first
    assert disagree({"data": "xyz", "n_train": 3}, 2) == (
        "the first process has data abc, process 2 of 2 has xyz; all of them must find the same "
        "data")
    assert disagree({"data": "abc", "n_train": 3}, 0) == (
        "out/last: the first process finds 2 finished epochs there, process 2 of 2 finds 0; --out "
        "must be in a folder that all machines share")


@pytest.mark.parametrize(("argv", "variables", "message"), [
    (["run", "regression"], {}, "only PyTorch trains in several processes: under torchrun, give "
     "--impl torch"),
    (["run", "regression", "--impl", "minigrad"], {}, "give --impl torch"),
    (["run", "regression", "--impl", "torch"], {"TORCHELASTIC_MAX_RESTARTS": "3"},
     "torchrun may restart this run: give --out DIR"),
    (["run", "regression", "--impl", "torch"], {"GROUP_WORLD_SIZE": "2"}, "give --out DIR"),
    (["speed", "regression"], {}, "speed: only `run` works in several processes"),
    (["report", "x"], {}, "report: only `run` works in several processes"),
])
def test_what_several_processes_cannot_do_is_refused(argv, variables, message, monkeypatch, capsys):
    for name, value in ({"WORLD_SIZE": "2", "RANK": "0"} | variables).items():
        monkeypatch.setenv(name, value)
    assert main(argv) == 2
    assert message in one_line(capsys)


def test_an_error_is_told_once(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(processes, "DEFERENCE", 0)
    for rank, line in (("0", "wrong\n"), ("2", "process 3 of 3: wrong\n")):
        monkeypatch.setenv("RANK", rank)
        processes.tell("wrong")
        assert capsys.readouterr().err == line


def test_which_checkpoints_are_a_jobs_own(tmp_path, monkeypatch):
    """Told by torchrun's number of the job, or, without one, by the folder that it has made."""
    model = implementations.get("torch", "cpu").nn.Linear(2, 1)

    def saved(name: str) -> Path:
        path: Path = tmp_path / name
        implementations.get("torch", "cpu").checkpoint.save(path, model=model,
                                                            config=processes.mark())
        return path
    last, fold = saved("last.safetensors"), saved("fold-1.safetensors")
    assert processes.mark() == {}
    assert processes.foreign(tmp_path) == [fold]            # the last one is replaced in time
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    file = "/tmp/torchelastic_x/none_{}/attempt_{}/0/error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file.format("abc", 0))
    saved("last.safetensors")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file.format("abc", 1))        # restarted
    assert processes.foreign(tmp_path) == [fold]
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file.format("xyz", 0))        # another command
    assert sorted(processes.foreign(tmp_path)) == [fold, last]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "17")
    saved("last.safetensors")
    assert processes.foreign(tmp_path) == [fold]
    fold.write_bytes(b"damaged")
    assert processes.foreign(tmp_path) == [fold]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "18")
    assert sorted(processes.foreign(tmp_path)) == [fold, last]
