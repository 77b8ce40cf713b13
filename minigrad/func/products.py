"""Products of a Jacobian with a vector, from the left (vjp) and from the right (jvp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.creation import zeros_like
from minigrad.func.trace import Linear, Trace, fitting
from minigrad.tensor import Tensor


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """func(*primals), and the function that sends cotangents u back: u ↦ Jᵀu.

        y, vjp_fn = vjp(f, x)
        gx, = vjp_fn(u)                 u has y's structure, gx is a tuple like primals

    vjp_fn(cotangents, retain_graph=True, create_graph=None) may be called again and again, unless
    retain_graph is False. create_graph: whether its result can be differentiated again, as far as
    the primals or cotangents are part of a graph; by default if recording is on.
    has_aux: func returns (output, aux), and vjp (output, vjp_fn, aux).
    Raises: RuntimeError where an output or a primal is not floating point, or cotangents do not
    fit.
    Source: torch.func.vjp.
    """
    trace = Trace("vjp", func, primals, has_aux=has_aux)
    for y in trace.outputs:
        if y.dtype.kind != "f":
            raise RuntimeError(f"vjp: the outputs must be floating point; got {y.dtype} {y.shape}")

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
               ) -> Any:
        us = fitting("vjp", "cotangents", cotangents, "outputs", trace.output)
        record = trace.records(us) and create_graph is not False
        found = trace.pull_back(us, keep=retain_graph, record=record)
        return trace.results(primals, found)

    y = trace.results(trace.output, trace.outputs)
    return (y, vjp_fn, trace.aux) if has_aux else (y, vjp_fn)


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False,
        has_aux: bool = False) -> tuple[Any, ...]:
    """func(*primals), and its derivative along the tangents: J·v.

        y, dy = jvp(f, (x,), (v,))      dy has y's structure

    primals, tangents: tuples of equal structure. Both sides of ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ are computed by
    the same vjps, so that they agree up to the rounding of the sums.
    strict: refuse an output that does not depend on the primals; otherwise its derivative is 0.
    has_aux: func returns (output, aux), and jvp (output, derivative, aux).
    Raises: RuntimeError where a primal is not floating point, or tangents do not fit.
    Source: torch.func.jvp, which has a second rule for each op; here it is `linearize`.
    """
    if not isinstance(primals, tuple):
        raise TypeError(f"jvp: primals must be a tuple, as in func(*primals); "
                        f"got {type(primals).__name__}")
    trace = Trace("jvp", func, primals, has_aux=has_aux)
    if not trace.inputs:
        raise RuntimeError("jvp: primals must hold at least one Tensor; got none")
    vs = fitting("jvp", "tangents", tangents, "primals", primals)
    found = Linear(trace).push(vs, record=trace.records(vs))
    if strict and any(dy is None for dy in found):
        raise RuntimeError("jvp: with strict=True every output must depend on the primals; output "
                           f"{found.index(None)} does not")
    dy = _filled(trace, found)
    y = trace.results(trace.output, trace.outputs)
    return (y, dy, trace.aux) if has_aux else (y, dy)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """func(*primals), and the function that computes derivatives there: v ↦ J·v.

        y, jvp_fn = linearize(f, x)
        dy = jvp_fn(v)                  one tangent for each primal, as often as you like

    func runs once, and its graph is kept as long as jvp_fn is.
    Source: torch.func.linearize.
    """
    trace = Trace("linearize", func, primals)
    linear = Linear(trace)

    def jvp_fn(*tangents: Any) -> Any:
        vs = fitting("linearize", "tangents", tangents, "primals", primals)
        return _filled(trace, linear.push(vs, record=trace.records(vs)))

    return trace.results(trace.output, trace.outputs), jvp_fn


def _filled(trace: Trace, found: list[Tensor | None]) -> Any:
    """Derivatives in the structure of the output, with zeros where there is no dependence."""
    return trace.results(trace.output, (zeros_like(y) if dy is None else dy
                                        for y, dy in zip(trace.outputs, found, strict=True)))
