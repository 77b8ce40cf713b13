"""Two processes in one results folder: nothing is mixed and nothing is lost."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from running import one_line, results
from test_report import ENVIRONMENT, HISTORY, RUN

from comparisons.cli import main
from comparisons.errors import Fault
from comparisons.training.results import Results
from minigrad import atomic


def test_what_several_add_at_once_is_all_kept(tmp_path):
    def add(k):
        mine = Results(tmp_path)
        for i in range(6):
            mine.add(RUN | {"task": f"task-{k}-{i}"}, {"history": HISTORY}, ENVIRONMENT)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert {run["task"] for run in results(tmp_path)["runs"]} == {
        f"task-{k}-{i}" for k in range(4) for i in range(6)}
    assert not list(tmp_path.rglob(".*"))


def test_the_second_of_two_runs_is_refused_and_readers_are_not(tmp_path, capsys):
    argv = ["run", "mnist-mlp", "--impl", "minigrad", "--quick", "--out", str(tmp_path)]
    assert main(argv) == 0
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    capsys.readouterr()
    with Results(tmp_path).reserved([("mnist-mlp", "minigrad")]):
        for again in (argv, [*argv, "--resume"], [*argv[:1], "regression", *argv[1:]]):
            assert main(again) == 1
            line = one_line(capsys)
            assert f"{tmp_path / 'mnist-mlp-minigrad'}: process {os.getpid()} on " in line
            assert "--out" in line
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
                and not p.name.startswith(".")} == before
        assert main(["report", str(tmp_path)]) == 0
        assert main(["predict", str(tmp_path / "mnist-mlp-minigrad" / "last.safetensors"),
                     str(tmp_path / "none.png")]) == 1
        assert "none.png" in capsys.readouterr().err
        # another task may run in the same folder
        assert main(["run", "regression", "--impl", "minigrad", "--quick", "--out",
                     str(tmp_path)]) == 0
    assert main([*argv, "--resume"]) == 0
    assert len(results(tmp_path)["runs"]) == 2
    assert not list(tmp_path.rglob(".*"))


def test_reserving_is_all_or_nothing(tmp_path):
    mine, theirs = Results(tmp_path), Results(tmp_path)
    with mine.reserved([("b", "torch")]):
        with pytest.raises(Fault, match="b-torch: process "), theirs.reserved(
                [("c", "torch"), ("b", "torch"), ("a", "torch")]):
            pass
        with theirs.reserved([("a", "torch"), ("c", "torch"), ("b", "minigrad")]):
            pass


def test_a_lock_file_that_a_killed_run_has_left_is_no_lock(tmp_path):
    (tmp_path / ".regression-minigrad.lock").write_text("process 1 on nowhere")
    assert main(["run", "regression", "--impl", "minigrad", "--quick", "--out",
                 str(tmp_path)]) == 0
    assert not list(tmp_path.rglob(".*"))


def test_results_that_another_has_damaged_meanwhile_are_left_as_they_are(tmp_path):
    mine = Results(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "runs": []}))
    with pytest.raises(Fault, match="environment: is missing; it was not changed"):
        mine.add(RUN, {"history": HISTORY}, ENVIRONMENT)
    assert results(tmp_path) == {"schema": 1, "runs": []}
    with atomic.lock(tmp_path / ".results.lock"):           # the lock was released
        pass
