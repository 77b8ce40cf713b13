"""Errors that are reported to the user in one line, without a traceback."""

import sys
import traceback


class Fault(Exception):
    """An error that ends the program: its message is one line and names the file or the flag."""


class DataError(Fault):
    """Data are missing or damaged; the message names the file."""


class NotThereError(DataError):
    """The folder that the user named exists, but does not contain this dataset."""


LONGEST = 2000          # characters of a message


def one_line(error: BaseException) -> str:
    """An error in one line: its message, preceded by its type if it is not one of our own.

    Another's error may be of any type, without a message, or with one that cannot be made.
    """
    from minigrad.streams import printable
    if isinstance(error, OSError) and error.filename:
        return printable(f"{error.filename}: {error.strerror}")
    return message(error) if is_ours(error) else told(error)


def is_ours(error: BaseException) -> bool:
    """Whether the message of an error is meant for the user."""
    # not imported: that needs safetensors, which the machine may lack
    checkpoint = sys.modules.get("minigrad.checkpoint")
    return isinstance(error, Fault) or (
        checkpoint is not None and isinstance(error, checkpoint.CheckpointError))


def told(error: BaseException) -> str:
    """The type of an error, and its message if it has one, in one line."""
    return ": ".join(filter(None, (type(error).__name__, message(error))))


def message(error: BaseException) -> str:
    """The message of an error in one line, which is empty if it has none."""
    from minigrad.streams import printable
    try:
        line = printable(" ".join(str(error).split()))
    except Exception as another:
        return f"its message cannot be made ({type(another).__name__})"
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def where_in_a_task(error: BaseException) -> str:
    """The line of a user's own task file that an error came through, if it did."""
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step, (frame, _) in zip(steps, traceback.walk_tb(error.__traceback__),
                                            strict=True)
           if frame.f_globals.get("__name__", "").startswith("task_in_")]
    return f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""
