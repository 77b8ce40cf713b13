"""What a run has written about itself into the configuration of its checkpoint.

The checkpoint may come from somebody else. What predicting needs beyond this is checked in
`predict/trained.py`.
"""

from __future__ import annotations

from typing import Any

from comparisons.errors import Fault, message, told
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
    try:
        return options.restored(settings_of(kept).get("options", {}))
    except Fault:
        raise
    except Exception as error:          # a task's own parser may raise anything
        reason = message(error) if isinstance(error, ValueError) else told(error)
        raise Fault(f"{kept.path}: its options cannot be used: {reason}") from error
