"""What every op gets free from its entry in `op_cases`."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from domains import read_only, strided
from hypothesis import given, settings, strategies as st
from op_cases import CASES, Call, OpCase
from op_checks import (
    assert_close,
    assert_same_as,
    check_adjoint,
    check_against_torch,
    check_finite_differences,
    check_linearity,
    cotangents,
    gradient_of,
    lab,
    names_in_graph,
    outputs_of,
    run,
    run_torch,
    tensors,
    to_torch,
    vjp,
    vjp_torch,
)

import minigrad.ops
from minigrad import autograd, functional
from minigrad.autograd import no_grad
from minigrad.tensor import Tensor
from minigrad.testing import gradgradcheck

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
SMOOTH = [case for case in CASES if case.differentiable]
every_gradient = pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
few = settings(max_examples=max(1, settings.default.max_examples // 4))

BAD_INPUT = (RuntimeError, ValueError, TypeError, IndexError)


CORNERS = """\
Corners are the calls where a value or a gradient is a matter of choice: zeros of both signs, kinks,
ties, infinities, NaN, very large and very small numbers. The choice to make is PyTorch's: let the
op agree with it. Where there is a reason not to, say which corners remain in the op's case in
tests/op_cases, and write the reason beside it: corners=finite_special (no infinities and NaN;
domains.py has more), or corners=None (none)."""


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
    call = data.draw(case.corners)
    try:
        with np.errstate(all="ignore"):                             # inf - inf and 0·inf are NaN
            check_against_torch(case, call)
    except AssertionError as error:
        raise AssertionError(f"{case.id}: {call} is a corner.\n{CORNERS}\n\n{error}") from error


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
    check_linearity(case, data.draw(case.inputs))


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
    """Within torch's tolerance of what torch computes from the same numbers in float64: where
    rounding errors grow, its float32 results are as far from that as anybody's."""
    check_float32(case, data.draw(case.inputs))


@every_gradient
def test_float32_of_pinned_examples(case: OpCase) -> None:
    for call in case.examples:
        check_float32(case, call)


def check_float32(case: OpCase, call: Call) -> None:
    call = call.astype(np.float32)
    xs, ys = run(case, call)
    torch_xs, torch_ys = run_torch(case, call.astype(np.float64))
    for y, t in zip(ys, torch_ys, strict=True):
        assert_same_as(t.to(getattr(torch, y.dtype.name)), y.data)
    gs = cotangents(ys)
    exact = vjp_torch(torch_xs, torch_ys, [g.astype(np.float64) for g in gs])
    for g, expected in zip(vjp(xs, ys, gs), exact, strict=True):
        assert g.dtype == np.float32
        assert_same_as(torch.tensor(expected, dtype=torch.float32), g)


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
            assert "bool" in dtypes or (case.floats_only and "int64" in dtypes), (
                f"{case.id} refuses {dtypes}, and torch does not: take them as well (@float_op "
                "turns integers into floats), or say floats_only=True in its case")
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

@every_gradient
def test_every_mutant_is_caught_or_declared(case: OpCase) -> None:
    report = lab(case)
    assert report.ok, f"pin an example where it makes a difference, or declare why not:\n{report}"


# ---- completeness --------------------------------------------------------------------------------

def op_modules() -> list[Any]:
    return [importlib.import_module(f"minigrad.ops.{m.name}")
            for m in pkgutil.iter_modules(minigrad.ops.__path__)
            if m.name not in ("arguments", "promotion")]        # they bring inputs into shape


def public_ops() -> dict[str, Any]:
    """The functions of minigrad.ops that return Tensors, by their annotations."""
    return {f"{module.__name__}.{name}": f for module in op_modules()
            for name, f in vars(module).items()
            if inspect.isfunction(f) and f.__module__ == module.__name__
            and not name.startswith("_")
            and re.match(r"(?!list|Callable).*(Recorded|Tensor|ValuesIndices)",
                         f.__annotations__.get("return", ""))}


def test_every_public_op_has_a_case() -> None:
    cased = {case.op for case in CASES}
    assert sorted(name for name, f in public_ops().items() if f not in cased) == []


def test_every_public_function_has_a_case() -> None:
    """All that minigrad and its functional export, but for what makes tensors from nothing (see
    test_creation) and two functions without a gradient of their own (see test_functional)."""
    public = {f.__name__ for module in (minigrad, functional) for name in module.__all__
              if inspect.isfunction(f := getattr(module, name))
              and f.__module__.removeprefix("minigrad.") not in (
                  "creation", "random", "autograd", "replay")}
    cased = {case.op.__name__ for case in CASES}
    assert sorted(public - cased - {"dropout", "one_hot"}) == []


def test_every_registered_op_is_recorded_by_some_case() -> None:
    """The private ones, too: `_matmul` under `matmul` and `dot`."""
    seen: set[str] = set()
    for case in SMOOTH:
        for call in case.examples:
            xs, ys = run(case, call)
            for _ in range(3):                      # the gradients' gradients have ops of their own
                seen |= names_in_graph(ys).keys()
                ys = gradient_of(xs, ys)
    registered = {name.rpartition(".")[2] for name in autograd.registry
                  if name.startswith("minigrad.ops.")}
    assert sorted(registered - seen) == []


def test_names_are_unique() -> None:
    """Errors and graphs show an op's short name."""
    assert len({case.id for case in CASES}) == len(CASES)
    names = [name.rpartition(".")[2] for name in autograd.registry if name.startswith("minigrad.")]
    assert sorted(set(names)) == sorted(names)
