"""What a run has written about itself into the configuration of its checkpoint.

The checkpoint may come from somebody else. What predicting needs beyond this is checked in
`predict/trained.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from comparisons.errors import Fault, message, one_line
from comparisons.tasks.task import OptionsT
from minigrad.checkpoint import Checkpoint
from minigrad.schema import Also, Mismatch, check

CONFIG = {"options?": {str: object},
          "training?": Also(int, lambda n: n >= 0, "a number from 0")}


def settings_of(kept: Checkpoint) -> dict[str, Any]:
    """The configuration of a checkpoint, which is empty if it has none.

    Raises: Fault naming the checkpoint if no run can have written it.
    """
    config: dict[str, Any] = {} if kept.config is None else kept.config
    try:
        check(config, CONFIG)
    except Mismatch as error:
        raise Fault(f"{kept.path}: its configuration cannot be used: {error}") from None
    return config


def options_of(kept: Checkpoint, options: type[OptionsT]) -> OptionsT:
    """The options that a checkpoint was trained with.

    Raises: Fault naming the checkpoint if they cannot be used.
    """
    values = settings_of(kept).get("options", {})
    with blamed_on(kept, "its options cannot be used"):
        return options.restored(values)


@contextmanager
def blamed_on(kept: Checkpoint, otherwise: str) -> Iterator[None]:
    """What fails within, fails because of what a checkpoint says: a task's own code may raise
    anything, and an error about an option names its flag, which nobody has given.

    Raises: Fault naming the checkpoint.
    """
    try:
        yield
    except Exception as error:
        reason = message(error) if isinstance(error, ValueError) else one_line(error)
        raise Fault(f"{kept.path}: {otherwise}: {reason}") from error
