"""Whether the examples are points at which an op can be judged: told once, before any check."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks.running import floats, output_names, run

STEP = 1e-6                     # times |x| where that exceeds 1, as in gradcheck
MANY = 2_000                    # elements: of larger inputs only some are moved one by one
ELSEWHERE = "zeros, infinities and NaN go into corners=, which are compared with the reference only"


def require_results(case: OpCase) -> None:
    """Raises ValueError where there is nothing to check, or an example is no place to do it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for call in case.examples:
            if case.differentiable:
                _require_finite_inputs(call)
            ys = run(case, call.map(np.array))[1]
            if not ys:
                raise ValueError(f"check_op: {case.id} returns nothing, so there is nothing to "
                                 "check")
            if case.differentiable:
                if not floats(ys):
                    raise ValueError(f"check_op: {case.id} returns no floating-point numbers to "
                                     f"differentiate, but {ys[0].dtype}; say differentiable=False "
                                     "for an op without a gradient")
                _require_finite_outputs(case, [y.data for y in ys])
                _require_room(case, call)


def _require_finite_inputs(call: Call) -> None:
    for i, x in enumerate(call.arrays):
        if x is not None and call.wants_gradient(i) and not np.isfinite(x).all():
            index = _first(~np.isfinite(x))
            raise ValueError(
                f"check_op: inputs[{i}] holds {x[index]} at index {index}, where there is no "
                f"derivative to compare with; give finite inputs ({ELSEWHERE}). A constant, such "
                "as a mask, may hold them: give Tensors, and let only the others require grad")


def _require_finite_outputs(case: OpCase, ys: list[Array]) -> None:
    for name, y in zip(output_names(len(ys)), ys, strict=True):
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            index = _first(~np.isfinite(y))
            raise ValueError(
                f"check_op: {name} of {case.id} is {y[index]} at index {index}; give inputs at "
                f"which all outputs are finite, well inside the op's domain ({ELSEWHERE})")


def _require_room(case: OpCase, call: Call) -> None:
    """Each input can be moved a little to either side."""
    for i, x in enumerate(call.arrays):
        if x is None or not call.wants_gradient(i) or not x.size:
            continue
        steps = STEP * np.maximum(1.0, np.abs(x))
        for side in (-1, 1):
            if _is_finite(case, _with(call, i, x + side * steps)):
                continue
            for index in _indices(x):
                moved = x.copy()
                moved[index] += side * steps[index]
                if not _is_finite(case, _with(call, i, moved)):
                    raise ValueError(
                        f"check_op: inputs[{i}] is {x[index]:.9g} at index {index}, where the "
                        f"domain of {case.id} ends: at {moved[index]:.9g} an output is infinite or "
                        f"NaN; give inputs well inside it ({ELSEWHERE})")


def _with(call: Call, i: int, x: Array) -> Call:
    return call.with_arrays([*call.arrays[:i], x, *call.arrays[i + 1:]])


def _indices(x: Array) -> Iterator[tuple[int, ...]]:
    elements = range(x.size) if x.size <= MANY else np.linspace(0, x.size - 1, MANY, dtype=int)
    for n in elements:
        yield tuple(int(k) for k in np.unravel_index(n, x.shape))


def _is_finite(case: OpCase, call: Call) -> bool:
    """Whether all outputs are finite; True where the op refuses the call, which its checks say."""
    try:
        ys = run(case, call.map(np.array))[1]
    except Exception:
        return True
    return all(np.isfinite(y.data).all() for y in floats(ys))


def _first(where: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(where)[0])
