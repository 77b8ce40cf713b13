"""What every op gets free from its entry in `op_cases`."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
import torch
from domains import read_only, strided
from hypothesis import given, settings, strategies as st
from op_cases import CASES, Call, OpCase

import minigrad.ops
from minigrad import autograd
from minigrad.autograd import grad, no_grad, op
from minigrad.tensor import Tensor
from minigrad.testing import gradcheck, gradgradcheck

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
SMOOTH = [case for case in CASES if case.differentiable]
every_gradient = pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
few = settings(max_examples=max(1, settings.default.max_examples // 4))

BAD_INPUT = (RuntimeError, ValueError, TypeError, IndexError)


# ---- calling both sides --------------------------------------------------------------------------

def outputs_of(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def tensors(call: Call, requires_grad: bool = True) -> list[Tensor | None]:
    return [None if x is None else Tensor(x, requires_grad and x.dtype.kind == "f")
            for x in call.arrays]


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
    xs, ys = run(case, call)
    us = cotangents(ys)
    rng = np.random.default_rng(11)
    vs = [rng.standard_normal(x.shape) for x in xs if x is not None]
    arrived = sum(float((g * v).sum()) for g, v in zip(vjp(xs, ys, us), vs, strict=True))

    def along(h: float) -> list[np.ndarray]:
        directions = iter(vs)
        moved = call.map(lambda x: x + h * next(directions))
        with no_grad():
            result = outputs_of(case(*tensors(moved, False), **moved.static))
        return [y.data for y in result if y.dtype.kind == "f"]

    h = 1e-6
    changes = [(after - before) / (2 * h) for after, before in
               zip(along(h), along(-h), strict=True)]
    sent = sum(float((u * change).sum()) for u, change in zip(us, changes, strict=True))
    size = sum(float(np.abs(y.data).sum()) for y in ys) + abs(sent)
    assert abs(sent - arrived) <= 1e-7 * (10 + size), f"<u, Jv> = {sent}, <J'u, v> = {arrived}"


def check_finite_differences(case: OpCase, call: Call) -> None:
    gradcheck(lambda *xs: case(*xs, **call.static), tensors(call))


CHECKS = (check_against_torch, check_adjoint, check_finite_differences)


# ---- values, gradients, second gradients ---------------------------------------------------------

@every_case
@given(data=st.data())
def test_values_and_gradients_are_torchs(case: OpCase, data: st.DataObject) -> None:
    check_against_torch(case, data.draw(case.inputs))


@every_case
def test_pinned_examples_are_torchs(case: OpCase) -> None:
    for call in case.examples:
        check_against_torch(case, call)


@pytest.mark.parametrize("case", [c for c in CASES if c.corners is not None], ids=lambda c: c.id)
@given(data=st.data())
def test_kinks_ties_and_infinities_are_torchs(case: OpCase, data: st.DataObject) -> None:
    with np.errstate(all="ignore"):                                 # inf - inf and 0·inf are NaN
        check_against_torch(case, data.draw(case.corners))


@every_gradient
@given(data=st.data())
def test_gradient_is_the_adjoint(case: OpCase, data: st.DataObject) -> None:
    check_adjoint(case, data.draw(case.inputs))


@every_gradient
@few
@given(data=st.data())
def test_gradient_by_finite_differences(case: OpCase, data: st.DataObject) -> None:
    check_finite_differences(case, data.draw(case.inputs))


@every_gradient
@few
@given(data=st.data())
def test_second_gradient_by_finite_differences(case: OpCase, data: st.DataObject) -> None:
    call = data.draw(case.inputs)
    gradgradcheck(lambda *xs: case(*xs, **call.static), tensors(call))


@every_gradient
def test_second_gradient_of_pinned_examples(case: OpCase) -> None:
    for call in case.examples:
        gradgradcheck(lambda *xs, call=call: case(*xs, **call.static), tensors(call))


@pytest.mark.parametrize("case", [c for c in SMOOTH if c.zero_gradient], ids=lambda case: case.id)
def test_gradient_is_zero_where_declared(case: OpCase) -> None:
    for call in case.examples:
        xs, ys = run(case, call)
        assert not any(g.any() for g in vjp(xs, ys, cotangents(ys)))


@every_gradient
@few
@given(data=st.data())
def test_gradient_is_linear_in_g(case: OpCase, data: st.DataObject) -> None:
    xs, ys = run(case, data.draw(case.inputs))
    g1, g2 = cotangents(ys, 1), cotangents(ys, 2)
    both = [2.5 * a - 0.5 * b for a, b in zip(g1, g2, strict=True)]
    parts = zip(*(vjp(xs, ys, g, retain_graph=True) for g in (g1, g2, both)), strict=True)
    for by_1, by_2, by_both in parts:
        assert_close(by_both, 2.5 * by_1 - 0.5 * by_2, 1e-12)


# ---- memory, layout, dtype -----------------------------------------------------------------------

def values_and_gradients(case: OpCase, call: Call, place: Callable[[Any], Any]) -> list[Any]:
    """Everything the op computes, from inputs and cotangents put in memory by `place`."""
    xs, ys = run(case, call.map(place))
    return [y.data for y in ys] + vjp(xs, ys, [place(g) for g in cotangents(ys)])


@every_case
@few
@given(data=st.data())
def test_inputs_are_never_written(case: OpCase, data: st.DataObject) -> None:
    call = data.draw(case.inputs)
    for a, b in zip(values_and_gradients(case, call, read_only),
                    values_and_gradients(case, call, np.array), strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
@pytest.mark.parametrize("step", [2, -2])
@few
@given(data=st.data())
def test_any_memory_layout(case: OpCase, step: int, data: st.DataObject) -> None:
    call = data.draw(case.inputs)
    try:
        case.reference(*(None if x is None else torch.from_numpy(strided(x)) for x in call.arrays),
                       **{name: to_torch(value) for name, value in call.static.items()})
    except RuntimeError:                                            # view() of scattered memory
        return
    for a, b in zip(values_and_gradients(case, call, lambda x: strided(x, step)),
                    values_and_gradients(case, call, np.array), strict=True):
        assert_close(a, b, 1e-12)


@every_case
def test_results_do_not_depend_on_the_number_of_threads(case: OpCase) -> None:
    for call in case.examples:
        call = call.astype(np.float32)
        alone = values_and_gradients(case, call, np.array)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        try:
            together = values_and_gradients(case, call, np.array)
        finally:
            numba.set_num_threads(1)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a, b)


def test_view_refuses_to_copy() -> None:
    x = Tensor(strided(np.arange(6.0).reshape(2, 3)))
    with pytest.raises(RuntimeError, match=r"view: x \(2, 3\) is not contiguous .*use reshape"):
        x.view(6)
    assert np.shares_memory(x.view(2, 1, 3).data, x.data)


@every_gradient
@few
@given(data=st.data())
def test_float32_is_torchs(case: OpCase, data: st.DataObject) -> None:
    call = data.draw(case.inputs).astype(np.float32)
    xs, ys = run(case, call)
    torch_xs, torch_ys = run_torch(case, call)
    for y, t in zip(ys, torch_ys, strict=True):
        assert_same_as(t, y.data)
    gs = cotangents(ys)
    for g, expected in zip(vjp(xs, ys, gs), vjp_torch(torch_xs, torch_ys, gs), strict=True):
        assert g.dtype == np.float32
        assert_same_as(torch.tensor(expected), g)


DTYPES = ("float32", "float64", "int64", "bool")


@every_case
def test_dtypes_are_torchs(case: OpCase) -> None:
    """Every mixture of dtypes: where torch has an answer, its values and dtype (or a refusal, of
    bools, or of integers by an op declared for floats)."""
    call = case.examples[0]
    n = sum(x is not None for x in call.arrays)
    for dtypes in itertools.product(DTYPES, repeat=min(2, n)):
        mixed = call.astype(*dtypes)
        try:
            expected = run_torch(case, mixed)[1]
        except (RuntimeError, TypeError, IndexError):
            continue
        try:
            ys = run(case, mixed)[1]
        except BAD_INPUT:
            assert "bool" in dtypes or (case.floats_only and "int64" in dtypes), dtypes
            continue
        for y, t in zip(ys, expected, strict=True):
            assert (dtypes, str(y.dtype)) == (dtypes, str(t.numpy(force=True).dtype))
            assert_same_as(t, y.data)


@every_gradient
def test_a_changed_value_is_noticed_or_not_needed(case: OpCase) -> None:
    """An input or output written to between forward and backward: an error, or no difference."""
    for call in case.examples:
        call = call.map(np.array)
        xs, ys = run(case, call)
        gs = cotangents(ys)
        expected = vjp(xs, ys, gs)
        for i in range(len(xs) + len(ys)):
            xs, ys = run(case, call.map(np.array))
            changed = (*xs, *ys)[i]
            if changed is None or not changed.data.flags.writeable:
                continue
            changed.detach()[...] = changed.data * 1.5 + 1.0
            try:
                found = vjp(xs, ys, gs)
            except RuntimeError as error:
                if "changed in place" not in str(error):
                    raise
            else:
                for g, same in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(g, same)


# ---- the same tensor twice, no_grad, errors ------------------------------------------------------

def with_one_input_twice(case: OpCase) -> list[Call]:
    return [call for call in case.examples if len(call.arrays) > 1
            and len({x.shape for x in call.arrays if x is not None}) == 1]


@pytest.mark.parametrize("case", [c for c in SMOOTH if with_one_input_twice(c)],
                         ids=lambda case: case.id)
def test_the_same_tensor_twice(case: OpCase) -> None:
    for call in with_one_input_twice(case):
        x, t = Tensor(call.arrays[0], True), torch.tensor(call.arrays[0], requires_grad=True)
        n, static = len(call.arrays), {k: to_torch(v) for k, v in call.static.items()}
        ys = outputs_of(case(*[x] * n, **call.static))
        ts = outputs_of(case.reference(*[t] * n, **static))
        gs = cotangents(ys)
        for g, expected in zip(vjp([x], ys, gs), vjp_torch([t], ts, gs), strict=True):
            assert_close(g, expected, case.tolerance.gradient)


@every_case
def test_no_grad_records_nothing(case: OpCase) -> None:
    for call in case.examples:
        _, recorded = run(case, call)
        with no_grad():
            _, plain = run(case, call)
        for y, z in zip(recorded, plain, strict=True):
            assert y.requires_grad == (case.differentiable and y.dtype.kind == "f")
            assert not z.requires_grad
            assert z.node is None
            np.testing.assert_array_equal(y.data, z.data)


@pytest.mark.parametrize(("case", "error"), [pytest.param(case, error, id=f"{case.id}-{i}")
                                             for case in CASES
                                             for i, error in enumerate(case.errors)])
def test_bad_input_is_refused(case: OpCase, error: Any) -> None:
    with pytest.raises(error.kind, match=error.message):
        run(case, error.call)
    with pytest.raises(BAD_INPUT):                                  # torch refuses as well
        run_torch(case, error.call)


# ---- the tests are tested: wrong gradients are caught --------------------------------------------

MUTATIONS: dict[str, Callable[[Tensor], Tensor | None]] = {
    "negated": lambda g: -g,
    "scaled": lambda g: g * 1.01,
    "zeroed": lambda g: g * 0.0,
    "rolled": lambda g: Tensor(np.roll(g.data, 1)),
    "dropped": lambda g: None,
}
FLAT_MUTATIONS: dict[str, Callable[[Tensor], Tensor | None]] = {"shifted": lambda g: g + 0.01}


def mutant(case: OpCase, mutation: Callable[[Tensor], Tensor | None], i: int) -> OpCase:
    """The op with the gradient that reaches its i-th input changed."""
    @op
    def tap(x: Tensor) -> Any:
        return x.data, None if mutation is MUTATIONS["dropped"] else lambda g: mutation(g)

    def mutated(*xs: Any, **static: Any) -> Any:
        return case(*(tap(x) if k == i else x for k, x in enumerate(xs)), **static)
    return replace(case, run=mutated, name=f"{case.name}, mutated")


@every_gradient
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_wrong_gradients_are_caught(case: OpCase, check: Callable[[OpCase, Call], None]) -> None:
    for name, mutation in (FLAT_MUTATIONS if case.zero_gradient else MUTATIONS).items():
        for i in range(max(len(call.arrays) for call in case.examples)):
            assert any(caught(check, mutant(case, mutation, i), call) for call in case.examples
                       if i < len(call.arrays) and call.arrays[i] is not None), \
                f"gradient {i} {name}: nobody noticed; pin an example where it makes a difference"


def caught(check: Callable[[OpCase, Call], None], case: OpCase, call: Call) -> bool:
    try:
        check(case, call)
    except AssertionError:
        return True
    return False


# ---- completeness --------------------------------------------------------------------------------

def op_modules() -> list[Any]:
    return [importlib.import_module(f"minigrad.ops.{m.name}")
            for m in pkgutil.iter_modules(minigrad.ops.__path__)]


def public_ops() -> dict[str, Any]:
    """The functions of minigrad.ops that return Tensors, by their annotations."""
    returns = {"Recorded", "Tensor", "Tensor | ValuesIndices", "tuple[Tensor, ...]",
               "Tensor | tuple[Tensor, Tensor]", "tuple[Tensor, Tensor]", "ValuesIndices"}
    return {f"{module.__name__}.{name}": f for module in op_modules()
            for name, f in vars(module).items()
            if inspect.isfunction(f) and f.__module__ == module.__name__
            and not name.startswith("_") and f.__annotations__.get("return") in returns}


def test_every_public_op_has_a_case() -> None:
    cased = {case.op for case in CASES}
    assert sorted(name for name, f in public_ops().items() if f not in cased) == []


def names_in_graph(ys: list[Tensor]) -> set[str]:
    names, stack = set(), [y.node for y in ys]
    while stack:
        node = stack.pop()
        if isinstance(node, autograd.Node):
            names.add(node.name)
            stack.extend(parent for parent, _ in node.edges)
    return names


def test_every_registered_op_is_recorded_by_some_case() -> None:
    """The private ones, too: `_matmul` under `matmul` and `dot`."""
    seen: set[str] = set()
    for case in SMOOTH:
        for call in case.examples:
            xs, ys = run(case, call)
            leaves = [x for x in xs if x is not None and x.requires_grad]
            for _ in range(3):                      # the gradients' gradients have ops of their own
                ys = [y for y in ys if y is not None and y.requires_grad]
                seen |= names_in_graph(ys)
                if ys:
                    gs = [Tensor(g, True) for g in cotangents(ys)]
                    ys = grad(ys, [*leaves, *gs], gs, create_graph=True, allow_unused=True)
                    leaves = [*leaves, *gs]
    registered = {name.rpartition(".")[2] for name in autograd.registry
                  if name.startswith("minigrad.ops.")}
    assert sorted(registered - seen) == []


def test_case_names_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
