"""Every task by its name: the five systems, and those that a user's files define."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from comparisons.errors import Fault
from comparisons.tasks.dexpression import DexpressionTask
from comparisons.tasks.diabetes import DiabetesTask
from comparisons.tasks.mnist_cnn import MnistCnnTask
from comparisons.tasks.mnist_mlp import MnistMlpTask
from comparisons.tasks.regression import RegressionTask
from comparisons.tasks.task import Task

TASKS: dict[str, Task[Any]] = {task.name: task for task in (
    RegressionTask(), DiabetesTask(), MnistMlpTask(), MnistCnnTask(), DexpressionTask())}
NAMED = ("name", "title", "epochs", "batch_size", "lr", "headlines", "options")


def find(word: str) -> Task[Any]:
    """The task of that name, or the one that the Python file at that path defines.

    Raises: Fault, in one line, if there is none.
    """
    return TASKS[word] if word in TASKS else task_in(Path(word).resolve(), word)


@functools.cache
def task_in(path: Path, word: str) -> Task[Any]:
    """The one task that a Python file defines; the file is run once. word: what the user wrote."""
    module = f"task_in_{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(module, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise Fault(f"{word}: no such file" if not path.is_file() else
                    f"{word}: not a Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded        # dataclasses look their module up there
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))       # as for a script: it may import its neighbours
    try:
        spec.loader.exec_module(loaded)
    except (Exception, SystemExit) as error:
        raise Fault(f"{word}: cannot be imported: {type(error).__name__}: {error}") from error
    defined = [kind for kind in vars(loaded).values()
               if isinstance(kind, type) and issubclass(kind, Task) and kind.__module__ == module]
    # a class that another one in the file extends is its foundation, not a task
    defined = [kind for kind in dict.fromkeys(defined)
               if not any(issubclass(other, kind) for other in defined if other is not kind)]
    if len(defined) != 1:
        names = ", ".join(kind.__name__ for kind in defined)
        raise Fault(f"{word}: defines {f'several tasks ({names})' if names else 'no task'}; "
                    "expected one class that extends Task")
    return checked(defined[0], word)


def checked(kind: type[Task[Any]], word: str) -> Task[Any]:
    """An instance of a user's task. Raises: Fault if anything that every task has is missing."""
    missing = [*sorted(kind.__abstractmethods__), *(n for n in NAMED if not hasattr(kind, n))]
    if missing:
        raise Fault(f"{word}: {kind.__name__} lacks {', '.join(missing)}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.name) or kind.name in (*TASKS, "all"):
        raise Fault(f"{word}: the name {kind.name!r} of its task is "
                    + ("taken" if kind.name in (*TASKS, "all") else
                       "not made of small letters, digits and hyphens"))
    return kind()
