"""One check on one op: at which calls, and the smallest at which it fails.

hypothesis draws the calls and makes them smaller. It is imported where it is used, so that all else
in `minigrad.testing` does without it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import REFUSALS, Check, NotTried, sizes
from minigrad.testing.checks.running import run
from minigrad.testing.report import Finding

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def look(case: OpCase, check: Check, max_examples: int, seed: int | None) -> Finding:
    """Run one check on one op, at its examples and at calls that hypothesis draws."""
    finding = Finding(check.name, check.passed, excuse=check.excuse(case))
    if finding.excuse:
        return finding
    excuses: list[str] = []

    def at(call: Call) -> None:
        finding.smallest = call
        try:
            apart = check.run(case, call)
        except NotTried as reason:
            excuses.append(str(reason))
            return
        finding.calls += 1
        if apart is not None:
            finding.apart = max(finding.apart or 0.0, apart)

    n = max(1, int(max_examples * check.share))
    try:
        if check.at != "corners":
            for call in case.examples[:1] if check.at == "first" else case.examples:
                at(call)
        if check.at == "any":
            draw(drawn_calls(case), at, n, seed)
        elif check.at == "corners" and case.corners is not None:
            draw(case.corners, at, n, seed)
    except Exception as error:
        assert finding.smallest is not None
        finding.smallest = _shrunk(case, check, finding.smallest)
        finding.problem = _problem(case, check, finding.smallest) or _said(error)
    else:
        finding.smallest = None
    if not (finding.calls or finding.problem):
        finding.excuse = excuses[0] if excuses else "there is no example"
    return finding


def _said(error: BaseException) -> str:
    if isinstance(error, AssertionError):
        return str(error) or "an assertion fails"
    return f"it raises {type(error).__name__}: {error}"


def _problem(case: OpCase, check: Check, call: Call) -> str:
    try:
        check.run(case, call)
    except NotTried:
        return ""
    except Exception as error:
        return _said(error)
    return ""


def drawn_calls(case: OpCase) -> SearchStrategy[Call]:
    """The case's own strategy; without one, its examples in other sizes, those that it takes."""
    if case.inputs is not None:
        return case.inputs
    from hypothesis import strategies as st
    return st.one_of([resizings(call) for call in case.examples]).filter(
        lambda call: _takes(case, call))


def resizings(call: Call) -> SearchStrategy[Call]:
    """The call with each length of its dims cut to one that hypothesis chooses."""
    from hypothesis import strategies as st

    def length(n: int) -> SearchStrategy[int]:
        """1 to n, and 0: what comes first is the simplest to hypothesis."""
        return st.sampled_from([*range(1, n + 1), 0])

    return st.fixed_dictionaries({n: length(n) for n in sizes.lengths(call)}).map(
        lambda to: sizes.resized(call, to))


def _takes(case: OpCase, call: Call) -> bool:
    """Whether the op takes the call, with a result that finite differences apply to."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")         # as NumPy does of the mean of nothing
        try:
            ys = run(case, call)[1]
        except REFUSALS:
            return False
    return all(np.isfinite(y.data).all() for y in ys)


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
    return hypothesis.settings(max_examples=n, deadline=None, database=None, print_blob=False,
                               report_multiple_bugs=False,
                               suppress_health_check=list(hypothesis.HealthCheck))


def _shrunk(case: OpCase, check: Check, call: Call) -> Call:
    """A smaller call at which the check fails, too: shorter dims, then rounder numbers."""
    import hypothesis

    def fails(other: Call) -> bool:
        return bool(_takes(case, other) and _problem(case, check, other))

    with contextlib.suppress(hypothesis.errors.NoSuchExample):
        call = hypothesis.find(resizings(call), fails, settings=_quiet_settings(100))
    def rounded(decimals: int) -> Call:
        return call.map(lambda x: np.round(x, decimals) if x.dtype.kind == "f" else x)

    return next(filter(fails, map(rounded, (0, 1, 2))), call)
