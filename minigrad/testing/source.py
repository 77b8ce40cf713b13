"""Mutants of source code: a file with one operator, constant, comparison or dim changed.

    >>> from minigrad.ops import elementwise
    >>> from minigrad.testing.source import mutants_of
    >>> for mutant in mutants_of(elementwise, ["rsqrt"]):
    ...     print(mutant.change)
    g * y * y * y * -0.5 → g * y * y * y / -0.5
    g * y * y * y * -0.5 → g * y * y / y * -0.5
    g * y * y * y * -0.5 → g * y / y * y * -0.5
    g * y * y * y * -0.5 → g / y * y * y * -0.5
    g * y * y * y * -0.5 → g * y * y * y * 0.5
    g * y * y * y * -0.5 → g * y * y * y * -1.5
    g * y * y * y * -0.5 → g * y * y * y * -0

`minigrad.testing.trials` finds out which of them the checks of an op notice.
"""

from __future__ import annotations
import __future__

import ast
import copy
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

Nodes = tuple[ast.AST, ...]
Steps = tuple[tuple[str, int | None], ...]      # from a node to one below: fields, places in lists

OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
RELATIONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)}

WRAPPERS = frozenset({
    "sum", "mean", "cumsum", "abs", "negative", "reciprocal", "exp", "log", "log1p", "sqrt",
    "rsqrt", "square", "sigmoid", "clamp", "minimum", "maximum", "conj", "flip", "t", "transpose",
    "permute", "squeeze", "unsqueeze", "expand", "expand_dims", "unbroadcast", "sort", "argsort"})
"""Functions and methods whose call may be dropped, so that only their first argument is left."""

MESSAGES = (ast.Raise, ast.Assert, ast.JoinedStr)
NOT_RUN = {"annotation", "returns", "decorator_list", "type_comment", "type_params", "ctx"}
ENOUGH, CONTEXT = 16, 30        # characters that a description shows: at least, around a change


@dataclass(frozen=True)
class Mutant:
    """A function of a module with one change.

    before, after: the expression that is changed, or enough of it.
    lines: where it stands.
    """

    module: ModuleType
    function: str
    lines: range
    before: str
    after: str
    tree: ast.FunctionDef

    @property
    def file(self) -> str:
        return str(self.module.__file__)

    @property
    def felt_on(self) -> set[tuple[str, int]]:
        """The lines that must run for it to be felt, as (file, number): for a default argument, any
        of the function."""
        body = lines_of(self.tree)
        return {(self.file, n) for n in self.lines if n in body} or {(self.file, n) for n in body}

    @property
    def where(self) -> str:
        return f"{Path(self.file).name}:{self.function}"

    @property
    def change(self) -> str:
        return f"{self.before} → {self.after}"

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.lines.start} {self.function}: {self.change}"

    def apply(self) -> None:
        """Change the function in the running program, wherever it is already in use."""
        change_function(self.module, self.tree)


def change_function(module: ModuleType, tree: ast.FunctionDef) -> None:
    """Give a function of a module the code and the defaults of another definition of it."""
    tree = copy.copy(tree)
    tree.decorator_list = []
    code = compile(ast.Module([tree], []), str(module.__file__), "exec",
                   __future__.annotations.compiler_flag, dont_inherit=True)
    names = dict(vars(module))
    exec(code, names)
    function, changed = inspect.unwrap(vars(module)[tree.name]), names[tree.name]
    function.__code__ = changed.__code__
    function.__defaults__, function.__kwdefaults__ = changed.__defaults__, changed.__kwdefaults__
    for value in vars(module).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def functions_of(module: ModuleType) -> dict[str, ast.FunctionDef]:
    """The functions that the file of a module defines, under decorators or not."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def is_own(name: str) -> bool:
        known: Any = vars(module).get(name)
        function = inspect.unwrap(known)
        return isinstance(function, FunctionType) and function.__globals__ is vars(module)
    return {name: node for name, node in found.items() if is_own(name)}


def lines_of(function: ast.FunctionDef) -> range:
    """The lines of a function's body."""
    return range(function.body[0].lineno, (function.end_lineno or 0) + 1)


def mutants_of(module: ModuleType, names: Sequence[str] = ()) -> Iterator[Mutant]:
    """Every mutant of the functions of a module with these names, or of all of them for none."""
    for name, function in functions_of(module).items():
        if name in names or not names:
            yield from _mutants(module, function)


def _mutants(module: ModuleType, function: ast.FunctionDef) -> Iterator[Mutant]:
    for steps, nodes in _walk((), (function,)):
        node: Any = nodes[-1]
        for other in _changes(nodes, steps[-1][0]):
            changed = copy.deepcopy(function)
            for field in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
                setattr(other, field, getattr(node, field))
            _put(changed, steps, copy.deepcopy(other))
            ast.fix_missing_locations(changed)
            before, after = _texts(function, changed, steps)
            lines = range(node.lineno, (node.end_lineno or 0) + 1)
            yield Mutant(module, function.name, lines, before, after, changed)


def _walk(steps: Steps, nodes: Nodes) -> Iterator[tuple[Steps, Nodes]]:
    """All that is run below the last of the nodes: the steps to it, and the nodes on the way."""
    for field, value in ast.iter_fields(nodes[-1]):
        if field in NOT_RUN:
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _is_message(child):
                found = (*steps, (field, i)), (*nodes, child)
                if isinstance(child, ast.expr | ast.AugAssign):
                    yield found
                yield from _walk(*found)


def _is_message(node: ast.AST) -> bool:
    return isinstance(node, MESSAGES) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "warnings.warn")


# ---- what may be wrong ---------------------------------------------------------------------------

def _changes(nodes: Nodes, field: str) -> Iterator[ast.AST]:
    """The ways to change the last of the nodes, which is in this field of the one before it."""
    node, parent = nodes[-1], nodes[-2]
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            if not _is_unknown_length(nodes):
                yield ast.Constant(value + 1)
            yield ast.Constant(0) if value else ast.UnaryOp(ast.USub(), ast.Constant(1))
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield node.operand
        case ast.BinOp():
            if type(node.op) in OTHER:
                yield ast.BinOp(node.left, OTHER[type(node.op)](), node.right)
            if isinstance(node.op, ORDERED):
                yield ast.BinOp(node.right, node.op, node.left)
        case ast.AugAssign() if type(node.op) in OTHER:
            yield ast.AugAssign(node.target, OTHER[type(node.op)](), node.value)
        case ast.Compare():
            for i, relation in enumerate(node.ops):
                for other in RELATIONS[type(relation)]:
                    yield ast.Compare(node.left, [*node.ops[:i], other(), *node.ops[i + 1:]],
                                      node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.Call():
            yield from _unwrapped(node)
        case ast.Name(id="dims" | "axes", ctx=ast.Load()) if _is_argument(parent, field):
            yield ast.Subscript(node, ast.Slice(lower=ast.UnaryOp(ast.USub(), ast.Constant(1))),
                                ast.Load())
            yield ast.Subscript(node, ast.Slice(upper=ast.Constant(1)), ast.Load())
        case ast.Name(id="dim" | "axis", ctx=ast.Load()) if _is_argument(parent, field):
            yield ast.Constant(0)
            yield ast.UnaryOp(ast.USub(), ast.Constant(1))
        case ast.Tuple(ctx=ast.Load()) if len(node.elts) > 1 and _is_argument(parent, field):
            yield ast.Tuple(node.elts[1:], ast.Load())
            yield ast.Tuple(node.elts[:-1], ast.Load())
    is_test = field in ("test", "ifs") and isinstance(
        node, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr | ast.BinOp)
    if is_test:
        assert isinstance(node, ast.expr)
        yield ast.UnaryOp(ast.Not(), node)


def _is_unknown_length(nodes: Nodes) -> bool:
    """Whether it is the 1 of a -1 in a shape: any negative number means the same."""
    return isinstance(nodes[-2], ast.UnaryOp) and any(
        isinstance(node, ast.Call) and ast.unparse(node.func).endswith("reshape")
        for node in nodes[-6:-2])


def _is_argument(parent: ast.AST, field: str) -> bool:
    return (isinstance(parent, ast.Call) and field == "args") or (
        isinstance(parent, ast.keyword | ast.Tuple))


def _unwrapped(call: ast.Call) -> Iterator[ast.expr]:
    """f(x) and x.f() become x, and where(condition, a, b) becomes a or b."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name in ("where", "_where") and len(call.args) == 3:
        yield from call.args[1:]
    if name not in WRAPPERS:
        return
    of_module = not isinstance(call.func, ast.Attribute) or (
        isinstance(call.func.value, ast.Name) and call.func.value.id in ("np", "math", "autograd"))
    if not of_module:
        assert isinstance(call.func, ast.Attribute)
        yield call.func.value
    elif call.args and not isinstance(call.args[0], ast.Starred):
        yield call.args[0]


# ---- trees and their text ------------------------------------------------------------------------

def _at(node: Any, steps: Iterable[tuple[str, int | None]]) -> Any:
    for field, i in steps:
        node = getattr(node, field) if i is None else getattr(node, field)[i]
    return node


def _put(root: ast.AST, steps: Steps, node: ast.AST) -> None:
    field, i = steps[-1]
    above = _at(root, steps[:-1])
    if i is None:
        setattr(above, field, node)
    else:
        getattr(above, field)[i] = node


def _texts(function: ast.AST, changed: ast.AST, steps: Steps) -> tuple[str, str]:
    """The changed expression before and after, or so much around it as tells what it is."""
    for k in range(len(steps), 0, -1):
        node, other = _at(function, steps[:k]), _at(changed, steps[:k])
        if not isinstance(node, ast.expr | ast.AugAssign | ast.keyword | ast.Assign | ast.Return):
            continue
        before, after = ast.unparse(node), ast.unparse(other)
        if len(before) >= ENOUGH and not isinstance(node, ast.keyword):
            break
    return _shortened(before, after)


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Two texts without what is far from where they differ."""
    same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
                min(len(before), len(after)))
    most = min(len(before), len(after)) - same
    tail = next((i for i in range(most) if before[-1 - i] != after[-1 - i]), most)
    start, end = max(0, same - CONTEXT), max(0, tail - CONTEXT)
    start, end = start * (start > 5), end * (end > 5)

    def cut(text: str) -> str:
        return "…" * (start > 0) + text[start:len(text) - end] + "…" * (end > 0)
    return " ".join(cut(before).split()), " ".join(cut(after).split())

