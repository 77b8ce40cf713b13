"""Multiply-adds are those of PyTorch's own counter, and bytes those that the shapes imply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import minigrad as mg
import minigrad.functional as F
from minigrad.inspect.flops import bytes_moved, multiply_adds
from minigrad.observer import Observer
from minigrad.tensor import Tensor


class Counter(Observer):
    def __init__(self) -> None:
        self.products = 0
        self.bytes: list[int] = []

    def op_ends(self, op: Any, inputs: Any, static: dict[str, Any], y: Tensor) -> None:
        self.products += multiply_adds(op, inputs, static, y)
        self.bytes.append(bytes_moved(op, inputs, static, y))


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[int, ...]]]] = {
    "linear": (F.linear, torch.nn.functional.linear, [(5, 7), (3, 7), (3,)]),
    "linear, 3 dims": (F.linear, torch.nn.functional.linear, [(2, 5, 7), (3, 7), (3,)]),
    "mm": (mg.mm, torch.mm, [(4, 5), (5, 6)]),
    "bmm": (mg.bmm, torch.bmm, [(3, 4, 5), (3, 5, 6)]),
    "matmul, broadcast": (mg.matmul, torch.matmul, [(2, 1, 4, 5), (3, 5, 6)]),
    "einsum": (lambda a, b: mg.einsum("bhqd,bhkd->bhqk", a, b),
               lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), [(2, 3, 4, 5), (2, 3, 6, 5)]),
    "einsum of three": (lambda *x: mg.einsum("ij,jk,kl->il", *x),
                        lambda *x: torch.einsum("ij,jk,kl->il", *x), [(2, 3), (3, 4), (4, 5)]),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1),
               lambda x, w, b: torch.conv1d(x, w, b, stride=2, padding=1),
               [(2, 3, 11), (4, 3, 3), (4,)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1, dilation=2),
               lambda x, w, b: torch.conv2d(x, w, b, padding=1, dilation=2),
               [(2, 3, 9, 8), (4, 3, 3, 2), (4,)]),
    "transposed conv": (lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1),
                        lambda x, w: torch.conv_transpose2d(x, w, stride=2, padding=1),
                        [(2, 3, 5, 6), (3, 4, 3, 3)]),
}


@pytest.mark.parametrize("name", CASES)
def test_as_pytorchs_counter(name: str) -> None:
    own, torchs, shapes = CASES[name]
    arrays = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes)]
    with Counter() as forward:
        y = own(*(xs := [Tensor(a, True) for a in arrays]))
    with Counter() as backward:
        y.sum().backward()
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    with FlopCounterMode(display=False) as torchs_forward:
        t = torchs(*ts)
    with FlopCounterMode(display=False) as torchs_backward:
        t.sum().backward()
    assert 2 * forward.products == torchs_forward.get_total_flops() > 0
    assert 2 * backward.products == torchs_backward.get_total_flops() > 0
    assert all(x.grad is not None for x in xs)


@pytest.mark.parametrize("transposed", [False, True])
def test_each_group_of_a_convolution_is_one_by_itself(transposed: bool) -> None:
    function = F.conv_transpose2d if transposed else F.conv2d

    def count(groups: int) -> int:
        x, w = mg.randn(2, 6, 7, 7), mg.randn(6, 6 // groups, 3, 3)
        x.requires_grad, w.requires_grad = True, True
        with Counter() as counter:
            function(x, w, groups=groups).sum().backward()
        return counter.products

    assert count(1) == 3 * count(3) == 6 * count(6)


def test_bytes() -> None:
    x, row = mg.ones(8, 16), mg.ones(16)
    index = mg.tensor([0, 0, 1])
    with Counter() as counter:
        x + row                     # reads x and the row
        x * x                       # reads x once
        x.reshape(4, 32)            # a view
        row.expand(8, 16) + x       # a view, then as above
        mg.index_select(x, 0, index)    # reads three rows and the index
    assert counter.bytes == [4 * (128 + 16 + 128), 4 * 256, 0, 0, 4 * (128 + 16 + 128),
                             4 * 96 + 24]
