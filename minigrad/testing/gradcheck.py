"""Gradients against numbers, for ops and functions of your own.

The outputs y are weighed with random numbers u, L = Σ u·y, so that no mistake cancels out; u stands
for the gradient that arrives at y and is called a *cotangent*. Each input element is then moved by
h to either side. Its gradient must lie between the two slopes (L(x) - L(x-h)) / h and
(L(x+h) - L(x)) / h, give or take a tolerance: where y is smooth the two agree, and at a kink every
value between them is a subgradient and right. `minigrad.testing.differences` has further ways, for
more digits and for large inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import grad
from minigrad.tensor import Tensor
from minigrad.testing.causes import report
from minigrad.testing.differences import (
    METHODS,
    Comparison,
    compare,
    surest_along,
    worth_a_look,
    wrong,
)
from minigrad.testing.foreign import native
from minigrad.testing.probe import (
    Cotangent,
    Probe,
    arguments_of,
    arriving,
    checked,
    float_outputs,
    leaves_of,
    random_cotangent,
    require_floats,
    uses_others,
    wants_gradient,
)

USES_OTHERS = ("fn does not depend on its inputs, but on other tensors that require grad: make it "
               "use its arguments")
FEW = 2_000                     # elements of the inputs that are moved one by one
STEPS = {"two-sided": 1e-6, "order 4": 1e-3, "complex step": 1e-30, "directions": 1e-3}


class GradcheckError(AssertionError):
    """A gradient is wrong; the message says where, by how much, and the likely cause."""


def gradcheck(fn: Any, inputs: Any, *, eps: float | None = None, atol: float = 1e-5,
              rtol: float = 1e-5, seed: int = 0, order: int = 1, method: str | None = None,
              verbose: bool = False) -> bool:
    """True if the gradients of `fn(*inputs)` agree with finite differences.

        analytic ∈ [min(left, right) - tol, max(left, right) + tol],   tol = atol + rtol·|numeric|

    fn: a function of Tensors; or one of PyTorch, JAX or a pair (f, vjp) of NumPy functions, as
    `minigrad.testing.check_op` takes them.
    inputs: one argument or a sequence of them. Tensors that require grad are checked and must be
    float64; all others are passed on as they are. fn returns a Tensor or several.
    eps: the step h, times |x| where that exceeds 1; None: what suits the method.
    order: 2 checks the second derivatives, too, 3 the third as well, and so on.
    method: "two-sided", which knows kinks; "order 4" and "complex step" for more digits, where the
    function is smooth; "directions" for large inputs, whose elements are moved all at once. None is
    "two-sided" for up to 2,000 elements in all, and "directions" for more.
    verbose: print what was used, and how sure it is.
    At a kink any subgradient passes; where y jumps there is none to compare with.
    "two-sided" calls fn twice for each element of the inputs, and holds inputs × outputs slopes in
    memory.
    Raises: GradcheckError with a report; TypeError for float32, or where fn is not a function;
    ValueError where nothing can be checked: no input requires grad, inputs or outputs that are not
    finite, a fn that is not deterministic or that does not use its arguments, a fn that does not
    allow the complex step.
    Source: as torch.autograd.gradcheck, but along a random cotangent and aware of kinks.
    """
    fn, arguments, method, eps = _prepared("gradcheck", fn, inputs, eps, atol, rtol, order, method)
    names = [f"inputs[{i}]" for i in range(len(arguments))]
    checked("gradcheck", arguments)
    require_floats("gradcheck", float_outputs("gradcheck", fn, leaves_of(arguments)))
    for level in range(1, order + 1):
        name = "gradcheck" if order == 1 else f"gradcheck of order {level}"
        if level > 1:
            fn, arguments, names = derivative(name, fn, arguments, seed + level - 2, names)
        check(name, fn, arguments, random_cotangent(seed), eps, atol, rtol, names, method=method,
              seed=seed, verbose=verbose)
    return True


def gradgradcheck(fn: Any, inputs: Any, *, eps: float | None = None, atol: float = 1e-5,
                  rtol: float = 1e-5, seed: int = 0, method: str | None = None,
                  verbose: bool = False) -> bool:
    """True if the second derivatives of `fn(*inputs)` agree with finite differences.

    Checks (x, g) → the gradients of Σ g·fn(x) as `gradcheck` does, for a random g; the report calls
    the one of output k `g[k]`. The first derivatives are not looked at.
    Raises: as `gradcheck` does.
    Source: torch.autograd.gradgradcheck.
    """
    fn, arguments, method, eps = _prepared("gradgradcheck", fn, inputs, eps, atol, rtol, 1, method)
    return check_second(fn, arguments, seed, eps, atol, rtol, method=method, verbose=verbose)


def check(name: str, fn: Callable[..., Any], arguments: list[Any], cotangent: Cotangent,
          eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-5,
          names: Sequence[str] | None = None, brief: bool = False, method: str = "two-sided",
          seed: int = 0, verbose: bool = False) -> bool:
    """What `gradcheck` does, with a cotangent of the caller's choice; `name` opens the messages.

    brief: look at no more than 16 elements of each input, and stop, without a report, at the first
    that is wrong.
    """
    probe = Probe(name, fn, arguments, cotangent, names)
    if brief:
        samples = [np.linspace(0, g.size - 1, min(g.size, 16), dtype=int) for g in probe.analytic]
        for row, k in itertools.product(range(16), range(len(samples))):
            it = compare(probe, k, method, eps, atol, rtol, samples[k][row:row + 1])
            if wrong(probe, it, eps).any():
                raise GradcheckError(f"{name}: the gradient by {probe.names[k]} is wrong")
        return True
    if method == "directions":
        comparisons = [compare(probe, k, "two-sided", 1e-6, atol, rtol,
                               worth_a_look(probe, k, atol, rtol, seed))
                       for k in range(len(probe.leaves))]
    else:
        comparisons = [compare(probe, k, method, eps, atol, rtol)
                       for k in range(len(probe.leaves))]
    if verbose:
        also = "; all elements together along random directions" if method == "directions" else ""
        print(*(f"{name}: {it.says()}{also}" for it in comparisons), sep="\n")
    _raise_if_wrong(probe, comparisons, eps)
    if probe.uses_others:
        raise ValueError(f"{name}: {USES_OTHERS}")
    return True


def _raise_if_wrong(probe: Probe, comparisons: list[Comparison], eps: float) -> None:
    places = [wrong(probe, it, eps) for it in comparisons]
    reports = [report(probe.name, it, comparisons, there, probe.shapes)
               for it, there in zip(comparisons, places, strict=True) if there.any()]
    if reports:
        raise GradcheckError("\n".join(reports))


def check_adjoint(fn: Callable[..., Any], inputs: Sequence[Any]) -> None:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for random u and v, which says that the vjps apply the transpose Jᵀ (the
    *adjoint*) of the derivative J: Jv by central differences, Jᵀu by the vjps. At a kink J is a
    matter of choice, and there is nothing to compare."""
    probe = Probe("adjoint", fn, list(inputs), random_cotangent(7))
    rng = np.random.default_rng(11)
    vs = {k: np.asarray(rng.standard_normal(g.shape)) for k, g in enumerate(probe.analytic)}
    sent, unsure, kink = surest_along(probe, vs)
    if kink:
        return
    terms = [g * vs[k] for k, g in enumerate(probe.analytic)]
    arrived = sum(float(term.sum()) for term in terms)
    size = sum(float(np.abs(term).sum()) for term in terms) + abs(sent)
    if not abs(sent - arrived) <= 4 * unsure + 1e-8 * (1 + size):
        raise AssertionError(f"adjoint: <u, Jv> = {sent:.9g}, but <J'u, v> = {arrived:.9g}")


def check_second(fn: Callable[..., Any], arguments: list[Any], seed: int = 0, eps: float = 1e-6,
                 atol: float = 1e-5, rtol: float = 1e-5, brief: bool = False,
                 method: str = "two-sided", verbose: bool = False) -> bool:
    """What `gradgradcheck` does; brief as in `check`."""
    gradients, both, names = derivative(
        "gradgradcheck", fn, arguments, seed, [f"inputs[{i}]" for i in range(len(arguments))])
    return check("gradgradcheck", gradients, both, random_cotangent(seed), eps, atol, rtol, names,
                 brief, method, seed, verbose)


def derivative(name: str, fn: Callable[..., Any], arguments: list[Any], seed: int,
               names: Sequence[str]) -> tuple[Callable[..., Any], list[Any], list[str]]:
    """(x, g) → the gradients of Σ g·fn(x) by x: the function, its arguments, with random g, and
    their names."""
    chosen = checked(name, arguments)
    rng = np.random.default_rng(seed + 1)
    leaves = leaves_of(arguments)
    outputs = float_outputs(name, fn, leaves)
    require_floats(name, outputs)
    cotangents = [Tensor(rng.standard_normal(y.shape), True) for y in outputs]
    if uses_others(outputs, arriving(outputs, [g.data for g in cotangents],
                                     [leaves[i] for i in chosen])):
        raise ValueError(f"{name}: {USES_OTHERS}")

    def gradients(*args: Any) -> list[Tensor]:
        xs, gs = args[:len(arguments)], args[len(arguments):]
        pairs = [(y, g) for y, g in zip(float_outputs(name, fn, xs), gs, strict=True)
                 if y.requires_grad]
        if not pairs:
            return []
        ys, gs = zip(*pairs, strict=True)
        found = grad(ys, [xs[i] for i in chosen], gs, create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    primes = "'" * sum(known.startswith("g") and known.endswith("[0]") for known in names)
    return gradients, [*arguments, *cotangents], [
        *names, *(f"g{primes}[{k}]" for k in range(len(cotangents)))]


def _prepared(name: str, fn: Any, inputs: Any, eps: float | None, atol: float, rtol: float,
              order: int, method: str | None) -> tuple[Callable[..., Any], list[Any], str, float]:
    """fn and its arguments as minigrad's, the method and the step; raises for bad options."""
    if not (callable(fn) or isinstance(fn, tuple)):
        raise TypeError(f"{name}: fn must be a function; got {type(fn).__name__}")
    if method is not None and method not in METHODS:
        raise ValueError(f"{name}: method must be one of {', '.join(METHODS)}; got {method!r}")
    fn, arguments = native(fn, arguments_of(inputs))
    if method is None:
        elements = sum(x.data.size for x in arguments if wants_gradient(x))
        method = "two-sided" if elements <= FEW else "directions"
    eps = STEPS[method] if eps is None else eps
    for option, value in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        if not isinstance(value, int | float | np.floating) or isinstance(value, bool):
            raise TypeError(f"{name}: {option} must be a number; got {type(value).__name__}")
        if not (0 < value < 1 if option == "eps" else 0 <= value < math.inf):
            bounds = "between 0 and 1" if option == "eps" else "0 or more, and finite"
            raise ValueError(f"{name}: {option} must be {bounds}; got {value}")
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise ValueError(f"{name}: order must be an int of at least 1; got {order!r}")
    return fn, arguments, method, float(eps)
