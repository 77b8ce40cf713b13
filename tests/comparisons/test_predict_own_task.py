"""`predict --task FILE`: a user's own task reads pictures, too; what does not fit is one line."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import one_line
from untrained import grey, write

from comparisons.cli import main

HALVES = """
    import numpy as np

    from comparisons.datasets.base import Data
    from comparisons.datasets.crops import Subject, whole
    from comparisons.tasks.images import ImageTask
    from comparisons.tasks.options import Options


    class HalvesTask(ImageTask[Options]):
        name, title, options = "halves", "Which half is light", Options
        epochs, batch_size, lr = 1, 8, 0.1
        subject = Subject("square", whole, whole)

        def load(self, options):
            y = np.arange(160) % 2
            x = np.random.default_rng(options.seed).random((160, 1, 8, 8), np.float32) / 4
            x[y == 0, :, :, :4] += 0.5
            x[y == 1, :, :, 4:] += 0.5
            return Data("squares", "160 squares", x[:128], y[:128], x[128:], y[128:],
                        ["left", "right"])

        def model(self, implementation, data, options):
            nn = implementation.nn
            return nn.Sequential(nn.Flatten(), nn.Linear(64, len(data.classes)))

        def optimizer(self, implementation, parameters, recipe):
            return implementation.optim.Adam(parameters, lr=recipe.lr)
"""


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The file of the task, and a checkpoint that `run` has left of it."""
    folder = tmp_path_factory.mktemp("halves")
    file = folder / "halves.py"
    file.write_text(textwrap.dedent(HALVES))
    assert main(["run", str(file), "--quick", "--impl", "minigrad", "--out", str(folder)]) == 0
    return str(file), str(folder / "halves-minigrad" / "last.safetensors")


@pytest.fixture
def square(tmp_path: Path) -> str:
    """A picture whose right half is light."""
    grey(np.arange(40) >= np.full((40, 1), 20)).save(tmp_path / "square.png")
    return str(tmp_path / "square.png")


def test_a_users_own_task_reads_a_picture(halves: tuple[str, str], square: str, capsys: Any
                                          ) -> None:
    file, checkpoint = halves
    assert main(["predict", checkpoint, square, "--task", file]) == 0
    out = capsys.readouterr().out
    assert f"{square}: 1 square\n  1  right " in out
    assert "(at 0, 0, 40×40 px)" in out


def test_an_unknown_task_asks_for_its_file(halves: tuple[str, str], square: str, capsys: Any
                                           ) -> None:
    _, checkpoint = halves
    for command in (["predict", checkpoint, square], ["demo", checkpoint]):
        assert main(command) == 1
        line = one_line(capsys)
        assert line.startswith(f"comparisons: {checkpoint}: its task halves is not one of")
        assert "--task FILE" in line


def test_a_checkpoint_of_another_task_is_one_line(halves: tuple[str, str], square: str,
                                                  tmp_path: Path, capsys: Any) -> None:
    file, checkpoint = halves
    digits, _ = write(tmp_path, "mnist-cnn", "minigrad")
    for path, trained, task, given in ((str(digits), "mnist-cnn", file, "halves"),
                                       (checkpoint, "halves", "mnist-cnn", "mnist-cnn")):
        assert main(["predict", path, square, "--task", task]) == 1
        assert one_line(capsys) == (f"comparisons: {path}: is a checkpoint of the task {trained}, "
                                    f"but --task defines {given}\n")


@pytest.mark.parametrize(("content", "words"), [
    ("x = 1\n", "defines no task; expected one class that extends Task"),
    (None, "no such file")])
def test_a_file_without_a_task_is_one_line(content: str | None, words: str, square: str,
                                           halves: tuple[str, str], tmp_path: Path, capsys: Any
                                           ) -> None:
    file = tmp_path / "other.py"
    if content is not None:
        file.write_text(content)
    assert main(["predict", halves[1], square, "--task", str(file)]) == 1
    assert one_line(capsys) == f"comparisons: {file}: {words}\n"


def test_a_task_that_reads_no_pictures_is_one_line(halves: tuple[str, str], square: str,
                                                   tmp_path: Path, capsys: Any) -> None:
    blind = tmp_path / "blind.py"
    content = textwrap.dedent(HALVES)
    blind.write_text(content.replace('    subject = Subject("square", whole, whole)\n', ""))
    assert main(["predict", halves[1], square, "--task", str(blind)]) == 1
    line = one_line(capsys)
    assert line.startswith(f"comparisons: {halves[1]}: halves reads no pictures; ")
    assert "`subject`" in line
