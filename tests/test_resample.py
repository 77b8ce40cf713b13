"""interpolate on images of any size and in both orders of memory: values, gradients and gradients
of gradients are torch's, and the result lies in memory as x does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from second_order import assert_torchs_to_the_second_order, ordered

import minigrad as mg
import minigrad.functional as F

KINDS: list[dict[str, Any]] = [
    {"scale_factor": 2, "mode": "bilinear"},
    {"scale_factor": 0.5, "mode": "bilinear"},
    {"scale_factor": (0.4, 2.3), "mode": "bilinear"},
    {"size": (50, 7), "mode": "bilinear", "align_corners": True},
    {"size": (5, 40), "mode": "bilinear", "antialias": True},
    {"scale_factor": 3},
    {"scale_factor": 0.3, "mode": "nearest-exact"},
]
# of an image of 12 by 12
AS_LARGE: list[dict[str, Any]] = [
    {"size": size, "mode": "bilinear", name: True}
    for size in ((12, 12), (12, 20), (7, 12)) for name in ("align_corners", "antialias")]
AS_LARGE.append({"size": 12, "mode": "bilinear"})
SHAPES = [(1, 2, 9, 7), (24, 3, 17, 33), (2, 1, 9, 9000)]     # one vector's worth, many, long lines


@pytest.mark.parametrize("batch_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("static", KINDS, ids=str)
def test_interpolate_is_torchs_to_the_second_order(static: dict[str, Any], shape: tuple[int, ...],
                                                   batch_last: bool) -> None:
    assert_torchs_to_the_second_order(
        lambda x: F.interpolate(x, **static),
        lambda x: torch.nn.functional.interpolate(x, **static), shape, batch_last, 1, 1e-11, 1e-10)


@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (64, 3, 16, 16)])
def test_the_order_of_memory_is_kept(shape: tuple[int, ...]) -> None:
    a = np.ones(shape, np.float32)
    x = mg.Tensor(ordered(a, True), requires_grad=True)
    y = F.interpolate(x, scale_factor=2, mode="bilinear")
    (dx,) = mg.grad([y.sum()], [x])
    assert y.data.transpose(1, 2, 3, 0).flags.c_contiguous
    assert dx.shape == x.shape
    assert F.interpolate(mg.Tensor(a), scale_factor=2).data.flags.c_contiguous


@pytest.mark.parametrize("batch_last", [False, True])
@pytest.mark.parametrize("static", KINDS + AS_LARGE, ids=str)
def test_infinities_and_nan_go_where_they_go_in_torch(static: dict[str, Any], batch_last: bool
                                                      ) -> None:
    a = np.random.default_rng(2).standard_normal((20, 1, 12, 12)).astype(np.float32)
    a[3, 0, 5, 5], a[4, 0, 11, 0], a[5, 0, 0, 11] = np.inf, np.nan, -np.inf
    y = F.interpolate(mg.Tensor(ordered(a, batch_last)), **static)
    expected = torch.nn.functional.interpolate(torch.tensor(a), **static).numpy()
    np.testing.assert_allclose(y.data, expected, rtol=2e-5, atol=2e-6)


def test_taps_are_found_once() -> None:
    from minigrad.ops import resize
    x = mg.Tensor(np.ones((1, 1, 5, 5), np.float32), requires_grad=True)
    for _ in range(2):
        before = resize.taps.cache_info().misses
        F.interpolate(x, size=(11, 13), mode="bilinear").sum().backward()
        misses = resize.taps.cache_info().misses - before
    assert misses == 0


def test_places_on_long_lines_are_rounded_as_in_torch() -> None:
    """Where a place is a large number, its last digit is a large part of the step to the next"""
    a = np.random.default_rng(4).standard_normal((1, 1, 20000)).astype(np.float32)
    y = F.interpolate(mg.Tensor(a), 60000, mode="linear")
    expected = torch.nn.functional.interpolate(torch.tensor(a), 60000, mode="linear").numpy()
    np.testing.assert_allclose(y.data, expected, atol=2e-6)
