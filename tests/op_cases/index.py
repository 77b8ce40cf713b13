"""Cases of minigrad.ops.index."""

from __future__ import annotations

import functools
import operator

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import index as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real, special
from minigrad.testing.strategies import any_shapes, broadcastable_shapes, dim_of, generators, shapes

X = np.arange(6.0).reshape(2, 3)


@st.composite
def keys(draw, shape) -> object:
    """Ints, slices, None, ..., bools, lists, integer arrays and masks in any mixture that fits."""
    if draw(st.integers(0, 4)) == 0:
        mask = np.asarray(draw(generators()).random(shape) < 0.5)
        return mask.astype(np.uint8) if draw(st.booleans()) else mask
    key: list = []
    length = draw(st.sampled_from([None, 1, 3]))        # of the integer arrays
    dims = draw(st.integers(0, len(shape)))
    while len(key) < dims:
        n = shape[len(key)]
        choices = [st.builds(slice, st.sampled_from([None, 0, 1, -2]),
                             st.sampled_from([None, 2, -1, 9]), st.sampled_from([None, 1, 2]))]
        if n:
            choices.append(st.integers(-n, n - 1))
        if n and length:
            places = st.lists(st.integers(-n, n - 1), min_size=length, max_size=length)
            choices += [places, places.map(np.array), places.map(lambda p: np.array([p, p[::-1]]))]
            trues = st.permutations([True] * min(length, n) + [False] * (n - length))
            choices += [trues.map(np.array)] if length <= n else []
        key.append(draw(st.one_of(choices)))
    full = len(key) == len(shape)
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))) if full else len(key), ...)
    for extra in (None, True, False):
        if draw(st.integers(0, 3)) == 0 and (extra is not False or not length):
            key.insert(draw(st.integers(0, len(key))), extra)
    return key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


@st.composite
def getitem_calls(draw) -> Call:
    shape = draw(any_shapes())
    return Call(real(draw(generators()), shape), key=draw(keys(shape)))


def torch_getitem(x, key):
    """With masks as bool and lists of parts as tuples: torch warns of what it reads as such."""
    def plain(k):
        return k.bool() if isinstance(k, torch.Tensor) and k.dtype == torch.uint8 else k
    if isinstance(key, list) and any(isinstance(k, list | slice) for k in key):
        key = tuple(key)
    return x[tuple(map(plain, key)) if isinstance(key, tuple) else plain(key)]


def emptied(getitem):
    """x once zeros are written to x[key]."""
    def run(x, key):
        memory = x.detach().clone()
        getitem(memory, key).data[...] = 0
        return memory
    return run


def assigned(assign):
    """x once a value is written to x[key]: a tensor, or what is `given`."""
    def run(x, *value, key, given=None):
        memory = x.detach().clone()
        assign(memory, key, *[v.detach() for v in value] or [given])
        return memory
    return run


def select(x, dim, index):
    """torch's index_select, which refuses an empty index unless it holds integers."""
    return torch.index_select(x, dim, index if index.numel() else index.long())


@st.composite
def selections(draw) -> Call:
    shape = draw(shapes())
    dim = draw(dim_of(len(shape)))
    n = shape[dim] if shape else 1
    size = draw(st.integers(0, 4)) if shape else 1
    rng = draw(generators())
    return Call(real(rng, shape), dim=dim, index=rng.integers(0, n, size))


@st.composite
def gathers(draw) -> Call:
    shape = draw(shapes())
    dim = draw(dim_of(len(shape)))
    axis = dim % max(len(shape), 1)
    size = tuple(draw(st.integers(0, 5 if i == axis else n)) for i, n in enumerate(shape))
    if len(shape) < 2 and draw(st.booleans()):
        size = () if shape else (draw(st.integers(0, 3)),)
    rng = draw(generators())
    return Call(real(rng, shape), dim=dim,
                index=rng.integers(0, shape[axis] if shape else 1, size))


@st.composite
def fillings(draw, domain=real) -> Call:
    rng = draw(generators())
    shape, mask = draw(broadcastable_shapes(2))
    return Call(domain(rng, shape), domain(rng, ()), mask=np.asarray(rng.random(mask) < 0.5))


ROWS = np.array([0, 1, 1, 0])


def rows_static(embedding):
    """max_norm changes the weight, which is to stay as it is for others."""
    @functools.wraps(embedding)
    def run(weight, *, rows, **static):
        if "max_norm" in static:
            weight = weight.detach().clone().requires_grad_()
        return embedding(rows, weight, **static)
    return run


LOOKED_UP = np.array([[0, 2, 2], [3, 0, 1]])


def embedding_calls(**padding) -> st.SearchStrategy[Call]:
    return st.builds(lambda rng, rows, **padding: Call(real(rng, (4, 3)),
                                                       rows=np.array(rows, np.int64), **padding),
                     generators(), st.lists(st.integers(0, 3), max_size=5), **padding)


CASES = [
    OpCase(ops.getitem, torch_getitem, getitem_calls(),
           (example(1, real, (3, 4), key=(slice(1, None), slice(None, None, 2))),
            example(2, real, (2, 3), key=ROWS - 1), example(3, real, (2, 3), key=(1, ..., None)),
            example(4, real, (2, 3), key=np.array([[True, False, True], [False, True, True]])),
            example(5, real, (2, 3, 2), key=(ROWS, slice(None), np.array([1, 1, 0, 0]))),
            example(6, real, (2, 3, 4), key=(0, slice(None), ROWS)),
            example(7, real, (2, 3, 4), key=(ROWS[:2], ..., np.array(1))),
            example(8, real, (2, 2, 3), key=(np.array([[True, False], [True, True]]), -1)),
            example(12, real, (2, 3), key=[[0, 1, 1], [2, 0, 2]]),
            example(13, real, (2, 3), key=[slice(None), [2, 0]]),
            example(14, real, (2, 3), key=([[0, 1], [1, 0]], [2, 0])),
            example(15, real, (2, 3), key=(0, True, [1, 2])), example(16, real, (2, 3), key=()),
            example(17, real, (3, 2, 3), key=([0, 1], ..., [2, 0])),
            example(18, real, (2, 3), key=([0, 1], ..., [2, 0])),
            example(19, real, (2, 3), key=np.array([0, 1], np.uint8)),
            example(20, real, (3,), key=np.array(1)), example(21, real, (2, 3), key=[])),
           (*(Error(Call(X, key=key), IndexError,
                    rf"indexing: index {k} is out of range for dim {dim} of size {n}; got shape")
              for key, k, dim, n in ((2, 2, 0, 2), (4, 4, 0, 2), (-3, -3, 0, 2), ((0, 3), 3, 1, 3),
                                     (np.array([0, 5]), 5, 0, 2), ([[0], [-4, 1]], -4, 1, 3),
                                     ((..., [-4]), -4, 1, 3), ((None, 0, 3), 3, 1, 3))),
            *(Error(Call(X, key=key), IndexError, rf"indexing: {n} indices are too many for shape")
              for key, n in (((0, 0, 0), 3), (np.ones((2, 3, 1), bool), 3),
                             ((np.ones((2, 3), bool), 0), 3))),
            Error(Call(np.ones(()), key=0), IndexError, r"1 indices are too many for shape \(\)"),
            Error(Call(np.ones(()), key=slice(None)), IndexError, "1 indices are too many"),
            *(Error(Call(X, key=key), IndexError, "indexing: a mask of shape .* does not fit dims")
              for key in (np.ones((3, 2), bool), np.ones((1, 3), bool), [True, False, True],
                          (0, [True, False]), np.ones(3, np.uint8), np.zeros((2, 0), bool))),
            Error(Call(X, key=([0, 1], [0, 1, 2])), IndexError,
                  r"indexing: index arrays must broadcast; got shapes \(2,\), \(3,\)"),
            Error(Call(X, key=slice(None, None, -1)), ValueError,
                  "indexing: a slice's step must be positive; got -1"),
            Error(Call(X, key=slice(None, None, 0)), ValueError, "step must be positive; got 0"),
            *(Error(Call(X, key=slice(*key)), TypeError, "a slice needs ints or None; got 1.5")
              for key in ((0, 1.5), (1.5, None), (None, None, 1.5))),
            Error(Call(X, key=1.0), IndexError, "indexing: needs ints, .* or booleans; got 1.0"),
            Error(Call(X, key="a"), IndexError, "indexing: needs ints, .* or booleans; got 'a'"),
            Error(Call(X, key=np.array([0.0])), IndexError,
                  "indexing: an index must hold integers or booleans; got float64"),
            Error(Call(X, key=([[0, 1], [0]], 0)), IndexError, "lists of an index are ragged"))),
    OpCase(ops.getitem, emptied(operator.getitem),
           st.builds(lambda rng, key: Call(real(rng, (2, 3)), key=key), generators(),
                     st.sampled_from([(), 1, (1, 2), slice(1), (..., 0), (None, 1)])),
           (example(26, real, (2, 3), key=(1, 2)), example(27, real, (2, 3), key=(..., 1, 0)),
            example(28, real, (2, 3), key=np.array(1))),
           run=emptied(ops.getitem), differentiable=False, name="getitem, as a view"),
    OpCase(ops.assign, assigned(lambda x, key, value: operator.setitem(
        x, key, torch.as_tensor(value))),
           st.builds(lambda rng, key: Call(real(rng, (2, 3)), real(rng, ()), key=key), generators(),
                     st.sampled_from([(), 1, slice(1), (..., 0), [0, 1], (1, [0, 2])])),
           (example(29, real, (2, 3), (2,), key=(1, [0, 2])),
            example(30, real, (2, 3), (1, 3), key=slice(None)),
            Call(X, key=0, given=[7.0, 8.0, 9.0])),
           (Error(Call(X, key=0, given="a"), TypeError,
                  "item assignment: needs a Tensor, an array or numbers; got 'a'"),
            Error(Call(X, np.ones(2), key=0), RuntimeError,
                  r"item assignment: a value of shape \(2,\) does not fit the place of shape \(3,"),
            Error(Call(X, 1.0, key=2), IndexError, "indexing: index 2 is out of range")),
           run=assigned(lambda x, key, value: ops.assign(x.data, key, value)),
           differentiable=False),
    OpCase(ops.index_select, select, selections(),
           (example(8, real, (2, 3), dim=1, index=np.array([2, 0, 2])),
            example(9, real, (3, 2), dim=-2, index=np.array([1])),
            example(9, real, (3, 2), dim=0, index=np.array(1, np.int32)),
            example(33, real, (2, 3, 2), dim=np.int64(1), index=np.array([1, 0])),
            example(34, real, (2, 3), dim=1, index=np.zeros(0))),
           (Error(Call(X, dim=1, index=np.array([3])), IndexError,
                  r"index_select: index must lie in \[0, 2\] for dim 1; got 3 to 3"),
            Error(Call(X, dim=1, index=np.array([-1])), IndexError, "index_select: index must lie"),
            Error(Call(X, dim=1, index=np.array([[0]])), IndexError,
                  r"index_select: index must be 1-d; got \(1, 1\)"),
            Error(Call(X, dim=5, index=np.array([0])), IndexError, "index_select: dim 5"),
            Error(Call(X, dim=0, index=np.array([0.0])), RuntimeError,
                  "index_select: index must hold int64 or int32; got float64"),
            Error(Call(X, dim=0, index=np.array([0, 1], np.uint8)), RuntimeError,
                  "index_select: index must hold int64 or int32; got uint8"),
            Error(Call(np.ones(()), dim=0, index=np.array([0, 0])), RuntimeError,
                  "index_select: a 0-d tensor has one position to select; got 2"),
            Error(Call(np.ones(()), dim=0, index=np.array([1])), IndexError,
                  r"index must lie in \[0, 0\]"))),
    OpCase(ops.gather, torch.gather, gathers(),
           (example(10, real, (2, 3), dim=1, index=np.array([[2, 0], [1, 1]])),
            example(11, real, (2, 3), dim=0, index=np.array([[1, 0, 1]])),
            example(31, real, (2, 3), dim=1, index=np.array([[2, 0]])),
            example(32, real, (2, 3), dim=0, index=np.array([[1, 0]])),
            example(22, real, (), dim=0, index=np.array([0, 0])),
            example(23, real, (3,), dim=0, index=np.array(2)),
            example(24, real, (2, 3), dim=1, index=np.zeros((0, 7, 1), np.int64)),
            example(25, real, (2, 3), dim=1, index=np.zeros((0, 2), np.uint8))),
           (Error(Call(X, dim=1, index=np.array([[3], [0]])), RuntimeError,
                  r"gather: index must lie in \[0, 2\] for dim 1; got 0 to 3"),
            Error(Call(X, dim=1, index=np.array([0])), RuntimeError,
                  r"gather: index must have x's number of dims .*got x \(2, 3\), index \(1,\)"),
            Error(Call(X, dim=1, index=np.zeros((3, 1), int)), RuntimeError,
                  "gather: index must have .* fit within x except along dim 1"),
            Error(Call(X, dim=5, index=np.zeros((1, 1), int)), IndexError, "gather: dim 5"),
            Error(Call(X, dim=0, index=np.zeros((1, 1))), RuntimeError,
                  "gather: index must hold int64 or int32; got float64"),
            Error(Call(X, dim=1, index=np.array([[0], [-1]])), RuntimeError,
                  r"gather: index must lie in \[0, 2\] for dim 1; got -1 to 0"),
            Error(Call(np.ones(()), dim=0, index=np.array([[0]])), RuntimeError,
                  "gather: index must have x's number of dims"))),
    OpCase(ops.masked_fill, lambda x, value, mask: x.masked_fill(mask, value), fillings(),
           (Call(X, 7.0, mask=X % 2 == 1), Call(X + 0.5, -1.0, mask=np.array([True, False, True])),
            Call(X[0], -1.0, mask=X % 2 == 1)),
           (Error(Call(X, 1.0, mask=X), RuntimeError, "masked_fill: mask must be boolean; got flo"),
            Error(Call(X, np.ones(3), mask=X > 1), RuntimeError,
                  r"masked_fill: value must be a number or 0-d; got \(3,\)"),
            Error(Call(X, 1.0, mask=np.ones((2, 2), bool)), RuntimeError,
                  r"masked_fill: a mask of shape \(2, 2\) does not broadcast with x \(2, 3\)")),
           corners=fillings(special),
           run=lambda x, value, mask: ops.masked_fill(x, mask, value)),
    OpCase(ops.embedding, rows_static(torch.nn.functional.embedding), embedding_calls(),
           (Call(real(np.random.default_rng(10), (4, 3)), rows=LOOKED_UP),
            Call(real(np.random.default_rng(11), (4, 3)), rows=LOOKED_UP.astype(np.int32)),
            # every row once: there scaling by 1 is no scaling, and finite differences apply
            Call(real(np.random.default_rng(12), (4, 3)), rows=np.array([3, 0, 1, 2]),
                 scale_grad_by_freq=True)),
           (Error(Call(X, rows=np.array([2])), IndexError, r"must lie in \[0, 1\]; got 2 to 2"),
            Error(Call(X, rows=np.array([-1])), IndexError, "got -1 to -1"),
            Error(Call(X, rows=np.array([0.5])), RuntimeError, "needs int64 or int32"),
            Error(Call(X, rows=np.array([True])), RuntimeError, "needs int64 or int32"),
            Error(Call(np.ones(3), rows=LOOKED_UP), RuntimeError, r"a weight \(V, D\); .* \(3,\)"),
            Error(Call(X, rows=np.array([1]), padding_idx=1.0), TypeError,
                  "padding_idx must be an int; got 1.0"),
            *(Error(Call(X, rows=np.array([1]), padding_idx=n), ValueError,
                    rf"padding_idx must lie in \[-2, 1\]; got {n}") for n in (-3, 2)),
            Error(Call(X, rows=np.array([1]), max_norm="1"), TypeError,
                  "max_norm must be a number; got '1'")),
           run=rows_static(ops.embedding),
           corners=st.one_of(
               st.sampled_from([
                   Call(np.eye(4, 3), rows=LOOKED_UP, padding_idx=-4),
                   Call(np.eye(4, 3), rows=LOOKED_UP, scale_grad_by_freq=True),
                   Call(np.eye(4, 3), rows=LOOKED_UP, max_norm=1.0)]),
               st.just(Call(np.eye(4, 3), rows=LOOKED_UP, padding_idx=2)),
               embedding_calls(padding_idx=st.sampled_from([None, 2, -1]),
                               scale_grad_by_freq=st.booleans()),
               embedding_calls(max_norm=st.sampled_from([0.5, 1.0, 2.0])),
               embedding_calls(max_norm=st.just(1.0), norm_type=st.sampled_from([1.0, 3.0])))),
]
