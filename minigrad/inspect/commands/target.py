"""What a command is to look at: one of the examples, or a function in a file of the user's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("[!_]*.py"))


class TargetError(Exception):
    """There is nothing to look at; the message says why, in one line."""


def load(target: str, of_example: str = "loss") -> Callable[..., Any]:
    """The function that FILE.py:NAME names, or that function of an example.

    Raises: TargetError if there is none, or the file cannot be run.
    """
    file, separator, name = target.rpartition(":")
    if target in NAMES:
        file, name = str(EXAMPLES / f"{target}.py"), of_example
    elif not separator or not file.endswith(".py"):
        raise TargetError(f"{target!r} is neither {', '.join(NAMES[:-1])} or {NAMES[-1]}, nor "
                          "FILE.py:FUNCTION")
    path = Path(file).resolve()
    if not path.is_file():
        raise TargetError(f"there is no file {file}")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise TargetError(f"{file} raises {said(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        raise TargetError(f"{target if target in NAMES else file} has no function {name!r}")
    return function


def look(command: Callable[..., Any], function: Callable[..., Any], *inputs: Any,
         **options: Any) -> Any:
    """command(function, …), whose errors become TargetErrors."""
    try:
        return command(function, *inputs, **options)
    except Exception as error:
        raise TargetError(said(error)) from error


def said(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def save(page: Any, out: str) -> None:
    """Write the page. Raises: TargetError if that is not possible."""
    try:
        page.save(out)
    except (OSError, ValueError) as error:
        raise TargetError(said(error)) from error
    print(f"{out}: {Path(out).stat().st_size / 1000:,.0f} kB")
