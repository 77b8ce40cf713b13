"""Cases of minigrad.ops.elementwise."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import elementwise as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import (
    Domain,
    distinct,
    finite_special,
    nonzero,
    positive,
    real,
    special,
    tied,
    unit,
)
from minigrad.testing.strategies import binary, broadcastable_shapes, generators, shapes, unary

TORCH_DTYPE = {"float32": torch.float32, "float64": torch.float64}
RELATIONS = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
             "gt": np.greater, "ge": np.greater_equal}


def one(op, reference, domain: Domain, corners: Domain | None = special, *, errors=(), **more):
    return OpCase(op, reference, unary(domain), (example(1, domain, (2, 3)),), errors,
                  corners=None if corners is None else unary(corners), **more)


def two(op, reference, a: Domain, b: Domain, corners: Domain | None = special, *, errors=(),
        name="", run=None, zero_gradient=False, integers=None, more=(), **static):
    """integers: the domains of two integer inputs, if these are worth a comparison of their own.
    more: further corners."""
    rng = np.random.default_rng(2)
    chosen = {key: strategy.elements[0] for key, strategy in static.items()}
    pinned = (Call(a(rng, (2, 3)), b(rng, (2, 3)), **chosen),
              Call(a(rng, (4, 1, 3)), b(rng, (2, 1)), **chosen))
    mismatch = Error(Call(np.ones((2, 3)), np.ones((2, 4)), **chosen), RuntimeError,
                     r"\w+: shapes \(2, 3\) and \(2, 4\) do not broadcast")
    return OpCase(op, reference, binary(a, b, **static), pinned, (mismatch, *errors),
                  corners=None if corners is None else st.one_of(
                      binary(corners, corners, **static),
                      *([binary(*integers, **static)] if integers else []),
                      *([st.sampled_from(more)] if more else [])),
                  name=name, run=run, zero_gradient=zero_gradient)


def smooth_quotient(rng, shape):
    """Halfway between whole numbers: no quotient by ±1 is near one."""
    return np.asarray(rng.integers(-4, 4, shape) + 0.5)


def ones(rng, shape):
    return np.ones(shape)


def whole(rng, shape):
    return rng.integers(-4, 5, shape)


def divisors(rng, shape):
    return rng.choice([-3, -2, -1, 1, 2, 3], shape)


def distinct_pair(rng, shapes):
    """Two arrays without a tie between any of their elements."""
    n = int(np.prod(shapes[0]))
    values = distinct(rng, (n + int(np.prod(shapes[1])),))
    return Call(values[:n].reshape(shapes[0]), values[n:].reshape(shapes[1]))


def extreme(op, reference):
    return OpCase(op, reference, st.builds(distinct_pair, generators(), broadcastable_shapes(2)),
                  (distinct_pair(np.random.default_rng(6), ((2, 3), (2, 3))),
                   distinct_pair(np.random.default_rng(7), ((2, 3), (3,)))),
                  corners=st.one_of(binary(tied, tied), binary(special, special)),
                  raises=(Error(Call(np.ones((2, 3)), np.ones((2, 4))), RuntimeError,
                                rf"{op.__name__}: shapes \(2, 3\) and \(2, 4\) do not broadcast"),))


WHOLE, MASK = np.array([1, 2, 3]), np.array([True, False, True])
EXTREMES = np.array([-np.inf, np.inf, np.nan, 0.5])


def held(bounds: Domain) -> st.SearchStrategy[Call]:
    """x between two tensors, with no tie unless bounds has them."""
    def call(rng, shapes):
        n = [int(np.prod(shape)) for shape in shapes]
        values = np.split(bounds(rng, (sum(n),)), np.cumsum(n)[:-1])
        x, low, high = (v.reshape(shape) for v, shape in zip(values, shapes, strict=True))
        return Call(x, low, high)
    return st.builds(call, generators(), broadcastable_shapes(3))


def one_sided() -> st.SearchStrategy[Call]:
    def call(rng, shapes, side):
        return Call(*distinct_pair(rng, shapes).arrays, side=side)
    return st.builds(call, generators(), broadcastable_shapes(2), st.sampled_from(["min", "max"]))


def clamped(domain: Domain, bounds) -> st.SearchStrategy[Call]:
    return st.builds(lambda rng, shape, low_high: Call(domain(rng, shape), min=low_high[0],
                                                       max=low_high[1]),
                     generators(), st.sampled_from([(), (3,), (2, 3), (0, 2), (1, 4)]),
                     st.sampled_from(bounds))


@st.composite
def where_calls(draw, domain: Domain = real) -> Call:
    rng = draw(generators())
    condition, a, b = draw(broadcastable_shapes(3))
    return Call(domain(rng, a), domain(rng, b), condition=np.asarray(rng.random(condition) < 0.5))


def wrong_factors(name):
    """What torch refuses as well, and NumPy takes."""
    x = np.ones(3)
    return (*(Error(Call(x, x, alpha=alpha), RuntimeError, f"{name}: alpha may be a bool only for")
              for alpha in (True, False)),
            *(Error(Call(x, x, alpha=alpha), TypeError, f"{name}: alpha must be a number; got")
              for alpha in ("1", [1], None)))


CASES = [
    two(ops.add, torch.add, real, real),
    two(ops.add, torch.add, real, real, name="add with alpha", alpha=st.sampled_from([2, -0.5, 0]),
        errors=(Error(Call(WHOLE, WHOLE, alpha=1.5), RuntimeError,
                      r"add: alpha must be an integer for int64; got 1\.5"),
                *wrong_factors("add"))),
    two(ops.sub, torch.sub, real, real, errors=(
        Error(Call(MASK, MASK), RuntimeError, "sub: needs numbers, not bools"),
        Error(Call(MASK, np.ones(3)), RuntimeError, "sub: needs numbers, not bools"))),
    two(ops.sub, torch.sub, real, real, name="sub with alpha", alpha=st.sampled_from([2, -0.5, 0]),
        errors=wrong_factors("sub")),
    two(ops.mul, torch.mul, real, real),
    OpCase(ops.mul, torch.mul, st.builds(lambda rng, shape: Call(real(rng, shape), real(rng, ())),
                                         generators(), shapes()),
           (example(10, real, (2, 3), ()), example(11, real, (), ())), name="mul by a 0-d tensor"),
    OpCase(ops.mul, lambda x, by: x * torch.tensor(by), unary(whole, by=st.just([0.5])),
           (Call(np.array([1, 2]), by=[0.1, 3]), Call(np.ones((2, 0), int), by=[]),
            Call(np.ones((2, 0), int), by=[np.zeros(0, int)])),
           differentiable=False, run=lambda x, by: ops.mul(x, by), name="mul by a list"),
    OpCase(ops.mul, lambda x, by: x * by, unary(real, by=st.sampled_from([2, -0.5])),
           (example(12, real, (2, 3), by=3),),
           run=lambda x, by: ops.mul(x, by), name="mul by a number",
           corners=st.sampled_from([Call(np.array(x, dtype), by=by) for x, dtype, by in (
               ([1, 2], "uint8", 300), ([1, 2], "int64", 0.5), ([1, 2], "int64", True),
               ([True, False], "bool", 2), ([1, 2], "float32", 0.1))])),
    two(ops.div, torch.div, real, nonzero),
    two(ops.div, torch.div, smooth_quotient, ones, name="div, rounded", zero_gradient=True,
        integers=(whole, divisors),
        rounding_mode=st.sampled_from(["floor", "trunc"]),
        errors=(Error(Call(WHOLE, WHOLE, rounding_mode="up"), RuntimeError,
                      "div: rounding_mode must be None, 'floor' or 'trunc'; got 'up'"),
                Error(Call(WHOLE, 0 * WHOLE, rounding_mode="floor"), RuntimeError,
                      "div: an integer is divided by 0"),
                Error(Call(MASK, MASK, rounding_mode="trunc"), RuntimeError,
                      "div: needs numbers; got bool"))),
    two(ops.floor_divide, lambda a, b: torch.div(a, b, rounding_mode="floor"), smooth_quotient,
        ones, zero_gradient=True, integers=(whole, divisors)),  # torch's own has no derivative
    two(ops.remainder, torch.remainder, smooth_quotient, lambda rng, shape: -ones(rng, shape),
        finite_special, integers=(whole, divisors),
        errors=(Error(Call(WHOLE, 0 * WHOLE), RuntimeError,
                      "remainder: an integer is divided by 0"),)),
    two(ops.pow, torch.pow, positive, real, finite_special, integers=(whole, whole),
        more=[Call(np.array([2, -1, 1, -3]), np.array([-1, -3, -1, -2])),
              Call([0.0, 0.0, 0.0, 0.0, 2.0], [0.0, 0.5, 1.0, 2.0, 0.0]), Call([0.0], [-1.0])],
        errors=(Error(Call(MASK, MASK), RuntimeError, "pow: a bool cannot be raised to a bool"),)),
    OpCase(ops.pow, torch.pow, unary(positive, exponent=st.sampled_from([2, 0.5, -1, 3])),
           (example(4, positive, (2, 3), exponent=3), example(4, positive, (2, 3), exponent=-1),
            Call([0.0, 1.5, -2.0], exponent=0)),
           (Error(Call(WHOLE, exponent=-1), RuntimeError, "an integer tensor cannot be raised to"),
            Error(Call(base=2, exponent=3), TypeError, "one of the two must be a Tensor; got 2")),
           corners=st.one_of(
               unary(finite_special, exponent=st.sampled_from([0, 1, 2, -1])),
               # for x^-0.5 torch takes 1/√x, of which -0.0 makes -∞
               unary(lambda rng, shape: finite_special(rng, shape) + 0.0, exponent=st.just(0.5)),
               unary(whole, exponent=st.sampled_from([0, 1, 3, True, 0.5])),
               st.builds(lambda power: Call(MASK, exponent=power), st.booleans()),
               st.just(Call(WHOLE, exponent=0))),
           run=lambda *x, exponent, base=None: ops.pow(*(x or [base]), exponent),
           name="pow by a number"),
    OpCase(ops.pow, lambda x, base: torch.pow(base, x),
           unary(positive, base=st.sampled_from([2, 0.5, 0])),
           (example(5, positive, (2, 3), base=1.7), example(6, positive, (2, 3), base=0)),
           run=lambda x, base: ops.pow(base, x), name="pow of a number"),
    one(ops.neg, torch.neg, real,
        errors=(Error(Call(MASK), RuntimeError, "neg: needs numbers; got bool"),)),
    one(ops.reciprocal, torch.reciprocal, nonzero),
    one(ops.square, torch.square, nonzero),
    one(ops.clone, torch.clone, real),
    OpCase(ops.clone, lambda x: x.detach().clone(), unary(real), (example(13, real, (2, 3)),),
           run=lambda x: ops.clone(x.data.astype(x.dtype.newbyteorder(">"))),
           differentiable=False, name="clone of a big-endian array"),
    OpCase(ops.cast, lambda x, dtype: x.to(TORCH_DTYPE[np.dtype(dtype).name]),
           unary(real, dtype=st.just(np.dtype("float64"))),
           (example(3, real, (2, 3), dtype=np.dtype("float64")),),
           corners=unary(special, dtype=st.sampled_from([np.dtype("float32"),
                                                         np.dtype("float64")]))),
    one(ops.exp, torch.exp, real),
    one(ops.expm1, torch.expm1, real),
    one(ops.erf, torch.erf, real),
    one(ops.log, torch.log, positive),
    one(ops.log1p, torch.log1p, unit),
    one(ops.sqrt, torch.sqrt, positive),
    one(ops.rsqrt, torch.rsqrt, positive),
    one(ops.sin, torch.sin, unit),
    one(ops.cos, torch.cos, nonzero),
    one(ops.tan, torch.tan, unit, finite_special),
    one(ops.abs, torch.abs, nonzero,
        errors=(Error(Call(MASK), RuntimeError, "abs: needs numbers; got bool"),)),
    one(ops.sign, torch.sign, nonzero, zero_gradient=True),
    extreme(ops.maximum, torch.maximum),
    extreme(ops.minimum, torch.minimum),
    OpCase(ops.clamp, torch.clamp,
           clamped(nonzero, [(-0.2, 0.2), (-0.2, 5.0), (None, 5.0), (-5.0, None)]),
           (Call([[-2.0, -0.5, 0.5], [1.4, 0.1, 3.0]], min=-1.0, max=1.5),
            example(8, real, (2, 3), min=-9.0)),
           (Error(Call(np.ones(3)), RuntimeError, "clamp: at least one of min and max"),
            Error(Call(np.ones(3), min="a"), TypeError, "clamp: needs a Tensor.*got 'a'")),
           corners=st.one_of(st.sampled_from([Call([1.0, 2.0, 3.0], min=2.0),
                                              Call([1.0, 2.0, 3.0], max=2.0),
                                              Call([1.0, 2.0, 3.0], min=np.nan)]),
                             st.sampled_from([Call(EXTREMES, min=-1.0, max=1.0),
                                              Call(EXTREMES, min=-1.0), Call(EXTREMES, max=2.5),
                                              Call(np.array([2, 9]), max=5)]),
                             clamped(tied, [(-1.0, 1.0), (None, 1.0), (1.0, -1.0), (1.0, 1.0)]),
                             clamped(special, [(-1.0, 1.0), (None, 2.5), (-1.0, None)]))),
    OpCase(ops.clamp, torch.clamp, held(distinct),
           (Call([[1.0, 2.0, 9.0], [4.0, 5.0, 6.0]], [[1.5, 0.0, 1.0], [4.5, 4.0, 1.2]],
                 [[3.0, 1.1, 8.0], [7.0, 7.1, 5.5]]),),
           (Error(Call(np.ones(3), np.ones(2), np.ones(3)), RuntimeError,
                  r"clamp.*: shapes \(3,\) and \(2,\) and \(3,\) do not broadcast"),),
           corners=st.one_of(st.just(Call([1.0], [1.0], [1.0])), held(tied), held(special)),
           name="clamp between tensors"),
    OpCase(ops.clamp, lambda x, bound, side: torch.clamp(x, **{side: bound}), one_sided(),
           (Call([1.0, 2.0, 9.0], [1.5, 0.0, 1.0], side="min"),
            Call([1.0, 2.0, 9.0], [1.5, 0.0, 1.0], side="max")),
           run=lambda x, bound, side: ops.clamp(x, **{side: bound}), name="clamp by a tensor"),
    OpCase(ops.where, lambda x: torch.where(x != 0), unary(tied), (example(9, tied, (2, 3)),),
           run=lambda x: ops.where(x != 0), differentiable=False, name="where, the places"),
    OpCase(ops.where, lambda a, b, condition: torch.where(condition, a, b), where_calls(),
           (Call([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [1.0, 2.0, 3.0]],
                 condition=np.array([[True, False, True], [False, False, True]])),
            Call([1.0, 2.0, 3.0], [[7.0], [8.0]],
                 condition=np.array([[True, False, True], [False, True, True]]))),
           (Error(Call(np.ones(2), np.ones(2), condition=np.ones(2)), RuntimeError,
                  "where: condition must be boolean; got float64"),
            Error(Call(np.ones(2), condition=np.ones(2, bool)), TypeError, "where: "),
            Error(Call(None, np.ones(2), condition=np.ones(2, bool)), TypeError, "where: "),
            Error(Call(np.ones(2), np.ones(3), condition=np.ones(2, bool)), RuntimeError,
                  r"where: shapes \(2,\), \(2,\) and \(3,\) do not broadcast")),
           corners=where_calls(special),
           run=lambda a, b=None, *, condition: ops.where(condition, a, b)),
    OpCase(ops.compare, lambda a, b, relation: getattr(torch, relation)(a, b),
           binary(tied, tied, relation=st.sampled_from(sorted(RELATIONS))),
           (example(9, tied, (2, 3), (2, 3), relation="le"),),
           (Error(Call(np.ones(2), np.ones(3), relation="le"), RuntimeError,
                  r"less_equal: shapes \(2,\) and \(3,\) do not broadcast"),),
           corners=binary(special, special, relation=st.sampled_from(sorted(RELATIONS))),
           run=lambda a, b, relation: ops.compare(RELATIONS[relation], a, b),
           differentiable=False),
    OpCase(ops.invert, lambda x: torch.bitwise_not(x > 0), unary(tied),
           (example(10, tied, (2, 3)),), run=lambda x: ops.invert(x > 0), differentiable=False),
]
