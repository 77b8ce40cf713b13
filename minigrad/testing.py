"""Checking gradients: what to call on an op or a function of your own.

    >>> import minigrad as mg
    >>> from minigrad.testing import gradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype=mg.float64, requires_grad=True)
    >>> gradcheck(lambda x: x.exp() / x, x)
    True

The outputs y are weighed with a random cotangent u, L = Σ u·y, so that no mistake cancels out. Each
input element is then moved by h to either side. Its gradient must lie between the two slopes
(L(x) - L(x-h)) / h and (L(x+h) - L(x)) / h, give or take a tolerance: where y is smooth the two
agree, and at a kink every value between them is a subgradient and right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad, grad, no_grad
from minigrad.tensor import Tensor


class GradcheckError(AssertionError):
    """A gradient is wrong; the message says where, by how much, and the likely cause."""


@dataclass
class _Slopes:
    """How L = Σ u·y changes with each element of one input: arrays of shape (elements, outputs)."""

    left: Array
    right: Array
    rounding: float                     # what rounding alone may add to a slope

    @property
    def middle(self) -> Array:
        return (self.left + self.right) / 2


def gradcheck(fn: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
              rtol: float = 1e-5, seed: int = 0) -> bool:
    """True if the gradients of `fn(*inputs)` agree with finite differences.

        analytic ∈ [min(left, right) - tol, max(left, right) + tol],   tol = atol + rtol·|numeric|

    inputs: one argument or a sequence of them. Tensors that require grad are checked and must be
    float64; all others are passed on as they are. fn returns a Tensor or several.
    eps: the step h, times |x| where that exceeds 1.
    At a kink any subgradient passes; where y jumps there is none to compare with.
    Raises GradcheckError with a report; TypeError for float32; ValueError where nothing can be
    checked: no input requires grad, outputs that are not finite, or a fn that is not deterministic.
    Source: as torch.autograd.gradcheck, but along a random cotangent and aware of kinks.
    """
    arguments = _arguments(inputs)
    checked = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    _require_float64(arguments, checked)
    leaves = [Tensor(x.data.copy(), True) if i in checked else x for i, x in enumerate(arguments)]

    outputs = _float_outputs(fn, leaves)
    values = [y.data for y in outputs]
    if any(not np.isfinite(y).all() for y in values):
        raise ValueError("gradcheck: an output is infinite or NaN; choose inputs well inside the "
                         "function's domain")
    rng = np.random.default_rng(seed)
    cotangents = [rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape) for y in values]
    analytic = _analytic(outputs, cotangents, [leaves[i] for i in checked])

    def weighed() -> Array:
        with no_grad():
            ys = [y.data for y in _float_outputs(fn, leaves)]
        return np.concatenate([np.zeros(0), *((u * y).ravel() for u, y in
                                              zip(cotangents, ys, strict=True))])

    base = weighed()
    if not np.array_equal(base, weighed()):
        raise ValueError("gradcheck: fn gives different values for the same inputs; "
                         "fix its random numbers, or call eval() on its modules")

    slopes = [_slopes(weighed, base, leaves[i].data, eps) for i in checked]
    reports = []
    for k, i in enumerate(checked):
        low, high = _bounds(slopes[k])
        numeric = (low + high) / 2
        tol = atol + rtol * np.abs(numeric) + slopes[k].rounding
        g = analytic[k].ravel()
        wrong = ~((g >= low - tol) & (g <= high + tol))             # NaN is wrong, too
        for n in np.flatnonzero(wrong):
            wrong[n] = not _jumps(weighed, base, leaves[i].data, int(n), eps, slopes[k])
        if wrong.any():
            reports.append(_report(f"inputs[{i}]", k, g, numeric, wrong, low, high, tol, analytic,
                                   slopes, values))
    if reports:
        raise GradcheckError("\n".join(reports))
    return True


def gradgradcheck(fn: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
                  rtol: float = 1e-5, seed: int = 0) -> bool:
    """True if the second derivatives of `fn(*inputs)` agree with finite differences.

    Checks (x, g) → the gradients of Σ g·fn(x) as `gradcheck` does, for a random g; in the report
    g comes after the inputs. Raises as `gradcheck` does. Source: torch.autograd.gradgradcheck.
    """
    arguments = _arguments(inputs)
    checked = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    _require_float64(arguments, checked)
    rng = np.random.default_rng(seed + 1)
    with no_grad():
        values = [y.data for y in _float_outputs(fn, arguments)]
    cotangents = [Tensor(rng.standard_normal(y.shape), True) for y in values]

    def gradients(*args: Any) -> list[Tensor]:
        xs, gs = args[:len(arguments)], args[len(arguments):]
        with enable_grad():
            pairs = [(y, g) for y, g in zip(_float_outputs(fn, xs), gs, strict=True)
                     if y.requires_grad]
            if not pairs:
                return []
            ys, gs = zip(*pairs, strict=True)
            found = grad(ys, [xs[i] for i in checked], gs, create_graph=True, allow_unused=True)
            return [g for g in found if g is not None]

    return gradcheck(gradients, [*arguments, *cotangents], eps=eps, atol=atol, rtol=rtol, seed=seed)


def _arguments(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _require_float64(arguments: Sequence[Any], checked: Sequence[int]) -> None:
    if not checked:
        raise ValueError("gradcheck: none of the inputs is a Tensor that requires grad")
    for i in checked:
        if arguments[i].dtype != np.float64:
            raise TypeError(f"gradcheck: inputs[{i}] has dtype {arguments[i].dtype}; finite "
                            "differences need the precision of float64: make it with double()")


def _float_outputs(fn: Callable[..., Any], arguments: Sequence[Any]) -> list[Tensor]:
    result = fn(*arguments)
    outputs = list(result) if isinstance(result, list | tuple) else [result]
    for i, y in enumerate(outputs):
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: fn must return Tensors; output {i} is {type(y).__name__}")
        if y.dtype.kind == "f" and y.dtype != np.float64:
            raise TypeError(f"gradcheck: output {i} has dtype {y.dtype}; finite differences need "
                            "float64 from end to end")
    return [y for y in outputs if y.dtype.kind == "f"]


def _analytic(outputs: list[Tensor], cotangents: list[Array], leaves: list[Tensor]) -> list[Array]:
    recorded = [(y, Tensor(u)) for y, u in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not recorded:
        return [np.zeros(x.shape) for x in leaves]
    ys, gs = zip(*recorded, strict=True)
    found = grad(ys, leaves, gs, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.data for x, g in zip(leaves, found, strict=True)]


# ---- finite differences --------------------------------------------------------------------------

def _moved(weighed: Callable[[], Array], x: Array, n: int, h: float) -> Array:
    flat = x.reshape(-1)                # a view: x is C-contiguous
    before = flat[n]
    flat[n] = before + h
    try:
        return weighed()
    finally:
        flat[n] = before


def _step(x: Array, n: int, eps: float) -> float:
    return eps * max(1.0, abs(float(x.reshape(-1)[n])))


def _slopes(weighed: Callable[[], Array], base: Array, x: Array, eps: float) -> _Slopes:
    left, right = np.empty((x.size, base.size)), np.empty((x.size, base.size))
    for n in range(x.size):
        h = _step(x, n, eps)
        with np.errstate(invalid="ignore"):
            left[n] = (base - _moved(weighed, x, n, -h)) / h
            right[n] = (_moved(weighed, x, n, h) - base) / h
    return _Slopes(left, right, 8 * float(np.spacing(np.abs(base).sum())) / eps)


def _bounds(slopes: _Slopes) -> tuple[Array, Array]:
    """The least and the greatest gradient that the slopes of every single output allow."""
    return (np.minimum(slopes.left, slopes.right).sum(1),
            np.maximum(slopes.left, slopes.right).sum(1))


def _jumps(weighed: Callable[[], Array], base: Array, x: Array, n: int, eps: float,
           slopes: _Slopes) -> bool:
    """Whether an output jumps, or its domain ends, where x[n] moves: a step 16 times smaller then
    changes it by (nearly) as much, where a differentiable one changes by a 16th."""
    h = _step(x, n, eps)
    noise = 1e3 * np.spacing(np.abs(base).max(initial=1.0))
    for side, slope in ((-1, slopes.left[n]), (1, slopes.right[n])):
        with np.errstate(invalid="ignore"):
            change = np.abs(_moved(weighed, x, n, side * h / 16) - base)
        beyond = ~np.isfinite(change) | ~np.isfinite(slope)
        if (beyond | ((change > np.abs(slope) * h / 8) & (change > noise))).any():
            return True
    return False


# ---- the report ----------------------------------------------------------------------------------

def _report(name: str, k: int, g: Array, numeric: Array, wrong: Array, low: Array, high: Array,
            tol: Array, analytic: list[Array], slopes: list[_Slopes], values: list[Array]) -> str:
    shape = analytic[k].shape
    excess = np.where(wrong, np.maximum(low - g, g - high), -math.inf)
    n = int(np.argmax(np.where(np.isnan(g), math.inf, excess)))
    index = tuple(int(i) for i in np.unravel_index(n, shape))
    kink = high[n] - low[n] > 1e-3 * (abs(low[n]) + abs(high[n])) + 2 * tol[n]
    lines = [f"gradcheck: the gradient by {name} of shape {shape} is wrong at {int(wrong.sum())} of "
             f"{g.size} elements; the furthest off is at index {index}",
             f"    analytic  {g[n]:.9g}",
             f"    numeric   a kink: right is any value from {low[n]:.9g} to {high[n]:.9g}" if kink
             else f"    numeric   {numeric[n]:.9g}",
             f"    likely cause: {_cause(k, analytic, slopes, tol.max(), values)}"]
    return "\n".join(lines)


def _cause(k: int, analytic: list[Array], slopes: list[_Slopes], tol: float,
           values: list[Array]) -> str:
    g, numeric = analytic[k], slopes[k].middle.sum(1).reshape(analytic[k].shape)

    def same(a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=10 * tol))

    if not np.isfinite(g).all():
        return "the vjp divides by zero, or takes a log or root outside its domain"
    if not g.any():
        return ("no gradient arrives: the vjp is None or zero, or a value was computed outside the "
                "ops (from .data, by detach(), under no_grad())")
    if same(g, -numeric):
        return "the sign: analytic = -numeric everywhere"
    factor = float((g * numeric).sum() / ((numeric * numeric).sum() or 1))
    if g.size > 1 and factor and same(g / factor, numeric):
        return f"a factor: analytic = {factor:.6g} × numeric everywhere"
    if (axis := _unsummed_axis(g, slopes[k], values, same)) is not None:
        return (f"a missing sum over the broadcast axis {axis} of the output: only one position "
                "along it arrives")
    for order in itertools.permutations(range(g.ndim)) if g.ndim <= 4 else ():
        if order != tuple(range(g.ndim)) and same(g.transpose(order), numeric):
            return f"transposed: analytic.transpose{order} = numeric"
    for other, slope in enumerate(slopes):
        if other != k and slope.left.shape[0] == g.size \
                and same(g.ravel(), slope.middle.sum(1)):
            return "the vjps are in the wrong order: this is the gradient of another input"
    if g.size > 1 and same(np.sort(g, None), np.sort(numeric, None)):
        return "the right values in the wrong places: rolled, flipped or reshaped in another order"
    if g.size == 1 and factor:
        return f"perhaps a factor: analytic = {factor:.6g} × numeric"
    return "no simple pattern; derive the vjp once more, and check what it captured"


def _unsummed_axis(g: Array, slopes: _Slopes, values: list[Array],
                   same: Callable[[Array, Array], bool]) -> int | None:
    if len(values) != 1 or values[0].ndim < g.ndim:
        return None
    shape = values[0].shape
    for axis, n in enumerate(shape):
        own = axis - (len(shape) - g.ndim)
        if n == 1 or (own >= 0 and g.shape[own] != 1):
            continue
        by_output = slopes.middle.reshape(g.size, *shape)
        for position in (0, -1):
            one = by_output.take(position, axis + 1).reshape(g.size, -1).sum(1)
            if same(g.ravel(), one):
                return axis
    return None
