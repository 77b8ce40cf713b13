"""One check on one op: at which calls, and the smallest at which it fails.

hypothesis draws the calls and makes them smaller. It is imported where it is used, so that all else
in `minigrad.testing` does without it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import Check, Imprecise, InDoubt, NotTried
from minigrad.testing.report import Finding
from minigrad.testing.variations import resizings, takes, variations

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

KNOWS_KINKS = {"gradcheck"}
SECONDS = 2.0                   # how long a smaller call may be looked for
CAUSE = "likely cause: "
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def look(case: OpCase, check: Check, max_examples: int, seed: int | None,
         seconds: float | None = None) -> Finding:
    """Run one check on one op, at its examples and at calls that hypothesis draws.

    seconds: how long to look for a smaller call where it fails; None: SECONDS.
    """
    finding = Finding(check.name, check.passed, excuse=check.excuse(case))
    if finding.excuse:
        return finding
    excuses: list[str] = []
    given = 0                       # how many calls passed before any was drawn
    failure = Failure(SECONDS if seconds is None else seconds)

    def at(call: Call) -> None:
        if failure.is_too_late_for(call):
            return
        try:
            apart = check.run(case, call)
        except InDoubt as doubt:
            finding.doubt, apart = str(doubt), None
        except NotTried as reason:
            excuses.append(str(reason))
            return
        except Exception as error:
            if varied and _is_degenerate(error):
                return
            if varied and isinstance(error, Imprecise) and _has_larger_numbers(call, case):
                finding.doubt = f"with larger numbers than the examples', {error}"
                return
            if failure.accepts(call, error):
                raise
            return
        finding.calls += 1
        if apart is not None:
            finding.apart = max(finding.apart or 0.0, apart)

    n, varied = max(1, int(max_examples * check.share)), False
    try:
        if check.at != "corners":
            for call in case.examples[:1] if check.at == "first" else case.examples:
                at(call)
        if check.at == "any":
            varied = case.inputs is None
            given = finding.calls
            draw(drawn_calls(case, check.name in KNOWS_KINKS), at, n, seed)
        elif check.at == "corners" and case.corners is not None:
            draw(case.corners, at, n, seed)
    except Exception as error:
        if failure.error is not None:
            _make_smaller(case, check, failure)
            finding.smallest = getattr(failure.error, "call", failure.call)
            finding.elsewhere = varied and given == len(case.examples)
            finding.problem = FLAKY if _is_flaky(error) and not failure.late else failure.problem
        elif not _nothing_to_draw(error):
            raise
    if not (finding.calls or finding.problem):
        finding.excuse = excuses[0] if excuses else "there is no example"
    return finding


def _is_degenerate(error: BaseException) -> bool:
    """Whether a solver, NumPy's or PyTorch's, met a singular matrix: no place to judge its use."""
    return type(error).__name__.strip("_") == "LinAlgError"


def _has_larger_numbers(call: Call, case: OpCase) -> bool:
    return _largest(call) > max(map(_largest, case.examples), default=0.0)


def _largest(call: Call) -> float:
    return max((float(np.abs(x).max(initial=0)) for x in call.arrays
                if x is not None and x.dtype.kind == "f"), default=0.0)


# ---- one failure ---------------------------------------------------------------------------------

FLAKY = "it fails only sometimes at the same inputs: its results are not deterministic"


def _is_flaky(error: BaseException) -> bool:
    return type(error).__name__.startswith("Flaky")     # hypothesis': an ExceptionGroup


def _nothing_to_draw(error: BaseException) -> bool:
    return type(error).__name__ == "Unsatisfiable"      # hypothesis': the op takes no variation


class Failure:
    """The smallest call known at which a check fails, always in the way that it failed at first.

    A smaller call may fail for another reason: a gradient of 0 is right whatever factor is wrong,
    and one number is its own transpose. Such a call would mislead, and is not accepted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.call: Call | None = None
        self.error: Exception | None = None
        self.first: Exception | None = None
        self.ends = 0.0
        self.late = False       # whether a failure was passed over because the time was up

    def accepts(self, call: Call, error: Exception) -> bool:
        """Whether this is the first failure, or the same one at another call."""
        if self.first is None:
            self.first, self.ends = error, time.monotonic() + self.seconds
        elif kind_of(error) != kind_of(self.first):
            return False
        self.call, self.error = call, error
        return True

    def is_too_late_for(self, call: Call) -> bool:
        """Whether the time is up, and this is another call than the smallest known."""
        if self.first is None or time.monotonic() <= self.ends or _equal(call, self.call):
            return False
        self.late = True
        return True

    @property
    def problem(self) -> str:
        """What is said about it: the numbers at the smallest call, the cause as it was found."""
        assert self.error is not None
        assert self.first is not None
        said, cause = _said(self.error), _said(self.first).rpartition(CAUSE)[2]
        return said.rpartition(CAUSE)[0] + CAUSE + cause if CAUSE in said else said


def kind_of(error: Exception) -> tuple[Any, ...]:
    """What two failures of the same kind have in common: the exception, the wording and the cause.

    Numbers count only in the cause, where they tell one factor or axis from another.
    """
    text = _said(error)
    cause = text.rpartition(CAUSE)[2].splitlines()[0] if CAUSE in text else ""
    cause = re.sub(r"perhaps | everywhere", "", cause)
    numbers = tuple(f"{float(number):.2g}" for number in re.findall(NUMBER, cause))
    wording = re.sub(r"[^a-z ]", "", text.splitlines()[0].partition(" of shape ")[0].lower())
    return type(error), wording, re.sub(NUMBER, "#", cause), numbers


def _said(error: BaseException) -> str:
    if isinstance(error, AssertionError):
        return str(error) or "an assertion fails"
    return f"it raises {type(error).__name__}: {error}"


def _equal(call: Call, other: Call | None) -> bool:
    return other is not None and (call is other or repr(call) == repr(other))


# ---- drawing calls -------------------------------------------------------------------------------

def drawn_calls(case: OpCase, kinks: bool = False) -> SearchStrategy[Call]:
    """The case's own strategy; without one, variations of its examples."""
    if case.inputs is not None:
        return case.inputs
    from hypothesis import strategies as st
    return st.one_of([variations(case, call, kinks) for call in case.examples])


def draw(strategy: SearchStrategy[Call], at: Callable[[Call], None], n: int, seed: int | None
          ) -> None:
    """Call `at` with n calls; the last of them, if one raises, is as small as hypothesis gets it.

    seed: None leaves it to hypothesis' profile.
    """
    import hypothesis

    each = _quiet_settings(n)(hypothesis.given(strategy)(lambda call: at(call)))
    (each if seed is None else hypothesis.seed(seed)(each))()


def _quiet_settings(n: int) -> Any:
    import hypothesis
    # its phase that explains a failure takes most of the time, and has nothing to say of a Call
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]
    return hypothesis.settings(max_examples=n, deadline=None, database=None, print_blob=False,
                               report_multiple_bugs=False, phases=phases,
                               suppress_health_check=list(hypothesis.HealthCheck))


def _make_smaller(case: OpCase, check: Check, failure: Failure) -> None:
    """Look for a smaller call that fails alike: shorter dims, then rounder numbers."""
    import hypothesis

    def fails(call: Call) -> bool:
        if failure.is_too_late_for(call) or not takes(case, call):
            return False
        try:
            check.run(case, call)
        except NotTried:
            return False
        except Exception as error:
            return _elements(call) <= _elements(failure.call) and failure.accepts(call, error)
        return False

    assert failure.call is not None
    with contextlib.suppress(hypothesis.errors.HypothesisException):    # such as: nothing smaller
        hypothesis.find(resizings(failure.call), fails, settings=_quiet_settings(100))
    call = failure.call
    for decimals in (0, 1, 2):
        if fails(call.map(functools.partial(_rounded, decimals=decimals))):
            break


def _rounded(x: Array, decimals: int) -> Array:
    """Rounder numbers, but none that becomes 0, where much is right by chance."""
    if x.dtype.kind != "f":
        return x
    y = np.round(x, decimals)
    return np.asarray(np.where(y == 0, x, y))


def _elements(call: Call | None) -> int:
    return 0 if call is None else sum(x.size for x in call.arrays if x is not None)
