"""The puzzles: each broken op trains worse and is found out, its solution is not, and no text gives
the solution away."""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Iterator

import pytest

from minigrad.testing.puzzle import curve
from minigrad.testing.puzzle.catalogue import GRADES, PUZZLES, edition
from minigrad.testing.puzzle.judge import Verdict, judge
from minigrad.testing.puzzle.puzzle import Edition, Mistake

NUMBERS = range(1, len(PUZZLES) + 1)
EDITIONS = [edition(number, seed) for number in NUMBERS for seed in range(3)]


def name(one: Edition) -> str:
    return f"{one.number}-{one.puzzle.op}-{one.seed}"


def verdict_on(one: Edition, source: str) -> Verdict:
    return judge(one, one.as_file(source), one.file_name)


def with_fix(one: Edition, fix: str) -> str:
    """The broken source, corrected in another way than by the solution."""
    return Mistake("another", one.mistake.right, fix).applied(one.right)


# ---- all puzzles ---------------------------------------------------------------------------------

def test_there_are_twenty_in_five_grades():
    assert len(PUZZLES) == 20
    assert [len(puzzles) for puzzles in GRADES.values()] == [4] * 5
    assert edition(1).mistake.name == "wrong sign"
    assert edition(20).mistake.name == "right to first order only"
    assert len({edition(number).mistake.name for number in NUMBERS}) == 20


@pytest.mark.parametrize("one", EDITIONS, ids=name)
def test_the_solution_solves_it(one):
    verdict = verdict_on(one, one.right)
    assert verdict.solved, verdict
    assert verdict.curve == one.train(one.right_op())


@pytest.mark.parametrize("one", EDITIONS, ids=name)
def test_the_mistake_is_found(one):
    verdict = verdict_on(one, one.broken)
    assert not verdict.solved
    assert not verdict.refused
    assert verdict.checks[0][:2] == ("ok", "values")
    assert [state for state, _, _ in verdict.checks].count("WRONG") == 1


@pytest.mark.parametrize("one", EDITIONS, ids=name)
def test_the_broken_op_trains_visibly_worse(one):
    right, broken = one.train(one.right_op()), one.train(one.broken_op())
    assert right[-1] < 0.6 * right[0]
    assert not abs(broken[-1]) < 5 * abs(right[-1])         # NaN is worse, too
    picture = curve.draw(broken, right, one.puzzle.training.shown, f"the broken {one.puzzle.op}")
    assert max(map(len, picture.splitlines())) <= 80


def test_a_seed_gives_other_data_and_other_mistakes():
    assert edition(2, 0).right != edition(2, 1).right                   # the number
    assert edition(7, 0).mistake.wrong != edition(7, 1).mistake.wrong   # which input
    for number in NUMBERS:
        first, second = edition(number, 0), edition(number, 3)
        assert first.train(first.right_op()) != second.train(second.right_op())
        assert first.train(first.right_op()) == first.train(first.right_op())


@pytest.mark.parametrize("one", EDITIONS, ids=name)
def test_no_text_gives_the_solution_away(one):
    wrong, right = ("".join(text.split()) for text in (one.mistake.wrong, one.mistake.right))
    added = [right[b:b_end] for tag, _, _, b, b_end
             in difflib.SequenceMatcher(None, wrong, right, autojunk=False).get_opcodes()
             if tag != "equal" and b_end - b > 3]
    for text in (one.task, one.as_file(one.broken), *map(one.hint, (1, 2, 3))):
        text = "".join(text.split())
        assert right not in text
        assert one.mistake.name.replace(" ", "") not in text
        if text != "".join(one.as_file(one.broken).split()):
            assert not [piece for piece in added if piece in text]


@pytest.mark.parametrize("one", [edition(number) for number in NUMBERS], ids=name)
def test_the_texts_are_whole_sentences(one):
    for text in (one.task, one.puzzle.why, *map(one.hint, (1, 2, 3))):
        assert text[0].isupper() or text.startswith((one.puzzle.op, "s_i", "float64"))
        assert text[-1] in ".?"
        assert "$" not in text
        assert "  " not in text
    assert max(len(line) for source in (one.right, one.broken)
               for line in one.as_file(source).splitlines()) <= 75


# ---- corrections, wrong and right ----------------------------------------------------------------

WRONG_FIXES = {
    1: ["-g * x.cos()", "-x.sin()", "g * (-x).cos()", "-g * Tensor(np.sin(x.data))"],
    2: ["g * 5 * x**5", "g * 4 * x**4", "g * 5.0001 * x**4"],
    3: ["g * y * (2 * x)", "g * (-2 * x)", "-2 * g * y", "g * y * -x"],
    4: ["g * (1 - y)", "g + (1 - y * y)", "g * (1 - x * x)", "g.data * (1 - y * y)"],
    5: ["lambda g: g * b, lambda g: g * b", "lambda g: g * a, lambda g: g * a",
        "lambda g: g / b, lambda g: g / a", "lambda g: g * b, None"],
    6: ["(g * x).sum(0)", "(g * x).mean(1)", "g.sum(1)", "(g * x)[:, 0]"],
    7: ["b @ g", "(g @ b).t()", "g.t() @ b", "b.t() @ g"],
    8: [".expand(shape) / x.data.size", ".expand(shape) / len(shape)",
        ".expand(shape) / shape[0]"],
    9: ["(g * y).sum()", "(g * y).mean(1, keepdim=True)", "g.sum(1, keepdim=True)"],
    10: ["(g * y).sum(1).unsqueeze(0)", "(g * y).sum(0, keepdim=True)", "(g * y).sum()"],
    11: ["y * g.sum(1, keepdim=True)", "y.exp() * g.sum(0, keepdim=True)", "y.exp() * g",
         "y.exp() * g.sum(1)"],
    12: ["(g - y * g.sum(1, keepdim=True)) / length", "(g - y * (g * y)) / length",
         "(g - y * (g * y).sum(0, keepdim=True)) / length",
         "(g - x * (g * x).sum(1, keepdim=True)) / length"],
    13: [" / largest.sum()", " / 2", " / x.shape[1]"],
    14: ["x.data >= -0.1", "x.data != 0", "x.data >= 0.01", "x.data < 0"],
    15: ["2 * g, None", "3 * g * a, None", "2 * g * a, lambda g: g * b"],
    16: ["        g = g.clone()\n        g.data[x.data <= 0] = 0\n        return g",
         "        return Tensor(np.where(x.data > 0, g.data, 0))",
         "        g *= Tensor((x.data > 0).astype(x.dtype))\n        return g"],
    17: ["    sin.x = x.data.copy()\n"
         "    return np.sin(x.data), lambda g: g * Tensor(sin.x).cos()",
         "    global last\n    last = x\n    return np.sin(x.data), lambda g: g * last.cos()"],
    18: ["log_of_10 = float(np.float32(2.302585092994046))", "log_of_10 = 2.302585",
         "log_of_10 = float(np.float32(np.log(10)))"],
    19: ["    dims = tuple(abs(dim) for dim in dims)\n",
         "    dims = tuple(dim + x.ndim for dim in dims)\n",
         "    dims = tuple(dim % 2 for dim in dims)\n"],
    20: ["g * Tensor(x.sigmoid().data)", "g * x.detach().sigmoid()", "g * (-x).sigmoid()",
         "g * ((1 + (x + 1e-6).exp()).log() - (1 + (x - 1e-6).exp()).log()) / 2e-6"],
}

RIGHT_FIXES = {
    1: ["-(x.sin() * g)", "g * (x + np.pi / 2).cos()"],
    2: ["x**4 * g * 5", "g * (x**3 * x) * 5.0"],
    3: ["-2 * x * (-x * x).exp() * g"],
    4: ["g - g * y.square()", "g * (1 - y) * (1 + y)", "g * (1 - x.tanh().square())"],
    6: ["(x * g).sum(-1)", "(g * x @ np.ones((x.shape[1], 1))).squeeze(1)"],
    7: ["(b @ g.t()).t()", "g @ b.transpose(0, 1)"],
    9: ["(y * g).sum(-1, keepdim=True)", "(y * g).sum(1).unsqueeze(1)"],
    11: ["g.sum(1).unsqueeze(1) * y.exp()", "x.softmax(1) * g.sum(1, keepdim=True)"],
    13: [" / largest.data.sum(1, keepdims=True)"],
    16: ["        return g * (x.data > 0)", "        return g.masked_fill(x.data <= 0, 0)"],
    17: ["    saved = x\n    return np.sin(x.data), lambda g: g * saved.cos()",
         "    return np.sin(x.data), lambda g, x=x: x.cos() * g"],
    18: ["log_of_10 = np.log(10)"],
    20: ["g / (1 + (-x).exp())", "g * (1 - (-x).sigmoid())"],
}


def cases(table):
    return [pytest.param(edition(number), fix, id=f"{number}-{fix}")
            for number, fixes in table.items() for fix in fixes]


def test_every_puzzle_has_wrong_fixes():
    assert list(WRONG_FIXES) == list(NUMBERS)


@pytest.mark.parametrize(("one", "fix"), cases(WRONG_FIXES))
def test_typical_wrong_fixes_fail(one, fix):
    verdict = verdict_on(one, with_fix(one, fix))
    assert not verdict.solved
    assert not verdict.refused
    assert verdict.details


@pytest.mark.parametrize(("one", "fix"), cases(RIGHT_FIXES))
def test_other_right_fixes_pass(one, fix):
    verdict = verdict_on(one, with_fix(one, fix))
    assert verdict.solved, verdict


# ---- every small change --------------------------------------------------------------------------

OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
         ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
         ast.LtE: ast.Lt}
NAMES = {"g": "x", "x": "g", "y": "g", "a": "b", "b": "a", "s": "x"}

NO_MISTAKE = {
    "return (b.data ** 2, lambda g: 2 * g * a, None)": "a and b are the same tensor there",
    "return (a.data ** 2, lambda g: 2 * g * b, None)": "a and b are the same tensor there",
    "return g * Tensor((x.data >= 0).astype(x.dtype))": "at the kink, 1 is a subgradient, too",
    "return g * Tensor((x.data > 0).astype(g.dtype))": "g has the dtype of x",
}


def changed(node: ast.AST) -> bool:
    """Make one small mistake at a node; False if there is none to make."""
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER:
        node.op = OTHER[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        node.ops = [OTHER[type(node.ops[0])]()]
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        node.value = not node.value
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
    elif isinstance(node, ast.Name) and node.id in NAMES:
        node.id = NAMES[node.id]
    else:
        return False
    return True


def source_mutants(source: str) -> Iterator[tuple[str, str]]:
    """The changed line and the whole source, for every small change of the op's right source."""
    tree = ast.parse(source)
    before = ast.unparse(tree).splitlines()
    for i in range(sum(1 for _ in ast.walk(tree))):
        mutant = copy.deepcopy(tree)
        if changed([*ast.walk(mutant)][i]):
            text = ast.unparse(mutant)
            yield "".join(line.strip() for line in text.splitlines() if line not in before), text


@pytest.mark.parametrize("one", [edition(number) for number in NUMBERS], ids=name)
def test_the_judge_notices_every_small_change(one):
    mutants = list(source_mutants(one.right))
    assert len(mutants) >= 3
    solved = {line for line, text in mutants if verdict_on(one, text).solved}
    assert solved <= set(NO_MISTAKE)
    assert all(verdict_on(one, text).solved for line, text in mutants if line in NO_MISTAKE)
