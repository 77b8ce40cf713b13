"""Gradients against finite differences, for ops and functions of your own.

The outputs y are weighed with random numbers u, L = Σ u·y, so that no mistake cancels out; u stands
for the gradient that arrives at y and is called a *cotangent*. Each input element is then moved by
h to either side. Its gradient must lie between the two slopes (L(x) - L(x-h)) / h and
(L(x+h) - L(x)) / h, give or take a tolerance: where y is smooth the two agree, and at a kink every
value between them is a subgradient and right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad, grad
from minigrad.tensor import Tensor

Cotangent = Callable[[tuple[int, ...]], Array]      # from an output's shape
USES_OTHERS = ("fn does not depend on its inputs, but on other tensors that require grad: make it "
               "use its arguments")


class GradcheckError(AssertionError):
    """A gradient is wrong; the message says where, by how much, and the likely cause."""


def random_cotangent(seed: int) -> Cotangent:
    """Random weights from 0.5 to 1.5 in size, of either sign, drawn one output after the other."""
    rng = np.random.default_rng(seed)
    return lambda shape: rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def gradcheck(fn: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
              rtol: float = 1e-5, seed: int = 0) -> bool:
    """True if the gradients of `fn(*inputs)` agree with finite differences.

        analytic ∈ [min(left, right) - tol, max(left, right) + tol],   tol = atol + rtol·|numeric|

    inputs: one argument or a sequence of them. Tensors that require grad are checked and must be
    float64; all others are passed on as they are. fn returns a Tensor or several.
    eps: the step h, times |x| where that exceeds 1.
    At a kink any subgradient passes; where y jumps there is none to compare with.
    fn is called twice for each element of the inputs; inputs × outputs slopes are held in memory.
    Raises: GradcheckError with a report; TypeError for float32, or where fn is not a function;
    ValueError where nothing can be checked: no input requires grad, inputs or outputs that are not
    finite, a fn that is not deterministic or that does not use its arguments.
    Source: as torch.autograd.gradcheck, but along a random cotangent and aware of kinks.
    """
    _require_options("gradcheck", fn, eps, atol, rtol)
    return check("gradcheck", fn, arguments_of(inputs), random_cotangent(seed), eps, atol, rtol)


def gradgradcheck(fn: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
                  rtol: float = 1e-5, seed: int = 0) -> bool:
    """True if the second derivatives of `fn(*inputs)` agree with finite differences.

    Checks (x, g) → the gradients of Σ g·fn(x) as `gradcheck` does, for a random g; the report calls
    the one of output k `g[k]`.
    Raises: as `gradcheck` does.
    Source: torch.autograd.gradgradcheck.
    """
    _require_options("gradgradcheck", fn, eps, atol, rtol)
    return check_second(fn, arguments_of(inputs), seed, eps, atol, rtol)


def check(name: str, fn: Callable[..., Any], arguments: list[Any], cotangent: Cotangent,
          eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-5,
          names: Sequence[str] | None = None, brief: bool = False) -> bool:
    """What `gradcheck` does, with a cotangent of the caller's choice; `name` opens the messages.

    brief: look at no more than 16 elements of each input, and stop, without a report, at the first
    that is wrong.
    """
    probe = _Probe(name, fn, arguments, cotangent, eps, names)
    if brief:
        samples = [np.linspace(0, g.size - 1, min(g.size, 16), dtype=int) for g in probe.analytic]
        for row, k in itertools.product(range(16), range(len(samples))):
            if probe.wrong(probe.compare(k, atol, rtol, samples[k][row:row + 1])).any():
                raise GradcheckError(f"{name}: the gradient by {probe.names[k]} is wrong")
        return True
    comparisons = [probe.compare(k, atol, rtol) for k in range(len(probe.leaves))]
    wrong = [probe.wrong(it) for it in comparisons]
    reports = [_report(name, it, comparisons, places, probe.shapes)
               for it, places in zip(comparisons, wrong, strict=True) if places.any()]
    if reports:
        raise GradcheckError("\n".join(reports))
    if probe.uses_others:
        raise ValueError(f"{name}: {USES_OTHERS}")
    return True


def check_second(fn: Callable[..., Any], arguments: list[Any], seed: int = 0, eps: float = 1e-6,
                 atol: float = 1e-5, rtol: float = 1e-5, brief: bool = False) -> bool:
    """What `gradgradcheck` does; brief as in `check`."""
    checked = _checked("gradgradcheck", arguments)
    rng = np.random.default_rng(seed + 1)
    leaves = leaves_of(arguments)
    outputs = float_outputs("gradgradcheck", fn, leaves)
    cotangents = [Tensor(rng.standard_normal(y.shape), True) for y in outputs]
    if _use_others(outputs, _arriving(outputs, [g.data for g in cotangents],
                                      [leaves[i] for i in checked])):
        raise ValueError(f"gradgradcheck: {USES_OTHERS}")

    def gradients(*args: Any) -> list[Tensor]:
        xs, gs = args[:len(arguments)], args[len(arguments):]
        pairs = [(y, g) for y, g in zip(float_outputs("gradgradcheck", fn, xs), gs, strict=True)
                 if y.requires_grad]
        if not pairs:
            return []
        ys, gs = zip(*pairs, strict=True)
        found = grad(ys, [xs[i] for i in checked], gs, create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    names = [f"inputs[{i}]" for i in range(len(arguments))]
    names += [f"g[{k}]" for k in range(len(cotangents))]
    return check("gradgradcheck", gradients, [*arguments, *cotangents], random_cotangent(seed),
                 eps, atol, rtol, names, brief)


# ---- arguments and outputs -----------------------------------------------------------------------

def arguments_of(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def wants_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def leaves_of(arguments: Sequence[Any]) -> list[Any]:
    """Copies of those that want a gradient, the others as they are."""
    return [Tensor(x.data.copy(), True) if wants_gradient(x) else x for x in arguments]


def _require_options(name: str, fn: Any, eps: float, atol: float, rtol: float) -> None:
    if not callable(fn):
        raise TypeError(f"{name}: fn must be a function; got {type(fn).__name__}")
    for option, value in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        if not isinstance(value, int | float | np.floating) or isinstance(value, bool):
            raise TypeError(f"{name}: {option} must be a number; got {type(value).__name__}")
        if not (0 < value < 1 if option == "eps" else 0 <= value < math.inf):
            bounds = "between 0 and 1" if option == "eps" else "0 or more, and finite"
            raise ValueError(f"{name}: {option} must be {bounds}; got {value}")


def _checked(name: str, arguments: Sequence[Any]) -> list[int]:
    """Which arguments have a gradient to check."""
    checked = [i for i, x in enumerate(arguments) if wants_gradient(x)]
    if not checked:
        kinds = ", ".join(type(x).__name__ for x in arguments) or "nothing"
        raise ValueError(f"{name}: none of the inputs is a Tensor that requires grad; got {kinds}")
    for i in checked:
        if arguments[i].dtype != np.float64:
            raise TypeError(f"{name}: inputs[{i}] has dtype {arguments[i].dtype}; finite "
                            "differences need the precision of float64: make it with double()")
        if not np.isfinite(arguments[i].data).all():
            raise ValueError(f"{name}: inputs[{i}] holds infinities or NaN, which cannot be moved")
    return checked


def float_outputs(name: str, fn: Callable[..., Any], arguments: Sequence[Any]) -> list[Tensor]:
    """The outputs of `fn(*arguments)` that can carry a gradient, recorded even under no_grad."""
    with enable_grad():
        result = fn(*arguments)
    outputs = list(result) if isinstance(result, list | tuple) else [result]
    for i, y in enumerate(outputs):
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: fn must return Tensors; output {i} is {type(y).__name__}")
        if y.dtype.kind == "f" and y.dtype != np.float64:
            raise TypeError(f"{name}: output {i} has dtype {y.dtype}; finite differences need "
                            "float64 from end to end")
    return [y for y in outputs if y.dtype.kind == "f"]


def gradients_of(outputs: Sequence[Tensor], cotangents: Sequence[Array],
                 leaves: Sequence[Tensor], *, retain_graph: bool = False) -> list[Array]:
    """The gradients of Σ u·y by each leaf, zeros where none arrives."""
    found = _arriving(outputs, cotangents, leaves, retain_graph)
    return [np.zeros(x.shape) if g is None else g.data for x, g in zip(leaves, found, strict=True)]


def _arriving(outputs: Sequence[Tensor], cotangents: Sequence[Array], leaves: Sequence[Tensor],
              retain_graph: bool = False) -> Sequence[Tensor | None]:
    recorded = [(y, Tensor(u)) for y, u in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not recorded:
        return [None] * len(leaves)
    ys, us = zip(*recorded, strict=True)
    return grad(ys, leaves, us, retain_graph=retain_graph, allow_unused=True)


def _use_others(outputs: Sequence[Tensor], arriving: Sequence[Tensor | None]) -> bool:
    return any(y.requires_grad for y in outputs) and all(g is None for g in arriving)


# ---- finite differences --------------------------------------------------------------------------

@dataclass
class _Comparison:
    """The gradient by one input, and how L = Σ u·y changes when each of its elements moves."""

    k: int                              # which of the inputs
    name: str
    elements: Array                     # of it, (elements,)
    analytic: Array                     # the input's shape, if these are all of its elements
    left: Array                         # slopes, (elements, outputs)
    right: Array
    atol: float                         # with what rounding alone may add to a slope
    rtol: float
    weights: Array                      # u, (outputs,)

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
        return np.asarray(beyond - self.atol - self.rtol * np.abs(self.numeric))


class _Probe:
    """The outputs weighed, u·y, whichever element of the inputs is moved; and their gradients."""

    def __init__(self, name: str, fn: Callable[..., Any], arguments: list[Any],
                 cotangent: Cotangent, eps: float, names: Sequence[str] | None) -> None:
        checked = _checked(name, arguments)
        self.inputs = leaves_of(arguments)
        self.leaves = [self.inputs[i] for i in checked]
        self.names = [names[i] if names else f"inputs[{i}]" for i in checked]
        self.name, self.fn, self.eps = name, fn, eps

        ys = float_outputs(name, fn, self.inputs)
        if any(not np.isfinite(y.data).all() for y in ys):
            raise ValueError(f"{name}: an output is infinite or NaN; choose inputs well inside the "
                             "function's domain")
        self.shapes = [y.shape for y in ys]
        cotangents = [cotangent(shape) for shape in self.shapes]
        arriving = _arriving(ys, cotangents, self.leaves)
        self.analytic = [np.zeros(x.shape) if g is None else g.data
                         for x, g in zip(self.leaves, arriving, strict=True)]
        self.uses_others = _use_others(ys, arriving)
        self.weights = _flat(cotangents)
        self.base = self.weighed()
        if not np.array_equal(self.base, self.weighed()):
            raise ValueError(f"{name}: fn gives different values for the same inputs; "
                             "fix its random numbers, or call eval() on its modules")

    def weighed(self) -> Array:
        return self.weights * _flat(
            [y.data for y in float_outputs(self.name, self.fn, self.inputs)])

    def moved(self, k: int, n: int, h: float) -> Array:
        flat = self.leaves[k].data.reshape(-1)          # a view: leaves are C-contiguous
        before = flat[n]
        flat[n] = before + h
        try:
            return self.weighed()
        finally:
            flat[n] = before

    def step(self, k: int, n: int) -> float:
        return self.eps * max(1.0, abs(float(self.leaves[k].data.reshape(-1)[n])))

    def compare(self, k: int, atol: float, rtol: float, elements: Array | None = None
                ) -> _Comparison:
        """The slopes to either side of the elements (all of them for None) of the k-th input."""
        analytic = self.analytic[k]
        chosen = np.arange(analytic.size) if elements is None else elements
        left, right = np.empty((2, chosen.size, self.base.size))
        with np.errstate(invalid="ignore"):             # inf - inf, beyond the domain
            for row, n in enumerate(chosen):
                h = self.step(k, n)
                left[row] = (self.base - self.moved(k, n, -h)) / h
                right[row] = (self.moved(k, n, h) - self.base) / h
        outside = np.flatnonzero(~(np.isfinite(left) & np.isfinite(right)).all(1))
        if outside.size:
            index = tuple(int(i) for i in np.unravel_index(chosen[outside[0]], analytic.shape))
            raise ValueError(f"{self.name}: {self.names[k]} at index {index} lies where the "
                             f"function's domain ends: {self.eps:g} from there an output is "
                             "infinite or NaN; choose inputs well inside")
        rounding = 8 * float(np.spacing(np.abs(self.base).sum())) / self.eps
        if elements is not None:
            analytic = analytic.ravel()[elements]
        return _Comparison(k, self.names[k], chosen, analytic, left, right, atol + rounding, rtol,
                           self.weights)

    def wrong(self, it: _Comparison) -> Array:
        """Which elements have a wrong gradient."""
        places = ~(it.excess <= 0)                      # NaN is wrong as well
        for row in np.flatnonzero(places):
            places[row] = not self.jumps(it, int(row))
        return np.asarray(places)

    def jumps(self, it: _Comparison, row: int) -> bool:
        """Whether an output jumps where the element moves: a step 16 times smaller then changes it
        by (nearly) as much, where a differentiable one changes by a 16th."""
        n = int(it.elements[row])
        h = self.step(it.k, n)
        noise = 1e3 * np.spacing(np.abs(self.base).max(initial=1.0))
        for side, slope in ((-1, it.left[row]), (1, it.right[row])):
            change = np.abs(self.moved(it.k, n, side * h / 16) - self.base)
            if ((change > np.abs(slope) * h / 8) & (change > noise)).any():
                return True
        return False


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(a.ravel() for a in arrays)])


# ---- the report ----------------------------------------------------------------------------------

def _report(name: str, it: _Comparison, comparisons: list[_Comparison], wrong: Array,
            outputs: list[tuple[int, ...]]) -> str:
    shape, g = it.analytic.shape, it.analytic.ravel()
    n = int(np.argmax(np.where(wrong, np.nan_to_num(it.excess, nan=math.inf), -math.inf)))
    index = tuple(int(i) for i in np.unravel_index(n, shape))
    low, high = (bound[n] for bound in it.bounds)
    kink = high - low > 2 * it.atol + 1e-3 * (abs(low) + abs(high))
    return "\n".join([
        f"{name}: the gradient by {it.name} of shape {shape} is wrong at {wrong.sum()} of "
        f"{g.size} elements; the furthest off is at index {index}",
        f"    analytic  {g[n]:.9g}",
        f"    numeric   a kink: right is any value from {low:.9g} to {high:.9g}" if kink else
        f"    numeric   {it.numeric[n]:.9g}",
        f"    likely cause: {_cause(it, comparisons, wrong, outputs)}"])


def _cause(it: _Comparison, comparisons: list[_Comparison], wrong: Array,
           outputs: list[tuple[int, ...]]) -> str:
    g, numeric = it.analytic, it.numeric.reshape(it.analytic.shape)

    def same(a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=10 * it.atol))

    if not np.isfinite(g).all():
        return "the vjp divides by zero, or takes a log or root outside its domain"
    if not g.any():
        return ("no gradient arrives: the vjp is None or zero, or a value was computed outside the "
                "ops (from .data, by detach(), under no_grad())")
    if multiple := _multiple(g, numeric, same):
        return f"{multiple} everywhere"
    if len(outputs) == 1 and (axis := _unsummed_axis(it, outputs[0], same)) is not None:
        return (f"a missing sum over the broadcast axis {axis} of the output: only one position "
                "along it arrives")
    for order in itertools.permutations(range(g.ndim)) if g.ndim <= 4 else ():
        if order != tuple(range(g.ndim)) and same(g.transpose(order), numeric):
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


def _multiple(g: Array, numeric: Array, same: Callable[[Array, Array], bool]) -> str:
    """What the right gradient was multiplied by, if by one number."""
    if same(g, -numeric):
        return "the sign: analytic = -numeric"
    factor = float((g * numeric).sum() / ((numeric * numeric).sum() or 1))
    if g.size > 1 and factor and same(g / factor, numeric):
        return f"a factor: analytic = {factor:.6g} × numeric"
    return "nothing arrives: analytic = 0" if not g.any() else ""


def _unsummed_axis(it: _Comparison, shape: tuple[int, ...],
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
