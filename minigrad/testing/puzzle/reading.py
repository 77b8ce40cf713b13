"""Reading the reader's file: is there an op in it, and is it the reader's own?"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from types import FunctionType

from minigrad.testing.puzzle.puzzle import Edition, Op, executed

ENGINE = {"backward", "edges", "func", "grad", "node"}
"""Names of minigrad by which an op could let the engine differentiate something else."""


class Refused(Exception):
    """The file cannot be judged; the message says why in one line."""


def title_of(text: str) -> tuple[int, int] | None:
    """The number and the seed in the first line of a puzzle's file; None for any other file."""
    found = re.match(r'"""Puzzle (\d+), seed (\d+):', text)
    return (int(found[1]), int(found[2])) if found else None


def read(text: str, file: str, edition: Edition) -> Op:
    """The op that the file defines.

    Raises: Refused for a file that does not run, that does not define the op with @op, or whose op
    leaves the work to another one.
    """
    name = edition.puzzle.op
    try:
        tree = ast.parse(text, file)
        compile(text, file, "exec")
    except SyntaxError as error:
        where = f"{file}, line {error.lineno}" if error.lineno else file
        raise Refused(f"{where}: not valid Python: {error.msg}") from None
    except ValueError as error:                         # null bytes, in older versions of Python
        raise Refused(f"{file}: not valid Python: {error}") from None
    _refuse_shortcuts(tree, file, name)
    try:
        op = executed(text, file).get(name)
    except (Exception, SystemExit) as error:
        raise Refused(f"{place(error, file)}: running the file raised {told(error)}") from None
    if op is None:
        raise Refused(f"{file}: defines no {name}; the op must keep its name")
    inner = getattr(op, "__wrapped__", None)
    source = inner if isinstance(inner, FunctionType) else op
    if not isinstance(source, FunctionType) or source.__code__.co_filename != file:
        raise Refused(f"{file}: {name} is taken from elsewhere; correct the op that was in the "
                      "file")
    if inner is None:
        raise Refused(f"{file}: {name} is not an op: the line @op above it is missing")
    made: Op = op
    return made


def _refuse_shortcuts(tree: ast.Module, file: str, name: str) -> None:
    imported: dict[str, str] = {}                       # their names in the file, and in minigrad
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        whence = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            full = whence + alias.name
            if full.startswith("minigrad.testing.puzzle"):
                raise Refused(f"{file}, line {node.lineno}: imports the puzzles themselves, where "
                              "the right op is; correct the op that was in the file")
            imported[alias.asname or alias.name] = "func" if "minigrad.func." in full + "." else (
                alias.name)
    for node in _reached(tree, name):
        word = (node.attr if isinstance(node, ast.Attribute) else
                imported.get(node.id, "") if isinstance(node, ast.Name) else "")
        if word in ENGINE and isinstance(node, ast.expr):
            raise Refused(f"{file}, line {node.lineno}: the op uses {word}, and so lets the "
                          "engine differentiate for it; write the gradient as a formula")


def _reached(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """The nodes of the function `name`, and of the functions and values of the file that it
    uses."""
    defined: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            defined |= {target.id: statement for target in statement.targets
                        if isinstance(target, ast.Name)}
    waiting, seen = [name], set()
    while waiting:
        word = waiting.pop()
        if word in seen or word not in defined:
            continue
        seen.add(word)
        for node in ast.walk(defined[word]):
            yield node
            if isinstance(node, ast.Name):
                waiting.append(node.id)


def place(error: BaseException, file: str) -> str:
    """The file, with the line of it in which an error was raised."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == file]
    return f"{file}, line {lines[-1]}" if lines else file


def told(error: BaseException) -> str:
    """An error's type and message, in one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
