"""Names of files, folders, links and devices as the world has them."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest
from running import one_line, results
from untrained import write

from comparisons import files
from comparisons.cli import main
from comparisons.datasets import base, mnist
from comparisons.errors import Fault
from comparisons.predict import annotate
from minigrad import atomic

RUN = ["run", "diabetes", "--impl", "minigrad", "--quick", "--out"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write(tmp_path_factory.mktemp("network"), "mnist-mlp", "minigrad")[0]


@pytest.fixture
def digit():
    from PIL import Image
    return Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28))


@pytest.mark.parametrize("name", [
    os.fsdecode(b"caf\xe9.png"), "a\nb.png", "a\x1b[31mb.png", "a\u202eb.png", "-a.png",
    "a'\"<b>%s{0}.png", "x" * 251 + ".png", "é" * 125 + ".png", " .png"])
def test_pictures_of_any_name_are_predicted_and_drawn(tmp_path, capsys, network, digit, name):
    path = tmp_path / name
    digit.save(path, "png")
    out = tmp_path / os.fsdecode(b"dr\xe9")
    assert main(["predict", str(network), str(path), "--json", str(tmp_path / "j"),
                 "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert (told.out.count("\n"), told.err) == (3, "")
    assert "\x1b" not in told.out
    (entry,) = json.loads((tmp_path / "j").read_text())["images"]
    assert entry["image"] == str(path)
    assert Path(entry["annotated"]).is_file()
    assert main(["predict", str(network), f"{path}-none"]) == 1
    assert "\x1b" not in one_line(capsys)


def test_a_drawing_that_fails_leaves_the_prediction(tmp_path, capsys, network, digit, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "drawing")
    digit.save(tmp_path / "a.png")
    monkeypatch.setattr(annotate, "png", full)
    assert main(["predict", str(network), str(tmp_path / "a.png"), "--out", str(tmp_path / "o"),
                 "--json", str(tmp_path / "j")]) == 1
    told = capsys.readouterr()
    assert "1 digit" in told.out
    assert told.err == "comparisons: drawing: No space left on device\n"
    (entry,) = json.loads((tmp_path / "j").read_text())["images"]
    assert len(entry["digits"]) == 1
    assert entry["annotated"] is None


def test_results_go_through_links_and_into_folders_of_any_name(tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path / "not yet")
    for name in (os.fsdecode(b"r\xe9\n\x1b[31m"), "link"):
        assert main([*RUN, str(tmp_path / name)]) == 0
        told = capsys.readouterr().out
        assert told.endswith("report.html\n")
        assert "\x1b" not in told
        assert len(results(tmp_path / name)["runs"]) == 1
    assert (tmp_path / "not yet" / "report.html").is_file()
    (tmp_path / "loop").symlink_to("loop")
    assert main([*RUN, str(tmp_path / "loop")]) == 1
    assert "symbolic links" in one_line(capsys)


def test_what_was_computed_is_printed_although_it_cannot_be_written(tmp_path, capsys, monkeypatch):
    def full(path, content, folders):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(atomic, "write_text", full)
    assert main([*RUN, str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "76.82%" in told.out
    assert told.err.endswith("details.json: No space left on device\n")


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("old")
    (tmp_path / "dangling").symlink_to("new")
    (tmp_path / "loop").symlink_to("loop")
    atomic.write(tmp_path / "link", b"1")
    atomic.write(tmp_path / "dangling", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert [(tmp_path / name).read_bytes() for name in ("old", "new")] == [b"1", b"2"]
    with pytest.raises(OSError, match=str(tmp_path / "loop")) as caught:
        atomic.write(tmp_path / "loop", b"3")
    assert caught.value.errno == errno.ELOOP
    reader, writer = os.pipe()
    atomic.write(f"/dev/fd/{writer}", b"4")
    assert os.read(reader, 9) == b"4"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644)])
def test_every_file_has_the_mode_that_umask_allows(tmp_path, mask, mode, network, digit):
    digit.save(tmp_path / "a.png")
    before = os.umask(mask)
    try:
        assert main([*RUN, str(tmp_path / "run")]) == 0
        assert main(["predict", str(network), str(tmp_path / "a.png"),
                     "--json", str(tmp_path / "run" / "j"), "--out", str(tmp_path / "run")]) == 0
        assert main(["faces", "--out", str(tmp_path / "run" / "faces"), "--size", "16"]) == 0
    finally:
        os.umask(before)
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".html", ".json", ".png", ".safetensors", ""}
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {mode}


def test_folders_made_in_the_same_second_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    made = [files.new_folder(tmp_path / "runs") for _ in range(3)]
    assert len({*made}) == 3
    for folder in made:
        files.remove_if_empty(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(Fault, match="runs"):
        files.new_folder(tmp_path / "runs")


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), RuntimeError("none")])
def test_without_a_home_the_embedded_digits_are_used(monkeypatch, fault):
    def refuse(*_):
        raise fault
    for name in ("MINIGRAD_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if isinstance(fault, PermissionError):
        monkeypatch.setattr(base, "cache_folder", lambda: Path("/home/other"))
        monkeypatch.setattr(base.Path, "is_dir", refuse)
    else:
        monkeypatch.setattr(base.Path, "home", refuse)
    assert base.search_folders() == []
    assert mnist.load_mnist().name == "mnist-subset"


def test_a_cache_that_is_a_file_holds_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert mnist.load_mnist().name == "mnist-subset"
