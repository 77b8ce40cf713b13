"""The mutation lab: each mutant is the mistake that its name says, and is caught by the checks that
can see it; what escapes is told."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.autograd import grad, op
from minigrad.tensor import Tensor
from minigrad.testing import __main__ as command, mutate, mutation
from minigrad.testing.mutation import MUTATIONS, Report, Row, mutant

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
RNG = np.random.default_rng(3)


def leaf(*shape: int) -> Tensor:
    return Tensor(RNG.standard_normal(shape), True)


def mul(a: Tensor, b: Tensor) -> Tensor:
    return a * b


@pytest.mark.parametrize("module", [testing, mutation], ids=lambda m: m.__name__)
def test_docstrings_are_true(module: Any) -> None:
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0


# ---- the mutants ---------------------------------------------------------------------------------

A, B, G = leaf(2, 3), leaf(3), RNG.standard_normal((2, 3))
RIGHT = G * B.data
BY_A = {
    "negated": -RIGHT,
    "scaled": RIGHT * 1.01,
    "zeroed": RIGHT * 0,
    "dropped": None,
    "rolled": RIGHT.ravel()[[5, 0, 1, 2, 3, 4]].reshape(2, 3),
    "reversed": RIGHT[::-1, ::-1],
    "transposed": RIGHT.ravel()[[0, 3, 1, 4, 2, 5]].reshape(2, 3),
    "shifted": RIGHT + 0.01,
    "g ignored": np.broadcast_to(B.data, (2, 3)),
    "detached": RIGHT,
    "float32": RIGHT.astype(np.float32),
    "unsummed": RIGHT,                                      # a is not broadcast
}
BY_B = {"unsummed": G[0] * A.data[0], "negated": -(G * A.data).sum(0)}


@pytest.mark.parametrize(("i", "name"), [*((0, name) for name in BY_A), *((1, n) for n in BY_B)])
def test_a_mutant_is_the_mistake_that_its_name_says(i: int, name: str) -> None:
    y = mutant(mul, MUTATIONS[name], i)(A, B)
    np.testing.assert_array_equal(y.data, A.data * B.data)
    by_a, by_b = grad(y, [A, B], Tensor(G, True), create_graph=True, allow_unused=True)
    wrong, other = (by_a, by_b) if i == 0 else (by_b, by_a)
    expected = (BY_A, BY_B)[i][name]
    assert (wrong is None) == (expected is None)
    if wrong is not None:
        np.testing.assert_allclose(wrong.data, expected, rtol=1e-15)
        assert wrong.requires_grad == (name not in ("detached",))
    np.testing.assert_allclose(other.data, (G * A.data).sum(0) if i == 0 else RIGHT, rtol=1e-15)


def test_every_mutation_is_tried_here() -> None:
    assert BY_A.keys() == MUTATIONS.keys()


def test_mutants_of_an_op_with_several_outputs() -> None:
    x = leaf(2, 3)
    values, indices = mutant(lambda x: x.max(1), MUTATIONS["g ignored"], 0)(x)
    by_x = grad(values, x, Tensor(RNG.standard_normal(2)))[0]
    np.testing.assert_array_equal(by_x.data, x.data == x.data.max(1, keepdims=True))
    np.testing.assert_array_equal(indices.data, x.data.argmax(1))


# ---- which check sees what -----------------------------------------------------------------------

def caught(report: Report, name: str, i: int = 0) -> set[str]:
    return {check for check, seen in report[f"inputs[{i}]", name].caught.items() if seen}


def test_what_the_checks_see_of_a_product() -> None:
    report = mutate(mul, [A, B])
    every = set(report.checks)
    assert caught(report, "negated") == every - {"linearity"}
    assert caught(report, "g ignored") == every - {".sum()"}
    assert caught(report, "shifted") == every
    assert caught(report, "detached") == {"gradgradcheck"}
    assert caught(report, "float32") == {"gradgradcheck", "linearity"}
    assert report.ok


def test_a_cotangent_of_ones_lets_softmax_through() -> None:
    report = mutate(lambda x: x.softmax(-1), leaf(2, 3))
    for name in ("negated", "zeroed", "rolled", "dropped", "g ignored"):
        assert ".sum()" not in caught(report, name)
        assert {"gradcheck", "adjoint"} <= caught(report, name)
    assert report.ok


def test_a_linear_op_hides_first_order_mistakes_from_the_second_order_check() -> None:
    report = mutate(lambda x: x.cumsum(0), leaf(4))
    assert "gradgradcheck" not in caught(report, "negated")
    assert "gradgradcheck" in caught(report, "detached")


def test_a_small_or_symmetric_input_lets_mutants_escape() -> None:
    same = Tensor(np.ones(3), True)
    report = mutate(lambda x: x.sum() * x.sum(), same)
    assert [row.mutation.name for row in report.escaped] == ["rolled", "reversed"]
    assert not report.ok
    assert report["inputs[0]", "rolled"].missed == ["gradcheck", "adjoint"]
    names = [row.mutation.name for row in mutate(lambda x: x * x, leaf(1)).rows]
    assert "rolled" not in names            # one element has no neighbour
    assert "negated" in names


def test_equivalents_are_declared_with_a_reason_and_hold() -> None:
    def total(x: Tensor) -> Tensor:
        return x.sum()
    reasons = {"rolled": "it is the same everywhere", "inputs[0] reversed": "as above"}
    report = mutate(total, leaf(3), equivalent=reasons)
    assert report.ok
    assert "=" in str(report)
    assert "it is the same everywhere" in str(report)
    stale = mutate(total, leaf(3), equivalent={**reasons, "negated": "it is not"})
    assert [row.mutation.name for row in stale.stale] == ["negated"]
    assert not stale.ok
    with pytest.raises(ValueError, match="no mutation is called 'roled'; there are negated, "):
        mutate(total, leaf(3), equivalent={"roled": "?"})


def test_checks_of_ones_own() -> None:
    def only_the_sign(fn: Any, inputs: Any) -> None:
        x = Tensor(inputs[0].data, True)
        y = fn(x)
        assert (grad(y, x, Tensor(np.ones(y.shape)))[0].data > 0).all()

    report = mutate(lambda x: x.exp(), leaf(3), checks={"positive": only_the_sign})
    assert [row.mutation.name for row in report.rows if row.caught["positive"]] == [
        "negated", "zeroed", "dropped"]
    assert {"scaled", "shifted"} <= {row.mutation.name for row in report.escaped}


# ---- the report ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["mul", "a name that is longer than the columns below it"])
def test_the_table(name: str) -> None:
    report = mutate(mul, [A, B])
    report.name = name
    lines = str(report).replace(name, "mul".ljust(len(name))).splitlines()
    assert lines[0].index("gradcheck") < lines[1].replace("✓", " ", 1).index("✓") < (
        lines[0].index("adjoint"))
    assert lines[0].split() == ["mul", *mutation.CHECKS]
    assert lines[1].split() == ["inputs[0]", "negated", "✓", "✓", "✓", "✓", "·", "the", "sign",
                                "is", "wrong"]
    assert lines[12].startswith("inputs[1]  negated")
    assert len({line.index("✓") for line in lines if line.count("✓") == 5}) == 1    # columns align


def test_an_op_that_is_wrong_as_it_is() -> None:
    @op
    def cube(x: Tensor) -> Any:
        return x.data**3, lambda g: g * Tensor(3 * x.data**2)

    report = mutate(cube, leaf(3))
    assert list(report.failing) == ["gradgradcheck"]
    assert not report.ok
    assert report.rows == []
    assert str(report).startswith("cube: the op as it is does not pass gradgradcheck, so that "
                                  "mutants of it would show nothing: gradgradcheck: the gradient")
    assert len(str(report).splitlines()) == 1


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="mutate: fn must be a function; got Tensor"):
        mutate(A, B)
    with pytest.raises(ValueError, match="none of the inputs is a Tensor that requires grad"):
        mutate(mul, [A.data, B.data])
    with pytest.raises(TypeError, match="dtype float32"):
        mutate(mul, [mg.ones(2, requires_grad=True), A])


# ---- the command ---------------------------------------------------------------------------------

def test_the_command_shows_the_table_of_an_op(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["mutate", "activation.softmax"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["activation.softmax", *mutation.CHECKS, "reference"]
    assert printed[-1] == "11 mutants of 1 op; 11 caught; 0 declared; 0 escaped"
    # whether differences of the gradient notice that it was rounded to float32 is a matter of where
    # the steps fall, and so of the processor
    row = next(i for i, line in enumerate(printed) if line.split()[0] == "float32")
    at = printed[0].index("gradgradcheck") + len("gradgrad")
    assert set(printed[row][at - 4:at + 5].split()) <= {"✓", "·"}
    tables = ("\n".join(["$ python -m minigrad.testing mutate activation.softmax", *printed[:row],
                         printed[row][:at - 4] + printed[row][at - 4:at + 5].replace("✓", mark)
                         .replace("·", mark) + printed[row][at + 5:], *printed[row + 1:]])
              for mark in "✓·")
    assert any(table in README for table in tables)


def test_the_command_sums_up_all_ops(monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    cases = command.op_table()
    three = [case for case in cases if case.id in ("elementwise.mul", "elementwise.sign",
                                                   "elementwise.compare")]
    monkeypatch.setattr(command, "op_table", lambda: three)
    assert command.main(["mutate"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:2] == ["elementwise.mul", "24"]
    assert printed[2].split()[:2] == ["elementwise.sign", "11"]
    assert printed[3].split()[:3] == ["all", "35", "19"]
    assert printed[4] == ("declared to be no mistake: its gradient is 0 everywhere: "
                          "elementwise.sign")
    assert printed[-1] == "35 mutants of 2 ops; 25 caught; 10 declared; 0 escaped"


def test_the_command_fails_where_a_mutant_escapes(monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    cases = command.op_table()
    row = Row("inputs[0]", MUTATIONS["negated"], {"gradcheck": False})
    report = Report("elementwise.mul", ["gradcheck"], [row])
    monkeypatch.setattr(command, "op_table", lambda: cases[:1])
    monkeypatch.setattr(command, "lab", lambda case: report)
    assert command.main(["mutate"]) == 1
    assert "✗" in capsys.readouterr().out
    assert command.main(["mutate", cases[0].id]) == 1
    assert "1 escaped" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (["mutate", "sofmax"], "no op with a gradient is called 'sofmax' in the op table; did you mean "
                           "softmax or "),
    (["mutate", "argmax"], "no op with a gradient is called 'argmax'"),
    (["mutate", "§"], "no op with a gradient is called '§' in the op table\n"),
])
def test_an_unknown_op(arguments: list[str], message: str,
                       capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mutate: {message}")
    assert error.count("\n") == 1


def test_without_the_op_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "TESTS", tmp_path)
    assert command.main(["mutate"]) == 2
    assert f"looked for {tmp_path / 'op_cases'}; it comes with the source" in (
        capsys.readouterr().err)
    monkeypatch.undo()
    monkeypatch.setattr(command.importlib, "import_module", missing_hypothesis)
    assert command.main(["mutate"]) == 2
    assert "the op table needs hypothesis, which is not installed" in capsys.readouterr().err


def missing_hypothesis(name: str) -> Any:
    raise ModuleNotFoundError("No module named 'hypothesis'", name="hypothesis")


# ---- ops of one's own ----------------------------------------------------------------------------

MINE = """
import numpy as np
from minigrad.autograd import op
from minigrad.testing import Call, OpCase

@op
def cubed(x):
    return x.data**3, lambda g: g * x * x * 3.0

@op
def wrong(x):
    return x.data**3, lambda g: g * x * x * 2.0

@op
def crossed(a, b):
    if a.shape[-1] != 3:
        raise ValueError("crossed: the last dim must be 3")
    return np.cross(a.data, b.data), lambda g: crossed(b, g), lambda g: crossed(g, a)

ROOT = np.random.default_rng(0).standard_normal((2, 3))
CASES = [OpCase(crossed, np.cross, None, [Call(ROOT, ROOT[::-1])])]
"""


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = command.main(["mutate", *arguments])
    return (code, *capsys.readouterr())


def test_ops_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine_of_file.py"
    file.write_text(MINE, encoding="utf-8")
    code, out, _ = printed([f"{file}:cubed"], capsys)
    assert (code, out.splitlines()[-1]) == (
        0, "11 mutants of 1 op; 11 caught; 0 declared; 0 escaped")
    code, out, _ = printed([f"{file}:crossed"], capsys)
    assert code == 0
    assert "22 caught" in out
    code, out, _ = printed([f"{file}:wrong"], capsys)
    assert code == 1
    assert out.splitlines()[0].startswith("wrong: the op as it is does not pass .sum(), so that")
    code, out, _ = printed([str(file)], capsys)
    assert code == 1
    assert "of 3 ops" in out.splitlines()[-1]


def test_an_op_of_a_file_that_fails_stops_no_other(tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine_with_odd_ones.py"
    file.write_text(MINE + "@op\ndef odd(x):\n    raise KeyError('foo')\n", encoding="utf-8")
    code, out, _ = printed([str(file)], capsys)
    assert code == 1
    assert out.startswith("left out: odd: no guess at its inputs is one that it takes; say them")
    assert "The last guess met with KeyError: 'foo'" in out
    assert "of 3 ops" in out.splitlines()[-1]
    _, out, _ = printed([f"{file}:wrong"], capsys)
    assert "likely cause: a factor: analytic = 0.666667 × numeric" in out
    assert mutation.LEGEND not in out
    code, _, err = printed(["mine:cubed"], capsys)
    assert "an op of a file is mine.py:cubed, one of a module --module mine cubed" in err


def test_ops_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine_of_module.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert printed(["--module", "mine_of_module", "cubed"], capsys)[0] == 0


@pytest.mark.parametrize(("arguments", "message"), [
    (["{file}:cub"], r"no op is called 'cub'; there are .*cubed"),
    (["{file}:cubed", "mul"], "mul: ops of the table and of files cannot be mixed"),
    (["{folder}/no.py:cubed"], "no.py: there is no such file"),
    (["{folder}/broken.py"], "broken.py cannot be imported: SyntaxError"),
    (["{folder}/empty.py"], "empty: there is no op"),
    (["{folder}/leaves.py"], "leaves.py cannot be imported: SystemExit: 3"),
    (["--module", "no.such.module"], "no.such.module cannot be imported: ModuleNotFoundError"),
    (["{folder}/picky.py:picky"], "picky: no guess at its inputs is one that it takes; say them"),
])
def test_a_file_without_the_op(arguments: list[str], message: str, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def f(:", encoding="utf-8")
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (tmp_path / "picky.py").write_text(
        "from minigrad.autograd import op\n@op\ndef picky(x):\n    raise ValueError('no')\n",
        encoding="utf-8")
    code, out, err = printed([a.format(file=tmp_path / "mine.py", folder=tmp_path)
                              for a in arguments], capsys)
    assert (code, out) == (2, "")
    assert re.search(message, err)
    assert err.count("\n") == 1


def test_a_private_function_stands_for_the_ops_that_use_it(
        capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed(["_standard"], capsys)
    assert code == 0
    assert re.match(r"_standard is used by norm\.batch_norm, .*norm\.instance_norm\n", out)
