"""What a checkpoint must say so that a run can be continued from it."""

from __future__ import annotations

from typing import Any

from comparisons.errors import Fault
from comparisons.tasks.kept import settings_of
from comparisons.training.formats import check_history
from minigrad.checkpoint import Checkpoint
from minigrad.schema import Mismatch


def history_of(kept: Checkpoint, k: int, epochs: int) -> list[dict[str, Any]]:
    """The finished epochs that a checkpoint of training k records, of `epochs` in all.

    Raises: Fault naming the checkpoint if they are not those from the first to its own.
    """
    config = settings_of(kept)
    history: list[dict[str, Any]] = config.get("history", [])
    if kept.epoch > epochs:
        raise Fault(f"{kept.path}: says that {kept.epoch} of {epochs} epochs are finished")
    try:
        if history != []:               # very old ones have none
            check_history(config)
            if [(e["fold"], e["epoch"]) for e in history] != [(k, e) for e in range(kept.epoch)]:
                raise Mismatch(f"history: expected epochs 0 to {kept.epoch - 1} of fold {k}")
    except Mismatch as error:
        raise Fault(f"{kept.path}: its configuration cannot be used: {error}") from None
    return list(history)


def difference(known: dict[str, Any], asked: dict[str, Any], defaults: dict[str, Any]) -> str:
    """The first setting that differs between a checkpoint and a new run; empty if none does.

    defaults: the defaults of the options, for those that the checkpoint does not contain.
    """
    known, asked = ({**c, **c.get("options", {})} for c in (known, asked))
    for key, value in asked.items():
        there = known.get(key)
        there = defaults.get(key) if there is None else there
        if key != "options" and there != value:
            return f"{key} {there}, not {value}"
    return ""
