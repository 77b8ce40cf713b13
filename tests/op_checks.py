"""Running an op and torch's side by side, and the checks that a wrong gradient must not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from op_cases import Call, OpCase

from minigrad.autograd import Node, grad
from minigrad.tensor import Tensor
from minigrad.testing import gradcheck, mutation

# ---- calling both sides --------------------------------------------------------------------------

def outputs_of(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def tensors(call: Call, requires_grad: bool = True) -> list[Tensor | None]:
    return [None if x is None else Tensor(x, requires_grad and x.dtype.kind == "f")
            for x in call.arrays]


def bound(case: OpCase, call: Call) -> Callable[..., Any]:
    """The op as a function of its inputs alone."""
    return lambda *xs: case(*xs, **call.static)


def run(case: OpCase, call: Call) -> tuple[list[Tensor | None], list[Tensor]]:
    xs = tensors(call)
    return xs, outputs_of(case(*xs, **call.static))


def to_torch(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return torch.tensor(x)
    return tuple(to_torch(v) for v in x) if isinstance(x, tuple) else x


def run_torch(case: OpCase, call: Call) -> tuple[list[Any], list[torch.Tensor]]:
    xs = [None if x is None else torch.tensor(x, requires_grad=x.dtype.kind == "f")
          for x in call.arrays]
    static = {name: to_torch(value) for name, value in call.static.items()}
    return xs, outputs_of(case.reference(*xs, **static))


def cotangents(ys: list[Tensor], seed: int = 7) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(y.shape)).astype(y.dtype) for y in ys
            if y.dtype.kind == "f"]


def vjp(xs: list[Tensor | None], ys: list[Tensor], gs: list[Any], **options: Any) -> list[Any]:
    """The gradients of Σ g·y with respect to the inputs, zeros where none arrives."""
    leaves = [x for x in xs if x is not None and x.requires_grad]
    pairs = [(y, Tensor(g)) for y, g in zip([y for y in ys if y.dtype.kind == "f"], gs, strict=True)
             if y.requires_grad]
    if not pairs:
        return [np.zeros(x.shape) for x in leaves]
    found = grad([y for y, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True, **options)
    return [np.zeros(x.shape, x.dtype) if g is None else g.data
            for x, g in zip(leaves, found, strict=True)]


def vjp_torch(xs: list[Any], ys: list[torch.Tensor], gs: list[Any]) -> list[Any]:
    leaves = [x for x in xs if x is not None and x.requires_grad]
    ys = [y for y in ys if y.is_floating_point()]
    pairs = [(y, torch.from_numpy(g)) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
    if not pairs:
        return [np.zeros(tuple(x.shape)) for x in leaves]
    found = torch.autograd.grad([y for y, _ in pairs], leaves, [g for _, g in pairs],
                                allow_unused=True)
    return [np.zeros(tuple(x.shape)) if g is None else g.numpy()
            for x, g in zip(leaves, found, strict=True)]


def gradient_of(xs: list[Tensor | None], ys: list[Tensor]) -> list[Tensor]:
    """The gradients of Σ g·y by x, as a recorded computation; g joins xs, for the next time."""
    ys = [y for y in ys if y.requires_grad]
    if not ys:
        return []
    leaves = [x for x in xs if x is not None and x.requires_grad]
    gs = [Tensor(g, True) for g in cotangents(ys)]
    xs.extend(gs)
    found = grad(ys, leaves, gs, create_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


def names_in_graph(ys: list[Tensor]) -> dict[str, int]:
    """The ops recorded, by name, with the largest number of inputs that want a gradient."""
    names: dict[str, int] = {}
    stack, seen = [y.node for y in ys], set()
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in seen:
            seen.add(node)
            names[node.name] = max(names.get(node.name, 0), len(node.edges or ()))
            stack.extend(parent for parent, _ in node.edges or ())
    return names


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Relative to the largest finite value, at least 1; NaN and infinities where they should be."""
    assert actual.shape == expected.shape
    finite = np.abs(expected[np.isfinite(expected)]) if expected.dtype.kind == "f" else expected
    scale = max(1.0, float(finite.max(initial=0))) if finite.dtype.kind == "f" else 1.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


def assert_same_as(expected: torch.Tensor, actual: Any) -> None:
    """By torch's own rules and tolerances."""
    torch.testing.assert_close(torch.tensor(actual.copy()), expected.detach(), equal_nan=True)


# ---- the checks: each raises AssertionError on a wrong gradient ----------------------------------

def check_against_torch(case: OpCase, call: Call, seed: int = 7) -> None:
    xs, ys = run(case, call)
    torch_xs, torch_ys = run_torch(case, call)
    assert len(ys) == len(torch_ys)
    for y, t in zip(ys, torch_ys, strict=True):
        expected = t.detach().numpy()
        assert y.shape == expected.shape
        assert y.dtype == expected.dtype
        assert_close(y.data, expected, case.tolerance.value)
    gs = cotangents(ys, seed)
    for g, expected in zip(vjp(xs, ys, gs), vjp_torch(torch_xs, torch_ys, gs), strict=True):
        assert_close(g, expected, case.tolerance.gradient)


def check_adjoint(case: OpCase, call: Call) -> None:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩, with Jv by central differences."""
    mutation.check_adjoint(bound(case, call), tensors(call))


def check_linearity(case: OpCase, call: Call) -> None:
    mutation.check_linearity(bound(case, call), tensors(call))


def check_finite_differences(case: OpCase, call: Call) -> None:
    gradcheck(bound(case, call), tensors(call))


# ---- the mutation lab ----------------------------------------------------------------------------

def lab(case: OpCase) -> mutation.Report:
    """Every mutant of the op on its pinned examples, with torch among the checks."""
    def torchs(call: Call) -> mutation.Check:
        return lambda fn, _: check_against_torch(replace(case, run=lambda *xs, **static: fn(*xs)),
                                                 call)

    trials = [mutation.Trial(bound(case, call), tensors(call),
                             {**mutation.CHECKS, "PyTorch": torchs(call)})
              for call in case.examples]
    return mutation.survey(case.id, trials, case.equivalents)
