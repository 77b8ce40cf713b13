"""`new-task`: what it writes runs as it is, on both sides, and on the user's own data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running import one_line, run_of
from untrained import grey

from comparisons.cli import main
from minigrad import checkpoint


@pytest.fixture(scope="module", params=["images", "table"])
def made(request: Any, tmp_path_factory: Any) -> tuple[str, Path]:
    """The kind of a new task, and the folder that holds its file and its run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert main(["new-task", str(folder / "my-leaves"), f"--{request.param}"]) == 0
    assert main(["run", str(folder / "my_leaves.py"), "--out", str(folder / "out")]) == 0
    return request.param, folder


def test_it_runs_as_it_is_on_both_sides(made: tuple[str, Path]) -> None:
    kind, folder = made
    for impl in ("minigrad", "torch"):
        record = run_of(folder / "out", "my-leaves", impl)
        assert record["title"].startswith("My leaves, ")
        assert record["dataset"] == ("my-leaves-pictures" if kind == "images" else "my-leaves")
        assert record["metrics"]["test_accuracy"] >= 0.85
        assert (folder / "out" / record["checkpoint"]).exists()
    assert "My leaves, " in (folder / "out" / "report.html").read_text()
    code = (folder / "my_leaves.py").read_text()
    assert "my-task" not in code
    assert "MyTask" not in code
    assert max(map(len, code.splitlines())) <= 100


def test_it_resumes_has_parity_and_is_timed_like_the_five(
        made: tuple[str, Path], tmp_path: Path, capsys: Any) -> None:
    _, folder = made
    argv = ["run", str(folder / "my_leaves.py"), "--out", str(folder / "out"), "--resume"]
    before = {impl: checkpoint.load(folder / "out" / f"my-leaves-{impl}/last.safetensors").model
              for impl in ("minigrad", "torch")}
    assert main(argv) == 0
    for impl, weights in before.items():
        after = checkpoint.load(folder / "out" / f"my-leaves-{impl}/last.safetensors").model
        for key, value in weights.items():
            np.testing.assert_array_equal(value, after[key])
    assert main(["parity", str(folder / "my_leaves.py"), "--out", str(tmp_path)]) == 0
    assert "all within bounds" in capsys.readouterr().out


@pytest.mark.parametrize("impl", ["minigrad", "torch"])
def test_it_predicts(made: tuple[str, Path], impl: str, tmp_path: Path, capsys: Any) -> None:
    kind, folder = made
    file, answers = str(folder / "my_leaves.py"), tmp_path / "answers.json"
    path = folder / "out" / f"my-leaves-{impl}" / "last.safetensors"
    argv = ["predict", str(path), "--task", file, "--json", str(answers)]
    if impl == "minigrad":              # a new task knows --calibrate
        assert main(["run", file, "--impl", impl, "--quick", "--calibrate", "0.3", "--out",
                     str(tmp_path)]) == 0
        assert "calibration: temperature " in capsys.readouterr().out
    if kind == "images":
        pictures = [str(folder / "my-leaves-pictures" / name / "000.png")
                    for name in ("circle", "square", "triangle")]
        assert main([*argv, *pictures]) == 0
        found = json.loads(answers.read_text())
        assert [p["class"] for e in found["images"] for p in e["pictures"]] == [
            "circle", "square", "triangle"]
        assert main([*argv, *pictures, "--whole"]) == 1
        assert "--whole: my-leaves" in one_line(capsys)
        return
    table = tmp_path / "new.csv"
    table.write_text("colour,length,width\nred,6,5\ngreen,9,4\nblue,8,7\nblue,x,7\n")
    assert main([*argv, str(table)]) == 1
    told = capsys.readouterr()
    assert told.err == f"comparisons: {table}, line 5: length: 'x' is not a number\n"
    assert told.out.splitlines()[0] == f"{path}: my-leaves, trained on my-leaves"
    found = json.loads(answers.read_text())
    assert [(e["line"], e["class"]) for e in found["records"]] == [
        (2, "plum"), (3, "quince"), (4, "medlar")]
    assert found["left_out"] == [f"{table}, line 5: length: 'x' is not a number"]
    table.write_text("colour,length\nred,6\n")
    assert main([*argv, str(table)]) == 1
    assert f"{table}, line 1: no column is named 'width'" in one_line(capsys)
    assert main([*argv, str(table), "--whole"]) == 1
    assert "--whole: applies to pictures, but the network of" in one_line(capsys)


def test_it_takes_the_users_own_data(made: tuple[str, Path], tmp_path: Path, capsys: Any) -> None:
    kind, folder = made
    own, out = tmp_path / "own", tmp_path / "out"
    if kind == "images":
        for level, name in enumerate(("dark", "grey", "light", "white")):
            (own / name).mkdir(parents=True)
            for i in range(8):
                grey(np.full((9, 9), level / 3)).save(own / name / f"{i}.jpg")
    else:
        own = tmp_path / "own.csv"
        own.write_text("size,price,kind\n" + "".join(
            f"{i},1,{'yes' if i > 20 else 'no'}\n" for i in range(40)))
    argv = ["run", str(folder / "my_leaves.py"), "--impl", "minigrad", "--epochs", "1", "--out",
            str(out), "--data", str(own)]
    assert main(argv) == 0
    assert run_of(out, "my-leaves", "minigrad")["dataset"] == "own"
    capsys.readouterr()
    shutil.copytree(folder / "out" / "my-leaves-minigrad", out / "my-leaves-minigrad",
                    dirs_exist_ok=True)
    assert main([*argv, "--resume"]) == 1
    assert "trained with dataset my-leaves" in one_line(capsys)
    assert main([*argv[:-1], str(tmp_path / "none")]) == 1
    assert f"{tmp_path / 'none'}: no such file or folder (--data)" in one_line(capsys)


def test_pictures_may_have_colours(tmp_path: Path, capsys: Any) -> None:
    assert main(["new-task", str(tmp_path / "hues")]) == 0
    shutil.rmtree(tmp_path / "hues-pictures")
    rng = np.random.default_rng(0)
    for k, name in enumerate(("red", "green", "blue")):
        (tmp_path / "hues-pictures" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 60, (24, 24, 3), np.uint8)
            pixels[..., k] += np.uint8((195, 100, 190)[k])
            Image.fromarray(pixels).save(tmp_path / "hues-pictures" / name / f"{i}.png")
    file = tmp_path / "hues.py"
    file.write_text(file.read_text().replace("CHANNELS = 1 ", "CHANNELS = 3 "))
    assert main(["run", str(file), "--impl", "minigrad", "--epochs", "3", "--out",
                 str(tmp_path / "out")]) == 0
    assert "24×24 px, colour, 3 classes: blue 10" in capsys.readouterr().out
    path = tmp_path / "out" / "hues-minigrad" / "last.safetensors"
    assert main(["predict", str(path), "--task", str(file), "--json", str(tmp_path / "a.json"),
                 *(str(tmp_path / "hues-pictures" / name / "0.png") for name in ("red", "blue"))
                 ]) == 0
    found = json.loads((tmp_path / "a.json").read_text())["images"]
    assert [e["pictures"][0]["class"] for e in found] == ["red", "blue"]


def test_a_table_may_have_a_number_as_its_target(tmp_path: Path, capsys: Any) -> None:
    assert main(["new-task", str(tmp_path / "price"), "--table"]) == 0
    file = tmp_path / "price.py"
    file.write_text(file.read_text().replace("TableClassifier", "TableRegressor")
                    .replace('target = "kind"', 'target = "price"'))
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
    for impl in ("minigrad", "torch"):
        record = run_of(tmp_path / "out", "price", impl)
        assert record["metrics"]["r2"] > 0.8
    capsys.readouterr()
    assert main(["run", str(file), "--out", str(tmp_path / "none"), "--calibrate", "0.2"]) == 1
    assert one_line(capsys) == "comparisons: --calibrate: the task price sets no items apart\n"
    assert main(["predict", str(tmp_path / "out/price-torch/last.safetensors"), "--task",
                 str(file), str(tmp_path / "price.csv")]) == 0
    told = capsys.readouterr().out
    lines = (tmp_path / "price.csv").read_text().splitlines()[1:]
    guesses = [float(line.rpartition(" ")[2]) for line in told.splitlines()[-len(lines):]]
    truth = [float(line.rpartition(",")[2]) for line in lines]
    assert np.corrcoef(guesses, truth)[0, 1] > 0.9


@pytest.mark.parametrize(("name", "status", "told"), [
    ("Leaves", 2, "'Leaves' must consist of lower-case letters"),
    ("2leaves", 2, "with a letter first"),
    ("all", 2, "'all' is already used"),
    ("mnist_cnn", 2, "'mnist-cnn' is already used"),
    ("there", 1, "there.py: is already there")])
def test_names_that_cannot_be_used_are_one_line(name: str, status: int, told: str, tmp_path: Path,
                                                capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.py").write_text("mine")
    assert main(["new-task", name]) == status
    assert told in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]
