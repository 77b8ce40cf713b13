"""Each op in a compiled step: its values and gradients are those of the op, to the bit, in
whatever order the dims of its inputs lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from op_cases import CASES

import minigrad
from minigrad import Tensor
from minigrad.testing import Call, OpCase
from minigrad.testing.checks.memory import batch_last
from minigrad.testing.checks.running import listed

SMOOTH = [case for case in CASES if case.differentiable]
few = settings(max_examples=max(1, settings.default.max_examples // 8))


def rolled(x: Any, places: int) -> Any:
    """Other values of the same kind: the same ones, elsewhere."""
    return np.roll(x.reshape(-1), places).reshape(x.shape)


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
def test_pinned_examples_are_the_same_to_the_bit(case: OpCase) -> None:
    for call in case.examples:
        require_the_same(case, call, np.asarray)
        if case.op is not minigrad.ops.shape.view:      # in another order, it refuses most shapes
            require_the_same(case, call, batch_last)


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
@few
@given(data=st.data())
def test_the_same_to_the_bit(case: OpCase, data: st.DataObject) -> None:
    call = data.draw(st.sampled_from(case.examples) if case.inputs is None else case.inputs)
    require_the_same(case, call, np.asarray)


def require_the_same(case: OpCase, call: Call, ordered: Callable[[Any], Any]) -> None:
    def step(*arrays: Any) -> list[Tensor]:
        leaves = [None if x is None else x.detach().requires_grad_(x.dtype.kind == "f")
                  for x in arrays]
        ys = listed(case(*leaves, **call.static))
        roots = [y for y in ys if y.requires_grad]
        gradients = minigrad.grad(
            roots, [x for x in leaves if x is not None and x.requires_grad],
            [(y.detach() * 0.5 + 1) for y in roots], allow_unused=True) if roots else ()
        return [*(y.detach() for y in ys), *(g for g in gradients if g is not None)]

    compiled = minigrad.compile(step)
    for places in range(4):
        arrays = [None if x is None else Tensor(ordered(rolled(x, places))) for x in call.arrays]
        expected = step(*arrays)
        found = compiled(*arrays)
        assert ([(y.dtype, y.shape, y.data.tobytes()) for y in found]
                == [(y.dtype, y.shape, y.data.tobytes()) for y in expected])
