"""Derivatives by numbers alone: four ways, each where it is best.

    way            steps an element   error           where
    two-sided      2                  1e-6 · y''      anywhere; at a kink, it gives both slopes
    order 4        6                  1e-11           where y is smooth, else two-sided
    complex step   1                  rounding        ops that compute with complex numbers
    directions     12 an input        1e-11           large inputs: all elements at once, then 16

The complex step moves an element into the imaginary direction: f(x + ih) = f(x) + ih·f'(x) - … has
the derivative alone in its imaginary part, so that no nearly equal numbers are subtracted, and h
can be as small as one likes.
Source: central differences and Richardson's error estimate, Press et al., Numerical Recipes, 5.7;
Squire & Trapp 1998, Using complex variables to estimate derivatives of real functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.probe import NotAllowedError, Probe

METHODS = ("two-sided", "order 4", "complex step", "directions")


@dataclass
class Comparison:
    """The gradient by one input, and how L = Σ u·y changes when each of its elements moves."""

    k: int                              # which of the inputs
    name: str
    shape: tuple[int, ...]              # its shape
    elements: Array                     # those that were moved, (elements,)
    analytic: Array                     # the input's shape, if these are all of its elements
    left: Array                         # slopes, (elements, outputs)
    right: Array
    unsure: Array                       # by how much the slopes' sums may be off, (elements,)
    atol: float
    rtol: float
    weights: Array                      # u, (outputs,)
    method: str

    @property
    def slopes(self) -> Array:
        return np.asarray((self.left + self.right) / 2)

    @property
    def numeric(self) -> Array:
        return np.asarray(self.slopes.sum(1))

    @property
    def bounds(self) -> tuple[Array, Array]:
        """The least and the greatest gradient that the slopes of every single output allow."""
        return np.minimum(self.left, self.right).sum(1), np.maximum(self.left, self.right).sum(1)

    @property
    def excess(self) -> Array:
        """How far each element lies outside what is allowed: NaN or positive where it is wrong."""
        (low, high), g = self.bounds, self.analytic.ravel()
        beyond = np.maximum(low - g, g - high)
        return np.asarray(beyond - self.unsure - self.atol - self.rtol * np.abs(self.numeric))

    def says(self) -> str:
        """What was looked at and how sure it is."""
        apart = float(np.abs(self.analytic.ravel() - self.numeric).max(initial=0))
        return (f"{self.name} of shape {self.shape}, {self.elements.size} elements by "
                f"{self.method}, sure to {self.unsure.max(initial=0):.1g}: "
                f"at most {apart:.1g} from the gradient")


def compare(probe: Probe, k: int, method: str, eps: float, atol: float, rtol: float,
            elements: Array | None = None) -> Comparison:
    """The slopes at the elements (all of them for None) of the k-th input."""
    analytic = probe.analytic[k]
    chosen = np.arange(analytic.size) if elements is None else elements
    slopes = {"two-sided": two_sided, "order 4": fourth_order, "complex step": complex_step}[method]
    left, right, unsure = slopes(probe, k, chosen, eps)
    return Comparison(k, probe.names[k], analytic.shape, chosen,
                      analytic if elements is None else analytic.ravel()[elements], left, right,
                      unsure, atol, rtol, probe.weights, method)


def two_sided(probe: Probe, k: int, elements: Array, eps: float) -> tuple[Array, Array, Array]:
    """(y(x) - y(x-h)) / h and (y(x+h) - y(x)) / h."""
    left, right = np.empty((2, elements.size, probe.base.size))
    with np.errstate(invalid="ignore"):                 # inf - inf, beyond the domain
        for row, n in enumerate(elements):
            h = eps * probe.scale(k, n)
            left[row] = (probe.base - probe.moved(k, n, -h)) / h
            right[row] = (probe.moved(k, n, h) - probe.base) / h
    _require_finite(probe, k, elements, eps, left, right)
    return left, right, np.full(elements.size, _rounding(probe, eps))


def fourth_order(probe: Probe, k: int, elements: Array, eps: float = 1e-3
                 ) -> tuple[Array, Array, Array]:
    """(8·(y(x+h) - y(x-h)) - (y(x+2h) - y(x-2h))) / 12h, with h and with h/2.

    How far these two are apart says how sure the second is, which is 16 times closer. Where that is
    not sure, as near a kink, the slopes are those of `two_sided`.
    """
    wide, close = np.empty((2, elements.size, probe.base.size))
    with np.errstate(invalid="ignore"):
        for row, n in enumerate(elements):
            h = eps * probe.scale(k, n)
            half, one, two = (probe.moved(k, n, step) - probe.moved(k, n, -step)
                              for step in (h / 2, h, 2 * h))
            wide[row] = (8 * one - two) / (12 * h)
            close[row] = (8 * half - one) / (6 * h)
    _require_finite(probe, k, elements, 2 * eps, wide, close)
    left, right, unsure = close, close.copy(), np.abs(wide - close).sum(1) + _rounding(probe, eps)
    if (kinks := np.flatnonzero(unsure > 1e-6 * (1 + np.abs(close).sum(1)))).size:
        left[kinks], right[kinks], unsure[kinks] = two_sided(probe, k, elements[kinks], 1e-6)
    return left, right, unsure


def complex_step(probe: Probe, k: int, elements: Array, eps: float = 0.0
                 ) -> tuple[Array, Array, Array]:
    """Im y(x + ih) / h, exact to rounding.

    That is the derivative only where y is analytic, which |x|, for one, is not: hence a look at a
    few elements by differences.
    """
    h = 1e-30
    slopes = np.array([probe.moved_imaginary(k, n, h) / h for n in elements])
    slopes = slopes.reshape(elements.size, probe.base.size)
    left, right, _ = two_sided(probe, k, few := elements[:8], 1e-6)
    if (np.abs(slopes[:few.size] - (left + right) / 2)
            > np.abs(right - left) + 1e-5 * (1 + np.abs(left))).any():
        raise NotAllowedError(f"{probe.name}: the complex step needs an analytic fn; this one is "
                              "not, as abs, conj and comparisons of complex numbers are not")
    return slopes, slopes, 1e-14 * np.abs(slopes).sum(1)


def _rounding(probe: Probe, eps: float) -> float:
    """What rounding alone may add to a slope."""
    return 8 * float(np.spacing(np.abs(probe.base).sum())) / eps


def _require_finite(probe: Probe, k: int, elements: Array, reach: float, *slopes: Array) -> None:
    outside = np.flatnonzero(~np.isfinite(sum(slopes)).all(1))
    if outside.size:
        shape = probe.analytic[k].shape
        index = tuple(int(i) for i in np.unravel_index(elements[outside[0]], shape))
        raise ValueError(f"{probe.name}: {probe.names[k]} at index {index} lies where the "
                         f"function's domain ends: {reach:g} from there an output is infinite or "
                         "NaN; choose inputs well inside")


# ---- kinks and jumps -----------------------------------------------------------------------------

def wrong(probe: Probe, it: Comparison, eps: float) -> Array:
    """Which elements have a wrong gradient."""
    places = ~(it.excess <= 0)                          # NaN is wrong as well
    if it.method == "two-sided":
        for row in np.flatnonzero(places):
            places[row] = not _jumps(probe, it, int(row), eps)
    return np.asarray(places)


def _jumps(probe: Probe, it: Comparison, row: int, eps: float) -> bool:
    """Whether an output jumps where the element moves: a step 16 times smaller then changes it
    by (nearly) as much, where a differentiable one changes by a 16th."""
    n = int(it.elements[row])
    h = eps * probe.scale(it.k, n)
    noise = 1e3 * np.spacing(np.abs(probe.base).max(initial=1.0))
    for side, slope in ((-1, it.left[row]), (1, it.right[row])):
        change = np.abs(probe.moved(it.k, n, side * h / 16) - probe.base)
        if ((change > np.abs(slope) * h / 8) & (change > noise)).any():
            return True
    return False


# ---- along random directions ---------------------------------------------------------------------

def along(probe: Probe, k: int, v: Array, h: float = 1e-3) -> tuple[float, float]:
    """The slope of L along v, of the k-th input's shape, by order 4; and how sure that is."""
    def change(step: float) -> float:
        return float((probe.moved_along(k, step * v) - probe.moved_along(k, -step * v)).sum())

    half, one, two = change(h / 2), change(h), change(2 * h)
    wide, close = (8 * one - two) / (12 * h), (8 * half - one) / (6 * h)
    return close, abs(wide - close) + _rounding(probe, h)


def worth_a_look(probe: Probe, k: int, atol: float, rtol: float, seed: int, n: int = 2) -> Array:
    """Up to 16 elements of the k-th input, with a wrong one among them if there is one.

    A random direction meets every element: a wrong one shows in ⟨g, v⟩, unless by a chance of 0.
    Halving the direction again and again finds it. If all is well, the elements are a sample.
    """
    g, rng = probe.analytic[k], np.random.default_rng(seed)

    def off(v: Array) -> bool:
        slope, unsure = along(probe, k, v)
        return not abs(float((g * v).sum()) - slope) <= unsure + atol + rtol * abs(slope)

    for _ in range(n):
        v = rng.standard_normal(g.shape) / max(1.0, np.sqrt(g.size))
        if g.size and off(v):
            places = np.arange(g.size)
            while places.size > 16:
                first = np.zeros(g.size)
                first[places[:places.size // 2]] = v.ravel()[places[:places.size // 2]]
                half = places.size // 2
                places = places[:half] if off(first.reshape(g.shape)) else places[half:]
            return places
    return np.sort(rng.permutation(g.size)[:16])
