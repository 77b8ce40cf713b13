"""`mutate --source`: changes of the source are what they say, and it finds the ones that no check
notices."""

from __future__ import annotations

import doctest
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minigrad.ops import elementwise
from minigrad.tensor import Tensor
from minigrad.testing import __main__ as command, source, survey, trials
from minigrad.testing.source import Mutant, mutants_of
from minigrad.testing.trials import in_a_fork
from minigrad.testing.users import load


def changes(folder: Path, body: str, name: str = "one") -> dict[str, list[str]]:
    """expression → what it is changed to, in a function with this body"""
    file = folder / f"{name}.py"
    file.write_text(f"def f(x, y, dim=None, dims=(), axis=None):\n    {body}\n", encoding="utf-8")
    found: dict[str, list[str]] = {}
    for mutant in mutants_of(load(str(file))):
        found.setdefault(mutant.before, []).append(mutant.after)
    return found


def test_docstring_is_true() -> None:
    assert doctest.testmod(source).attempted > 0
    assert doctest.testmod(source).failed == 0


@pytest.mark.parametrize(("body", "expected"), [
    ("return x + y", {"return x + y": ["return x - y"]}),
    ("return x - y", {"return x - y": ["return x + y", "return y - x"]}),
    ("return x * y", {"return x * y": ["return x / y"]}),
    ("return x ** y", {"return x ** y": ["return x * y", "return y ** x"]}),
    ("return x @ y", {"return x @ y": ["return y @ x"]}),
    ("return -x", {"return -x": ["return x"]}),
    ("return not x", {"return not x": ["return x"]}),
    ("x += y", {"x += y": ["x -= y"]}),
    ("return x[2]", {"return x[2]": ["return x[3]", "return x[0]"]}),
    ("return x[0]", {"return x[0]": ["return x[1]", "return x[-1]"]}),
    ("return x.reshape(-1)", {"return x.reshape(-1)": ["return x.reshape(1)",
                                                            "return x.reshape(-0)"]}),
    ("return x < y", {"return x < y": ["return x <= y", "return x > y"]}),
    ("return x == y", {"return x == y": ["return x != y"]}),
    ("return x is y", {"return x is y": ["return x is not y"]}),
    ("return x and y", {"return x and y": ["return x or y"]}),
    ("return x if y else 1", {"return x if y else 1": [
        "return x if not y else 1", "return x if y else 2", "return x if y else 0"]}),
    ("return x.sum(keepdim=True)", {"x.sum(keepdim=True)": ["x", "x.sum(keepdim=False)"]}),
    ("return g(x, dims)", {"return g(x, dims)": ["return g(x, dims[-1:])",
                                                  "return g(x, dims[:1])"]}),
    ("return g(dim=dim)", {"return g(dim=dim)": ["return g(dim=0)", "return g(dim=-1)"]}),
    ("return g((x, y))", {"return g((x, y))": ["return g((y,))", "return g((x,))"]}),
    ("return np.abs(x)", {"return np.abs(x)": ["return x"]}),
    ("return where(x, y, z)", {"return where(x, y, z)": ["return y", "return z"]}),
    ("return lambda g: g * x", {"return lambda g: g * x": ["return lambda g: g / x"]}),
    ("raise ValueError(f'{x + 1}')", {}),
    ("assert x == 1", {}),
    ("return f'{x + 1}'", {}),
    ("z: Literal[1] = x", {}),
])
def test_what_is_changed(body: str, expected: dict[str, list[str]], tmp_path: Path) -> None:
    assert changes(tmp_path, body) == expected


def test_a_long_expression_is_shown_around_the_change(tmp_path: Path) -> None:
    terms = " + ".join(f"x[{n}]" for n in (100, 200, 300, 400, 500, 600, 700, 800, 900))
    found = changes(tmp_path, f"return g({terms}, dim=x)")
    assert found["…[200] + x[300] + x[400] + x[500]"] == ["…[200] + x[300] + x[400] + x[501]"]
    assert all(len(text) < 80 for text in found)


def named(change: str) -> Mutant:
    return next(mutant for mutant in mutants_of(elementwise, ["square"]) if mutant.change == change)


def test_a_change_is_felt_wherever_the_function_is_in_use() -> None:
    def value() -> float:
        named("lambda g: g * x * 2 → lambda g: g * x * 3").apply()
        x = Tensor(np.array([5.0]), True)
        x.square().sum().backward()
        assert x.grad is not None
        return float(x.grad.data[0])

    assert in_a_fork(value) == 15.0


def test_a_process_that_does_not_end_well() -> None:
    def hang() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.05)
        while True:
            pass

    with pytest.raises(ChildProcessError, match="the time limit"):
        in_a_fork(hang)
    with pytest.raises(ChildProcessError, match=r"a crash \(SIGKILL\)"):
        in_a_fork(lambda: signal.raise_signal(signal.SIGKILL))
    with pytest.raises(ChildProcessError, match="an exit"):
        in_a_fork(lambda: int("x"))


def test_a_fork_after_pytorch_ran_on_threads() -> None:
    """OpenMP in a fork waits for threads that only the parent has, unless it is told of one."""
    def total() -> float:
        return float((torch.ones(2**20) + 1).sum())

    def limited() -> float:
        signal.setitimer(signal.ITIMER_REAL, 30)
        return total()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert total() == 2**21
        assert in_a_fork(limited) == 2**21
    finally:
        torch.set_num_threads(before)


def test_a_case_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(trials, "LEARNING", 0.3)
    slow = "\ndef sleep(x):\n    while x.data.sum() > 6: pass\n    return x * 1\n"
    file = mine(tmp_path, slow + "CASES = [OpCase(sleep, None, None, [Call(np.full(3, 9.0))])]\n")
    code, out, _ = printed([file], capsys)
    assert code == 1
    assert [line for line in out if line.startswith("fails")] == [
        "fails without any mutant: sleep: the time limit"]


def test_a_wrong_op_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "\n@op\ndef wrong(x):\n    return x.data * 2, lambda g: g * 3\n"
    _, out, _ = printed([f"{mine(tmp_path, wrong)}:wrong"], capsys)
    line, = (line for line in out if line.startswith("fails"))
    assert line.startswith("fails without any mutant: wrong adjoint, example 1: AssertionError: ")
    assert line.endswith(" more of wrong: check_op says what is wrong with it)")


# ---- the command ---------------------------------------------------------------------------------

MINE = """
import numpy as np
from minigrad.autograd import op
from minigrad.testing import Call, OpCase

@op
def scaled(x, *, by=2.0):
    return by * x.data**2, lambda g: g * x * (2 * by)

def unused(x):
    return x + 1

CASES = [OpCase(scaled, None, None, [Call(np.full((2, 2), 1.5), by=SCALE)])]
"""
DECLARED = """
EQUIVALENT = {"why not": {"mine_of_source.py:scaled": ["2.0 → 3.0", "2.0 → 0", "no → such"],
                          "mine_of_source.py:unused": ["return x + 1 → return x - 1"]}}
"""


def printed(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    code = command.main(["mutate", "--source", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def mine(folder: Path, more: str = "", scale: str = "3.0") -> Path:
    file = folder / "mine_of_source.py"
    file.write_text(MINE.replace("SCALE", scale) + more, encoding="utf-8")
    return file


def test_a_gap_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed([f"{mine(tmp_path, scale='1.0')}:scaled"], capsys)
    assert code == 1
    assert "  mine_of_source.py:8 scaled: by * x.data ** 2 → by / x.data ** 2" not in "\n".join(out)
    assert any(line.startswith("  mine_of_source.py:8 scaled: g * x * (2 * by) → g * x * (2 / by)"
                               "   escapes ") for line in out)
    assert out[-1].endswith("escaped")
    assert out[-1].startswith("12 mutants of the source of 1 file: ")


def test_declarations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed([mine(tmp_path, DECLARED)], capsys)
    assert code == 1
    assert out[-1] == ("15 mutants of the source of 1 file: 10 caught, 3 declared equivalent, "
                       "2 escaped")
    assert [line for line in out if line.startswith("stale")] == [
        "stale declaration: mine_of_source.py:scaled: no → such: there is no such mutant"]
    assert sum("no trial runs this line" in line for line in out) == 2


def test_a_sample_of_the_ops(capsys: pytest.CaptureFixture[str]) -> None:
    """The figure for all of them is in docs/ops.md."""
    code, out, _ = printed(["norm.py:_slope", "activation.py:_log_softmax_grad", "--limit", 10],
                           capsys)
    assert (code, out[-1].partition(": ")[2]) == (
        0, "10 caught, 0 declared equivalent, 0 escaped")


def test_ctrl_c_ends_it_with_what_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    tries = iter([("adjoint", 3)])

    def noticed_by(*_: Any) -> tuple[str, int]:
        try:
            return next(tries)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(survey.Laboratory, "noticed_by", noticed_by)
    code, out, _ = printed([mine(tmp_path)], capsys)
    assert code == 130
    assert out[1] == "stopped after 1 of 15 mutants"
    assert out[-1] == ("1 mutants of the source of 1 file: 1 caught, 0 declared equivalent, "
                       "0 escaped")


@pytest.mark.parametrize(("name", "message"), [
    ("no.py", "mutate: no.py: there is no such file, here or in "),
    ("norm.py:_slop", "mutate: norm.py: no function is called '_slop'; did you mean _slope"),
])
def test_what_is_not_there(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = printed([name], capsys)
    assert (code, out) == (2, [])
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_without_fork(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delattr(command.os, "fork")
    assert printed([], capsys)[::2] == (2, "mutate: --source needs os.fork, which this system does "
                                           "not have\n")
