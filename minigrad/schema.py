"""JSON from outside: what it must look like, and where it does not.

    check(value, {"name": str, "size?": int, "rows": [{"at": float}]}, "settings")

A kind is str, int, float, bool or None; `object` for anything; `[kind]` for a list; `{str: kind}`
for an object with any keys; `{"key": kind, "key?": kind}` for one with these keys, of which those
with a question mark may be missing, and any others; a tuple for one of several kinds; or an `Also`.
A float may be written as an integer. True and False are no numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

DIGITS = 20             # of an integer; 64 bits have no more
MOST_DIGITS = 308       # all such integers are below the largest float
SHOWN = 40              # characters of a text that a message shows
NAMES: dict[Any, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false",
    None: "null", list: "a list", dict: "an object"}


class Mismatch(ValueError):
    """JSON that cannot be right: the message names the place in it."""


@dataclass(frozen=True)
class Also:
    """A kind with a condition, which `expected` puts into words."""

    kind: Any
    holds: Callable[[Any], object]
    expected: str


def loads(text: str | bytes, *, standard: bool = True) -> Any:
    """The value that a text in JSON stands for.

    standard: take only what the standard allows, and numbers that are 64-bit floats or integers;
    else also what Python writes, such as NaN, and all integers that a float can hold.
    Raises: Mismatch unless it is such a text, or if its values are nested too deep.
    """
    strictly: dict[str, Any] = {
        "parse_constant": _no_constant, "parse_float": _float, "parse_int": _integer
    } if standard else {"parse_int": partial(_integer, most=MOST_DIGITS)}
    try:
        return json.loads(text, **strictly)
    except Mismatch:
        raise
    except (ValueError, RecursionError):
        raise Mismatch("is not JSON") from None


def check(value: Any, kind: Any, at: str = "") -> None:
    """Check that a value that was read from JSON is of a kind.

    at: the place of the value, which messages begin with.
    Raises: Mismatch naming the first place where it is not.
    """
    if isinstance(kind, Also):
        check(value, kind.kind, at)
        if not kind.holds(value):
            _refuse(value, kind.expected, at)
    elif isinstance(kind, tuple):
        _one_of(value, kind, at)
    elif isinstance(kind, list):
        _insist_on(value, list, at)
        for i, item in enumerate(value):
            check(item, kind[0], f"{at}[{i}]")
    elif isinstance(kind, dict):
        _insist_on(value, dict, at)
        _members(value, kind, at)
    elif kind is not object:
        _insist_on(value, kind, at)


def check_likeness(value: Any, like: Any, at: str = "") -> None:
    """Check that a state that was loaded is of the same kind as the one before, `like`.

    It has the same fields and items, numbers where there were numbers, and the same texts, which
    are choices and names. What was None may become anything but a list or an object, and the
    reverse; NaN is no number. Of what JSON does not hold, nothing is checked.
    Raises: Mismatch naming the first place where it is not.
    """
    if isinstance(like, dict):
        _insist_on(value, dict, at)
        for key, one in like.items():
            place = f"{at}.{key}" if at else str(key)
            if key not in value:
                raise Mismatch(f"{place}: is missing")
            check_likeness(value[key], one, place)
    elif isinstance(like, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != len(like):
            _refuse(value, f"a list of {len(like)}", at)
        for i, (item, one) in enumerate(zip(value, like, strict=True)):
            check_likeness(item, one, f"{at}[{i}]")
    elif isinstance(value, dict | list | tuple):
        _refuse(value, "a single value", at)
    elif isinstance(like, str) and value != like:
        _refuse(value, json.dumps(like), at)
    elif value is not None and isinstance(like, bool | int | float):
        _insist_on(value, bool if isinstance(like, bool) else float, at)
        if value != value and like == like:
            _refuse(value, "a number", at)


def _members(value: dict[str, Any], kinds: dict[Any, Any], at: str) -> None:
    if str in kinds:
        kinds = dict.fromkeys(value, kinds[str])
    for name, kind in kinds.items():
        key = name.removesuffix("?")
        told = key if key.isidentifier() else json.dumps(key[:SHOWN])
        place = f"{at}.{told}" if at else told
        if key in value:
            check(value[key], kind, place)
        elif key == name:
            raise Mismatch(f"{place}: is missing")


def _one_of(value: Any, kinds: tuple[Any, ...], at: str) -> None:
    for kind in kinds:
        if _is(value, _outermost(kind)):
            return check(value, kind, at)
    _refuse(value, " or ".join(NAMES[_outermost(kind)] for kind in kinds), at)


def _outermost(kind: Any) -> Any:
    """What a value of a kind is, apart from what is inside it."""
    return _outermost(kind.kind) if isinstance(kind, Also) else (
        type(kind) if isinstance(kind, list | dict) else kind)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is None:
        return value is None
    return isinstance(value, int | float if kind is float else kind)


def _insist_on(value: Any, kind: Any, at: str) -> None:
    if not _is(value, kind):
        _refuse(value, NAMES[kind], at)


def _refuse(value: Any, expected: str, at: str) -> NoReturn:
    got = (NAMES[dict if isinstance(value, dict) else list]
           if isinstance(value, list | tuple | dict) else
           json.dumps(value[:SHOWN] if isinstance(value, str) else value))
    raise Mismatch(f"{at or 'the whole'}: expected {expected}; got {got}")


def _no_constant(word: str) -> NoReturn:
    raise Mismatch(f"is not JSON, which has no {word}")


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise Mismatch("has a number that is too large")
    return value


def _integer(text: str, most: int = DIGITS) -> int:
    if len(text) > most:
        raise Mismatch("has a number that is too large")
    return int(text)
