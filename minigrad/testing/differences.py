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

from collections.abc import Callable, Mapping, Sequence
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
        n = self.elements.size
        return (f"{self.name} of shape {self.shape}: {n} element{'s' * (n != 1)} moved, method "
                f"{self.method!r}, sure to {self.unsure.max(initial=0):.1g}; the gradient is at "
                f"most {apart:.1g} off")


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
    """(y(x) - y(x-h)) / h and (y(x+h) - y(x)) / h.

    Two slopes that differ mean a kink, or a step too long for a curved y. A step 16 times smaller
    tells which, and is taken where it brings them closer. Where rounding outweighs the slopes,
    those of `fourth_order`, with its longer step, are taken if they are surer.
    """
    left, right = np.empty((2, elements.size, probe.base.size))
    unsure = np.empty(elements.size)
    with np.errstate(invalid="ignore"):                 # inf - inf, beyond the domain
        for row, n in enumerate(elements.tolist()):
            left[row], right[row], unsure[row] = _one_sided(probe, k, n, eps)
            for finer in (eps / 16, eps / 256, eps / 4096):
                gap = np.abs(right[row] - left[row]).sum()
                if not gap > 1e-4 * np.abs(right[row] + left[row]).sum() + 4 * unsure[row]:
                    break
                before, after, noise = _one_sided(probe, k, n, finer)
                smaller = np.abs(after - before).sum()
                if not gap / 256 < smaller < gap / 4 - noise:       # a kink stays, a jump is lost
                    break
                left[row], right[row], unsure[row] = before, after, noise
    _require_finite(probe, k, elements, eps, left, right)
    for row in np.flatnonzero(unsure > 1e-6 * (1 + np.abs(left + right).sum(1))).tolist():
        with np.errstate(all="ignore"):                 # so long a step may leave the domain
            close, sure, kink = _five_points(probe, k, int(elements[row]), 1e-3)
        if sure < unsure[row] and not kink:
            left[row] = right[row] = close
            unsure[row] = sure
    return left, right, unsure


def _one_sided(probe: Probe, k: int, n: int, eps: float) -> tuple[Array, Array, float]:
    """The slopes to the left and to the right, and what rounding may add to their sums."""
    h = probe.step(k, n, eps)
    before, after = probe.moved(k, n, -h), probe.moved(k, n, h)
    return ((probe.base - before) / h, (after - probe.base) / h,
            rounding(probe.base, (before, after), h))


def fourth_order(probe: Probe, k: int, elements: Array, eps: float = 1e-3
                 ) -> tuple[Array, Array, Array]:
    """(8·(y(x+h) - y(x-h)) - (y(x+2h) - y(x-2h))) / 12h, with h and with h/2.

    How far these two are apart says how sure the second is, which is 16 times closer. Where that is
    not sure, as near a kink, or where the slopes to the two sides differ, as at one, the slopes are
    those of `two_sided`.
    """
    close, unsure = np.empty((elements.size, probe.base.size)), np.empty(elements.size)
    kinks = np.zeros(elements.size, bool)
    with np.errstate(invalid="ignore"):
        for row, n in enumerate(elements.tolist()):
            close[row], unsure[row], kinks[row] = _five_points(probe, k, n, eps)
    left, right = close, close.copy()
    kinks |= ~np.isfinite(unsure) | (unsure > 1e-6 * (1 + np.abs(close).sum(1)))
    if (there := np.flatnonzero(kinks)).size:
        left[there], right[there], unsure[there] = two_sided(probe, k, elements[there], 1e-6)
    return left, right, unsure


def _five_points(probe: Probe, k: int, n: int, eps: float) -> tuple[Array, float, bool]:
    """The slopes by order 4, how sure their sum is, and whether there is a kink."""
    h = probe.step(k, n, eps)
    return _by_order_4(probe.base, lambda step: probe.moved(k, n, step), h)


def _by_order_4(base: Array, y: Callable[[float], Array], h: float) -> tuple[Array, float, bool]:
    """As `_five_points`, of outputs y(step), which are `base` without a step.

    At a kink the slopes to the two sides are as far apart for half the step; elsewhere, they are
    half as far.
    """
    at = {step: (y(step), y(-step)) for step in (h / 2, h, 2 * h)}
    half, one, two = (after - before for after, before in at.values())
    wide, close = (8 * one - two) / (12 * h), (8 * half - one) / (6 * h)
    noise = rounding(base, at[h], h)
    gap, smaller = (float(np.abs(after - 2 * base + before).sum()) / step
                    for step, (after, before) in ((h, at[h]), (h / 2, at[h / 2])))
    kink = smaller > 0.75 * gap and smaller > 1e-6 * float(np.abs(close).sum()) + 8 * noise
    return close, float(np.abs(wide - close).sum()) + noise, kink


def complex_step(probe: Probe, k: int, elements: Array, eps: float = 0.0
                 ) -> tuple[Array, Array, Array]:
    """Im y(x + ih) / h, exact to rounding.

    That is the derivative only where y is analytic, which |x|, for one, is not: hence a look at a
    few elements by differences.
    """
    h = 1e-30
    slopes = np.array([probe.moved_imaginary(k, n, h) / h for n in elements])
    slopes = slopes.reshape(elements.size, probe.base.size)
    left, right, unsure = two_sided(probe, k, few := elements[:8], 1e-6)
    if (np.abs(slopes[:few.size] - (left + right) / 2)
            > np.abs(right - left) + 1e-5 * (1 + np.abs(left)) + unsure[:, None]).any():
        raise NotAllowedError(f"{probe.name}: the complex step needs an analytic fn; this one is "
                              "not, as abs, conj and comparisons of complex numbers are not")
    return slopes, slopes, 1e-14 * np.abs(slopes).sum(1)


def rounding(base: Array, moved: Sequence[Array], h: float) -> float:
    """What rounding alone may add to a slope: that of the outputs that change with the input."""
    changed = np.logical_or.reduce([y != base for y in moved])
    return 8 * float(np.spacing(np.abs(base[changed])).sum()) / h


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
    h = probe.step(it.k, n, eps)
    noise = 1e3 * np.spacing(np.abs(probe.base).max(initial=1.0))
    for side, slope in ((-1, it.left[row]), (1, it.right[row])):
        change = np.abs(probe.moved(it.k, n, side * h / 16) - probe.base)
        if ((change > np.abs(slope) * h / 8) & (change > noise)).any():
            return True
    return False


# ---- along random directions ---------------------------------------------------------------------

def along(probe: Probe, vs: Mapping[int, Array], h: float = 1e-3) -> tuple[float, float, bool]:
    """The slope of L along v, the directions of some of the inputs, by order 4; how sure that is;
    and whether there is a kink."""
    close, unsure, kink = _by_order_4(
        probe.base, lambda step: probe.moved_along({k: step * v for k, v in vs.items()}), h)
    return float(close.sum()), unsure, kink


def surest_along(probe: Probe, vs: Mapping[int, Array]) -> tuple[float, float, bool]:
    """As `along`, with that of several steps which is the surest; none is surer than the next
    shorter one shows."""
    best, shorter = (0.0, np.inf, False), (0.0, np.inf)
    with np.errstate(all="ignore"):
        for h in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
            slope, unsure, kink = along(probe, vs, h)
            # x + h·v is a rounded number, too
            unsure += sum(float((np.abs(probe.analytic[k]) * np.spacing(
                np.abs(probe.leaves[k].data))).sum()) for k in vs) / h
            if np.isfinite(shorter[1]):
                unsure = max(unsure, abs(slope - shorter[0]) - shorter[1])
            if unsure < best[1]:
                best = slope, unsure, kink
            shorter = slope, unsure
    return best


def worth_a_look(probe: Probe, k: int, atol: float, rtol: float, seed: int, n: int = 2) -> Array:
    """Up to 16 elements of the k-th input, with a wrong one among them if there is one.

    A random direction meets every element: a wrong one shows in ⟨g, v⟩, unless by a chance of 0.
    Halving the direction again and again finds it. If all is well, the elements are a sample.
    """
    g, rng = probe.analytic[k], np.random.default_rng(seed)

    def off(v: Array) -> bool:
        slope, unsure, _ = along(probe, {k: v})
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
