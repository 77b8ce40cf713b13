"""Cases of minigrad.ops.reduce."""

from __future__ import annotations

import numpy as np
import torch
from domains import (
    Domain,
    any_shapes,
    dim_of,
    dims_of,
    distinct,
    finite_special,
    nonzero,
    real,
    seeds,
    shapes,
    special,
    tied,
)
from hypothesis import strategies as st

from minigrad.ops import reduce as ops
from op_cases.case import Call, Error, OpCase, example


@st.composite
def over_dims(draw, domain: Domain, shape=None, none=True, **static) -> Call:
    """dim: None, an int or several."""
    drawn = draw(any_shapes() if shape is None else shape)
    more = {name: draw(s) for name, s in static.items()}
    return Call(domain(draw(seeds), drawn), dim=draw(dims_of(len(drawn), none=none)),
                keepdim=draw(st.booleans()), **more)


@st.composite
def over_dim(draw, domain: Domain, shape=None, none=False, keepdim=True) -> Call:
    """dim: one int (or None)."""
    drawn = draw(any_shapes() if shape is None else shape)
    dim = None if none and draw(st.booleans()) else draw(dim_of(len(drawn)))
    more = {"keepdim": draw(st.booleans())} if keepdim and dim is not None else {}
    return Call(domain(draw(seeds), drawn), dim=dim, **more)


def out_of_range(op) -> tuple[Error, ...]:
    x = np.ones((2, 3))
    name = op.__name__
    return tuple(Error(Call(x, dim=dim), IndexError, rf"{name}: dim {dim} is out of range {span}")
                 for x, dim, span in ((x, 2, r"\[-2, 1\]"), (x, -3, r"\[-2, 1\]"),
                                      (np.ones(()), 1, r"\[-1, 0\]")))


def twice(op) -> Error:
    return Error(Call(np.ones((2, 3)), dim=(0, -2)), RuntimeError,
                 rf"{op.__name__}: dim \(0, -2\) names a dim twice")


def empty(op, dim, kind=IndexError) -> Error:
    return Error(Call(np.ones((2, 0)), dim=dim), kind,
                 rf"{op.__name__}: cannot reduce over a dim of size 0; got shape \(2, 0\)")


def integers(op, **static) -> Error:
    return Error(Call(np.arange(3), **static), RuntimeError,
                 f"{op.__name__}: needs floating point input; got int64")


def moment(op, reference) -> OpCase:
    """var and std: at least two elements, so that nothing is 0/0."""
    wide = shapes(1, 3, min_side=3, max_side=4)
    return OpCase(op, reference,
                  over_dims(distinct, wide, correction=st.sampled_from([0, 1, 2])),
                  (example(1, real, (2, 4), dim=1), example(2, real, (3, 4)),
                   example(3, real, (3, 2, 2), dim=(0, -1), keepdim=True, correction=0)),
                  (*out_of_range(op), twice(op), integers(op)),
                  corners=st.one_of(over_dims(special, wide),
                                    over_dims(tied, shapes(), correction=st.just(0))))


def picking(op, reference) -> OpCase:
    """max and min along a dim: values and indices."""
    def flat(f):
        def call(x, dim, keepdim=False):
            return f(x) if dim is None else tuple(f(x, dim, keepdim))
        return call
    nonempty = shapes(0, 3)
    return OpCase(op, flat(reference), over_dim(distinct, nonempty, none=True),
                  (example(4, distinct, (2, 3), dim=1), example(5, distinct, (2, 3), dim=0,
                                                                keepdim=True),
                   example(6, distinct, (2, 3), dim=None)),
                  (*out_of_range(op), empty(op, 1)),
                  # over all elements the gradient at NaN is NaN here, as for amax
                  corners=st.one_of(over_dim(tied, nonempty, none=True),
                                    over_dim(special, nonempty)),
                  run=flat(op))


def extreme(op, reference) -> OpCase:
    nonempty = shapes(0, 3)
    return OpCase(op, reference, over_dims(distinct, nonempty, none=False),
                  (example(7, distinct, (2, 3), dim=1), example(8, distinct, (2, 3), dim=()),
                   example(9, distinct, (3, 2, 2), dim=(0, -1), keepdim=True)),
                  (*out_of_range(op), twice(op), empty(op, 1)),
                  corners=st.one_of(over_dims(tied, nonempty, none=False),
                                    over_dims(special, nonempty, none=False)))


def position(op, reference) -> OpCase:
    return OpCase(op, reference, over_dim(tied, shapes(0, 3), none=True),
                  (example(10, tied, (2, 3), dim=1, keepdim=True), example(11, tied, (2, 3))),
                  (*out_of_range(op), empty(op, 1)),
                  corners=over_dim(special, shapes(0, 3), none=True), differentiable=False)


def exponential(op, reference) -> OpCase:
    return OpCase(op, reference, over_dim(real, keepdim=False),
                  (example(12, real, (2, 3), dim=1), example(13, real, (2, 3), dim=-2)),
                  (*out_of_range(op), integers(op, dim=0)),
                  corners=over_dim(special, keepdim=False))


CASES = [
    OpCase(ops.sum, torch.sum, over_dims(real),
           (example(14, real, (2, 3), dim=1), example(15, real, (3, 2, 2), dim=(0, -1),
                                                      keepdim=True)),
           (*out_of_range(ops.sum), twice(ops.sum)), corners=over_dims(special)),
    OpCase(ops.mean, torch.mean, over_dims(real, shapes()),
           (example(16, real, (2, 3), dim=1), example(17, real, (3, 2, 2), dim=(0, -1),
                                                      keepdim=True)),
           (*out_of_range(ops.mean), twice(ops.mean), integers(ops.mean)),
           corners=over_dims(special)),
    OpCase(ops.prod,
           lambda x, dim=None, **more: x.prod() if dim is None else x.prod(dim, **more),
           over_dim(nonzero, none=True),
           (example(18, nonzero, (2, 3), dim=1, keepdim=True), example(19, nonzero, (2, 3)),
            Call([[0.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dim=1), Call([[0.0, 2.0], [3.0, 0.0]])),
           out_of_range(ops.prod),
           corners=st.one_of(over_dim(tied, none=True), over_dim(finite_special, none=True))),
    moment(ops.var, torch.var),
    moment(ops.std, torch.std),
    extreme(ops.amax, torch.amax),
    extreme(ops.amin, torch.amin),
    picking(ops.max, torch.max),
    picking(ops.min, torch.min),
    position(ops.argmax, torch.argmax),
    position(ops.argmin, torch.argmin),
    OpCase(ops.logsumexp, torch.logsumexp, over_dims(real, shapes(), none=False),
           (example(20, real, (2, 3), dim=1), example(21, real, (3, 2, 2), dim=(0, -1),
                                                      keepdim=True)),
           (*out_of_range(ops.logsumexp), twice(ops.logsumexp)),
           corners=over_dims(special, none=False)),
    exponential(ops.softmax, torch.softmax),
    exponential(ops.log_softmax, torch.log_softmax),
    OpCase(ops.cumsum, torch.cumsum, over_dim(real, keepdim=False),
           (example(22, real, (2, 3), dim=1), example(23, real, (2, 3), dim=-2)),
           out_of_range(ops.cumsum), corners=over_dim(special, keepdim=False)),
]
