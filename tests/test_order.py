"""Copies of arrays whose dims lie in memory in another order than they are numbered."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import minigrad as mg
import minigrad.functional as F
from minigrad import kernels

SIZES = st.lists(st.sampled_from([1, 2, 3, 16, 33, 130]), min_size=1, max_size=5).filter(
    lambda sizes: math.prod(sizes) < 2**19)


@st.composite
def arrays(draw: Any) -> Any:
    """Of any order of dims, with slices, repetitions and reversed dims"""
    sizes = draw(SIZES)
    x = np.arange(math.prod(sizes)).astype(draw(st.sampled_from(["f4", "f8", "i8"]))).reshape(sizes)
    x = x.transpose(draw(st.permutations(range(len(sizes)))))
    for dim in range(x.ndim):
        part = draw(st.sampled_from([slice(None)] * 6 + [slice(None, None, 2), slice(1, None),
                                                         slice(None, None, -1)]))
        x = x[(slice(None),) * dim + (part,)]
    if draw(st.integers(0, 5)) == 0:
        x = np.broadcast_to(x, (3, *x.shape))
    return x


@given(arrays())
def test_a_contiguous_copy_holds_the_same(x: Any) -> None:
    y = kernels.contiguous(x)
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, x)
    assert (y is x) == x.flags.c_contiguous


@given(st.data())
def test_a_view_where_numpy_has_one(data: Any) -> None:
    x = data.draw(arrays())
    factors = [n for size in x.shape for n in data.draw(st.sampled_from(
        [[size]] + [[k, size // k] for k in (2, 3, 5, 8) if size and size % k == 0]))]
    shape: list[int] = []
    for n in factors:
        if shape and data.draw(st.booleans()):
            shape[-1] *= n
        else:
            shape.append(n)
    y = kernels.reshaped(x, tuple(shape))
    np.testing.assert_array_equal(y, x.reshape(shape))
    assert np.shares_memory(y, x) == np.shares_memory(x.reshape(shape), x)


@given(st.data())
def test_what_is_joined_has_the_order_of_the_first(data: Any) -> None:
    x, axis = data.draw(arrays()), data.draw(st.integers(0, 9))
    others = [np.asfortranarray(x), np.ascontiguousarray(x)]
    if x.ndim:
        y = kernels.concatenate([x, *others], axis % x.ndim)
        np.testing.assert_array_equal(y, np.concatenate([x, *others], axis % x.ndim))
        assert y.transpose(kernels.memory_order(x)).flags.c_contiguous


def test_values_of_fields_are_copied() -> None:
    """Their strides are no whole numbers of values"""
    x = np.zeros((80, 90), [("a", "f8"), ("b", "i4")])
    x["a"] = np.random.default_rng(0).standard_normal(x.shape)
    np.testing.assert_array_equal(kernels.contiguous(x["a"].T), x["a"].T)


@pytest.mark.parametrize("turned", [(1, 0, 2, 3), (1, 2, 3, 0), (3, 2, 1, 0)])
@pytest.mark.parametrize("small", [(8, 32, 12, 20), (1, 32, 1, 20), (8, 1, 12, 1), (12, 20), (1,)])
def test_sums_of_what_lies_in_different_orders(turned: tuple[int, ...], small: tuple[int, ...]
                                               ) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((8, 32, 12, 20)).astype(np.float32)
    a = np.ascontiguousarray(a.transpose(turned)).transpose(np.argsort(turned))
    b = rng.standard_normal(small).astype(np.float32)
    ours = mg.tensor(0) + mg.Tensor(a) * mg.Tensor(b)
    np.testing.assert_array_equal(ours.data, (torch.from_numpy(a.copy()) * torch.from_numpy(b)))


def test_what_is_added_to_an_array_in_its_own_order_keeps_that() -> None:
    """After an embedding or a patch that a convolution made, a transformer's values then lie item
    by item"""
    patches = F.conv2d(mg.randn(16, 3, 32, 32), mg.randn(24, 3, 4, 4), stride=4)
    x = patches.flatten(2).transpose(1, 2)
    assert not x.data.flags.c_contiguous
    for y in (x + F.layer_norm(x, (24,)), F.layer_norm(x, (24,)) + x):
        assert y.data.flags.c_contiguous
