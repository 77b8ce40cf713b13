"""Cases of minigrad.ops.norm and minigrad.ops.response_norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import minigrad
from minigrad.ops import norm as ops, response_norm
from minigrad.testing.case import Call, Error, OpCase, Tolerance, example
from minigrad.testing.domains import positive, real
from minigrad.testing.strategies import generators

SHARP = Tolerance(1e-10, 1e-8, "differences of nearly equal values, divided by a small variance")
side = st.integers(1, 4)
epsilon = st.sampled_from([1e-5, 1e-2])


@st.composite
def spread_out(draw, min_dims: int, max_dims: int, axis: int | None = None):
    """(rng, shape): all sides at least 2 where a mean is taken, so that a variance exists."""
    shape = [draw(st.integers(2, 4)) for _ in range(draw(st.integers(min_dims, max_dims)))]
    if axis is not None:
        shape[axis] = draw(side)
    return draw(generators()), tuple(shape)


@st.composite
def lrn_calls(draw) -> Call:
    shape = [draw(st.integers(1, 6)) for _ in range(draw(st.integers(3, 5)))]
    return Call(real(draw(generators()), tuple(shape)), size=draw(st.integers(1, 7)),
                alpha=draw(st.sampled_from([1e-4, 0.5, 2.0])),
                beta=draw(st.sampled_from([0.75, 0.5, 1.2])),
                k=draw(st.sampled_from([1.0, 2.0])))


def contiguous(norm):
    """Some layouts torch's view() refuses, which is no answer to compare with."""
    return lambda x, **static: norm(x.contiguous(), **static)


def running(rng, channels):
    """A mean and a variance for each channel: lists, of no dtype of their own."""
    return real(rng, channels).tolist(), positive(rng, channels).tolist()


@st.composite
def batch_norm_calls(draw) -> Call:
    rng, shape = draw(spread_out(2, 5, axis=1))
    channels = (shape[1],)
    training = draw(st.booleans())
    weight, bias = (draw(st.sampled_from([None, real(rng, channels)])) for _ in range(2))
    return Call(real(rng, shape), weight, bias, training=training, eps=draw(epsilon),
                statistics=None if training and draw(st.booleans())
                else running(rng, channels))


def with_statistics(batch_norm):
    """The affine parameters are differentiable inputs, the running statistics static ones.

    moved: return the running statistics as well, as they are afterwards.
    """
    def run(x, weight=None, bias=None, *, statistics, moved=False, **static):
        new = torch.tensor if isinstance(x, torch.Tensor) else minigrad.tensor
        mean, var = (None, None) if statistics is None else (new(s, dtype=x.dtype)
                                                             for s in statistics)
        y = batch_norm(x, mean, var, weight, bias, **static)
        return (y, mean, var) if moved else y
    return run


def moving(**static: st.SearchStrategy) -> st.SearchStrategy[Call]:
    """Running statistics that move. They depend on x, which no gradient is to tell."""
    def build(rng, shape, momentum, **drawn):
        return Call(real(rng, shape), statistics=running(rng, shape[1:2]), moved=True, **momentum,
                    **drawn)
    return st.builds(build, generators(),
                     st.sampled_from([(4, 3), (2, 3, 4), (3, 2, 2, 3)]).filter(
                         lambda shape: static or len(shape) > 2),
                     st.sampled_from([{}, {"momentum": 0.3}]), **static)


@st.composite
def layer_norm_calls(draw) -> Call:
    rng, shape = draw(spread_out(1, 4))
    last = shape[-draw(st.integers(1, len(shape))):]
    weight, bias = (draw(st.sampled_from([None, real(rng, last)])) for _ in range(2))
    return Call(real(rng, shape), weight, bias, normalized_shape=last, eps=draw(epsilon))


def named_shape(layer_norm):
    def run(x, weight=None, bias=None, *, normalized_shape, **static):
        shape = tuple(int(n) for n in normalized_shape)
        return layer_norm(x, shape, weight, bias, **static)
    return run


@st.composite
def group_norm_calls(draw) -> Call:
    rng, (n, per_group, *rest) = draw(spread_out(3, 5))
    groups = draw(st.integers(1, 3))
    weight, bias = (draw(st.sampled_from([None, real(rng, (groups * per_group,))]))
                    for _ in range(2))
    return Call(real(rng, (n, groups * per_group, *rest)), weight, bias, num_groups=groups,
                eps=draw(epsilon))


def named_groups(group_norm):
    def run(x, weight=None, bias=None, *, num_groups, **static):
        return group_norm(x, int(num_groups), weight, bias, **static)
    return run


@st.composite
def instance_norm_calls(draw) -> Call:
    rng, shape = draw(spread_out(3, 5, axis=1))
    channels = (shape[1],)
    weight, bias = (draw(st.sampled_from([None, real(rng, channels)])) for _ in range(2))
    own = draw(st.booleans())
    return Call(real(rng, shape), weight, bias, use_input_stats=own, eps=draw(epsilon),
                statistics=None if own else running(rng, channels))


def nothing(shapes=((4, 3, 0), (2, 3, 0, 2)), last: int = 3, **static: Any
            ) -> st.SearchStrategy[Call]:
    """No element to normalise"""
    weight = np.arange(2.0, 2.0 + last)
    return st.builds(lambda shape, affine: Call(np.ones(shape), *affine, **static),
                     st.sampled_from(shapes),
                     st.sampled_from([(None, None), (weight, weight), (weight, None)]))


@st.composite
def whole_lrn_calls(draw) -> Call:
    """Of integers, whose mean square is an integer, too; powers that float32 has exactly."""
    shape = (2, draw(st.integers(1, 6)), *draw(st.sampled_from([(3,), (2, 3)])))
    return Call(draw(generators()).integers(-9, 9, shape), size=draw(st.integers(1, 5)),
                alpha=draw(st.sampled_from([0.5, 2.0])), beta=draw(st.sampled_from([1.0, 2.0])),
                k=draw(st.sampled_from([1.0, 2.0])))


X = np.ones((2, 3, 4))
CLOSE = np.array([[0.3, 1.2], [1.7, 1.705]])
"""The last two are almost equal: nearly all of their gradient cancels, and the rest is divided by a
small number. In float32 that would be all rounding error."""

CASES = [
    OpCase(response_norm.local_response_norm, contiguous(F.local_response_norm), lrn_calls(),
           (example(1, real, (2, 6, 3, 2), size=5, alpha=0.5, beta=0.75, k=1.0),
            example(2, real, (2, 6, 3), size=4, alpha=0.5, beta=0.6, k=2.0),
            example(9, real, (2, 5, 3), size=3)),
           (Error(Call(np.ones((2, 3)), size=3), ValueError, "at least 3 dims; got \\(2, 3\\)"),
            Error(Call(X, size=0), ValueError, "size must be at least 1; got 0"),
            Error(Call(X, size=3.0), TypeError, "size must be an int; got 3.0"),
            Error(Call(X, size=3, alpha="1"), TypeError, "alpha must be a number; got '1'"),
            Error(Call(X > 0, size=3), RuntimeError, "floating point")),
           corners=whole_lrn_calls()),
    OpCase(ops.batch_norm, with_statistics(F.batch_norm), batch_norm_calls(),
           (example(3, real, (4, 3, 2), (3,), (3,), training=True, statistics=None),
            example(11, real, (1, 2, 3), training=True, statistics=None),
            Call(np.arange(24.0).reshape(4, 3, 2) ** 2, np.array([1.0, 2, -1]), np.ones(3),
                 training=False, statistics=([1.0, 2.0, 3.0], [1.0, 4.0, 0.5])),
            Call(np.arange(6.0).reshape(2, 3) ** 2, training=False, eps=0,
                 statistics=([1.0, 2.0, 3.0], [1.0, 4.0, 0.5])),
            Call(CLOSE.T, training=True, statistics=None)),
           (Error(Call(np.ones(3), statistics=None), RuntimeError, r"x must be \(N, C, …\)"),
            Error(Call(np.ones(1), training=True, statistics=None), RuntimeError, "x must be"),
            Error(Call(np.ones((1, 3)), training=True, statistics=None), ValueError,
                  "more than one value a channel"),
            Error(Call(X, np.ones(2), training=True, statistics=None), RuntimeError,
                  r"weight must have shape \(3,\); got \(2,\)"),
            Error(Call(X, statistics=None), ValueError, "running_mean and running_var go together"),
            Error(Call(X, training=True, statistics=([0.0], [1.0])), RuntimeError,
                  r"running_mean must have shape \(3,\); got \(1,\)"),
            Error(Call(X, training=True, statistics=None, eps=0), ValueError,
                  "eps must be positive, in evaluation at least 0; got 0"),
            Error(Call(X, training=False, statistics=([0.0] * 3, [1.0] * 3), eps=-1), ValueError,
                  "eps must be positive, in evaluation at least 0; got -1"),
            Error(Call(X, training=True, statistics=None, momentum=None), TypeError,
                  "momentum must be a number; got None"),
            Error(Call(X, training=1, statistics=None), TypeError,
                  "training must be True or False; got 1"),
            Error(Call(X, np.ones(3, np.float32), training=True, statistics=None), RuntimeError,
                  "weight must have x's dtype float64; got float32")),
           run=with_statistics(ops.batch_norm), tolerance=SHARP,
           corners=st.one_of(nothing(statistics=None), moving(training=st.booleans()))),
    OpCase(ops.layer_norm, named_shape(F.layer_norm), layer_norm_calls(),
           (example(5, real, (2, 3, 4), (3, 4), (3, 4), normalized_shape=(3, 4)),
            Call(CLOSE, normalized_shape=(2,))),
           (Error(Call(X, normalized_shape=(3,)), RuntimeError,
                  r"x must end in normalized_shape \(3,\); got x \(2, 3, 4\)"),
            Error(Call(X, np.ones(3), normalized_shape=(4,)), RuntimeError,
                  r"weight must have shape \(4,\); got \(3,\)"),
            Error(Call(X, normalized_shape=()), RuntimeError, "x must end in normalized_shape"),
            Error(Call(X, normalized_shape=(4,), eps="0"), TypeError, "eps must be a number")),
           run=named_shape(ops.layer_norm), tolerance=SHARP,
           corners=st.one_of(nothing([(0, 3), (2, 0, 3)], normalized_shape=(3,)),
                             st.just(Call([[2.0]], [3.0], [0.5], normalized_shape=(1,))))),
    OpCase(ops.group_norm, named_groups(F.group_norm), group_norm_calls(),
           (example(6, real, (2, 6, 3), (6,), (6,), num_groups=2),
            example(10, real, (2, 6, 2, 3), (6,), (6,), num_groups=3),
            Call(CLOSE.reshape(1, 4), num_groups=2), Call(np.ones((0, 4, 3)), num_groups=2)),
           (Error(Call(X, num_groups=2), RuntimeError, "num_groups 2 must divide the channels"),
            Error(Call(X, num_groups=0), RuntimeError, "num_groups 0 must divide the channels"),
            Error(Call(np.ones(3), num_groups=1), RuntimeError, "num_groups 1 must divide"),
            Error(Call(np.ones((2, 0, 3)), num_groups=1), RuntimeError, "only N can be 0"),
            Error(Call(np.ones((2, 3, 0)), num_groups=1), RuntimeError, "only N can be 0"),
            Error(Call(np.ones((1, 3)), num_groups=3), ValueError, "more than one value a group"),
            Error(Call(X, np.ones(1), num_groups=3), RuntimeError,
                  r"weight must have shape \(3,\); got \(1,\)")),
           run=named_groups(ops.group_norm), tolerance=SHARP),
    OpCase(ops.instance_norm, with_statistics(F.instance_norm), instance_norm_calls(),
           (example(8, real, (2, 3, 4), (3,), (3,), statistics=None),
            Call(CLOSE[None], statistics=None)),
           (Error(Call(np.ones((2, 3, 1)), statistics=None), ValueError,
                  "more than one value a channel"),
            Error(Call(np.ones((2, 3)), statistics=None), ValueError, "more than one value a chan"),
            Error(Call(np.ones(3), statistics=None), RuntimeError, r"x must be \(N, C, …\)"),
            Error(Call(X, np.ones(1), statistics=None), RuntimeError,
                  r"instance_norm: weight must have shape \(3,\); got \(1,\)"),
            Error(Call(X, use_input_stats=False, statistics=None), ValueError,
                  "instance_norm: running_mean and running_var go together")),
           run=with_statistics(ops.instance_norm), tolerance=SHARP,
           corners=st.one_of(nothing(statistics=None), moving())),
]
