"""What pad, cat, stack, unfold and fold give lies in memory as what they are given does, and is
right in both orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from second_order import assert_torchs_to_the_second_order, ordered

import minigrad as mg
import minigrad.functional as F

TF = torch.nn.functional
SHAPES = [(2, 3, 8, 6), (40, 5, 16, 16)]
FUNCTIONS: dict[str, Any] = {
    "pad": lambda t, f, x: f.pad(x, (1, 2, 3, 0), value=0.5),
    "pad, and cut": lambda t, f, x: f.pad(x, (1, -2, -3, 2, 0, 1)),
    "cat": lambda t, f, x: t.cat([x, x * 2], 1),
    "stack": lambda t, f, x: t.stack([x, x * 2, x * 3], 2),
    "unfold": lambda t, f, x: f.unfold(x, (3, 2), 1, 1, (2, 1)),
    "fold": lambda t, f, x: f.fold(f.unfold(x, 3, 2, 1) * 0.5, x.shape[2:], 3, 2, 1),
    "tril": lambda t, f, x: t.tril(x, 1),
}


@pytest.mark.parametrize("batch_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_torchs(name: str, shape: tuple[int, ...], batch_last: bool
                                         ) -> None:
    assert_torchs_to_the_second_order(
        lambda x: FUNCTIONS[name](mg, F, x), lambda x: FUNCTIONS[name](torch, TF, x), shape,
        batch_last, 3, 1e-12, 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("stack", "tril")])
def test_the_order_of_memory_is_kept(name: str, shape: tuple[int, ...]) -> None:
    a = np.ones(shape, np.float32)
    y = FUNCTIONS[name](mg, F, mg.Tensor(a))
    assert y.data.flags.c_contiguous
    y = FUNCTIONS[name](mg, F, mg.Tensor(ordered(a, True)))
    assert np.moveaxis(y.data, 0, -1).flags.c_contiguous


@pytest.mark.parametrize("copied", [
    lambda x: mg.cat([x]), lambda x: mg.stack([x]), lambda x: x.flip(0), lambda x: x.flip(()),
    lambda x: F.pad(x, (1, 0)), lambda x: F.pad(x, (0, 0)), lambda x: F.pad(x, ()),
    lambda x: F.pad(x, (-1, 0)), lambda x: F.pad(x, (0, 0), "replicate"),
    lambda x: F.pad(x, (0, 0), "circular"), lambda x: F.pad(x, (-1, 0), "circular")])
def test_changes_of_a_copy_leave_x_as_it_was(copied: Any) -> None:
    x = mg.tensor([[1.0, 2.0]])
    y = copied(x)
    y.fill_(7)
    assert x.tolist() == [[1.0, 2.0]]
