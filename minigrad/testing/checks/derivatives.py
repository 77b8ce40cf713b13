"""Values and derivatives, by a reference and by finite differences."""

from __future__ import annotations

import numpy as np

from minigrad.autograd import grad
from minigrad.tensor import Tensor
from minigrad.testing import mutation
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import NotTried, check
from minigrad.testing.checks.running import (
    bound,
    compare,
    compare_all,
    cotangents,
    floats,
    gradient_names,
    listed,
    output_names,
    reference,
    run,
    tensors,
    vjp,
)
from minigrad.testing.foreign import NoGradientError
from minigrad.testing.gradcheck import gradcheck, gradgradcheck
from minigrad.testing.probe import NotAllowedError


def no_reference(case: OpCase) -> str:
    return "no reference was given" if case.reference is None else ""


@check("reference", "values and gradients are the reference's", differentiable=False,
       unless=no_reference)
def check_reference(case: OpCase, call: Call) -> float:
    framework, judge = reference(case, call)
    xs, ys = run(case, call)
    theirs = tensors(call)
    expected = listed(judge(*theirs))
    if len(ys) != len(expected):
        raise AssertionError(f"the number of outputs is {len(ys)}; {framework}'s is "
                             f"{len(expected)}")
    apart = 0.0
    for name, y, t in zip(output_names(len(ys)), ys, expected, strict=True):
        if framework != "NumPy" and y.dtype != t.dtype:
            raise AssertionError(f"{name} has dtype {y.dtype}; {framework}'s has {t.dtype}")
        apart = max(apart, compare(name, y.data, t.data.astype(y.dtype), case.tolerance.value))
    gs = cotangents(ys)
    try:
        right = vjp(theirs, expected, gs)
    except NoGradientError:
        return apart
    for name, g, t in zip(gradient_names(call), vjp(xs, ys, gs), right, strict=True):
        apart = max(apart, compare(name, g, t, case.tolerance.gradient))
    return apart


CORNERS = """\
Corners are the calls where a value or a gradient is a matter of choice: zeros of both signs, kinks,
ties, infinities, NaN, very large and very small numbers. The choice to make is the reference's: let
the op agree with it. Where there is a reason not to, say which corners remain in the op's case, and
write the reason beside it: corners=finite_special (no infinities and NaN; minigrad.testing.domains
has more), or corners=None (none)."""


@check("corners", "kinks, ties and infinities are as in the reference", at="corners",
       differentiable=False, unless=no_reference)
def check_corners(case: OpCase, call: Call) -> float:
    try:
        with np.errstate(all="ignore"):                     # inf - inf and 0·inf are NaN
            return check_reference(case, call)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{CORNERS}") from error


MANY = 300


def method_for(call: Call) -> str:
    """Element by element takes too long for large inputs, at each of some dozen calls."""
    return "two-sided" if sum(x.size for x in call.arrays if x is not None) <= MANY \
        else "directions"


@check("gradcheck", "gradients agree with finite differences", share=0.25)
def check_gradient(case: OpCase, call: Call) -> None:
    gradcheck(bound(case, call), tensors(call), method=method_for(call))


@check("precision", "they agree to 9 digits, where the op is smooth", at="examples")
def check_precision(case: OpCase, call: Call) -> None:
    fn, xs = bound(case, call), tensors(call)
    if method_for(call) == "directions":
        raise NotTried(f"the inputs have more than {MANY} elements")
    try:
        gradcheck(fn, xs, method="complex step", atol=1e-10, rtol=1e-9)
    except NotAllowedError:
        gradcheck(fn, xs, method="order 4", atol=1e-9, rtol=1e-9)


@check("gradgradcheck", "second derivatives agree with finite differences", share=0.25)
def check_second_gradient(case: OpCase, call: Call) -> None:
    try:
        gradgradcheck(bound(case, call), tensors(call), method=method_for(call))
    except NoGradientError as error:
        raise NotTried(str(error)) from None


@check("adjoint", "the vjps are the transpose of the derivative")
def check_adjoint(case: OpCase, call: Call) -> None:
    fn, xs = bound(case, call), tensors(call)
    try:
        mutation.check_adjoint(fn, xs)
    except AssertionError as error:
        try:
            gradcheck(fn, xs, method=method_for(call), atol=1e-7, rtol=1e-7)
        except AssertionError as there:
            raise AssertionError(f"{error}\n{there}") from None
        raise


@check("linearity", "gradients are linear in the cotangent", share=0.25)
def check_linearity(case: OpCase, call: Call) -> None:
    mutation.check_linearity(bound(case, call), tensors(call))


@check("zero gradient", "the gradient is 0 everywhere, as declared", at="examples",
       unless=lambda case: "" if case.zero_gradient else "its gradient is not declared to be 0")
def check_zero_gradient(case: OpCase, call: Call) -> None:
    xs, ys = run(case, call)
    if any(g.any() for g in vjp(xs, ys, cotangents(ys))):
        raise AssertionError("the gradient is declared to be 0 everywhere, and is not")


@check("recorded", "a gradient that is itself recorded is the same", share=0.25)
def check_recorded(case: OpCase, call: Call) -> float:
    xs, ys = run(case, call)
    gs = cotangents(ys)
    plain = vjp(xs, ys, gs, retain_graph=True)
    try:
        recorded = vjp(xs, ys, gs, wanting=True, create_graph=True)
    except NoGradientError as error:
        raise NotTried(str(error)) from None
    ys_and = [y.data for y in ys]
    return compare_all(call, ys_and + recorded, ys_and + plain, case.tolerance.gradient,
                       "under create_graph=True the vjp goes another way, and that one is wrong")


@check("constant g", "second derivatives are the same where the cotangent is a constant",
       at="examples")
def check_constant_cotangent(case: OpCase, call: Call) -> float:
    """As in a Hessian: nothing is to be sent back to g, only to the inputs."""
    found = []
    for requires_grad in (True, False):
        xs, ys = run(case, call)
        leaves = [x for x in xs if x is not None and x.requires_grad]
        ys = [y for y in floats(ys) if y.requires_grad]
        gs = [Tensor(g, requires_grad) for g in cotangents(ys)]
        try:
            slopes = [t for t in grad(ys, leaves, gs, create_graph=True, allow_unused=True)
                      if t is not None]
            found.append(vjp(leaves, slopes, cotangents(slopes)))
        except NoGradientError:
            raise NotTried("its gradient has no gradient of its own") from None
    return max((compare(f"the second derivative, {name.partition('gradient ')[2]},", alone, right,
                        case.tolerance.gradient)
                for name, alone, right in zip(gradient_names(call), *found[::-1], strict=True)),
               default=0.0)


@check("one output", "an output that is not used changes nothing for the others", share=0.25)
def check_one_output(case: OpCase, call: Call) -> float:
    """The gradients that the outputs send back one at a time add up to those of all at once."""
    xs, ys = run(case, call)
    gs = cotangents(ys)
    pairs = [([y], [g]) for y, g in zip(floats(ys), gs, strict=True) if y.requires_grad]
    if len(pairs) < 2:
        raise NotTried("it has one output with a gradient")
    whole = vjp(xs, ys, gs, retain_graph=True)
    alone = [vjp(xs, y, g, retain_graph=True) for y, g in pairs]
    apart = 0.0
    for name, right, *each in zip(gradient_names(call), whole, *alone, strict=True):
        try:
            apart = max(apart, compare(name, np.sum(each, 0).astype(right.dtype), right, 1e-9))
        except AssertionError as error:
            raise AssertionError(f"{error}, where each output is sent back by itself\nlikely "
                                 "cause: the vjp takes an output whose cotangent is 0, or missing, "
                                 "for one that is used") from None
    return apart
