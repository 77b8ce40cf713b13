"""Cases of minigrad.ops.reduce."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import reduce as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import Domain, distinct, finite_special, nonzero, real, special, tied
from minigrad.testing.strategies import (
    any_shapes,
    binary,
    broadcastable_shapes,
    dim_of,
    dims_of,
    generators,
    shapes,
)

X = np.arange(6.0).reshape(2, 3)


def whole(rng, shape):
    """0 to 3, in one of several dtypes that are not floating point."""
    dtype = rng.choice(["int64", "int32", "uint8", "bool"])
    return np.asarray(rng.integers(0, 4, shape)).astype(dtype)


def typed(f):
    """torch's f, called with NumPy's dtypes."""
    @functools.wraps(f)
    def call(x, dtype=None, **more):
        if dtype is None:
            return f(x, **more)
        wanted = getattr(torch, np.dtype(dtype).name)       # torch fails to record one of integers
        return f(x if wanted.is_floating_point else x.detach(), dtype=wanted, **more)
    return call


def dtypes(*names):
    return st.sampled_from([np.dtype(name) for name in names])


@st.composite
def over_dims(draw, domain: Domain, shape=None, none=True, **static) -> Call:
    """dim: None, an int or several."""
    drawn = draw(any_shapes() if shape is None else shape)
    more = {name: draw(s) for name, s in static.items()}
    return Call(domain(draw(generators()), drawn), dim=draw(dims_of(len(drawn), none=none)),
                keepdim=draw(st.booleans()), **more)


@st.composite
def over_dim(draw, domain: Domain, shape=None, none=False, keepdim=True, **static) -> Call:
    """dim: one int (or None)."""
    drawn = draw(any_shapes() if shape is None else shape)
    dim = None if none and draw(st.booleans()) else draw(dim_of(len(drawn)))
    more = {"keepdim": draw(st.booleans())} if keepdim and dim is not None else {}
    more |= {name: draw(s) for name, s in static.items()}
    return Call(domain(draw(generators()), drawn), dim=dim, **more)


def out_of_range(op) -> tuple[Error, ...]:
    name = op.__name__
    return (*(Error(Call(x, dim=dim), IndexError, rf"{name}: dim {dim} is out of range {span}")
              for x, dim, span in ((X, 2, r"\[-2, 1\]"), (X, -3, r"\[-2, 1\]"),
                                   (np.ones(()), 1, r"\[-1, 0\]"))),
            *(Error(Call(X, dim=dim), TypeError, f"{name}: dim must be an int; got {dim!r}")
              for dim in (1.0, "0")))


def no_bool(op, **static) -> Error:
    return Error(Call(X, keepdim=1, **static), TypeError,
                 f"{op.__name__}: keepdim must be True or False; got 1")


def twice(op) -> Error:
    return Error(Call(np.ones((2, 3)), dim=(0, -2)), RuntimeError,
                 rf"{op.__name__}: dim \(0, -2\) names a dim twice")


def empty(op, dim, kind=IndexError) -> Error:
    return Error(Call(np.ones((2, 0)), dim=dim), kind,
                 rf"{op.__name__}: cannot reduce over a dim of size 0; got shape \(2, 0\)")


def integers(op, **static) -> Error:
    return Error(Call(np.arange(3), **static), RuntimeError,
                 f"{op.__name__}: needs floating point input; got int64")


def reduction(op, reference, domain: Domain = real, corners: Domain | None = special, *, none=True,
              shape=None, errors=(), examples=(), more_corners=()) -> OpCase:
    """An op that takes dim and keepdim, as `sum` does. none: whether dim may be None."""
    return OpCase(op, reference, over_dims(domain, shape, none=none),
                  (example(14, domain, (2, 3), dim=1),
                   example(15, domain, (3, 2, 2), dim=(0, -1), keepdim=True),
                   example(17, domain, (3, 2, 4), dim=(0, -1)), *examples),
                  (*out_of_range(op), twice(op), no_bool(op, dim=0), *errors),
                  corners=None if corners is None else st.one_of(over_dims(corners, none=none),
                                                                 *more_corners))


def constant_rows(rng, n: int) -> Call:
    """Equal numbers along dim 0: no variance to the last bit, though 0.1 + 0.1 + 0.1 is not 0.3."""
    return Call(np.repeat(real(rng, (1, 3)), n, 0), dim=0)


THREE = np.array([0.3, 1.2, 1.7])
FREEDOM = [Call(np.full((3, 3), [0.1, 0.7, 1.1]), dim=0), Call(np.array(2.0), dim=0),
           *(Call(THREE, correction=n) for n in (3, 3.5, 4)), Call(THREE, dim=0, correction=4)]
"""Equal numbers, and no more numbers than the correction."""


def moment(op, reference) -> OpCase:
    """var and std: at least two elements, so that nothing is 0/0."""
    def quiet(x, dim=None, **more):
        with warnings.catch_warnings():             # torch warns where n ≤ correction
            warnings.simplefilter("ignore")
            return reference(x, dim, **more)
    wide, name = shapes(1, 3, min_side=3, max_side=4), op.__name__
    corrections = st.sampled_from([0, 1, 2, 0.5, -1, None])
    return OpCase(op, quiet,
                  st.one_of(over_dims(distinct, wide, correction=corrections),
                            over_dims(distinct, wide, unbiased=st.booleans())),
                  (example(1, real, (2, 4), dim=1), example(2, real, (3, 4)),
                   example(3, real, (3, 2, 2), dim=(0, -1), keepdim=True, correction=0),
                   example(25, real, (3, 4), dim=0, unbiased=False)),
                  (*out_of_range(op), twice(op), integers(op), no_bool(op, dim=0),
                   Error(Call(X, unbiased=True, correction=0), TypeError,
                         f"{name}: needs unbiased=True or False, or a correction; got unbiased=Tr"),
                   Error(Call(X, unbiased=1), TypeError, f"{name}: needs unbiased=True or False"),
                   *(Error(Call(X, dim=dim, **more), TypeError, f"{name}: dim must be an int")
                     for dim in (True, False, (0, True)) for more in ({}, {"unbiased": True})),
                   Error(Call(X, correction="1"), TypeError,
                         f"{name}: correction must be a number; got '1'")),
                  corners=st.one_of(st.sampled_from(FREEDOM), over_dims(special, wide),
                                    st.builds(constant_rows, generators(), st.integers(2, 9)),
                                    over_dims(tied, shapes(), correction=st.just(0)),
                                    over_dims(real, any_shapes(), correction=st.integers(1, 4))))


def picking(op, reference) -> OpCase:
    """max and min along a dim: values and indices."""
    def flat(f):
        def call(x, dim, keepdim=False):
            return f(x) if dim is None else tuple(f(x, dim, keepdim))
        return call
    nonempty = shapes(0, 3)
    name = op.__name__
    return OpCase(op, flat(reference), over_dim(distinct, nonempty, none=True),
                  (example(4, distinct, (2, 3), dim=1), example(5, distinct, (2, 3), dim=0,
                                                                keepdim=True),
                   example(6, distinct, (2, 3), dim=None)),
                  (*out_of_range(op), empty(op, 1), no_bool(op, dim=0),
                   Error(Call(np.ones((2, 0)), dim=None), RuntimeError,
                         rf"{name}: cannot reduce over a dim of size 0; got shape \(2, 0\)")),
                  corners=st.one_of(*(over_dim(domain, nonempty, none=True)
                                      for domain in (tied, special, whole)),
                                    over_dim(real, st.just((2, 0, 3)).map(tuple)).filter(
                                        lambda call: call.static["dim"] not in (1, -2))),
                  run=flat(op))


def of_two(op, reference) -> OpCase:
    """max and min of two tensors: maximum and minimum by another name."""
    def pair(rng, shapes):
        values = distinct(rng, (int(np.prod(shapes[0])) + int(np.prod(shapes[1])),))
        a, b = np.split(values, [int(np.prod(shapes[0]))])
        return Call(a.reshape(shapes[0]), b.reshape(shapes[1]))
    name, rng = op.__name__, np.random.default_rng(28)
    return OpCase(op, reference, st.builds(pair, generators(), broadcastable_shapes(2)),
                  (pair(rng, ((2, 3), (2, 3))), pair(rng, ((2, 3), (3,)))),
                  (Error(Call(X, np.ones((2, 4))), RuntimeError, "do not broadcast"),
                   Error(Call(X, X, keepdim=True), TypeError, f"{name}: takes either dim and"),
                   Error(Call(X, dim=0, other=X), TypeError, f"{name}: takes either dim and"),
                   Error(Call(X, keepdim=True), TypeError, f"{name}: keepdim needs a dim")),
                  corners=binary(tied, tied), name=f"{name}_of_two")


def extreme(op, reference) -> OpCase:
    nonempty = shapes(0, 3)
    return OpCase(op, reference, over_dims(distinct, nonempty, none=False),
                  (example(7, distinct, (2, 3), dim=1), example(8, distinct, (2, 3), dim=()),
                   example(9, distinct, (3, 2, 2), dim=(0, -1), keepdim=True)),
                  (*out_of_range(op), twice(op), empty(op, 1), empty(op, (), RuntimeError),
                   empty(op, (1, 0)), no_bool(op)),
                  corners=st.one_of(*(over_dims(domain, nonempty)
                                      for domain in (tied, special, whole))))


def position(op, reference) -> OpCase:
    return OpCase(op, reference, over_dim(tied, shapes(0, 3), none=True),
                  (example(10, tied, (2, 3), dim=1, keepdim=True), example(11, tied, (2, 3)),
                   example(11, tied, (2, 3), dim=None, keepdim=True)),
                  (*out_of_range(op), empty(op, 1), empty(op, None), no_bool(op),
                   Error(Call(np.ones((0, 2))), IndexError,
                         rf"{op.__name__}: cannot reduce over a dim of size 0; got shape \(0, 2"),
                   Error(Call(X > 1), RuntimeError, f"{op.__name__}: needs numbers; got bool"),
                   Error(Call(X, dim=(0,)), TypeError, f"{op.__name__}: dim must be an int")),
                  corners=over_dim(special, shapes(0, 3), none=True), differentiable=False)


def truth(op, reference) -> OpCase:
    def uint8s(rng, shape):
        return tied(rng, shape).astype(np.uint8)
    return OpCase(op, reference, over_dims(tied),
                  (example(29, tied, (2, 3), dim=1), example(30, tied, (2, 3)),
                   example(31, tied, (2, 3), dim=()), Call(np.zeros((2, 0)), keepdim=True)),
                  (*out_of_range(op), twice(op), no_bool(op)),
                  corners=st.one_of(*(over_dims(domain) for domain in (special, whole, uint8s))),
                  differentiable=False)


@st.composite
def norm_calls(draw, domain=nonzero, ord=(0.5, 1, 1.5, 2.0, 3, -1, np.inf, -np.inf)) -> Call:
    shape = draw(any_shapes(1, 3) if domain is tied else shapes(1, 3))
    ord = draw(st.sampled_from([n for n in ord if 0 < n < np.inf or 0 not in shape]))
    return Call(domain(draw(generators()), shape), ord=ord,
                dim=draw(dims_of(len(shape), none=False)), keepdim=draw(st.booleans()))


CASES = [
    reduction(ops.sum, typed(torch.sum),
              examples=(example(14, real, (2, 3), dim=(), dtype=np.dtype("float64")),),
              more_corners=(over_dims(whole),
                            over_dims(tied, dtype=dtypes("float32", "int64", "bool")),
                            over_dims(whole, dtype=dtypes("float64", "int64", "uint8")))),
    reduction(ops.mean, typed(torch.mean), shape=shapes(),
              examples=(example(16, real, (2, 3), dim=(), dtype=np.dtype("float64")),),
              errors=(integers(ops.mean), Error(Call(X, dtype="int64"), RuntimeError,
                                                "mean: needs floating point input")),
              more_corners=(over_dims(whole, dtype=dtypes("float64")),)),
    OpCase(ops.prod,
           typed(lambda x, dim=None, **more: x.prod(**more) if dim is None
                 else x.prod(dim, **more)),
           over_dim(nonzero, none=True),
           (example(18, nonzero, (2, 3), dim=1, keepdim=True), example(19, nonzero, (2, 3)),
            Call([[0.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dim=1), Call([[0.0, 2.0], [3.0, 0.0]]),
            Call([[[1.5, 2.0], [0.0, 3.0]], [[4.0, 0.0], [5.0, 6.0]], [[7.0, 2.5], [0.5, 0.0]]],
                 dim=0)),
           (*out_of_range(ops.prod), no_bool(ops.prod, dim=0),
            Error(Call(X, keepdim=True), TypeError, "prod: keepdim needs a dim"),
            Error(Call(X, dim=(0, 1)), TypeError, "prod: dim must be an int")),
           corners=st.one_of(over_dim(tied, none=True), over_dim(finite_special, none=True),
                             over_dim(special, st.just(()), none=True),
                             over_dim(whole, none=True),
                             over_dim(tied, none=True, dtype=dtypes("float32", "int64", "bool")))),
    moment(ops.var, torch.var),
    moment(ops.std, torch.std),
    extreme(ops.amax, torch.amax),
    extreme(ops.amin, torch.amin),
    picking(ops.max, torch.max),
    picking(ops.min, torch.min),
    of_two(ops.max, torch.max),
    of_two(ops.min, torch.min),
    position(ops.argmax, torch.argmax),
    position(ops.argmin, torch.argmin),
    truth(ops.any, torch.any),
    truth(ops.all, torch.all),
    reduction(ops.logsumexp, torch.logsumexp, shape=shapes(), none=False,
              errors=(Error(Call(X, dim=None), TypeError,
                            "logsumexp: dim must be an int or a tuple"),),
              more_corners=(over_dims(real, none=False),
                            st.just(Call([[1000.0, 999.0], [-800.0, -799.0]], dim=1)))),
    OpCase(ops.vector_norm, torch.linalg.vector_norm, norm_calls(),
           (example(24, nonzero, (2, 3), dim=1), example(32, nonzero, (2, 3), ord=1, dim=0),
            example(33, nonzero, (2, 3), ord=3.0, keepdim=True)),
           (*out_of_range(ops.vector_norm)[:1],
            Error(Call(X, ord="1"), TypeError, "vector_norm: ord must be a number; got '1'"),
            Error(Call(X > 1), RuntimeError, "vector_norm: needs floating point .* got bool")),
           corners=norm_calls(tied, ord=(0, -0.5, 0.5, 1, 2.0, 3, np.inf))),
    OpCase(ops.cumsum, typed(torch.cumsum), over_dim(real, keepdim=False),
           (example(22, real, (2, 3), dim=1), example(23, real, (2, 3), dim=-2),
            example(22, real, (2, 3), dim=1, dtype=np.dtype("float64")),
            example(24, real, (), dim=0)),
           (*out_of_range(ops.cumsum),
            Error(Call(X, dim=0, dtype="bool"), RuntimeError, "cumsum: needs a dtype of numbers")),
           corners=st.one_of(over_dim(special, keepdim=False), over_dim(whole, keepdim=False),
                             over_dim(tied, keepdim=False, dtype=dtypes("int64")))),
]
