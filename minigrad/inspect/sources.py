"""Where ops and their vjps are written, and how."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from minigrad import visit
from minigrad.inplace import captured_by
from minigrad.inspect.places import LIBRARY


@dataclass(frozen=True)
class Source:
    """file: from the folder of minigrad on, for its own files. code: "" if it is not available."""

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def source_of(function: Callable[..., Any]) -> Source:
    """The source of an op, of a vjp, or of the function that computes several vjps together."""
    function = _meant(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return Source("", 0, "")
    return Source(short(code.co_filename), code.co_firstlineno, _text_of(code))


@functools.lru_cache(maxsize=1024)
def _text_of(code: CodeType) -> str:
    text = "".join(linecache.getlines(code.co_filename))
    node = _node_of(code, text)
    found = ast.get_source_segment(text, node) if node is not None else None
    return "" if found is None or node is None else textwrap.dedent(" " * node.col_offset + found)


def short(file: str) -> str:
    """minigrad/ops/linalg.py for a file of minigrad, otherwise the name of the file alone."""
    if file.startswith(LIBRARY):
        return Path(file).relative_to(Path(LIBRARY).parent).as_posix()
    return Path(file).name


def _meant(function: Callable[..., Any]) -> Callable[..., Any]:
    """What was written by whoever wrote the op: not the engine's wrappers around it."""
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return _meant(function.func)
    code = getattr(function, "__code__", None)
    if code is not None and code.co_filename == visit.__file__:         # of `together`
        for inner in captured_by([function]):
            if isinstance(inner, FunctionType) and inner.__code__.co_filename != visit.__file__:
                return inner
    return function


@functools.lru_cache(maxsize=64)
def _functions(text: str) -> tuple[ast.Lambda | ast.FunctionDef, ...]:
    try:
        tree = ast.parse(text)
    except SyntaxError:                             # not Python, such as a cell with magics
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef))


def _node_of(code: CodeType, text: str) -> ast.Lambda | ast.FunctionDef | None:
    """The lambda or function that a code object was compiled from."""
    found = [node for node in _functions(text)
             if (node.lineno if isinstance(node, ast.Lambda) or not node.decorator_list else
                 node.decorator_list[0].lineno) == code.co_firstlineno
             and isinstance(node, ast.Lambda) == (code.co_name == "<lambda>")]
    if len(found) > 1:                              # several lambdas in a line: by their columns
        places = {(line, column) for line, _, column, _ in code.co_positions()
                  if line is not None and column is not None and column > 0}
        inside = [node for node in found if isinstance(node, ast.Lambda) and any(
            (node.body.lineno, node.body.col_offset) <= place
            < (node.body.end_lineno or 0, node.body.end_col_offset or 0) for place in places)]
        return (inside or found)[-1]
    return found[-1] if found else None
