"""The options of a run: a dataclass whose fields define the flags of the command line.

A task with options of its own extends `Options`. Each field that it adds becomes a flag of `run`,
is saved in the checkpoint, is compared when a run is resumed, and is recorded in results.json. No
other code needs to mention it.

    @dataclass(frozen=True)
    class SpiralOptions(Options):
        arms: int = flag(3, at_least(2), "K", "number of arms of the spiral")
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from comparisons.errors import Fault

RESERVED = (
    "task", "title", "impl", "dataset", "source", "seed", "n_train", "n_test", "trainings",
    "metrics", "baselines", "headlines", "notes", "train_seconds", "warm_up_seconds",
    "rss_before_mb", "peak_rss_mb", "checkpoint", "date", "command",
    "processes",                                                            # in results.json
    "flags", "own_names", "own", "kept", "defaults", "restored",            # in Options
    "help", "tasks", "out", "resume", "seeds", "threads", "main", "parser", "argv")  # in `run`
"""Names that an option cannot have. `folds`, `repeats` and `protocol` mean what they mean for
dexpression: the table shows them."""


@dataclass(frozen=True)
class Flag:
    """The flag of an option on the command line.

    parse: converts the given word to a value, or raises ValueError with the reason. If it is None,
    the flag takes no word, and giving it means True.
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


def share(word: str) -> float:
    """A parser of shares, from 0 to 1."""
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None
    if not 0 <= number <= 1:
        raise ValueError(f"must be from 0 to 1, such as 0.95; got {word}")
    return number


def up_to(most: float) -> Callable[[str], float]:
    """A parser of numbers above 0 and at most `most`."""
    def parse(word: str) -> float:
        number = above_zero(word)
        if number > most:
            raise ValueError(f"must be at most {most:g}; got {word}")
        return number
    return parse


MOST = 2**63 - 1        # the largest seed
SEED = at_least(0, MOST)


def path(given: str) -> Path:
    """A path. Raises: ValueError for an empty one, which would mean the current folder."""
    if not given:
        raise ValueError("must not be empty")
    return Path(given)


@dataclass(frozen=True)
class Options:
    """The options of every task; None means the task's own value."""

    data: Path | None = flag(None, path, "PATH", "folder or file with the data to use (default: "
                             "the data that `python -m comparisons data` lists)")
    epochs: int | None = flag(None, at_least(1), "N", "number of epochs (default: the task's own)")
    batch_size: int | None = flag(None, at_least(1), "N", "number of examples in a batch "
                                  "(default: the task's own)")
    lr: float | None = flag(None, above_zero, "F", "learning rate, or its peak if it changes "
                             "during training (default: the task's own)")
    clip_norm: float | None = flag(None, above_zero, "F", "largest norm of all gradients together; "
                                   "larger ones are scaled down (default: the task's own, usually "
                                   "none)")
    accumulate: int | None = flag(None, at_least(1), "K", "compute each batch in K parts, which "
                                  "needs less memory and adds up to the same gradients, except for "
                                  "networks with batch norm (default: the task's own, usually 1)")
    seed: int = flag(0, SEED, "N", "seed of the initial weights, the order of the examples "
                     "and the splits (default: 0)")
    device: str = choice("auto", ("auto", "cpu", "cuda", "mps"),
                         "device that PyTorch computes on (default: auto); minigrad uses the "
                         "CPU")
    amp: bool = flag(False, None, help="train PyTorch's networks in mixed precision: matrix "
                     "products and convolutions in bfloat16, the rest, the weights and all "
                     "predictions in float32")
    compile: bool = flag(False, None, help="train PyTorch's networks compiled by torch.compile")
    quick: bool = flag(False, None, help="test quickly that everything works, with fewer "
                       "epochs and images; the figures then mean nothing")
    embedded: bool = False              # use only the data that come with the project

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """The flags, by the names of their fields."""
        return {f.name: f.metadata["flag"] for f in fields(cls) if "flag" in f.metadata}

    @classmethod
    def own_names(cls) -> tuple[str, ...]:
        """The names of the fields that the task adds."""
        common = {f.name for f in fields(Options)}
        return tuple(f.name for f in fields(cls) if f.name not in common)

    def own(self) -> dict[str, Any]:
        """The values of the fields that the task adds, as results.json records them."""
        return {name: as_json(name, getattr(self, name)) for name in self.own_names()}

    def kept(self) -> dict[str, Any]:
        """The values that a checkpoint saves. A training can be resumed only with equal values."""
        return {"seed": self.seed, "quick": self.quick, **self.own()}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Each field's default, which is assumed for checkpoints that are older than the field."""
        return {f.name: as_json(f.name, f.default) for f in fields(cls)}

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Self:
        """Options with the values of the task's own fields that a checkpoint kept.

        Raises: ValueError for one that no flag has, or what a task's own parser raises.
        """
        flags, values, hints = cls.flags(), {}, hints_of(cls)
        for f in fields(cls):
            if f.name not in cls.own_names() or f.name not in kept:
                continue
            value, flag = kept[f.name], flags.get(f.name)
            if value == as_json(f.name, f.default):
                value = f.default
            elif flag is not None and (isinstance(value, dict) or (flag.choices and not isinstance(
                    value, str)) or isinstance(value, bool) != (flag.parse is None)
                    or not fits(value, hints.get(f.name))):
                raise ValueError(f"{f.name}: {json.dumps(value)} is no value of this flag")
            elif isinstance(value, str) and flag is not None and flag.parse is not None:
                value = flag.parse(value)
            elif isinstance(value, list):
                value = tuple(value)
            values[f.name] = value
        return cls(**values)


def hints_of(cls: type) -> dict[str, Any]:
    """The types of a class's fields; none if a user's annotations cannot be evaluated."""
    try:
        return get_type_hints(cls)
    except Exception:
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a field of this type may have a value that was read from JSON. A number is as good as
    another, a path is a text, a tuple a list, and types that JSON does not have take any value."""
    kinds = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, kind) for kind in kinds)
    if hint is tuple or get_origin(hint) is tuple:
        if kinds[1:] == (...,):
            kinds = kinds[:1] * len(value) if isinstance(value, list) else ()
        return isinstance(value, list) and (hint is tuple or (len(value) == len(kinds) and all(
            fits(one, kind) for one, kind in zip(value, kinds, strict=True))))
    known: dict[Any, Any] = {int: int | float, float: int | float, str: str, Path: str,
                             NoneType: NoneType}
    return hint not in known or (isinstance(value, known[hint]) and not isinstance(value, bool))


@dataclass(frozen=True)
class CalibratedOptions(Options):
    """The options of a task that can set training items apart, for `calibration.py`."""

    calibrate: float | None = flag(None, up_to(0.5), "SHARE", "share of the training items, in "
                                   "whole persons where these are known, to set apart for the "
                                   "calibration of the probabilities (default: none; with folds, "
                                   "the other folds serve)")


def as_json(name: str, value: Any) -> Any:
    """An option's value as JSON holds it: a path as text, a tuple as a list.

    Raises: Fault if JSON cannot hold it.
    """
    try:
        return json.loads(json.dumps(str(value) if isinstance(value, Path) else value))
    except (TypeError, ValueError):
        raise Fault(f"the option {name} has the value {value!r}, which a checkpoint cannot keep; "
                    "expected a number, a text, a path, or a tuple of these") from None
