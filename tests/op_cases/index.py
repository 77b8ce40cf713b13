"""Cases of minigrad.ops.index."""

from __future__ import annotations

import numpy as np
import torch
from domains import any_shapes, dim_of, real, seeds, shapes
from hypothesis import strategies as st

from minigrad.ops import index as ops
from op_cases.case import Call, Error, OpCase, example

X = np.arange(6.0).reshape(2, 3)


@st.composite
def keys(draw, shape) -> object:
    """Ints, slices, None, ..., integer arrays and masks, in any mixture that fits."""
    if draw(st.integers(0, 4)) == 0:
        return np.asarray(draw(seeds).random(shape) < 0.5)
    key: list = []
    length = draw(st.sampled_from([None, 1, 3]))        # of the integer arrays
    for n in shape[:draw(st.integers(0, len(shape)))]:
        choices = [st.builds(slice, st.sampled_from([None, 0, 1, -2]),
                             st.sampled_from([None, 2, -1, 9]), st.sampled_from([None, 1, 2]))]
        if n:
            choices.append(st.integers(-n, n - 1))
        if n and length:
            choices.append(st.lists(st.integers(-n, n - 1), min_size=length, max_size=length)
                           .map(lambda places: np.array(places)))
        key.append(draw(st.one_of(choices)))
    full = len(key) == len(shape)
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))) if full else len(key), ...)
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), None)
    return key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


@st.composite
def getitem_calls(draw) -> Call:
    shape = draw(any_shapes())
    return Call(real(draw(seeds), shape), key=draw(keys(shape)))


@st.composite
def selections(draw) -> Call:
    shape = draw(shapes())
    dim = draw(dim_of(len(shape)))
    n = shape[dim] if shape else 1
    size = draw(st.integers(0, 4)) if shape else 1
    rng = draw(seeds)
    return Call(real(rng, shape), dim=dim, index=rng.integers(0, n, size))


@st.composite
def gathers(draw) -> Call:
    shape = draw(shapes())
    dim = draw(dim_of(len(shape)))
    axis = dim % max(len(shape), 1)
    size = tuple(draw(st.integers(0, 5 if i == axis else n)) for i, n in enumerate(shape))
    rng = draw(seeds)
    return Call(real(rng, shape), dim=dim,
                index=rng.integers(0, shape[axis] if shape else 1, size))


ROWS = np.array([0, 1, 1, 0])

CASES = [
    OpCase(ops.getitem, lambda x, key: x[key], getitem_calls(),
           (example(1, real, (3, 4), key=(slice(1, None), slice(None, None, 2))),
            example(2, real, (2, 3), key=ROWS), example(3, real, (2, 3), key=(1, ..., None)),
            example(4, real, (2, 3), key=np.array([[True, False, True], [False, True, True]])),
            example(5, real, (2, 3, 2), key=(ROWS, slice(None), np.array([1, 1, 0, 0]))),
            example(6, real, (2, 3, 4), key=(0, slice(None), ROWS)),
            example(7, real, (2, 3, 4), key=(ROWS[:2], ..., np.array(1))),
            example(8, real, (2, 2, 3), key=(np.array([[True, False], [True, True]]), -1))),
           (Error(Call(X, key=2), IndexError, "index 2 is out of bounds"),
            Error(Call(X, key=(0, 0, 0)), IndexError, "too many indices"),
            Error(Call(X, key=np.array([0, 5])), IndexError, "index 5 is out of bounds"),
            Error(Call(X, key=np.ones((3, 2), bool)), IndexError, "boolean"))),
    OpCase(ops.index_select, torch.index_select, selections(),
           (example(8, real, (2, 3), dim=1, index=np.array([2, 0, 2])),
            example(9, real, (3, 2), dim=-2, index=np.array([1]))),
           (Error(Call(X, dim=1, index=np.array([3])), IndexError,
                  r"index_select: index must lie in \[0, 2\] for dim 1; got 3 to 3"),
            Error(Call(X, dim=1, index=np.array([-1])), IndexError, "index_select: index must lie"),
            Error(Call(X, dim=1, index=np.array([[0]])), IndexError,
                  r"index_select: index must be 1-d; got \(1, 1\)"),
            Error(Call(X, dim=5, index=np.array([0])), IndexError, "index_select: dim 5"),
            Error(Call(X, dim=0, index=np.array([0.0])), RuntimeError,
                  "index_select: index must hold integers; got float64"))),
    OpCase(ops.gather, torch.gather, gathers(),
           (example(10, real, (2, 3), dim=1, index=np.array([[2, 0], [1, 1]])),
            example(11, real, (2, 3), dim=0, index=np.array([[1, 0, 1]]))),
           (Error(Call(X, dim=1, index=np.array([[3], [0]])), (IndexError, RuntimeError),
                  r"gather: index must lie in \[0, 2\] for dim 1; got 0 to 3"),
            Error(Call(X, dim=1, index=np.array([0])), RuntimeError,
                  r"gather: index must have x's number of dims .*got x \(2, 3\), index \(1,\)"),
            Error(Call(X, dim=1, index=np.zeros((3, 1), int)), RuntimeError,
                  "gather: index must have .* fit within x except along dim 1"),
            Error(Call(X, dim=5, index=np.zeros((1, 1), int)), IndexError, "gather: dim 5"),
            Error(Call(X, dim=0, index=np.zeros((1, 1))), RuntimeError,
                  "gather: index must hold integers"))),
]
