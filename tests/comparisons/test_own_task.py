"""A user's own task: the one that CONTRIBUTING shows, run as its reader would run it."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import one_line, results, run_of, spiral

from comparisons.cli import main
from comparisons.commands import run
from comparisons.tasks.registry import find, find_all
from comparisons.training import progress
from minigrad import checkpoint


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("elsewhere") / "spiral.py"
    path.write_text(spiral())
    return path


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("finished")
    assert main(["run", str(file), "--arms", "4", "--out", str(folder)]) == 0
    return folder


def test_it_trains_both_sides_and_tells_its_options(finished):
    ours, theirs = (run_of(finished, "spiral", impl) for impl in ("minigrad", "torch"))
    for record in ours, theirs:
        assert record["arms"] == 4
        assert (record["n_train"], record["n_test"], record["epochs"]) == (900, 300, 40)
        assert record["metrics"]["test_accuracy"] > 0.95
        assert record["baselines"]["linear_accuracy"] < 0.6
        kept = checkpoint.load(finished / record["checkpoint"])
        assert kept.config["options"] == {"seed": 0, "quick": False, "arms": 4}
    first = [json.loads((finished / f"spiral-{impl}" / "details.json").read_text())["history"][0]
             for impl in ("minigrad", "torch")]
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], rel=1e-4)


def test_its_page_is_made_from_the_results_alone(finished, capsys):
    page = (finished / "report.html").read_text()
    assert '<section id="spiral">' in page
    assert "Spiral, perceptron with two hidden layers" in page
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").read_text() == page


def test_its_run_resumes_and_only_with_the_same_options(file, tmp_path, monkeypatch, capsys):
    argv = ["run", str(file), "--impl", "minigrad", "--epochs", "4", "--out", str(tmp_path)]
    assert main([*argv[:-1], str(tmp_path / "whole")]) == 0
    seen = []

    def interrupt(self, split, entry):
        seen.append(entry)
        if len(seen) == 2:
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "epoch", interrupt)
        assert main(argv) == 130
    capsys.readouterr()
    assert main([*argv, "--resume", "--arms", "5"]) == 1
    assert "trained with" in one_line(capsys)
    assert main([*argv, "--resume"]) == 0
    a, b = (checkpoint.load(folder / "spiral-minigrad/last.safetensors").model
            for folder in (tmp_path, tmp_path / "whole"))
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


def test_it_runs_beside_the_five_and_after_them(file, tmp_path, capsys):
    assert main(["run", str(file), "regression", "--impl", "minigrad", "--quick", "--out",
                 str(tmp_path)]) == 0
    assert [record["task"] for record in results(tmp_path)["runs"]] == ["regression", "spiral"]
    table = capsys.readouterr().out.partition("─")[2]
    assert table.index("regression") < table.index("spiral")


def test_parity_and_help_know_it(file, tmp_path, capsys):
    assert main(["parity", str(file), "--out", str(tmp_path)]) == 0
    assert "spiral: batch of 16" in capsys.readouterr().out
    assert main(["run", str(file), "--help"]) == 0
    assert re.search(r"--arms K\s+spiral: number of arms", capsys.readouterr().out)
    assert main(["run", "--help"]) == 0
    assert "--arms" not in capsys.readouterr().out


def test_its_flags_are_refused_where_it_does_not_run(file, capsys):
    assert main(["run", "regression", "--arms", "4"]) == 2
    assert "--arms" in one_line(capsys)
    assert main(["run", str(file), "--arms", "1"]) == 2
    assert "--arms: must be at least 2; got 1" in one_line(capsys)
    assert main(["run", str(file), "--folds", "3"]) == 2
    assert "--folds is for dexpression only" in one_line(capsys)


def test_a_foundation_in_the_same_file_is_no_task(tmp_path):
    path = tmp_path / "two.py"
    path.write_text(spiral() + textwrap.dedent("""

        class LongSpiralTask(SpiralTask):
            name = "long-spiral"
            epochs = 80
    """))
    assert find(str(path)).name == "long-spiral"


def test_it_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "spiral_depth.py").write_text("EPOCHS = 7\n")
    path = tmp_path / "neighbour.py"
    path.write_text("from spiral_depth import EPOCHS\n" + spiral().replace("40", "EPOCHS"))
    assert find(str(path)).epochs == 7


def test_the_value_of_a_flag_is_no_task(file, tmp_path):
    """Not of `run`'s own flags, not of a task's, not behind an equals sign."""
    table = tmp_path / "table.py"
    table.write_text(spiral().replace(
        "    arms: int", "    table: str = flag('', str, 'FILE', 'any')\n    arms: int"))
    words = [str(table), "--out", "results.py", "--table", "a.py", "--data=c.py", "--resume",
             str(file)]
    assert run.files_named(words) == [find(str(table)), find(str(file))]


def test_a_file_is_one_task_however_it_is_spelled(file, tmp_path, monkeypatch):
    monkeypatch.chdir(file.parent)
    (tmp_path / "link.py").symlink_to(file)
    words = ["spiral.py", str(file), str(tmp_path / "link.py")]
    assert find_all(words) == [find("spiral.py")]


def test_two_tasks_of_one_name_are_refused(file, tmp_path, capsys):
    other = tmp_path / "other.py"
    other.write_text(spiral())
    assert main(["run", str(file), str(other)]) == 2
    assert "its task is named spiral, as that of" in one_line(capsys)


# ---- what a task may be asked for ----------------------------------------------------------------

def test_two_tasks_may_share_the_name_of_a_flag(tmp_path, capsys):
    """Each parses the word by its own rule, and the help tells of both."""
    path = tmp_path / "sized.py"
    path.write_text(spiral().replace("arms: int = flag(3, at_least(2), \"K\", \"number",
                                     "size: int = flag(3, at_least(2), \"K\", \"number")
                    .replace("options.arms", "options.size"))
    assert main(["run", str(path), "--size", "3", "--quick", "--impl", "minigrad", "--out",
                 str(tmp_path / "out")]) == 0
    assert main(["run", "dexpression", str(path), "--size", "3"]) == 2
    assert "--size: must be from 16 to 512" in capsys.readouterr().err
    assert main(["run", str(path), "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "dexpression: height and width of the images" in told
    assert "; spiral: number of arms" in told
