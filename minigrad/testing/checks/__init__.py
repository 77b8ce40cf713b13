"""The checks that `check_op` makes: each looks at an op at one call.

    derivatives.py      values and gradients against a reference, finite differences and each other
    engine.py           among others: under no_grad, accumulated, used twice, changed in place
    sizes.py            dims of size 1 and 0, broadcast inputs
    forms.py            other ranks, absent inputs
    memory.py           inputs that are kept, strides, dtypes, threads
    running.py          what they share: running an op, its vjp, a reference; comparing arrays

A check raises where it finds something wrong: an AssertionError that says what, or whatever the op
raises. Where the check itself knows the likely cause, its message ends in it. It raises NotTried
where it does not apply, and InDoubt where what is right depends on what the op is meant for. It may
return how far apart what it compared was. `@check` adds a function to CHECKS.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from minigrad.testing.case import Call, OpCase

Run = Callable[[OpCase, Call], float | None]
RunT = TypeVar("RunT", bound=Run)
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


class NotTried(Exception):
    """The check does not apply to this op, or not to this call; the message says why."""


class InDoubt(NotTried):
    """The check applies, but whether the op passes is a matter of what it is meant for; the message
    says what is to be decided."""


class Imprecise(AssertionError):
    """A result is further off than the rounding of its dtype explains."""


class FailsAt(AssertionError):
    """A check that makes calls of its own from the one that it looks at fails at this `call`."""

    def __init__(self, message: str, call: Call) -> None:
        super().__init__(message)
        self.call = call


@dataclass(frozen=True)
class Check:
    """One of the checks.

    passed: what it says of an op that passes.
    at: the calls to look at: "any", the pinned examples and the drawn calls; "examples", the former
    only; "first", the first of them; "corners".
    share: how many calls are drawn, as a part of max_examples.
    differentiable: only for ops with a gradient.
    unless: why it does not apply to an op, as far as its case shows; "" where it does.
    """

    name: str
    passed: str
    run: Run
    at: str = "any"
    share: float = 1.0
    differentiable: bool = True
    unless: Callable[[OpCase], str] = lambda case: ""

    def excuse(self, case: OpCase) -> str:
        """Why the check does not apply to the op; "" where it does."""
        if self.differentiable and not case.differentiable:
            return "it has no gradient"
        if self.at == "corners" and case.corners is None:
            return "no corners were given"
        return self.unless(case) or case.excused.get(self.name, "")


CHECKS: dict[str, Check] = {}


def check(name: str, passed: str, **more: Any) -> Callable[[RunT], RunT]:
    """Adds a function to the checks."""
    def register(run: RunT) -> RunT:
        CHECKS[name] = Check(name, passed, _quiet(run), **more)
        return run
    return register


def _quiet(run: Run) -> Run:
    """The check without warnings, unless they are errors: it moves inputs to where ops warn, and
    would repeat each warning at every call."""
    @functools.wraps(run)
    def quiet(case: OpCase, call: Call) -> float | None:
        if any(action == "error" for action, *_ in warnings.filters):
            return run(case, call)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return run(case, call)
    return quiet
