"""Other sizes than the examples': 1, 0, and inputs that are broadcast.

Dims of one length are taken to be one dim of the op's: in a product of (2, 3) and (3, 4) the two 3s
change together. Where the op refuses such a call, in words, there is nothing to check.
"""

from __future__ import annotations

import contextlib
import dis
import warnings
from collections.abc import Iterator, Mapping

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import REFUSALS, FailsAt, NotTried, check
from minigrad.testing.checks.derivatives import check_gradient, check_reference
from minigrad.testing.checks.running import (
    cotangents,
    gradient_names,
    listed,
    reference,
    run,
    tensors,
    vjp,
)


def lengths(call: Call) -> list[int]:
    """The lengths of the inputs' dims, each once, those above 1."""
    return sorted({n for x in call.arrays if x is not None for n in x.shape if n > 1})


def resized(call: Call, to: Mapping[int, int]) -> Call:
    """The call with the dims of each length in `to` cut, or repeated, to that one, also those of
    arrays that are given by name, such as an index for each row.

    Whole numbers may be indices: those that lay within a dim that is cut lie within what is left.
    """
    def cut(x: Array) -> Array:
        for axis, n in enumerate(x.shape):
            x = x.take(np.arange(to.get(n, n)) % max(n, 1), axis)
        for n, m in to.items():
            if x.dtype.kind in "iu" and x.size and 0 < m <= x.max() < n:
                x = x % m
        return x
    return call.map(cut).map_named(cut)


def within(call: Call) -> Call:
    """The call with indices that lie within every dim of the inputs that are no indices."""
    shortest = min((n for x in call.arrays if x is not None and x.dtype.kind == "f"
                    for n in x.shape if n), default=0)
    return call.map(lambda x: x % shortest if shortest and x.dtype.kind in "iu"
                    and (x.max(initial=0) >= shortest or x.min(initial=0) < -shortest) else x)


def broadcast(call: Call) -> Iterator[Call]:
    """The call with one dim of one input set to 1, or with its leading dim left off."""
    for i, x in enumerate(call.arrays):
        if x is None:
            continue
        smaller = [x.take([0], axis) for axis, n in enumerate(x.shape) if n > 1]
        smaller += [x[0]] if x.ndim and len(x) else []
        for y in smaller:
            yield within(call.with_arrays([*call.arrays[:i], y, *call.arrays[i + 1:]]))


def look_at(case: OpCase, calls: list[Call], check_name: str) -> float:
    """Check values and gradients at those of the calls that the op takes.

    Raises: FailsAt, which says what to do if such a call is not meant to work.
    """
    apart, taken = 0.0, 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")     # of what is seldom meant
        for call in calls:
            try:
                xs, ys = run(case, call)
            except REFUSALS as error:
                if not made_by_a_statement(error) and _reference_takes(case, call):
                    raise FailsAt(f"it raises {type(error).__name__}: {error}; the reference "
                                  f"takes the call\n{advice(check_name)}\n{REFUSING}", call
                                  ) from None
                continue
            taken += 1
            try:
                apart = max(apart, _compared(case, call))
                for name, g, x in zip(gradient_names(call), vjp(xs, ys, cotangents(ys)),
                                      (x for x in xs if x is not None and x.requires_grad),
                                      strict=True):
                    if g.shape != x.shape:
                        raise AssertionError(f"{name} has shape {g.shape}, the input {x.shape}")
            except NotTried:
                raise
            except Exception as error:
                what = str(error) if isinstance(error, AssertionError) else \
                    f"it raises {type(error).__name__}: {error}"
                raise FailsAt(f"{what}\n{advice(check_name)}", call) from error
    if calls and not taken:
        raise NotTried("the op refuses them")
    return apart


def advice(check_name: str) -> str:
    """What to do about an op that is not meant for the calls that a check makes."""
    return ("if the op is not meant for such inputs, let it raise an error for them, or say "
            f"excused={{{check_name!r}: 'why'}}")


REFUSING = ("an error is taken for a refusal where a raise or assert statement makes it; this one "
            "comes from inside a built-in function or NumPy")


def made_by_a_statement(error: Exception) -> bool:
    """Whether a `raise` or `assert` statement made the error: somebody wrote down that the op is
    not to be called so. One from inside a built-in function or NumPy may be an accident, such as
    an index that is out of bounds where an input is empty."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    instruction = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return dis.opname[instruction] == "RAISE_VARARGS"


def _reference_takes(case: OpCase, call: Call) -> bool:
    try:
        reference(case, call)[1](*tensors(call, False))
    except (NotTried, *REFUSALS):
        return False
    return True


def _compared(case: OpCase, call: Call) -> float:
    """With the reference, if it takes the call; with finite differences otherwise."""
    try:
        judge = reference(case, call)[1]
        xs = tensors(call)
        ys = listed(judge(*xs))
        vjp(xs, ys, cotangents(ys))
    except (NotTried, *REFUSALS):
        # a ValueError: nothing to compare with, as for the variance of one number
        with contextlib.suppress(ValueError):
            if case.differentiable:
                check_gradient(case, call)
        return 0.0
    return check_reference(case, call)


@check("size 1", "dims of size 1 are no exception", at="examples", differentiable=False)
def check_size_one(case: OpCase, call: Call) -> float:
    sizes = lengths(call)
    return look_at(case, [resized(call, {n: 1}) for n in sizes] +
                   [resized(call, dict.fromkeys(sizes, 1))], "size 1")


@check("empty", "empty inputs are no exception", at="examples", differentiable=False)
def check_empty(case: OpCase, call: Call) -> float:
    return look_at(case, [resized(call, {n: 0}) for n in lengths(call)], "empty")


@check("broadcast", "gradients of broadcast inputs are summed", at="examples",
       differentiable=False,
       unless=lambda case: "" if any(len(call.arrays) > 1 for call in case.examples) else
       "it has one input")
def check_broadcast(case: OpCase, call: Call) -> float:
    return look_at(case, list(broadcast(call)), "broadcast")
