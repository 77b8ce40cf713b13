"""Inputs of another rank, and inputs that are absent: calls that no example shows.

Where the op refuses such a call, aloud, by an error in the forward or in the backward pass, nobody
gets a wrong gradient, and there is nothing to check. Where it takes it, its gradient must be right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import FailsAt, InDoubt, NotTried, check
from minigrad.testing.checks.derivatives import check_gradient, check_reference
from minigrad.testing.checks.running import (
    compare,
    cotangents,
    floats,
    listed,
    output_names,
    reference,
    run,
    tensors,
    vjp,
)
from minigrad.testing.checks.sizes import advice, lengths, resized, within

FEW = 200                       # elements of a call of another rank, at most


def _works(case: OpCase, call: Call) -> bool:
    """Whether the op takes the call with finite results, forward and backward."""
    try:
        xs, ys = run(case, call.map(np.array))
        gradients = vjp(xs, ys, cotangents(ys))
    except Exception:
        return False
    results = [*(y.data for y in floats(ys)), *gradients]
    return bool(ys) and all(np.isfinite(y).all() for y in results)


def _reference_works(case: OpCase, call: Call) -> bool:
    """Whether the reference, where there is one, takes the call."""
    try:
        listed(reference(case, call)[1](*tensors(call, False)))
    except NotTried:
        return True
    except Exception:
        return False
    return True


# ---- ranks ---------------------------------------------------------------------------------------

def ranks(call: Call) -> Iterator[Call]:
    """The call with one or two dims more, or fewer, of all its inputs or of the first alone."""
    call = _small(call)
    n = next(n for n in range(2, 99) if n not in lengths(call))     # fits nothing by chance
    for which in (range(len(call.arrays)), range(1))[:len(call.arrays)]:
        for by in (1, 2, -1, -2):
            changed = [x if x is None or i not in which else _longer(x, by, n) if by > 0 else
                       _shorter(x, -by) for i, x in enumerate(call.arrays)]
            if any(x is not y for x, y in zip(call.arrays, changed, strict=True)):
                yield within(call.with_arrays(changed))
    if all(x is None or x.size for x in call.arrays):
        yield within(call.map(lambda x: x.ravel()[-1].reshape(())))


def _small(call: Call) -> Call:
    small = call
    for longest in (5, 4, 3, 2):
        if sum(x.size for x in small.arrays if x is not None) > FEW // 4:
            small = resized(call, {n: longest for n in lengths(call) if n > longest})
    return small


def _longer(x: Array, by: int, n: int) -> Array:
    """With `by` dims of lengths n, n + 1 in front; of floats, the copies are a little smaller."""
    rng = np.random.default_rng(0)
    copies = np.broadcast_to(x, (*range(n, n + by), *x.shape)).copy()
    return copies * rng.uniform(0.8, 1.0, copies.shape) if x.dtype.kind == "f" else copies


def _shorter(x: Array, by: int) -> Array:
    """Without `by` dims in front, the last elements of these."""
    for _ in range(by):
        x = np.asarray(x[-1]) if x.ndim and len(x) else x
    return x


@check("ranks", "gradients are right for inputs of other ranks, where the op takes them",
       at="examples")
def check_ranks(case: OpCase, call: Call) -> float:
    """By finite differences, and by the reference where it takes the call and has these values: a
    dim that is the last one of two need not be the last of three."""
    from minigrad.testing.variations import smooth

    apart, taken, doubt = 0.0, 0, ""
    for other in ranks(call):
        if not (_works(case, other) and _reference_works(case, other) and smooth(case, other)):
            continue
        taken += 1
        try:
            if differs := _differs_from_reference(case, other):
                doubt = doubt or differs
            elif case.reference is not None:
                apart = max(apart, check_reference(case, other))
            check_gradient(case, other)
        except AssertionError as error:
            raise FailsAt(f"{error}\n{advice('ranks')}", other) from error
    if doubt:
        raise InDoubt(doubt)
    if not taken:
        raise NotTried("the op refuses them")
    return apart


def _differs_from_reference(case: OpCase, call: Call) -> str:
    """How the op's values differ from the reference's; "" where they do not."""
    if case.reference is None:
        return ""
    ys = run(case, call)[1]
    expected = listed(reference(case, call)[1](*tensors(call, False)))
    try:
        for name, y, t in zip(output_names(len(ys)), ys, expected, strict=True):
            compare(name, y.data, t.data, 1e-6)
    except (AssertionError, ValueError):
        shapes = " and ".join(str(x.shape) for x in call.arrays if x is not None)
        return (f"at other ranks its values are not the reference's, as for inputs of shape "
                f"{shapes}: perhaps a dim is counted from the front in one of them, and from the "
                "end in the other")
    return ""


# ---- absent inputs -------------------------------------------------------------------------------

def absences(call: Call) -> Iterator[tuple[str, Call]]:
    """The call without some of its inputs: the last ones left out, or None for one of floats. An
    index is left out only, since None has a meaning of its own as one."""
    n = len(call.arrays)
    for k in range(n - 1, 0, -1):
        if any(x is not None for x in call.arrays[k:]):
            yield _names(range(k, n)), call.with_arrays(call.arrays[:k])
    for i, x in enumerate(call.arrays):
        if x is not None and x.dtype.kind == "f":
            yield _names([i]), call.with_arrays(
                [None if k == i else x for k, x in enumerate(call.arrays)])


def _names(which: range | list[int]) -> str:
    return " and ".join(f"inputs[{i}]" for i in which)


def one_input(case: OpCase) -> str:
    return "" if any(len(call.arrays) > 1 for call in case.examples) else "it has one input"


@check("absent", "gradients are right without the inputs that may be absent", at="examples",
       unless=one_input)
def check_absent(case: OpCase, call: Call) -> float:
    """By the reference where it takes the call as well, else by finite differences."""
    apart, taken = 0.0, 0
    for names, other in absences(call):
        if not any(map(other.wants_gradient, range(len(other.arrays)))) or not _works(case, other):
            continue
        taken += 1
        try:
            if case.reference is not None and _reference_works(case, other):
                apart = max(apart, check_reference(case, other))
            check_gradient(case, other)
        except AssertionError as error:
            raise FailsAt(f"without {names}: {error}\n{advice('absent')}", other) from error
    if not taken:
        raise NotTried("the op needs all of its inputs")
    return apart
