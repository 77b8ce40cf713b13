"""What the command line refuses: in one line, and with earlier results left as they were."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from running import ROOT, idx_folder, one_line, results, run_of, spiral

import torch_impl.train
from comparisons.cli import main
from comparisons.commands.run import own_flags, spelled
from comparisons.tasks.registry import TASKS
from comparisons.training import runner


@pytest.mark.parametrize(("argv", "pattern"), [
    (["run"], "TASK"),
    (["run", "mnist"], "unknown task 'mnist'; choose from regression, .*all"),
    (["walk"], "'walk'"),
    (["run", "regression", "--epochs", "0"], "--epochs: must be at least 1; got 0"),
    (["run", "regression", "--epochs", "two"], "--epochs: 'two' is not a whole number"),
    (["run", "regression", "--batch-size", "0"], "--batch-size: must be at least 1"),
    (["run", "regression", "--threads", "0"], "--threads: must be from 1 to 1024"),
    (["run", "regression", "--threads", "999999999999"], "--threads: must be from 1 to 1024"),
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
    (["run", "mnist-mlp", "--device", "mps"], "--device mps: not available"),
    (["run", "regression", "diabetes", "--device", "mps"],
     "--device mps is for mnist-mlp, mnist-cnn, dexpression only; the others compute in float64"),
    (["run", "regression", "--resume"], "--resume needs --out DIR"),
    (["run", "regression", "--data", "."],
     "--data is for diabetes, mnist-mlp, mnist-cnn, dexpression only"),
    (["run", "regression", "--protocol", "clip"], "--protocol is for dexpression only"),
    (["run", "mnist-mlp", "--folds", "3"], "--folds is for dexpression only"),
    (["run", "dexpression", "--folds", "1"], "--folds: must be at least 2"),
    (["run", "all", "--start", "x"], "--start requires that dexpression is the only task"),
    (["run", "dexpression", "--size", "8"], "--size: must be from 16 to 512"),
    (["run", "dexpression", "--variant", "big"], "--variant: .*'big'"),
    (["run", "regression", "--fast"], "--fast"),
    (["run", "regression", "--epo", "3"], "--epo"),
    (["parity", "mnist"], "unknown task 'mnist'"),
    (["report"], "DIR"),
    (["report", ""], "DIR: must not be empty"),
    (["run", "regression", "--out", ""], "--out: must not be empty"),
    (["run", "mnist-mlp", "--data", ""], "--data: must not be empty"),
    (["data", "--data", ""], "--data: must not be empty"),
    (["predict", "", "a.png"], "CHECKPOINT: must not be empty"),
    (["predict", "a.safetensors", "a.png", "--json", ""], "--json: must not be empty"),
    (["export", "a.safetensors", ""], "FILE: must not be empty"),
    (["faces", "--out", ""], "--out: must not be empty"),
])
def test_usage_errors_are_one_line_and_status_2(argv, pattern, capsys, monkeypatch, tmp_path):
    import torch
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert re.search(pattern, one_line(capsys))
    assert not list(tmp_path.iterdir())


def test_each_flag_is_refused_by_the_tasks_that_do_not_take_it(capsys):
    """By the command line's own list of flags, so that a new one is tested, too."""
    flags = {name: flag for task in TASKS.values()
             for name, flag in own_flags(task.options).items()}
    tried = 0
    for name, task in TASKS.items():
        for option, flag in flags.items():
            if option not in own_flags(task.options):
                value = [flag.choices[0] if flag.choices else "20"] if flag.parse else []
                assert main(["run", name, spelled(option), *value]) == 2
                line = one_line(capsys)
                owners = [n for n, other in TASKS.items() if option in own_flags(other.options)]
                assert f"{spelled(option)} is for {', '.join(owners)} only" in line
                tried += 1
    assert tried > 3 * len(flags)


def test_help_that_cannot_be_printed_is_an_error(capsys, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["run", "--help"]) == 1
    assert one_line(capsys) == f"comparisons: standard output: {os.strerror(errno.ENOSPC)}\n"


def test_help_is_no_error(capsys):
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    assert "--protocol" in capsys.readouterr().out


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

    def stop(jobs, impls, results, **kwargs):
        seen.extend(options.size for _, options in jobs)
        raise KeyboardInterrupt
    monkeypatch.setattr(torch_impl.train, "pick_device", lambda name: torch.device(device))
    monkeypatch.setattr(runner, "run_jobs", stop)
    assert main(["run", "dexpression", *flags]) == 130
    assert seen == [size]


def test_data_for_one_task_leave_the_others_to_theirs(tmp_path, capsys):
    argv = ["run", "mnist-mlp", "dexpression", "--data", str(idx_folder(tmp_path)), "--quick",
            "--size", "16", "--impl", "minigrad", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert f"IDX files in {tmp_path}: 40 training images" in told
    assert f"--data {tmp_path} holds nothing for it" in told
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


def test_no_command_takes_an_empty_path():
    """`Path("")` is the current folder: every argument for a path is parsed by commands.PATH."""
    folder = ROOT / "comparisons/commands"
    assert not [path.name for path in folder.glob("*.py") if "type=Path" in path.read_text()]


@pytest.mark.parametrize("argv", [
    ["predict", "a.safetensors", "b.png", "--json", "b.png"],
    ["predict", "a.safetensors", "b.png", "--json", "./a.safetensors"],
    ["predict", "a.safetensors", "b.png", "--json", "link"],
    ["predict", "a.safetensors", "b.png", "--json", "hard"],
    ["predict", "a.safetensors", "b.png", "--json", "new", "--out", "new"],
    ["predict", "a.safetensors", "b.png", "--task", "my_task.py", "--json", "my_task.py"],
    ["export", "a.safetensors", "a.safetensors"], ["speed", "my_task.py", "--json", "my_task.py"],
    ["speed", "--ops", "--json", "new", "--plot", "new"],
    ["parity", "mnist-mlp", "--checkpoint", "a.html", "--out", "a.html"],
    ["leakage", "--data", "b.png", "--persons", "b.png"]])
def test_what_is_read_is_not_overwritten(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a.safetensors", "b.png", "a.html"):
        Path(name).write_text("mine")
    Path("my_task.py").write_text(spiral())
    Path("link").symlink_to("a.safetensors")
    os.link("b.png", "hard")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(argv) == 2
    assert one_line(capsys).endswith(": is to be written, and is named twice\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
