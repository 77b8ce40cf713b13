"""No op warns on the way forward or back, whatever the numbers are: infinities and NaNs are values.

pytest makes an error of every warning (pyproject.toml); here NumPy is told to as well.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from op_cases import CASES

import minigrad
from minigrad import autograd, functional as F
from minigrad.kernels import compile as kernel_compiler
from minigrad.tensor import Tensor
from minigrad.testing import OpCase
from minigrad.testing.case import Call
from minigrad.testing.checks.running import floats, run

VALUES = (math.nan, math.inf, -math.inf, 0.0, 3e38, -3e38, 1e-45)


def awkward(call: Call) -> Iterator[Call]:
    """The call with numbers that NumPy might warn of, one everywhere or all in turn, or with none.
    """
    def filled(values: Sequence[float]) -> Call:
        return call.map(lambda x: np.resize(values, x.shape).astype(x.dtype)
                        if x.dtype.kind == "f" else x)

    call = call.astype(np.float32)
    for value in VALUES[:4]:
        yield filled([value])
    yield filled(VALUES)
    yield filled([*VALUES[3:], 1.0, *VALUES[:3]])
    yield call.map(lambda x: x[:0] if x.ndim else x)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("kernels", ["loops", "twins"])
def test_no_op_warns(case: OpCase, kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_compiler, "TWINS_ONLY", kernels == "twins")
    for call in awkward(case.examples[0]):
        try:
            xs, ys = run(case, call)
        except (ValueError, RuntimeError, IndexError, TypeError):
            continue                                    # refused
        back(xs, ys)


def back(xs: Any, ys: list[Tensor]) -> None:
    """The gradients, and theirs."""
    leaves = [x for x in xs if x is not None and x.requires_grad]
    for value in (1.0, math.inf):
        outputs = [y for y in floats(ys) if y.requires_grad]
        if not outputs:
            return
        gs = [Tensor(np.full(y.shape, value, y.dtype), True) for y in outputs]
        found = autograd.grad(outputs, leaves, gs, allow_unused=True, create_graph=True)
        again = [g for g in found if g is not None and g.requires_grad]
        if again:
            autograd.grad(again, [*leaves, *gs], [Tensor(np.ones(g.shape, g.dtype)) for g in again],
                          allow_unused=True, retain_graph=True)
        autograd.grad(outputs, leaves, [g.detach() for g in gs], allow_unused=True,
                      retain_graph=True)


ONE, MASK = Tensor(np.ones(2, np.float32)), Tensor(np.array([True, False]))
HUGE = 1e300                            # infinite in float32


@pytest.mark.parametrize("call", [
    lambda: F.relu([HUGE]), lambda: minigrad.sum([HUGE]), lambda: minigrad.exp(HUGE),
    lambda: Tensor([HUGE]), lambda: minigrad.reshape([HUGE], (1, 1)), lambda: F.softmax([HUGE], 0),
    lambda: F.linear([[HUGE]], minigrad.ones(1, 1)), lambda: ONE @ [HUGE, 1.0],
    lambda: ONE * HUGE, lambda: ONE > HUGE, lambda: minigrad.where(MASK, HUGE, ONE),
    lambda: ONE.clamp(min=-HUGE), lambda: ONE.masked_fill(MASK, HUGE),
    lambda: ONE.clone().__setitem__(0, HUGE), lambda: F.pad(ONE, (1, 1), value=HUGE)])
def test_numbers_beyond_float32_are_infinite(call: Callable[[], object]) -> None:
    call()


def test_numpy_would_warn() -> None:
    with warnings.catch_warnings(), pytest.raises(RuntimeWarning):
        np.log(np.zeros(1))
