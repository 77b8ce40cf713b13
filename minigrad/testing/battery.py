"""`check_op`: everything that there is to check about an op, and one report of what was found.

    >>> import numpy as np
    >>> from minigrad.autograd import op
    >>> from minigrad.testing import check_op
    >>> @op
    ... def sinh(x):
    ...     return np.sinh(x.data), lambda g: g * (x.exp() + (-x).exp()) / 2
    >>> check_op(sinh, [np.array([[0.5, -1.0, 2.0], [1.5, -0.3, 0.7]])], np.sinh).ok
    True

The checks themselves are in `minigrad.testing.checks`, a function each.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import Tensor
from minigrad.testing import mutation
from minigrad.testing.arguments import case_of, checked_case, require_alone, require_numbers
from minigrad.testing.case import Call, OpCase, Tolerance
from minigrad.testing.checks import (  # importing the five adds their checks to CHECKS
    CHECKS as CHECKS,
    Check,
    derivatives,
    engine as engine,
    forms as forms,
    memory,
    sizes,
)
from minigrad.testing.checks.running import bound, listed, reference, run, tensors
from minigrad.testing.examples import require_results
from minigrad.testing.foreign import one_thread
from minigrad.testing.report import (
    Finding,
    OpCheckError as OpCheckError,
    OpReport as OpReport,
    rank,
)
from minigrad.testing.search import look
from minigrad.testing.variations import takes

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

USUAL = Tolerance()
BRIEFLY = 0.2                   # seconds to look for a smaller call where others are shown in full
MANY = 2_000                    # elements: of larger examples, the mutants are tried on a part

# ---- checks on the op as a whole -----------------------------------------------------------------

def check_call(case: OpCase) -> Finding:
    """It can be called at all, and returns Tensors."""
    finding = Finding("call", "it can be called", len(case.examples))
    for call in case.examples:
        try:
            result = case(*tensors(call.map(np.array)), **call.static)
        except Exception as error:
            finding.problem = f"it raises {type(error).__name__}: {error}"
            if "must be Tensor, not Tensor" in str(error):
                finding.problem += ("\nlikely cause: it is a function of PyTorch's, and got "
                                    "minigrad's Tensors: give torch tensors as inputs")
        else:
            wrong = [type(y).__name__ for y in listed(result) if not isinstance(y, Tensor)]
            if wrong:
                finding.problem = f"it must return a Tensor or several; got {', '.join(wrong)}"
        if finding.problem:
            finding.smallest = call
            break
    return finding


def check_raises(case: OpCase) -> Finding:
    """The calls that must fail do fail, in the words that were given."""
    finding = Finding("raises", "calls that must fail do fail", len(case.raises))
    if not case.raises:
        finding.excuse = "no call was given that must fail"
    for error in case.raises:
        try:
            run(case, error.call)
        except Exception as raised:
            if isinstance(raised, error.kind) and re.search(error.message, str(raised)):
                continue
            finding.problem = (f"it raises {type(raised).__name__}: {raised}; right is "
                               f"{error.kind.__name__} with {error.message!r}")
        else:
            finding.problem = (f"nothing is raised; right is {error.kind.__name__} with "
                               f"{error.message!r}")
        finding.smallest = error.call
        break
    return finding


def lab(case: OpCase, *, brief: bool = False) -> mutation.Report:
    """Every mutant of the op on its pinned examples, with the reference, if it has gradients, among
    the checks; brief: no more of them than tell whether all is well."""
    def checks(call: Call) -> dict[str, mutation.Check]:
        if case.reference is None or reference(case, call)[0] == "NumPy":
            return mutation.CHECKS
        return {**mutation.CHECKS, "reference": lambda fn, _: derivatives.check_reference(
            replace(case, run=lambda *xs, **static: fn(*xs)), call)}

    trials = [mutation.Trial(bound(case, call), tensors(call), checks(call))
              for call in case.examples]
    return mutation.survey(case.id, trials, case.equivalents, brief=brief)


def check_mutants(case: OpCase) -> Finding:
    """How many ways to get the gradient wrong the checks above would notice at the examples."""
    finding = Finding("mutants", "")
    if not case.differentiable:
        finding.excuse = "it has no gradient"
        return finding
    report = lab(replace(case, examples=[_handy(case, call) for call in case.examples]), brief=True)
    if report.failing:
        finding.excuse = str(report)
        return finding
    rows = [row for row in report.rows if not row.reason]
    caught = len(rows) - len(report.escaped)
    finding.passed = f"{caught} of {len(rows)} wrong gradients would be noticed"
    if unseen := sorted({f"{row.input} {row.mutation.name}" for row in report.escaped}):
        finding.doubt = (f"these would not, at these examples: {', '.join(unseen)}. Either they "
                         "make no difference to this op (then declare them in equivalent=), or the "
                         "examples are too small, too symmetric or too close to 0")
    return finding


def _handy(case: OpCase, call: Call) -> Call:
    """The call, or where it is large a part of it, if the op takes that."""
    if sum(x.size for x in call.arrays if x is not None) <= MANY:
        return call
    part = sizes.resized(call, {n: 7 for n in sizes.lengths(call) if n > 7})
    return part if takes(case, part) else call


# ---- the whole battery ---------------------------------------------------------------------------

def check_op(fn: Any, inputs: Any = None, reference: Callable[..., Any] | None = None, *,
             examples: Sequence[Any] = (), corners: SearchStrategy[Call] | None = None,
             raises: Sequence[tuple[Any, type[Exception], str]] = (),
             tolerance: Tolerance = USUAL, differentiable: bool = True,
             zero_gradient: bool = False, equivalent: Mapping[str, str] | None = None,
             excused: Mapping[str, str] | None = None,
             dtypes: Sequence[str] = ("float32", "float64"), name: str = "",
             max_examples: int = 40, seed: int | None = 0) -> OpReport:
    """Check an op in every way there is.

    fn: a function of Tensors, a torch.autograd.Function or torch module, a jax.custom_vjp, a pair
    (f, vjp) of NumPy functions with `vjp(g, *inputs)`, or an OpCase, which says all the rest. For a
    Module only the gradients by its inputs are checked; `gradcheck_modules` is for its parameters.
    inputs: its arguments: arrays or Tensors, at a point where it is smooth. Of Tensors, those that
    require grad are differentiated; of arrays, all with floating-point numbers. Or a `Call`, which
    has arguments by name as well, or a hypothesis strategy of any of these.
    reference: what it should equal: a function of PyTorch, JAX or NumPy with the same arguments.
    examples: further inputs, pinned. raises: (inputs, exception, regular expression of its message)
    of calls that must fail. The others are as in OpCase.
    max_examples: how many calls hypothesis draws for a check. Without a strategy it varies the
    inputs and examples: shorter and longer dims, numbers in other places, negated, larger, smaller
    and whole. The check "ranks" takes them with more dims and with fewer, and "absent" leaves out
    inputs, where the op allows that. Arguments by name stay as they are, except that the dims of
    arrays change with those of the inputs that are as long.
    Returns: the report, a line for each check; "?" marks what depends on what the op is meant for.
    An op may refuse what it is not meant for: where a check tries another size, and a `raise` or
    `assert` statement makes an error, that call is left out. An error from inside NumPy or a
    built-in function is a failure if the reference takes the call: it is seldom meant.
    Raises: OpCheckError with the report where a check fails, at the smallest inputs found;
    ValueError where the inputs are no place to differentiate (not finite, or at the end of the
    op's domain) or nothing can be checked; TypeError for arguments that mean nothing.
    """
    require_numbers(max_examples, seed)
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")         # of NumPy and PyTorch, at the inputs we choose
        if isinstance(fn, OpCase):
            require_alone(fn, {
                "inputs": inputs is not None, "reference": reference is not None,
                "examples": bool(examples), "corners": corners is not None, "raises": bool(raises),
                "tolerance": tolerance is not USUAL, "differentiable": not differentiable,
                "zero_gradient": zero_gradient, "equivalent": bool(equivalent),
                "excused": bool(excused), "dtypes": dtypes != ("float32", "float64"),
                "name": bool(name)})
            case = checked_case("check_op", fn)
        else:
            case = case_of(fn, inputs, reference, examples, raises, name, corners=corners,
                           tolerance=tolerance, differentiable=differentiable,
                           zero_gradient=zero_gradient,
                           equivalent={} if equivalent is None else equivalent,
                           excused={} if excused is None else excused, dtypes=dtypes)
        report = _checked(case, max_examples, seed)
    if not report.ok:
        raise OpCheckError(report)
    return report


def _checked(case: OpCase, max_examples: int, seed: int | None) -> OpReport:
    if case.differentiable and not any(
            call.wants_gradient(i) for call in case.examples for i in range(len(call.arrays))):
        raise ValueError("check_op: there is no input with floating-point numbers to differentiate "
                         "by; say differentiable=False for an op without a gradient")
    report = OpReport(case.id, [check_call(case)])
    if not report.ok:
        return report
    require_results(case)
    for check in CHECKS.values():
        # the failure that is shown in full deserves the longest search for a smaller call
        brief = any(rank(other.check) <= rank(check.name) for other in report.failures)
        with memory.threads(1):         # for small inputs, others take longer to wake up
            finding = look(case, check, max_examples, seed, BRIEFLY if brief else None)
        report.findings.append(finding)
    report.findings.append(check_raises(case))
    if report.ok:
        with memory.threads(1):
            report.findings.append(check_mutants(case))
    return report


# ---- as tests ------------------------------------------------------------------------------------

def op_tests(make: Callable[[], OpCase | Sequence[OpCase]]) -> Any:
    """Turns a function that returns an OpCase, or several, into pytest tests of them.

        @op_tests
        def test_sinh():
            return OpCase(sinh, torch.sinh, strategies.unary(), [example(1, real, (2, 3))])

    There is one test for each op and each check that applies to it, test_sinh[sinh-gradcheck] for
    example. How many calls are drawn is up to hypothesis' profile.
    """
    import pytest
    if isinstance(make, OpCase) or not callable(make):
        raise TypeError("op_tests: it decorates a function that returns an OpCase, or several; got "
                        f"{'an OpCase' if isinstance(make, OpCase) else repr(make)}")
    result = make()
    given = [result] if isinstance(result, OpCase) else result
    if not (isinstance(given, list | tuple) and given
            and all(isinstance(case, OpCase) for case in given)):
        raise TypeError(f"op_tests: {make.__name__} must return an OpCase, or several in a list; "
                        f"got {result!r}")
    cases = [checked_case("op_tests", case) for case in given]
    chosen = [pytest.param(case, check, id=f"{case.id}-{check.name}".replace(" ", "_"))
              for case in cases for check in CHECKS.values() if not check.excuse(case)]
    chosen += [pytest.param(case, None, id=f"{case.id}-raises") for case in cases if case.raises]

    @pytest.mark.parametrize(("case", "check"), chosen)
    def test(case: OpCase, check: Check | None) -> None:
        import hypothesis
        n = hypothesis.settings().max_examples
        finding = check_raises(case) if check is None else look(case, check, n, None)
        if finding.problem:
            raise OpCheckError(OpReport(case.id, [finding]))

    test.__name__, test.__doc__, test.__module__ = make.__name__, make.__doc__, make.__module__
    return test
