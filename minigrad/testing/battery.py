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
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.testing import mutation
from minigrad.testing.case import Call, Error, OpCase, Tolerance
from minigrad.testing.checks import (  # importing the four adds their checks to CHECKS
    CHECKS as CHECKS,
    Check,
    derivatives,
    engine as engine,
    memory as memory,
    sizes as sizes,
)
from minigrad.testing.checks.running import bound, reference, run, tensors
from minigrad.testing.foreign import as_tensor, name_of, recognised, reference_like
from minigrad.testing.report import Finding, OpCheckError as OpCheckError, OpReport as OpReport
from minigrad.testing.search import draw, look

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

USUAL = Tolerance()

# ---- checks on the op as a whole -----------------------------------------------------------------

def check_raises(case: OpCase) -> Finding:
    """The calls that must fail do, in the words that were given."""
    finding = Finding("raises", "calls that must fail do", len(case.raises))
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


def lab(case: OpCase) -> mutation.Report:
    """Every mutant of the op on its pinned examples, with the reference, if it has gradients, among
    the checks."""
    def checks(call: Call) -> dict[str, mutation.Check]:
        if case.reference is None or reference(case, call)[0] == "NumPy":
            return mutation.CHECKS
        return {**mutation.CHECKS, "reference": lambda fn, _: derivatives.check_reference(
            replace(case, run=lambda *xs, **static: fn(*xs)), call)}

    trials = [mutation.Trial(bound(case, call), tensors(call), checks(call))
              for call in case.examples]
    return mutation.survey(case.id, trials, case.equivalents)


def check_mutants(case: OpCase) -> Finding:
    """How many ways to get the gradient wrong the checks above would notice at the examples."""
    finding = Finding("mutants", "")
    if not case.differentiable:
        finding.excuse = "it has no gradient"
        return finding
    report = lab(case)
    if report.failing:
        finding.excuse = str(report)
        return finding
    caught = len(report.rows) - len(report.escaped) - sum(bool(row.reason) for row in report.rows)
    finding.passed = f"{caught} of {len(report.rows)} wrong gradients would be noticed"
    unseen = sorted({f"{row.input} {row.mutation.name}" for row in report.escaped})
    if unseen:
        finding.passed += (f"; not, as the examples are: {', '.join(unseen)} (take larger ones "
                           "without symmetry, if they make a difference at all)")
    return finding


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
    (f, vjp) of NumPy functions with `vjp(g, *inputs)`, or an OpCase, which says all the rest.
    inputs: its arguments: arrays or Tensors, at a point where it is smooth. Of Tensors, those that
    require grad are differentiated; of arrays, all with floating-point numbers. Or a `Call`, which
    has arguments by name as well, or a hypothesis strategy of any of these.
    reference: what it should equal: a function of PyTorch, JAX or NumPy with the same arguments.
    examples: further inputs, pinned. raises: (inputs, exception, regular expression of its message)
    of calls that must fail. The others are as in OpCase.
    max_examples: how many calls hypothesis draws for a check.
    Returns: the report, a line for each check.
    Raises: OpCheckError with the report where a check fails, at the smallest inputs found;
    TypeError for what cannot be checked.
    """
    if isinstance(fn, OpCase):
        case = fn
    else:
        case = _case_of(fn, inputs, reference, examples, raises)
        case = replace(case, corners=corners, tolerance=tolerance, differentiable=differentiable,
                       zero_gradient=zero_gradient, equivalent=equivalent or {},
                       excused=excused or {}, dtypes=dtypes,
                       name=name or name_of(fn))
    if unknown := sorted(case.excused.keys() - CHECKS):
        raise ValueError(f"check_op: excused: there is no check {unknown[0]!r}; there are "
                         f"{', '.join(CHECKS)}")
    if case.differentiable and not any(
            call.wants_gradient(i) for call in case.examples for i in range(len(call.arrays))):
        raise ValueError("check_op: there is no input with floating-point numbers to differentiate "
                         "by; say differentiable=False for an op without a gradient")
    report = OpReport(case.id)
    report.findings = [look(case, check, max_examples, seed) for check in CHECKS.values()]
    report.findings.append(check_raises(case))
    if report.ok:
        report.findings.append(check_mutants(case))
    if not report.ok:
        raise OpCheckError(report)
    return report


def _case_of(fn: Any, inputs: Any, reference: Callable[..., Any] | None, examples: Sequence[Any],
             raises: Sequence[tuple[Any, type[Exception], str]]) -> OpCase:
    if not (callable(fn) or isinstance(fn, tuple)):
        raise TypeError("check_op: fn must be a function, a pair (f, vjp) or an OpCase; got "
                        f"{type(fn).__name__}")
    if not (reference is None or callable(reference)):
        raise TypeError(f"check_op: reference must be a function; got {type(reference).__name__}")
    pinned = [call_of(example) for example in examples]
    if _is_strategy(inputs):
        strategy, originals = inputs.map(call_of), list(examples)
        pinned = pinned or _sampled(strategy)
    else:
        strategy, originals = None, [inputs]
        pinned = [call_of(inputs), *pinned]
    if reference is not None:           # fails here, if it takes nothing at all
        reference_like(reference, pinned[0].arrays, pinned[0].static)
    arguments = [x for given in originals
                 for x in (given if isinstance(given, list | tuple) else [given])]
    return OpCase(recognised(fn, arguments) or fn, reference, strategy, pinned,
                  [Error(call_of(call), kind, message) for call, kind, message in raises])


def call_of(inputs: Any) -> Call:
    """A call with these inputs: its floating-point numbers as float64."""
    if isinstance(inputs, Call):
        return inputs.astype(np.float64)
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    for i, x in enumerate(given):
        if not (x is None or hasattr(x, "dtype")):
            raise TypeError(f"check_op: inputs[{i}] must be an array, a Tensor or None; got {x!r}. "
                            "Arguments of other kinds go by name: Call(x, dim=1)")
    tensors = [None if x is None else as_tensor(x) for x in given]
    call = Call(*(None if x is None else x.data for x in tensors)).astype(np.float64)
    says_so = [i for i, x in enumerate(given) if hasattr(x, "requires_grad")]
    if any(given[i].requires_grad for i in says_so):
        call.constant = frozenset(i for i in says_so if not given[i].requires_grad)
    return call


def _is_strategy(inputs: Any) -> bool:
    hypothesis = sys.modules.get("hypothesis")
    return hypothesis is not None and isinstance(inputs, hypothesis.strategies.SearchStrategy)


def _sampled(strategy: SearchStrategy[Call]) -> list[Call]:
    """A few calls to pin: of those that hypothesis draws, the ones that tell most apart, with long
    dims and many of them."""
    calls: list[Call] = []
    draw(strategy, calls.append, 50, 0)

    def worth(call: Call) -> tuple[int, int]:
        shapes = [x.shape for x in call.arrays if x is not None]
        return (min((n for shape in shapes for n in shape), default=1),
                sum(len(shape) for shape in shapes))
    return sorted(calls, key=worth)[-3:]


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
    result = make()
    cases = [result] if isinstance(result, OpCase) else result
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
