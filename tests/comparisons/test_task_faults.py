"""What can be wrong with a user's task, and options of every kind."""

from __future__ import annotations

import json
import re

import pytest
from running import one_line, run_of, spiral

from comparisons.cli import main
from comparisons.errors import Fault
from comparisons.tasks.registry import find
from comparisons.training import processes, runner, seeds
from minigrad import checkpoint

# ---- files that define no usable task ------------------------------------------------------------

@pytest.mark.parametrize(("method", "needed"), [("load", "Data"), ("model", "a Module"),
                                                ("optimizer", "an Optimizer")])
@pytest.mark.parametrize("value", ["None", "5", "[]"])
def test_a_method_that_returns_something_else_is_named(method, needed, value, tmp_path, capsys):
    head = rf"( +)def {method}\(self[^)]*\)[^:]*:\n"
    code = re.sub(head, rf"\g<0>\1    return {value}\n", spiral())
    path = tmp_path / "mine.py"
    path.write_text(code)
    assert main(["run", str(path), "--impl", "minigrad", "--out", str(tmp_path / "out")]) == 1
    kind = {"None": "NoneType", "5": "int", "[]": "list"}[value]
    assert f"spiral: {method} returned {kind}; expected {needed}" in one_line(capsys)


@pytest.mark.parametrize("place", ["seeds", "runner"])
def test_what_a_further_load_returns_is_checked_as_well(place, tmp_path, monkeypatch):
    """For a further seed, and in the processes that take part in a run."""
    path = tmp_path / "mine.py"
    head = r"( +)def load\(self[^)]*\)[^:]*:\n"
    path.write_text(re.sub(head, r"\g<0>\1    return 5\n", spiral()))
    task = find(str(path))
    order = processes.Order(task.name, task.options(), tmp_path, False)
    monkeypatch.setattr(processes, "follow", lambda train: train(order))
    with pytest.raises(Fault, match="spiral: load returned int; expected Data"):
        seeds.loaded(task, task.options()) if place == "seeds" else runner.train_along([task])


MODEL = "        return implementation.nn.Linear(2, len(data.classes))\n"


@pytest.mark.parametrize(("change", "told"), [
    (lambda code: "x = 1\n", "defines no task; expected one class that extends Task"),
    (lambda code: code + "\n\nclass Other(ClassificationTask):\n    name = 'other'\n",
     r"defines several tasks \(SpiralTask, Other\)"),
    (lambda code: "import nothing_of_this_name\n" + code,
     "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    (lambda code: code + "\n)", "cannot be imported: SyntaxError"),
    (lambda code: code + "\nraise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    (lambda code: code.replace("def load", "def loads"), "SpiralTask lacks load"),
    (lambda code: code.replace('    name = "spiral"\n', ""), "SpiralTask lacks name"),
    (lambda code: code.replace("    epochs = 40\n", ""), "SpiralTask lacks epochs"),
    (lambda code: code.replace('"spiral"\n', '"diabetes"\n'), "'diabetes' .* is already used"),
    (lambda code: code.replace('"spiral"\n', '"all"\n'), "'all' of its task is already used"),
    (lambda code: code.replace('"spiral"\n', '"../x"\n'), "must consist of lower-case letters"),
    (lambda code: code.replace("    arms: int", "    out: int"), "the name 'out' of an option"),
    (lambda code: code.replace("    arms: int", "    metrics: int"), "the name 'metrics' of"),
    (lambda code: code.replace("    arms: int", "    own: int"), "the name 'own' of an option"),
    (lambda code: code.replace("    lr = 1e-2", "    lr = '1e-2'"), r"SpiralTask.lr is '1e-2'"),
    (lambda code: code.replace("options = SpiralOptions", "options = dict"), "SpiralTask.options"),
    (lambda code: code.replace('name = "spiral"', "name = 5"), "SpiralTask.name is 5"),
    (lambda code: code.replace("flag(3,", "flag(object,"), "the option arms has the value"),
    (lambda code: code.replace("    def load", "    def __init__(self, depth):\n        pass\n\n"
                               "    def load"), r"SpiralTask\(\) fails: TypeError"),
])
def test_a_file_that_cannot_serve_is_one_line_that_names_it(change, told, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(change(spiral()))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    line = one_line(capsys)
    assert re.search(told, line)
    assert "mine.py" in line or "the option arms" in line
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(tmp_path, capsys):
    for command in ("run", "parity", "speed"):
        assert main([command, str(tmp_path / "none.py")]) == 2
        assert f"{tmp_path / 'none.py'}: no such file" in one_line(capsys)


# ---- options of every kind -----------------------------------------------------------------------

KINDS = """    hidden: tuple[int, ...] = flag((8, 4), lambda word: tuple(map(int, word.split(","))),
                                   "N,N", "sizes of the hidden layers, in % of nothing")
    table: Path | None = flag(None, Path, "FILE", "a file")
    plain: bool = flag(False, None, help="without a hidden layer")
    scale: float = flag(1.0, float, "F", "of the points")
"""


def test_options_of_every_kind_are_kept_compared_and_restored(tmp_path, capsys):
    path = tmp_path / "kinds.py"
    path.write_text("from pathlib import Path\n"
                    + spiral().replace("    arms: int", KINDS + "    arms: int"))
    argv = ["run", str(path), "--impl", "minigrad", "--epochs", "1", "--hidden", "5,6", "--table",
            str(tmp_path / "t.py"), "--plain", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    record = run_of(tmp_path / "out", "spiral", "minigrad")
    assert (record["hidden"], record["plain"], record["scale"]) == ([5, 6], True, 1.0)
    assert main([*argv, "--resume"]) == 0
    capsys.readouterr()
    assert main([*[word if word != "5,6" else "5,7" for word in argv], "--resume"]) == 1
    assert "hidden [5, 6], not [5, 7]" in one_line(capsys)
    kept = checkpoint.load(tmp_path / "out" / record["checkpoint"]).config["options"]
    options = find(str(path)).options.restored(kept)
    assert (options.hidden, options.table) == ((5, 6), tmp_path / "t.py")
    assert main(["run", str(path), "--help"]) == 0
    assert "in % of nothing" in " ".join(capsys.readouterr().out.split())


def test_an_option_of_another_kind_than_dexpressions_is_refused(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(spiral().replace(
        "    arms: int", "    folds: bool = flag(False, None)\n    arms: int"))
    assert main(["run", str(path)]) == 2
    assert "--folds: takes a value for one of dexpression and spiral" in one_line(capsys)


def test_a_variant_without_choices_has_its_parity_checked(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(spiral().replace("arms: int", "variant: int").replace(".arms", ".variant"))
    assert main(["parity", str(path), "--out", str(tmp_path)]) == 0
    assert "(Linear)" in capsys.readouterr().out


def test_tasks_that_inherit_their_loader_load_their_own_data(tmp_path, monkeypatch):
    base = tmp_path / "spiral_base.py"
    base.write_text(spiral().replace("options.arms", "self.arms_here"))
    for arms in (2, 3):
        (tmp_path / f"s{arms}.py").write_text(
            f"from spiral_base import SpiralTask\n\n\nclass S{arms}(SpiralTask):\n"
            f"    name = 's{arms}'\n    arms_here = {arms}\n")
    assert main(["run", str(tmp_path / "s2.py"), str(tmp_path / "s3.py"), "--impl", "minigrad",
                 "--epochs", "1", "--out", str(tmp_path / "out")]) == 0
    for arms in (2, 3):
        details = json.loads((tmp_path / f"out/s{arms}-minigrad/details.json").read_text())
        assert len(details["classes"]) == arms


# ---- faults of a task's own code: one line, and earlier results stay -----------------------------

JUDGE = """
    def judge(self, data, trained):
        metrics, details = super().judge(data, trained)
        return """
WATCH = """
    def watch(self, implementation, model, split):
        return """
BASELINES = """
    def baselines(self, data, splits):
        return """
INTRODUCTION = """
    def introduction(self, data, splits, options):
        raise """


@pytest.mark.parametrize(("added", "told"), [
    (JUDGE + "{}, details\n", "its headlines name test_accuracy, but judge returned"),
    (JUDGE + "metrics | {'a': 'x'}, details\n", "judge returned 'x' as a; expected a num"),
    (JUDGE + "metrics | {'a': np.nan}, details\n", "the a became nan after the last"),
    (JUDGE + "metrics | {'a': np.inf}, details | {'a': [np.nan]}\n",
     "the a became inf after the last epoch; try a smaller --lr"),
    (JUDGE + "metrics, details | {'a': np.nan}\n", "cannot be saved as JSON"),
    (JUDGE + "metrics, details | {'a': self}\n", "a SpiralTask is not a number"),
    (WATCH + "{'loss': 1.0}\n", "watch returned a figure named loss, which is already used"),
    (WATCH + "{'a': None}\n", "watch returned None as a; expected a number"),
    (BASELINES + "{'other': 1.0}\n",
     "its headlines name linear_accuracy, but baselines returned only other"),
    (BASELINES + "{'linear_accuracy': np.inf}\n",
     "baselines returned inf as linear_accuracy"),
    (INTRODUCTION + "RuntimeError('no idea')\n",
     r"mine.py, line \d+: RuntimeError: no idea"),
])
def test_a_fault_of_a_task_is_one_line_and_leaves_earlier_results(added, told, tmp_path, capsys):
    path, out = tmp_path / "mine.py", tmp_path / "out"
    path.write_text(spiral() + added)
    assert main(["run", "regression", "--impl", "minigrad", "--epochs", "1", "--out",
                 str(out)]) == 0
    before = (out / "results.json").read_bytes()
    capsys.readouterr()
    assert main(["run", str(path), "--impl", "minigrad", "--epochs", "1", "--out", str(out)]) == 1
    assert re.search(told, one_line(capsys))
    assert (out / "results.json").read_bytes() == before
    assert main(["report", str(out)]) == 0


def test_numbers_and_arrays_of_numpy_are_taken(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(spiral() + JUDGE + "({k: np.float32(v) for k, v in metrics.items()},"
                    "\n                details | {'a': np.arange(3), 'b': np.int64(4)})\n")
    assert main(["run", str(path), "--impl", "minigrad", "--epochs", "1", "--out",
                 str(tmp_path / "out")]) == 0
    details = json.loads((tmp_path / "out/spiral-minigrad/details.json").read_text())
    assert (details["a"], details["b"]) == ([0, 1, 2], 4)


def test_one_class_is_refused_before_training(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(spiral().replace("at_least(2)", "at_least(1)"))
    assert main(["run", str(path), "--arms", "1", "--out", str(tmp_path / "out")]) == 1
    assert "spiral has 1 class; at least two are needed" in one_line(capsys)


def test_what_is_no_python_file_is_said(tmp_path, capsys):
    (tmp_path / "spiral").write_text(spiral())
    (tmp_path / "folder.py").mkdir()
    for name in ("spiral", "folder.py"):
        assert main(["run", str(tmp_path / name)]) == 2
        assert "not a Python file, whose name ends in .py" in one_line(capsys)
