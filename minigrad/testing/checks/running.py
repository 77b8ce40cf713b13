"""Running an op and its reference, and comparing what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array, grad
from minigrad.tensor import Tensor
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import Imprecise, NotTried
from minigrad.testing.foreign import reference_like
from minigrad.testing.foreign.kinds import listed as listed
from minigrad.testing.probe import complex_version


def tensors(call: Call, requires_grad: bool = True) -> list[Tensor | None]:
    return [None if x is None else Tensor(x, requires_grad and call.wants_gradient(i))
            for i, x in enumerate(call.arrays)]


def bound(case: OpCase, call: Call) -> Callable[..., Any]:
    """The op as a function of its inputs alone."""
    def fn(*xs: Any) -> Any:
        return case(*xs, **call.static)

    # mypy knows no attributes of functions
    fn.in_complex = lambda arrays: complex_version(case.function)(  # type: ignore[attr-defined]
        arrays, **call.static)
    return fn


def run(case: OpCase, call: Call) -> tuple[list[Tensor | None], list[Tensor]]:
    xs = tensors(call)
    return xs, listed(case(*xs, **call.static))


def reference(case: OpCase, call: Call) -> tuple[str, Callable[..., Any]]:
    """Whose the reference is, and the same as a function of its inputs alone."""
    if case.reference is None:
        raise NotTried("no reference was given")
    return reference_like(case.reference, call.arrays, call.static)


def floats(ys: Sequence[Tensor]) -> list[Tensor]:
    return [y for y in ys if y.dtype.kind == "f"]


def cotangents(ys: Sequence[Tensor], seed: int = 7) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(y.shape)).astype(y.dtype) for y in floats(ys)]


def vjp(xs: Sequence[Tensor | None], ys: Sequence[Tensor], gs: Sequence[Array], *,
        wanting: bool = False, **options: Any) -> list[Array]:
    """The gradients of Σ g·y by the inputs that want one, zeros where none arrives.

    wanting: each g wants a gradient itself.
    """
    leaves = [x for x in xs if x is not None and x.requires_grad]
    pairs = [(y, Tensor(g, wanting)) for y, g in zip(floats(ys), gs, strict=True)
             if y.requires_grad]
    if not pairs:
        return [np.zeros(x.shape, x.dtype) for x in leaves]
    found = grad([y for y, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True, **options)
    return [np.zeros(x.shape, x.dtype) if g is None else g.data
            for x, g in zip(leaves, found, strict=True)]


def values_and_gradients(case: OpCase, call: Call, place: Callable[[Array], Array]) -> list[Array]:
    """Everything the op computes, from inputs and cotangents put in memory by `place`."""
    xs, ys = run(case, call.map(place))
    return [y.data for y in ys] + vjp(xs, ys, [place(g) for g in cotangents(ys)])


# ---- comparing -----------------------------------------------------------------------------------

def compare(what: str, actual: Array, expected: Array, tolerance: float) -> float:
    """How far apart they are, relative to the largest finite value, at least 1; NaN and infinities
    where they should be."""
    if actual.shape != expected.shape:
        raise AssertionError(f"{what} has shape {actual.shape}; right is {expected.shape}")
    if expected.dtype.kind != "f":
        distance = np.asarray(actual != expected).astype(float)
    else:
        scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
        with np.errstate(invalid="ignore"):
            distance = np.abs(actual - expected) / (scale + np.abs(expected))
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        distance = np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))
    if (distance > tolerance).any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(distance)), actual.shape))
        raise AssertionError(
            f"{what} of shape {actual.shape} is wrong at {int((distance > tolerance).sum())} of "
            f"{actual.size} elements; the furthest off is at index {index}: "
            f"{_shown(actual[index])}, right is {_shown(expected[index])}")
    return float(distance.max(initial=0))


def _shown(x: Any) -> str:
    """A number with as many digits as tell it from one that is nearly right."""
    return f"{x:.12g}" if x.dtype.kind == "f" else str(x)


def output_names(n: int) -> list[str]:
    return [f"output {k}" for k in range(n)] if n > 1 else ["the output"] * n


def gradient_names(call: Call) -> list[str]:
    return [f"the gradient by inputs[{i}]" for i in range(len(call.arrays))
            if call.wants_gradient(i)]


def compare_all(call: Call, actual: Sequence[Array], expected: Sequence[Array], tolerance: float,
                because: str) -> float:
    """What `values_and_gradients` returned, with what it should have."""
    by = gradient_names(call)
    try:
        return max((compare(name, a, b, tolerance) for name, a, b in zip(
            output_names(len(expected) - len(by)) + by, actual, expected, strict=True)),
            default=0.0)
    except AssertionError as error:
        raise AssertionError(f"{error}\nlikely cause: {because}") from None


TOLERANCES = {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def compare_rounded(what: str, actual: Array, exact: Array, slack: Array | float = 0.0) -> float:
    """As `compare`, by the tolerances that torch.testing.assert_close has for the dtype, or by the
    slack where that is more."""
    if actual.dtype.kind != "f":
        return compare(what, actual, exact, 0.0)
    if actual.shape != exact.shape:
        raise AssertionError(f"{what} has shape {actual.shape}; right is {exact.shape}")
    expected = exact.astype(actual.dtype)
    rtol, atol = TOLERANCES[actual.dtype.name]
    wrong = ~np.isclose(actual, expected, rtol, atol, equal_nan=True)
    with np.errstate(invalid="ignore"):                     # inf - inf
        wrong &= ~(np.abs(actual - exact) <= slack)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise Imprecise(f"{what} in {actual.dtype} is wrong at {int(wrong.sum())} of "
                        f"{wrong.size} elements; at index {index}: "
                        f"{_shown(actual[index])}, right is {_shown(expected[index])}")
    finite = np.isfinite(expected)
    return float(np.abs(actual[finite] - expected[finite]).max(initial=0))
