"""Commands that write many files leave all of them or none, whenever they are stopped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from running import ROOT, one_line

from comparisons.cli import main
from minigrad import atomic

COMMANDS = {
    "new-task": (["new-task", "leaves"], {"leaves.py", "leaves-pictures"}, "leaves-pictures"),
    "faces": (["faces", "--out", "drawn", "--size", "16"], {"drawn"}, "drawn")}
KILLED = """
import os, sys
from PIL import Image
from comparisons.cli import main
owner, name, left = {moment}
before = getattr(owner, name)
def call(*args, **kwargs):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
    return before(*args, **kwargs)
setattr(owner, name, call)
main(sys.argv[1:])
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("moment", [
    "Image.Image, 'save', 1", "Image.Image, 'save', 70", "os, 'fsync', 1", "os, 'rename', 1"])
def test_a_kill_leaves_nothing_or_all(command: str, moment: str, tmp_path: Path, monkeypatch: Any,
                                      capsys: Any) -> None:
    argv, made, folder = COMMANDS[command]
    child = subprocess.run([sys.executable, "-c", KILLED.format(moment=moment), *argv],
                           cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / folder).exists()
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == made


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_leaves_nothing(command: str, tmp_path: Path, monkeypatch: Any, capsys: Any
                                    ) -> None:
    argv, made, folder = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    save, left = Image.Image.save, [50]

    def full(*args: Any, **kwargs: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*args, **kwargs)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        assert main(argv) == 1
    assert one_line(capsys) == f"comparisons: {folder}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []
    assert main(argv) == 0
    assert {path.name for path in tmp_path.iterdir()} == made


def test_data_without_a_task_are_removed(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write = atomic.write_text

    def full(path: Path, *args: Any, **kwargs: Any) -> None:
        if Path(path).suffix == ".py":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *args, **kwargs)
    monkeypatch.setattr(atomic, "write_text", full)
    for kind in ("--images", "--table"):
        assert main(["new-task", "leaves", kind]) == 1
        assert one_line(capsys) == "comparisons: leaves.py: No space left on device\n"
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_or_is_empty(tmp_path: Path, monkeypatch: Any, capsys: Any
                                                  ) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("full", "empty"):
        Path(name).mkdir()
    Path("full/mine").write_text("mine")
    Path("link").symlink_to("empty")
    Path("inside").mkdir()
    for out, told in (("full", "not empty"), (".", "not empty"), ("full/mine", "not a folder")):
        assert main(["faces", "--out", out, "--size", "16"]) == 1
        assert one_line(capsys).startswith(f"comparisons: {out}: {told}")
    monkeypatch.chdir("inside")
    assert main(["faces", "--out", ".", "--size", "16"]) == 1
    assert "is the current folder; name a new one in it" in one_line(capsys)
    monkeypatch.chdir("..")
    assert main(["faces", "--out", "link", "--size", "16"]) == 0
    assert Path("link").is_symlink()
    assert "SHA256SUMS" in files(Path("empty"))
    assert files(Path("full")) == {"mine": b"mine"}
