"""`python -m minigrad.testing puzzle`: files, verdicts, the process, and what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minigrad.testing.__main__ import main
from minigrad.testing.puzzle import curve, process
from minigrad.testing.puzzle.catalogue import edition
from minigrad.testing.puzzle.judge import judge

# ---- files that cannot be judged, and shortcuts --------------------------------------------------

COS = edition(1)
HEAD = "import numpy as np\n\nimport minigrad as mg\nfrom minigrad.autograd import op\n\n\n"

REFUSED = [
    ("def cos(x:\n    pass\n", r"^it\.py, line 1: not valid Python: '\(' was never closed$"),
    ("x = 1 +\n", r"^it\.py, line 1: not valid Python: invalid syntax$"),
    ("a\0b", r"^it\.py: not valid Python: .*null"),
    ("\n1 / 0\n", r"^it\.py, line 2: running the file raised ZeroDivisionError: division by zero$"),
    ("raise SystemExit\n", r"^it\.py, line 1: running the file raised SystemExit$"),
    ("import nothing_there\n", r"^it\.py, line 1: .* ModuleNotFoundError: No module named"),
    ("cosine = 3\n", r"^it\.py: defines no cos; the op must keep its name$"),
    ("cos = 3\n", r"^it\.py: cos is taken from elsewhere"),
    ("from minigrad.functional import relu as cos\n", r"^it\.py: cos is taken from elsewhere"),
    ("from minigrad import cos\n", r"^it\.py: cos is taken from elsewhere; correct the op"),
    ("def cos(x):\n    return x\n", r"^it\.py: cos is not an op: the line @op above it is miss"),
    ("from minigrad.testing.puzzle.catalogue import edition\ncos = edition(1).right_op()\n",
     r"^it\.py, line 1: imports the puzzles themselves"),
    (HEAD + "@op\ndef cos(x):\n    return np.cos(x.data), lambda g: mg.grad(mg.cos(x), x, g)[0]\n",
     r"^it\.py, line 9: the op uses grad, and so lets the engine differentiate for it; write the "),
    (HEAD + "from minigrad.func import vjp as d\n\ndef helper(x):\n    return d(mg.cos, x)\n"
     "\n@op\ndef cos(x):\n    return np.cos(x.data), lambda g: helper(x)[1](g)[0]\n",
     r"^it\.py, line 10: the op uses func, "),
    (HEAD + "@op\ndef cos(x):\n    y = mg.cos(x)\n    return y.data, y.node.edges[0][1]\n",
     r"^it\.py, line 10: the op uses (node|edges), "),
    (HEAD + "cos = op(mg.cos.__wrapped__)\n", r"^it\.py: cos is taken from elsewhere"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_correction_gets_one_line(text, message):
    verdict = judge(COS, text, "it.py")
    assert re.search(message, verdict.refused), verdict.refused
    assert "\n" not in verdict.refused
    assert not verdict.solved


FOUND = [
    ("return -np.cos(x.data), lambda g: g * x.sin()", "values", "the value is wrong:"),
    ("return np.cos(x.data)[None], lambda g: -g * x.sin()", "values", "the result has shape (1,)"),
    ("return np.cos(x.data).astype(np.float64), lambda g: -g * x.sin()", "values",
     "dtype float64; expected shape () and dtype float32"),
    ("y = np.cos(x.data)\n    x.data[...] = 0\n    return y, lambda g: -g * x.sin()", "values",
     "the op has changed one of its inputs"),
    ("return np.cos(x.data), lambda g: -g * y", "gradients",
     "it.py, line 9: NameError: name 'y' is not defined"),
    ("return np.cos(x.data), lambda g: None", "gradients", "a vjp must return a Tensor"),
    ("return np.cos(x.data), lambda g: g * (np.cos(x.data + 1e-6) - np.cos(x.data - 1e-6)) / 2e-6",
     "precision", "it agrees with finite differences, but"),
    ("raise KeyError('x')", "values", "it.py, line 9: KeyError: 'x'"),
]


@pytest.mark.parametrize(("body", "check", "message"), FOUND)
def test_a_failing_check_says_what_it_found(body, check, message):
    verdict = judge(COS, HEAD + f"@op\ndef cos(x):\n    {body}\n", "it.py")
    assert [name for state, name, _ in verdict.checks if state == "WRONG"] == [check]
    assert any(message in line for line in verdict.details), verdict.details


def test_names_of_the_engine_may_be_used_otherwise():
    text = (HEAD + "def show():\n    cos(mg.tensor([1.0], requires_grad=True)).backward()\n\n"
            "@op\ndef cos(x):\n    def vjp(grad):\n        return -grad * x.sin()\n"
            "    return np.cos(x.data), vjp\n\nshow()\n")
    assert judge(COS, text, "it.py").solved


# ---- the process ---------------------------------------------------------------------------------

def test_an_endless_loop_is_ended(tmp_path):
    file = tmp_path / "it.py"
    file.write_text("import time\n" + HEAD + "@op\ndef cos(x):\n    def vjp(g):\n"
                    "        while True:\n            time.sleep(0.01)\n"
                    "    return np.cos(x.data), vjp\n", "utf-8")
    for limit in (2, 4, 8, 16):                             # a busy machine needs more to start
        refused = process.run(COS, file, limit=limit).verdict.refused
        if "gradients" in refused:
            break
    assert refused == (f"{file}, being checked: gradients: there is no verdict after {limit} "
                       "seconds; look for a loop that does not end")


def test_a_file_that_ends_python_is_no_solution(tmp_path):
    file = tmp_path / "it.py"
    file.write_text("print('{}}')\nimport os\nos._exit(0)\n", "utf-8")
    assert process.run(COS, file).verdict.refused == (
        f"{file}, being read: it ended Python, with exit status 0")


# ---- the command ---------------------------------------------------------------------------------

@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of the reader's own, in which processes find minigrad."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str]:
    status = main(["puzzle", *arguments])
    told = capsys.readouterr()
    assert not (told.out and told.err)
    assert max(map(len, told.out.splitlines()), default=0) <= 80
    return status, told.out or told.err


def test_a_puzzle_is_played_from_the_list_to_its_solution(here, capsys):
    assert "0 of 20 are solved. The next:  python -m minigrad.testing puzzle 1" in run(capsys)[1]
    status, text = run(capsys, "7", "--seed", "1")
    assert status == 0
    assert "x the broken matmul    o the right op" in text
    file = here / "puzzle_07.py"
    assert file.read_text("utf-8") == edition(7, 1).as_file(edition(7, 1).broken)
    status, text = run(capsys, "7", "puzzle_07.py")
    assert status == 1
    assert "WRONG  gradients" in text
    assert "Not solved yet." in text
    for count in (1, 2, 3, 3):
        assert f"Hint {count} of 3" in run(capsys, "7", "--hint")[1]
    assert "Hint 2 of 3" in run(capsys, "7", "--hint", "2")[1]
    assert run(capsys, "7")[0] == 0                         # it shows the same edition again
    assert "+     return a.data @ b.data, lambda g: g @ b.t(), lambda g: a.t() @ g" in run(
        capsys, "7", "--solution")[1]
    file.write_text(file.read_text("utf-8").replace("a @ g", "a.t() @ g"), "utf-8-sig")
    status, text = run(capsys, "7", "puzzle_07.py")
    assert status == 0, text
    assert "Solved." in text
    status, text = run(capsys)
    assert "[x]  7 matmul" in text
    assert "1 of 20 are solved." in text
    assert sorted(path.name for path in here.iterdir()) == ["puzzle_07.py",
                                                           "puzzle_progress.json"]


def test_a_file_that_is_there_is_never_overwritten(here, capsys):
    file = here / "puzzle_01.py"
    file.write_text(COS.as_file(COS.right), "utf-8")
    status, text = run(capsys, "1")
    assert status == 0
    assert text.rstrip().endswith("delete\nor rename it, and repeat the command.")
    assert file.read_text("utf-8") == COS.as_file(COS.right)
    status, text = run(capsys, "1", "--seed", "2")
    assert status == 2
    assert text == ("puzzle: puzzle_01.py is already there, and is not puzzle 1 with seed 2; it "
                    "was left as it is. Rename or delete it first\n")
    assert file.read_text("utf-8") == COS.as_file(COS.right)


def test_nothing_but_solution_prints_the_solution(here, capsys):
    for number in (4, 18):
        one = edition(number)
        shown = [run(capsys, str(number))[1], *(run(capsys, str(number), "--hint")[1]
                                                for _ in range(4)),
                 run(capsys, str(number), one.file_name)[1], run(capsys)[1]]
        assert not [text for text in shown if one.mistake.right in text]
        assert one.mistake.right in run(capsys, str(number), "--solution")[1]


@pytest.mark.parametrize(("arguments", "message"), [
    (["3", "none.py"], "puzzle: none.py: there is no such file"),
    (["3", "."], "puzzle: .: Is a directory"),
    (["--hint"], "puzzle: --hint, --solution and --seed need the number of a puzzle: "),
    (["3", "--hint", "--solution"], "puzzle: give one of FILE, --hint and --solution"),
    (["3", "a.py", "--solution"], "puzzle: give one of FILE, --hint and --solution"),
    (["3", "latin.py"], "puzzle: latin.py: not a text file in UTF-8"),
    (["3", "cos.py"], "puzzle: cos.py is the file of puzzle 1, not of puzzle 3"),
])
def test_faults_are_one_line(here, capsys, arguments, message):
    (here / "latin.py").write_bytes(b"\xff\xfe")
    (here / "cos.py").write_text(COS.as_file(COS.broken), "utf-8")
    status, text = run(capsys, *arguments)
    assert status == 2
    assert text.startswith(message)
    assert text.count("\n") == 1


@pytest.mark.parametrize("arguments", [["0"], ["21"], ["puzzle_01.py"], ["1", "--hint", "4"],
                                       ["1", "--seed", "-1"]])
def test_wrong_arguments_are_usage_errors(here, capsys, arguments):
    with pytest.raises(SystemExit) as raised:
        main(["puzzle", *arguments])
    assert raised.value.code == 2
    assert f"got '{arguments[-1]}'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"solved": 3, "hints": {}}',
                                  '{"solved": [], "hints": 1}'])
def test_a_damaged_record_is_named(here, capsys, text):
    (here / "puzzle_progress.json").write_text(text, "utf-8")
    status, told = run(capsys)
    assert status == 2
    assert told.startswith("puzzle: puzzle_progress.json is damaged, or is not a record")


# ---- the picture ---------------------------------------------------------------------------------

def test_a_curve_that_leaves_the_picture_is_marked():
    text = curve.draw([1.0, 10.0, float("nan")], [1.0, 0.1, 0.01], "loss", "your op")
    assert "^ leaves the picture" in text
    assert text.count("^") == 2
    assert max(map(len, text.splitlines())) <= 80


def test_equal_curves_are_one():
    text = curve.draw([1.0, 0.5, 0.0], [1.0, 0.5, 0.0], "loss", "your op")
    assert "* both" in text
    assert not re.search(r"\|.*[xo]", text)
