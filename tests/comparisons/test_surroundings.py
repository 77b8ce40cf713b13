"""Machines that are not as usual: two runs at once, clocks that jump, nowhere to write."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import untrained
from PIL import Image
from running import ROOT, one_line, results

from comparisons import files
from comparisons.cli import main
from comparisons.files import new_folder
from comparisons.training import differences
from minigrad import checkpoint

RUN = ["run", "regression", "--impl", "minigrad", "--quick", "--out"]
NOWHERE = """
import os, sys, tempfile
os.environ["HOME"] = os.environ["TMPDIR"] = "/dev/null/none"
tempfile._candidate_tempdir_list = lambda: ["/dev/null/none"]
for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MINIGRAD_DATA"):
    os.environ.pop(name, None)
from comparisons.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_two_runs_with_folds_at_once_are_not_mixed(tmp_path: Path, capsys: Any) -> None:
    argv = ["run", "dexpression", "--impl", "minigrad", "--quick", "--size", "16", "--folds", "2",
            "--epochs", "1", "--threads", "1", "--out", str(tmp_path)]
    first = subprocess.Popen([sys.executable, "-m", "comparisons", *argv], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with first:
        while first.poll() is None and not (tmp_path / ".dexpression-minigrad.lock").exists():
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)       # it must not end before the other asks
        assert main(argv) == 1
        first.send_signal(signal.SIGCONT)
        assert f"process {first.pid} on " in one_line(capsys)
        out = first.communicate()[0]
    assert first.returncode == 0, out
    run, = results(tmp_path)["runs"]
    assert (run["trainings"], run["folds"]) == (2, 2)
    folder = tmp_path / "dexpression-minigrad"
    assert [checkpoint.load(folder / name).config["training"]       # type: ignore[index]
            for name in ("fold-1.safetensors", "last.safetensors")] == [0, 1]
    assert not list(tmp_path.rglob(".*"))


# ---- clocks --------------------------------------------------------------------------------------

def test_a_clock_that_jumps_changes_no_result(tmp_path: Path, monkeypatch: Any) -> None:
    """To 1970, to 2100, and back."""
    jumps = iter([0.0, 4.1e9, 0.0, 1.7e9, 86_400.0] * 1000)
    tell = time.strftime
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(time, "strftime", lambda form, *_: tell(form, time.gmtime(next(jumps))))
    found = []
    for _ in range(2):
        assert main([*RUN, str(tmp_path)]) == 0
        found += results(tmp_path)["runs"]
    assert main([*RUN, str(tmp_path), "--resume"]) == 0
    assert found[0]["metrics"] == found[1]["metrics"] == results(tmp_path)["runs"][0]["metrics"]
    for run in found:
        assert 0 <= run["train_seconds"] < 600
        assert 0 <= run["warm_up_seconds"] < 600
    details = json.loads((tmp_path / "regression-minigrad" / "details.json").read_text())
    assert all(0 <= epoch["seconds"] < 600 for epoch in details["history"])
    assert main(["report", str(tmp_path)]) == 0
    assert len({new_folder(tmp_path / "runs") for _ in range(20)}) == 20        # equal stamps


def test_durations_come_from_a_clock_that_nobody_sets() -> None:
    wrong = [f"{path}: {line.strip()}" for package in ("minigrad", "torch_impl", "comparisons")
             for path in (ROOT / package).rglob("*.py")
             for line in path.read_text("utf-8").splitlines()
             if re.search(r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow|today)\(", line)]
    assert wrong == []


def test_the_latest_run_is_the_last_one_written() -> None:
    """Not the one with the latest date."""
    def run(impl: str, date: str, epochs: int) -> dict[str, Any]:
        seeds = [{"seed": k, "metrics": {"score": 1.0 + k}, "test_items": "x"} for k in range(2)]
        return {"task": "t", "impl": impl, "dataset": "d", "date": date, "epochs": epochs,
                "n_test": 9, "trainings": 1, "seeds": seeds,
                "headlines": [{"metric": "score", "label": "score", "format": ".2f"}]}
    entry, = differences.of_task([run("torch", "2100-01-01", 3), run("minigrad", "1970-01-01", 5)],
                                 lambda run, seed: {})
    assert "minigrad" in entry
    assert "torch" not in entry         # with other settings, it is no pair


# ---- nowhere to write ----------------------------------------------------------------------------

def test_without_a_home_and_a_place_for_temporary_files_all_is_done(tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", NOWHERE, *RUN, str(tmp_path / "out")], text=True,
                           cwd=ROOT, capture_output=True, check=False)
    assert child.returncode == 0, child.stderr
    assert "atplotlib" not in child.stderr      # where it keeps its fonts is nobody's concern
    assert {"results.json", "report.html", "regression-minigrad"} == {
        path.name for path in (tmp_path / "out").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]        # what was temporary is gone


def test_a_read_only_mount_is_one_line_and_can_be_read(tmp_path: Path, monkeypatch: Any, capsys: Any
                                                       ) -> None:
    assert main([*RUN, str(tmp_path)]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    opened = os.open

    def read_only(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *args, **kwargs)

    def no_file(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), kwargs["dir"])

    def no_folder(path: Any, *args: Any, **kwargs: Any) -> None:
        if os.path.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "mkdir", no_folder)
    monkeypatch.setattr(files.tempfile, "TemporaryFile", no_file)
    for argv in ([*RUN, str(tmp_path)], [*RUN, str(tmp_path), "--resume"],
                 ["report", str(tmp_path)], ["faces", "--size", "16", "--out", str(tmp_path / "f")],
                 ["new-task", str(tmp_path / "leaves"), "--table"]):
        assert main(argv) == 1, argv
        line = one_line(capsys)
        assert "Read-only file system" in line, line
        assert str(tmp_path) in line
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("argv", [
    RUN, ["ablation", "mnist-mlp", "--seeds", "2", "--out"], ["parity", "regression", "--out"],
    ["speed", "regression", "--json"], ["speed", "--ops", "--plot"], ["leakage", "--persons"],
    ["predict", "network.safetensors", "x.png", "--json"],
    ["predict", "network.safetensors", "x.png", "--out"],
    ["export", "network.safetensors"]], ids=lambda argv: f"{argv[0]} {argv[-1]}")
def test_a_full_disk_is_said_before_anything_is_computed(
        argv: list[str], tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """Empty files and folders can be made on it, but nothing be written."""
    monkeypatch.chdir(tmp_path)
    network, _ = untrained.write(tmp_path, "mnist-mlp", "minigrad")
    network.rename("network.safetensors")
    network.parent.rmdir()
    Image.new("L", (28, 28)).save("x.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status = main([*argv, "new/inner/place.onnx"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    out, line = capsys.readouterr()
    assert line.startswith("comparisons: new/inner")
    assert line.endswith(": File too large\n")
    assert line.count("\n") == 1
    assert "ms" not in out.split()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_run_that_cannot_write_its_checkpoint_leaves_nothing(
        tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", full)
    assert main([*RUN, str(tmp_path / "new/inner")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]     # kernels may have been compiled before
    assert "last.safetensors" in line
    assert "No space left on device" in line
    assert list(tmp_path.iterdir()) == []
