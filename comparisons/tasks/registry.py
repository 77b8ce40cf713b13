"""Finds tasks: the five systems by their names, and tasks in the user's files by their paths."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from comparisons.errors import Fault
from comparisons.tasks.names import NAMES
from comparisons.tasks.task import Task

NEEDED = ("name", "title", "epochs", "batch_size", "lr", "headlines", "options")


def find(word: str) -> Task[Any]:
    """The task of that name, or the one that the Python file at that path defines.

    Raises: Fault if the file does not exist, fails to import, or does not define exactly one task.
    """
    return TASKS[word] if word in TASKS else task_in(Path(word).resolve(), word)


@functools.cache
def task_in(path: Path, word: str) -> Task[Any]:
    """The task that a Python file defines. The file is run once. word: the path as it was given."""
    name = f"task_in_{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise Fault(f"{word}: {'not a Python file' if path.is_file() else 'no such file'}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module          # where dataclasses look up their module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))       # like a script, it may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Fault(f"{word}: cannot be imported: {type(error).__name__}: {error}") from error
    kind = the_task_of(module, word)
    missing = [*sorted(kind.__abstractmethods__), *(n for n in NEEDED if not hasattr(kind, n))]
    if missing:
        raise Fault(f"{word}: {kind.__name__} lacks {', '.join(missing)}")
    if kind.name in (*NAMES, "all"):
        raise Fault(f"{word}: the name {kind.name!r} of its task is already used")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.name):
        raise Fault(f"{word}: the name {kind.name!r} of its task must consist of lower-case "
                    "letters, digits and single hyphens")
    return kind()


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
