"""The mutation lab: break a gradient in named ways, and see which check notices.

A check that never fails shows nothing. So each input's gradient is replaced by a wrong one, a
*mutant*, and every check is run on it: a check that is meant to see this mistake must raise.

    >>> import minigrad as mg
    >>> from minigrad.testing import mutate
    >>> x = mg.tensor([0.5, 2.0, 3.0], dtype=mg.float64, requires_grad=True)
    >>> report = mutate(lambda x: x.softmax(-1), x)
    >>> report.ok
    True
    >>> report["inputs[0]", "negated"].caught
    {'.sum()': False, 'gradcheck': True, 'adjoint': True, 'gradgradcheck': True, 'linearity': False}

The softmax's elements add up to 1, so the gradient of their sum is 0, and 0 negated is 0: a check
with a cotangent of ones, `.sum()`, lets every multiple of the gradient through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.testing.foreign import NoGradientError, name_of, native
from minigrad.testing.gradcheck import check, check_adjoint as check_adjoint, check_second
from minigrad.testing.mutants import (
    MUTATIONS as MUTATIONS,
    Mutation as Mutation,
    checked_equivalents,
    mutant as mutant,
)
from minigrad.testing.probe import (
    arguments_of,
    checked,
    float_outputs,
    gradients_of,
    leaves_of,
    random_cotangent,
    wants_gradient,
)

Function = Callable[..., Any]
Check = Callable[[Function, Sequence[Any]], object]
"""check(fn, inputs) raises AssertionError where it finds a gradient of fn wrong."""


# ---- the checks ----------------------------------------------------------------------------------

def check_sum(fn: Function, inputs: Sequence[Any]) -> None:
    """The naive check: finite differences of `fn(*inputs).sum()`, a cotangent of ones."""
    check("gradcheck", fn, list(inputs), np.ones, brief=True)


def check_gradient(fn: Function, inputs: Sequence[Any]) -> None:
    """`gradcheck` in brief: at up to 16 elements of each input, without its report."""
    check("gradcheck", fn, list(inputs), random_cotangent(0), brief=True)


def check_second_gradient(fn: Function, inputs: Sequence[Any]) -> None:
    """`gradgradcheck` in brief."""
    check_second(fn, list(inputs), brief=True)


def check_linearity(fn: Function, inputs: Sequence[Any]) -> None:
    """The gradient for 2.3·u - 0.7·w is 2.3 times that for u less 0.7 times that for w."""
    leaves = leaves_of(inputs)
    ys = float_outputs("linearity", fn, leaves)
    wanted = [x for x in leaves if wants_gradient(x)]
    us, ws = ([draw(y.shape) for y in ys] for draw in map(random_cotangent, (1, 2)))
    both = [2.3 * u - 0.7 * w for u, w in zip(us, ws, strict=True)]
    by_u, by_w, by_both = (gradients_of(ys, c, wanted, retain_graph=True) for c in (us, ws, both))
    for a, b, c in zip(by_u, by_w, by_both, strict=True):
        if not np.allclose(c, 2.3 * a - 0.7 * b, 1e-12, 1e-12 * max(1.0, np.abs(c).max(initial=0))):
            raise AssertionError("linearity: the gradient is not linear in g")


CHECKS: dict[str, Check] = {
    ".sum()": check_sum,
    "gradcheck": check_gradient,
    "adjoint": check_adjoint,
    "gradgradcheck": check_second_gradient,
    "linearity": check_linearity,
}


# ---- the report ----------------------------------------------------------------------------------

LEGEND = "✓ caught   · not seen   ✗ not seen, and should be   = declared to be no mistake"


@dataclass
class Row:
    """One mutant of the gradient by one input: which checks caught it."""

    input: str
    mutation: Mutation
    caught: dict[str, bool]
    reason: str = ""                    # why it is declared to be no mistake

    @property
    def missed(self) -> list[str]:
        """The checks that should have caught it and did not."""
        if self.reason:
            return []
        expected = [name for name in self.mutation.seen_by if name in self.caught]
        if not expected:                # the caller's own checks: any of them will do
            return [] if any(self.caught.values()) else list(self.caught)
        return [name for name in expected if not self.caught[name]]


@dataclass
class Report:
    """What `mutate` found; printed, a table."""

    name: str
    checks: list[str]
    rows: list[Row]
    failing: dict[str, str] = field(default_factory=dict)       # on the op as it is
    why: str = ""                       # gradcheck's report of such an op

    @property
    def escaped(self) -> list[Row]:
        """The mutants that some check should have caught and did not."""
        return [row for row in self.rows if row.missed]

    @property
    def stale(self) -> list[Row]:
        """The mutants that are declared to make no difference, and yet are caught."""
        return [row for row in self.rows if row.reason and any(row.caught.values())]

    @property
    def ok(self) -> bool:
        """Whether the op passes all checks and every mutant is caught or declared."""
        return not (self.failing or self.escaped or self.stale)

    def __getitem__(self, key: tuple[str, str]) -> Row:
        for row in self.rows:
            if (row.input, row.mutation.name) == key:
                return row
        raise KeyError(f"there is no mutant {key!r} in this report; there are "
                       + ", ".join(f"{(row.input, row.mutation.name)}" for row in self.rows))

    def __str__(self) -> str:
        return self.table() if self.failing else f"{self.table()}\n{LEGEND}"

    def table(self) -> str:
        """A line for each mutant, a column for each check; one line if the op itself is wrong."""
        if self.failing:
            failed, error = next(iter(self.failing.items()))
            return (f"{self.name}: the op as it is does not pass {failed}, so that mutants of it "
                    f"would show nothing: {error}")
        width = max((len(row.input) for row in self.rows), default=0)
        last = max(len(self.name) - width - 2, 11)
        head = f"{self.name:{width + 2 + last}}" + "".join(f"  {name}" for name in self.checks)
        lines, before = [head], ""
        for row in self.rows:
            marks = "".join("  " + self._mark(row, name).center(len(name)) for name in self.checks)
            first = "" if row.input == before else row.input
            lines.append(f"{first:{width}}  {row.mutation.name:{last}}{marks}  "
                         f"{row.reason or row.mutation.mistake}")
            before = row.input
        return "\n".join(lines)

    def _mark(self, row: Row, check: str) -> str:
        return ("✓" if row.caught.get(check) else "✗" if check in row.missed
                else "=" if row.reason else "·")


# ---- the lab -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Trial:
    """A function at one point, and the checks to run there."""

    fn: Function
    inputs: Sequence[Any]
    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)


def mutate(fn: Function, inputs: Any, *, checks: Mapping[str, Check] = CHECKS,
           equivalent: Mapping[str, str] | None = None) -> Report:
    """Break the gradients of `fn(*inputs)` in every way of `MUTATIONS`; report who notices.

    inputs: as for `gradcheck`. Large enough to tell mutants apart: no dim of size 1, no symmetry.
    checks: name → check(fn, inputs), which raises AssertionError on a wrong gradient; add your own
    to see what it is worth.
    equivalent: the name of a mutation, or with the input's before it as in "inputs[1] rolled" →
    why it makes no difference to this function.
    Raises: TypeError and ValueError as `gradcheck` does.
    """
    if not (callable(fn) or isinstance(fn, tuple)):
        raise TypeError(f"mutate: fn must be a function; got {type(fn).__name__}")
    if not (isinstance(checks, Mapping) and all(map(callable, checks.values()))):
        raise TypeError("mutate: checks must map a name to check(fn, inputs), a function that "
                        f"raises AssertionError on a wrong gradient; got {checks!r}")
    function, arguments = native(fn, arguments_of(inputs))
    checked("mutate", arguments)
    checked_equivalents("mutate", equivalent or {}, len(arguments))
    return survey(name_of(fn), [Trial(function, arguments, checks)], equivalent)


def survey(name: str, trials: Sequence[Trial], equivalent: Mapping[str, str] | None = None, *,
           brief: bool = False) -> Report:
    """As `mutate`, at several points: caught is what a check notices at one of them.

    A check that need not see a mutation gets one try, at the first point.
    brief: it gets none, unless the mutant is declared to make no difference. What has escaped and
    what is stale are the same.
    """
    reasons = dict(equivalent or {})
    checks = list(dict.fromkeys(name for trial in trials for name in trial.checks))
    failing: dict[str, str] = {}
    missing: set[str] = set()
    for trial in trials:
        for check_name, run in trial.checks.items():
            try:
                run(trial.fn, trial.inputs)
            except NoGradientError:         # of the second order: nothing to check, nothing wrong
                missing.add(check_name)
            except (AssertionError, RuntimeError) as error:
                lines = str(error).strip().splitlines()
                failing.setdefault(check_name, lines[0] if lines else type(error).__name__)
    checks = [check for check in checks if check not in missing]
    report = Report(name, checks, [], failing)
    if {".sum()", "gradcheck"} & failing.keys():
        report.why = _gradcheck_of(trials)
    if failing:                         # there is nothing to learn from changes to what is wrong
        return report
    for i in range(max((len(trial.inputs) for trial in trials), default=0)):
        for mutation in MUTATIONS.values():
            reason = reasons.get(f"inputs[{i}] {mutation.name}", reasons.get(mutation.name, ""))
            if set(mutation.seen_by) <= missing:
                reason = reason or "the gradient has no gradient of its own"
            caught = _caught_by(checks, trials, mutation, i, brief and not reason)
            if caught is not None:
                report.rows.append(Row(f"inputs[{i}]", mutation, caught, reason))
    return report


def _gradcheck_of(trials: Sequence[Trial]) -> str:
    """The report of the first wrong gradient."""
    for trial in trials:
        try:
            check("gradcheck", trial.fn, list(trial.inputs), random_cotangent(0))
        except (AssertionError, RuntimeError) as error:
            return str(error)
    return ""


def _caught_by(checks: Sequence[str], trials: Sequence[Trial], mutation: Mutation, i: int,
               brief: bool) -> dict[str, bool] | None:
    """Which checks notice at one of the points; None where the mutation applies at none.

    brief: of those at a point, only the ones that must notice are tried, if there are any.
    """
    caught: dict[str, bool] = {}
    for trial in trials:
        if i >= len(trial.inputs) or not wants_gradient(trial.inputs[i]):
            continue
        shapes = [y.shape for y in float_outputs("mutate", trial.fn, trial.inputs)]
        if not any(mutation.applies(trial.inputs[i].shape, shape) for shape in shapes):
            continue
        wrong = mutant(trial.fn, mutation, i)
        names = [name for name in checks if name in trial.checks]
        if brief:
            names = [name for name in names if name in mutation.seen_by] or names
        for name in names:
            settled = caught.get(name, False) or (name in caught and name not in mutation.seen_by)
            if not settled:
                caught[name] = _notices(trial.checks[name], wrong, trial.inputs)
    return caught or None


def _notices(run: Check, fn: Function, inputs: Sequence[Any]) -> bool:
    try:
        run(fn, inputs)
    except Exception:                   # the op as it is has passed: this is due to the mutant
        return True
    return False
