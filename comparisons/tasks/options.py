"""What can be chosen about a run: a dataclass whose fields carry their own flags.

A task with choices of its own extends `Options`. Whatever it adds becomes a flag of `run`, is kept
in the checkpoint, compared when a run is resumed, and told in results.json: nothing else has to
know of it.

    @dataclass(frozen=True)
    class SpiralOptions(Options):
        arms: int = flag(3, at_least(2), "K", "how many arms the spiral has")
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Flag:
    """How the command line asks for an option.

    parse: makes the value of the word that was given; raises ValueError with what is wrong. None:
    the flag stands alone and means True.
    alone: whether the flag is refused unless its task is the only one that runs.
    """

    parse: Callable[[str], Any] | None
    metavar: str | None
    help: str
    choices: tuple[str, ...] = ()
    alone: bool = False


def flag(default: Any, parse: Callable[[str], Any] | None, metavar: str | None = None,
         help: str = "", alone: bool = False) -> Any:
    """A field of an options dataclass that the command line can set; see `Flag`."""
    return field(default=default, metadata={"flag": Flag(parse, metavar, help, alone=alone)})


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """A field whose value is one of a few words."""
    def parse(word: str) -> str:
        if word not in choices:
            raise ValueError(f"invalid choice: {word!r} (choose from {', '.join(choices)})")
        return word
    return field(default=default, metadata={"flag": Flag(parse, None, help, choices)})


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`, or without an upper limit."""
    limits = f"at least {least}" if most is None else f"from {least} to {most}"

    def parse(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            raise ValueError(f"{word!r} is not a whole number") from None
        if number < least or (most is not None and number > most):
            raise ValueError(f"must be {limits}; got {number}")
        return number
    return parse


def above_zero(word: str) -> float:
    """A parser of positive, finite numbers."""
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"must be above 0 and finite; got {word}")
    return number


SEED = at_least(0, 2**63 - 1)


@dataclass(frozen=True)
class Options:
    """What can be chosen for every task; None leaves it to the task."""

    data: Path | None = flag(None, Path, "DIR", "the folder that holds the data to use")
    epochs: int | None = flag(None, at_least(1), "N")
    batch_size: int | None = flag(None, at_least(1), "N")
    lr: float | None = flag(None, above_zero, "F", "the (peak) learning rate")
    seed: int = flag(0, SEED, "N", "decides initial weights, order and splits (default: 0)")
    device: str = choice("auto", ("auto", "cpu", "cuda", "mps"),
                         "PyTorch's; minigrad runs on the CPU")
    quick: bool = flag(False, None, help="a smoke run: one epoch, few images")
    embedded: bool = False              # use only what ships with the project

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """The flags of the fields that have one, by the fields' names."""
        return {f.name: f.metadata["flag"] for f in fields(cls) if "flag" in f.metadata}

    @classmethod
    def own_names(cls) -> tuple[str, ...]:
        """The fields that the task added."""
        common = {f.name for f in fields(Options)}
        return tuple(f.name for f in fields(cls) if f.name not in common)

    def own(self) -> dict[str, Any]:
        """The values of the fields that the task added: results.json tells them of each run."""
        values = {name: getattr(self, name) for name in self.own_names()}
        return {name: str(value) if isinstance(value, Path) else value
                for name, value in values.items()}

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps: a training may be resumed only with the same values."""
        return {"seed": self.seed, "quick": self.quick, **self.own()}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Each field's default: what a checkpoint from before the option was there is taken for."""
        return {f.name: f.default for f in fields(cls)}
