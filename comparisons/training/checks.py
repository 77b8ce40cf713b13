"""What a task returns is checked before anything is written: a task may be a user's own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from comparisons.errors import Fault
from comparisons.tasks.task import Details, Metrics, Task
from comparisons.training.formats import check_details
from minigrad.schema import Mismatch

HISTORY = ("fold", "epoch", "loss", "seconds")      # what the history records of itself


def numbers(task: Task[Any], method: str, figures: Mapping[str, Any],
            taken: tuple[str, ...] = ()) -> Metrics:
    """The figures that a method of a task returned, as Python's own numbers.

    taken: names that it may not use.
    Raises: Fault if a figure is not a number, or has such a name.
    """
    checked: Metrics = {}
    for name, value in figures.items():
        if name in taken:
            raise Fault(f"{task.name}: {method} returned a figure named {name}, which is already "
                        "used")
        if not isinstance(value, int | float | np.integer | np.floating):
            raise Fault(f"{task.name}: {method} returned {value!r} as {name}; expected a number")
        checked[name] = value if isinstance(value, int) else float(value)
    return checked


def finite(task: Task[Any], method: str, figures: Metrics) -> Metrics:
    """The same figures. Raises: Fault if one of them is infinite or NaN."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise Fault(f"{task.name}: {method} returned {value} as {name}; expected a finite "
                        "number")
    return figures


def insist_on(task: Task[Any], method: str, figures: Metrics, needed: list[str]) -> None:
    """Raises: Fault if a figure is missing that the task's headlines name."""
    if missing := [name for name in needed if name not in figures]:
        raise Fault(f"{task.name}: its headlines name {', '.join(missing)}, but {method} returned "
                    f"only {', '.join(figures) or 'nothing'}")


def returned(task: Task[Any], method: str, value: Any, needed: str, has: tuple[str, ...]) -> Any:
    """What a method of a task returned. Raises: Fault if it lacks one of the attributes `has`."""
    if not all(hasattr(value, name) for name in has):
        raise Fault(f"{task.name}: {method} returned {type(value).__name__}; expected {needed}")
    return value


def plain(task: Task[Any], details: Details) -> Details:
    """The details as JSON holds them: arrays as lists, NumPy's numbers as Python's.

    Raises: Fault if JSON cannot hold them, or if those that the report draws are of another kind.
    """
    def converted(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(f"a {type(value).__name__} is not a number, a text, a list or a dict")
    try:
        found: Details = json.loads(json.dumps(details, allow_nan=False, default=converted))
        check_details(found)
    except Mismatch as error:
        raise Fault(f"{task.name}: the report cannot draw the details that judge returned: {error}"
                    ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault(f"{task.name}: the details that judge returned cannot be saved as JSON: "
                    f"{error}") from None
    return found
