"""What every op gets free from its entry in `op_cases`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

import numpy as np
import pytest
import torch
from graphs import gradient_of, names_in_graph
from op_cases import CASES

import minigrad.ops
from minigrad import autograd, functional
from minigrad.tensor import Tensor
from minigrad.testing import OpCase, op_tests
from minigrad.testing.battery import lab
from minigrad.testing.checks.memory import strided
from minigrad.testing.checks.running import listed, run

SMOOTH = [case for case in CASES if case.differentiable]


@op_tests
def test_op() -> list[OpCase]:
    """Values, gradients of first and second order, memory, dtypes, determinism, sizes, errors."""
    return CASES


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
def test_every_mutant_is_caught_or_declared(case: OpCase) -> None:
    """The tests are tested: wrong gradients are caught."""
    report = lab(case, brief=True)
    assert report.ok, f"pin an example where it makes a difference, or declare why not:\n{report}"


def test_view_refuses_to_copy() -> None:
    x = Tensor(strided(np.arange(6.0).reshape(2, 3)))
    with pytest.raises(RuntimeError, match=r"view: x \(2, 3\) is not contiguous .*use reshape"):
        x.view(6)
    assert np.shares_memory(x.view(2, 1, 3).data, x.data)


def test_a_result_is_a_view_of_an_input_only_where_torchs_is() -> None:
    """Else a change of the result in place would change the input."""
    def shares(make: Any, results_of: Any, call: Any) -> bool:
        arrays = [None if x is None else x.copy() for x in call.arrays]
        ys = listed(results_of(*[None if x is None else make(x) for x in arrays], **call.static))
        return any(np.shares_memory(y.numpy(), x) for y in ys for x in arrays if x is not None)

    assert [(case.id, call) for case in CASES for call in case.examples
            if shares(Tensor, case, call)
            and not shares(torch.from_numpy, case.reference, call)] == []


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


WITHOUT_GRADIENT = {"_loss_slope", "_moved"}
"""What computes a gradient that is not recorded, and what moves a running average."""


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
    assert sorted(registered - seen) == sorted(WITHOUT_GRADIENT)


def test_names_are_unique() -> None:
    """Errors and graphs show an op's short name."""
    assert len({case.id for case in CASES}) == len(CASES)
    names = [name.rpartition(".")[2] for name in autograd.registry if name.startswith("minigrad.")]
    assert sorted(set(names)) == sorted(names)
