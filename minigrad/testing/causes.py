"""What a wrong gradient is reported with: its place, its size and its likely cause."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.differences import Comparison

SINGLE = float(np.finfo(np.float32).eps)


def report(name: str, it: Comparison, comparisons: list[Comparison], wrong: Array,
            outputs: list[tuple[int, ...]]) -> str:
    g = it.analytic.ravel()
    n = int(np.argmax(np.where(wrong, np.nan_to_num(it.excess, nan=math.inf), -math.inf)))
    index = tuple(int(i) for i in np.unravel_index(it.elements[n], it.shape))
    low, high = (bound[n] for bound in it.bounds)
    looked_at = "" if g.size == math.prod(it.shape) else " that were looked at"
    kink = high - low > 2 * (it.atol + it.unsure[n]) + 1e-3 * (abs(low) + abs(high))
    return "\n".join([
        f"{name}: the gradient by {it.name} of shape {it.shape} is wrong at {wrong.sum()} of "
        f"{g.size} elements{looked_at}; the furthest off is at index {index}",
        f"    analytic  {g[n]:.9g}",
        f"    numeric   a kink: right is any value from {low:.9g} to {high:.9g}" if kink else
        f"    numeric   {it.numeric[n]:.9g}" + _by(it, n),
        f"    likely cause: {_cause(it, comparisons, wrong, outputs)}"])


def _by(it: Comparison, n: int) -> str:
    return "" if it.method == "two-sided" else f" (by {it.method}, sure to {it.unsure[n]:.1g})"


def _cause(it: Comparison, comparisons: list[Comparison], wrong: Array,
           outputs: list[tuple[int, ...]]) -> str:
    g, numeric = it.analytic, it.numeric.reshape(it.analytic.shape)

    rtol, atol = 10 * it.rtol, 10 * (it.atol + float(it.unsure.max(initial=0)))

    def same(a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=rtol, atol=atol))

    if not np.isfinite(g).all():
        return "the vjp divides by zero, or takes a log or root outside its domain"
    if not g.any():
        return ("no gradient arrives: the vjp is None or zero, or a value was computed outside the "
                "ops (from .data, by detach(), under no_grad())")
    if np.allclose(g, numeric, rtol=4 * SINGLE, atol=4 * SINGLE * np.abs(numeric).max(initial=0)):
        return "right to single precision only: a constant or a step in the vjp is float32"
    if same(g, numeric):
        return "nearly right: a constant with too few digits, or a step that loses some"
    if multiple := _multiple(g, numeric, same):
        return f"{multiple} everywhere"
    if len(outputs) == 1 and (axis := _unsummed_axis(it, outputs[0], same)) is not None:
        return (f"a missing sum over the broadcast axis {axis} of the output: only one position "
                "along it arrives")
    for order in itertools.permutations(range(g.ndim)) if g.ndim <= 4 else ():
        if _moves(order, g.shape) and same(g.transpose(order), numeric):
            return f"transposed: analytic.transpose{order} = numeric"
    if any(same(g.ravel(), other.numeric) for other in comparisons if other is not it):
        return "the vjps are in the wrong order: this is the gradient of another input"
    if g.size > 1 and same(np.sort(g, None), np.sort(numeric, None)):
        return "the right values in the wrong places: rolled, flipped or reshaped in another order"
    if same(g.ravel(), (it.slopes / it.weights).sum(1)):
        return "g is not used: this is the gradient of the outputs' plain sum"
    if g.size > 1 and same(g - numeric, np.full(g.shape, offset := float((g - numeric).mean()))):
        return f"an offset: analytic = numeric {'+-'[offset < 0]} {abs(offset):.6g} everywhere"
    if not wrong.all() and (there := _multiple(g.ravel()[wrong], numeric.ravel()[wrong], same)):
        return f"{there} where it is wrong, and right elsewhere"
    if g.size == 1 and numeric.any():
        return f"perhaps a factor: analytic = {g.item() / numeric.item():.6g} × numeric"
    return "no simple pattern; derive the vjp once more, and check what it captured"


def _moves(order: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether dims in this order put the elements in another one: those of size 1 do not."""
    long = [axis for axis in order if shape[axis] > 1]
    return long != sorted(long)


def _multiple(g: Array, numeric: Array, same: Callable[[Array, Array], bool]) -> str:
    """What the right gradient was multiplied by, if by one number."""
    if same(g, -numeric):
        return "the sign: analytic = -numeric"
    factor = float((g * numeric).sum() / ((numeric * numeric).sum() or 1))
    if g.size > 1 and factor and same(g / factor, numeric):
        return f"a factor: analytic = {factor:.6g} × numeric"
    return "nothing arrives: analytic = 0" if not g.any() else ""


def _unsummed_axis(it: Comparison, shape: tuple[int, ...],
                   same: Callable[[Array, Array], bool]) -> int | None:
    lead = len(shape) - it.analytic.ndim
    by_output = it.slopes.reshape(it.analytic.size, *shape)
    for axis, n in enumerate(shape):
        if lead >= 0 and n > 1 and (axis < lead or it.analytic.shape[axis - lead] == 1):
            for position in (0, -1):
                one = by_output.take(position, axis + 1).reshape(it.analytic.size, -1).sum(1)
                if same(it.analytic.ravel(), one):
                    return axis
    return None
