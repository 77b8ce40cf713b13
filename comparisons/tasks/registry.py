"""Finds tasks: the five systems by their names, and tasks in the user's files by their paths."""

from __future__ import annotations

import importlib.util
import re
import reprlib
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from comparisons.errors import Fault, told
from comparisons.tasks.names import NAMES
from comparisons.tasks.options import RESERVED, Options
from comparisons.tasks.task import Headline, Task

NEEDED: dict[str, Any] = {
    "name": lambda v: isinstance(v, str), "title": lambda v: isinstance(v, str),
    "epochs": lambda v: isinstance(v, int) and v > 0,
    "batch_size": lambda v: v is None or (isinstance(v, int) and v > 0),
    "lr": lambda v: isinstance(v, int | float) and v > 0,
    "clip_norm": lambda v: v is None or (isinstance(v, int | float) and v > 0),
    "accumulate": lambda v: isinstance(v, int) and v > 0,
    "headlines": lambda v: len(v) > 0 and all(isinstance(h, Headline) for h in v),
    "options": lambda v: isinstance(v, type) and issubclass(v, Options)}
"""What every task defines, and whether a value of it can be right."""

_found: dict[Path, Task[Any]] = {}


def find(word: str) -> Task[Any]:
    """The task of that name, or the one that the Python file at that path defines.

    Raises: Fault, in one line, if there is none.
    """
    if word in NAMES:
        return TASKS[word]
    path = Path(word).resolve()
    if path not in _found:              # a file is run once
        _found[path] = task_in(path, word)
    return _found[path]


def find_all(words: Sequence[str]) -> list[Task[Any]]:
    """The tasks of several words, each once. Raises: Fault if two of them have one name."""
    tasks = {find(word): word for word in words}
    named: dict[str, str] = {}
    for task, word in tasks.items():
        if task.name in named:
            raise Fault(f"{word}: its task is named {task.name}, as that of {named[task.name]} is")
        named[task.name] = word
    return list(tasks)


def task_in(path: Path, word: str) -> Task[Any]:
    """The one task that a Python file defines. word: the path as the user wrote it."""
    if not path.is_file() or path.suffix != ".py":
        raise Fault(f"{word}: " + ("no such file" if not path.exists() else
                                   "not a Python file, whose name ends in .py"))
    name = f"task_in_{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}_{len(_found)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module          # dataclasses look their module up there
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))       # a script, too, may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Fault(f"{word}{line_of(error, path)}: cannot be imported: {told(error)}") from error
    kind = the_task_of(module, word)
    missing = [*sorted(kind.__abstractmethods__), *(n for n in NEEDED if not hasattr(kind, n))]
    if missing:
        raise Fault(f"{word}: {kind.__name__} lacks {', '.join(missing)}")
    for attribute, fits in NEEDED.items():
        try:
            possible = fits(getattr(kind, attribute))
        except Exception:               # such as len() of a number
            possible = False
        if not possible:
            raise Fault(f"{word}: {kind.__name__}.{attribute} is "
                        f"{reprlib.repr(getattr(kind, attribute))}, which is not a possible value")
    insist_on_names(kind, word)
    try:
        return kind()
    except (Exception, SystemExit) as error:
        raise Fault(f"{word}{line_of(error, path)}: {kind.__name__}() fails: {told(error)}"
                    ) from error


def line_of(error: BaseException, path: Path) -> str:
    """Where in a file an error arose, as ", line 3"; empty if it did not come through the file."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    own = [step.lineno for step in traceback.extract_tb(error.__traceback__)
           if step.filename == str(path)]
    return f", line {own[-1]}" if own else ""


def insist_on_names(kind: type[Task[Any]], word: str) -> None:
    """Raises: Fault if a task's name, or the name of one of its options, cannot be used."""
    if kind.name in (*NAMES, "all"):
        raise Fault(f"{word}: the name {kind.name!r} of its task is already used")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.name):
        raise Fault(f"{word}: the name {kind.name!r} of its task must consist of lower-case "
                    "letters, digits and single hyphens")
    for option in kind.options.own_names():
        if option in RESERVED:
            raise Fault(f"{word}: the name {option!r} of an option is already used")
    kind.options().own()                # a default that a checkpoint cannot keep


def the_task_of(module: ModuleType, word: str) -> type[Task[Any]]:
    """The one task that a module defines; classes that others in the module extend do not count."""
    defined = dict.fromkeys(
        kind for kind in vars(module).values() if isinstance(kind, type)
        and issubclass(kind, Task) and kind.__module__ == module.__name__)
    kinds = [kind for kind in defined
             if not any(issubclass(other, kind) for other in defined if other is not kind)]
    if len(kinds) != 1:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise Fault(f"{word}: defines {f'several tasks ({names})' if names else 'no task'}; "
                    "expected one class that extends Task")
    return kinds[0]


def system(name: str) -> Task[Any]:
    """One of the five systems. Its module has its name, with underscores in place of hyphens."""
    return the_task_of(import_module(f"comparisons.tasks.{name.replace('-', '_')}"), name)()


TASKS: dict[str, Task[Any]] = {name: system(name) for name in NAMES}
