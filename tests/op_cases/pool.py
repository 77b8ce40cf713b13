"""Cases of minigrad.ops.pool."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st

from minigrad.ops import pool as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import distinct, real, tied
from minigrad.testing.strategies import generators


def shapes(dims: int):
    """With a batch dim or without; channels, and `dims` sizes."""
    return st.builds(lambda batch, channels, sizes: (*batch, channels, *sizes),
                     st.sampled_from([(), (0,), (1,), (2,)]), st.integers(1, 3),
                     st.tuples(*[st.integers(1, 7)] * dims))


def with_nan(rng, shape):
    return np.asarray(rng.choice([0.0, 1.0, -np.inf, np.inf, np.nan], shape))


@st.composite
def pool_calls(draw, domain, dims: int, *, maximum: bool) -> Call:
    """Windows of every kind that fit: overlapping, with gaps, past the end, partly padding."""
    def sizes(low: int, high: int):
        one = st.integers(low, high)
        return draw(st.one_of(one, st.tuples(*[one] * dims)))

    def each(value):
        return (value,) * dims if isinstance(value, int) else value

    kernel = sizes(1, 3)
    static = {"kernel_size": kernel, "stride": draw(st.sampled_from([None, (), sizes(1, 4)])),
              "padding": tuple(draw(st.integers(0, k // 2)) for k in each(kernel)),
              "ceil_mode": draw(st.booleans())}
    if maximum:
        static["dilation"] = sizes(1, 2)
    else:
        static["count_include_pad"] = draw(st.booleans())
        if dims == 2:
            static["divisor_override"] = draw(st.sampled_from([None, 2, -3]))
    shape = draw(shapes(dims))
    # as large as the window: else one might hold no place at all, where torch's index is arbitrary
    sides = (max(n, d * (k - 1) + 1) for n, k, d in zip(
        shape[-dims:], each(kernel), each(static.get("dilation", 1)), strict=True))
    return Call(domain(draw(generators()), (*shape[:-dims], *sides)), **static)


def adaptive_calls(domain, dims: int) -> st.SearchStrategy[Call]:
    one, many = st.integers(1, 4), st.integers(1, 9)
    each = st.tuples(st.one_of(st.none(), one), many) if dims == 2 else st.tuples(many)
    return st.builds(lambda rng, shape, size: Call(domain(rng, shape), output_size=size),
                     generators(), shapes(dims), st.one_of(one, each))


def both_results(pool, **more):
    def run(x, *, without=False, **static):
        return pool(x, **static, **more) if without else pool(x, return_indices=True, **static,
                                                              **more)
    return run


def of_padding() -> st.SearchStrategy[Call]:
    """One window, or one row or column of them, that holds no place of x: its step is too wide."""
    return st.builds(lambda rng, shape, wide: Call(
        real(rng, shape), kernel_size=2, padding=1, dilation=(shape[2] + 1, 1) if wide else (
            1, shape[3] + 1)), generators(), st.tuples(*[st.integers(1, 3)] * 4), st.booleans())


def values(pool):
    """Without the gradient, which torch does not define there."""
    return lambda x, **static: pool(x.detach(), **static)


def errors(name: str, dims: int, **static) -> tuple[Error, ...]:
    letters = {1: "C, L", 2: "C, H, W"}[dims]
    shape = (2, 3, *[4] * dims)
    return (Error(Call(np.ones(shape[2:]), **static), RuntimeError,
                  rf"{name}: x must be \(N, {letters}\) or \({letters}\).*got \(4,"),
            Error(Call(np.ones((2, 3, 0, 4)[:dims + 2]), **static), RuntimeError,
                  f"{name}: x must be"),
            Error(Call(np.ones(shape, bool), **static), RuntimeError,
                  f"{name}: needs numbers, .* got bool"))


def window_errors(name: str, dims: int) -> tuple[Error, ...]:
    x, ints = np.ones((2, 3, 4, 5)[:dims + 2]), {1: "1 int", 2: "2 ints"}[dims]
    return (*errors(name, dims, kernel_size=2),
            Error(Call(x[:, :0], kernel_size=2), RuntimeError, f"{name}: x must be"),
            Error(Call(x, kernel_size=2, padding=-1), ValueError,
                  f"{name}: padding must be {ints} of at least 0; got -1"),
            Error(Call(x, kernel_size=True), TypeError, f"{name}: kernel_size must be an int"),
            Error(Call(x, kernel_size=2, stride=1.0), TypeError, f"{name}: stride must be an int"),
            Error(Call(x, kernel_size=2, ceil_mode=1), TypeError,
                  f"{name}: ceil_mode must be True or False; got 1"),
            Error(Call(x, kernel_size=(2,) * 3), ValueError, f"{name}: kernel_size must be {ints}"),
            Error(Call(x, kernel_size=0), ValueError, f"{name}: kernel_size must be .* got 0"),
            Error(Call(x, kernel_size=2, stride=0), ValueError, f"{name}: stride must be"),
            Error(Call(x, kernel_size=2, padding=2), RuntimeError,
                  f"{name}: padding must be at most half the window; got padding 2"),
            Error(Call(x, kernel_size=6), RuntimeError, "a window of 6 does not fit into 4"))


def adaptive_errors(name: str, dims: int) -> tuple[Error, ...]:
    x, ints = np.ones((1, 3, 4, 4)[:dims + 2]), {1: "1 int", 2: "2 ints"}[dims]
    an_int = "output_size must be an int" + " or two" * (dims == 2)
    return (*errors(name, dims, output_size=2),
            Error(Call(x, output_size=-1), ValueError, f"{name}: output_size must be {ints}"),
            Error(Call(x, output_size=2**63), ValueError, f"{name}: output_size must fit in 64 bi"),
            Error(Call(x, output_size=2.0), TypeError, f"{name}: output_size must be an int"),
            Error(Call(x, output_size=None), TypeError, an_int),
            Error(Call(x, output_size=(2,) * (3 - dims)), TypeError, f"{an_int}; got .*2"),
            Error(Call(x.astype(np.int64), output_size=2), RuntimeError,
                  f"{name}: needs floating point"))


CASES = [
    OpCase(ops.max_pool2d, both_results(F.max_pool2d), pool_calls(distinct, 2, maximum=True),
           (example(1, distinct, (2, 3, 5, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True),
            example(2, distinct, (2, 3, 6, 5), kernel_size=(2, 3), stride=1, dilation=(2, 1)),
            example(8, distinct, (1, 2, 2, 4), kernel_size=2, without=True)),
           (*window_errors("max_pool2d", 2),
            *(Error(Call(np.ones((1, 9, 9)), kernel_size=3, padding=padding), RuntimeError,
                    "max_pool2d: padding must be at most half the window")
              for padding in ((2, 0), (0, 2))),
            Error(Call(np.ones((1, 9, 9)), kernel_size=3, stride=1, padding=2, dilation=2),
                  RuntimeError, "max_pool2d: padding must be at most half the window"),
            Error(Call(np.broadcast_to(1.0, (1, 2**16, 2**15)), kernel_size=2**15), ValueError,
                  r"max pool: a plane of \(65536, 32768\) has too many places to number"),
            Error(Call(np.ones((1, 9, 9)), kernel_size=3, dilation=0), ValueError,
                  "max_pool2d: dilation must be 2 ints of at least 1; got 0")),
           run=both_results(ops.max_pool2d),
           corners=st.one_of(pool_calls(tied, 2, maximum=True),
                             pool_calls(with_nan, 2, maximum=True))),
    OpCase(ops.max_pool1d, both_results(F.max_pool1d), pool_calls(distinct, 1, maximum=True),
           (example(1, distinct, (2, 3, 7), kernel_size=3, stride=2, padding=1, ceil_mode=True),
            example(2, distinct, (2, 3, 8), kernel_size=(3,), stride=1, dilation=2),
            example(8, distinct, (1, 2, 4), kernel_size=2, without=True)),
           window_errors("max_pool1d", 1), run=both_results(ops.max_pool1d),
           corners=st.one_of(pool_calls(tied, 1, maximum=True),
                             pool_calls(with_nan, 1, maximum=True))),
    OpCase(ops.max_pool2d, values(F.max_pool2d), of_padding(),
           (example(9, real, (2, 3, 2, 4), kernel_size=2, padding=1, dilation=(3, 1)),
            example(9, real, (2, 3, 4, 2), kernel_size=2, padding=1, dilation=(1, 3))),
           run=values(ops.max_pool2d), differentiable=False, name="max_pool2d of padding"),
    OpCase(ops.avg_pool2d, F.avg_pool2d, pool_calls(real, 2, maximum=False),
           (example(3, real, (2, 3, 5, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True),
            example(4, real, (2, 3, 5, 6), kernel_size=(2, 3), stride=1, padding=(1, 1),
                    count_include_pad=False),
            example(10, real, (2, 3, 3), kernel_size=[2], stride=[1], padding=[0, 1])),
           (*window_errors("avg_pool2d", 2),
            Error(Call(np.ones((1, 3, 4)), kernel_size=2, divisor_override=0), RuntimeError,
                  "avg_pool2d: divisor_override must not be 0"),
            Error(Call(np.ones((1, 3, 4)), kernel_size=2, divisor_override=1.5), TypeError,
                  "avg_pool2d: divisor_override must be an int; got 1.5"),
            Error(Call(np.ones((1, 3, 4), np.int32), kernel_size=2), RuntimeError,
                  "avg_pool2d: needs floating point"))),
    OpCase(ops.avg_pool1d, F.avg_pool1d, pool_calls(real, 1, maximum=False),
           (example(3, real, (2, 3, 8), kernel_size=3, stride=2, padding=1, ceil_mode=True),
            example(4, real, (3, 7), kernel_size=(2,), stride=1, padding=1,
                    count_include_pad=False)),
           window_errors("avg_pool1d", 1)),
    OpCase(ops.adaptive_max_pool2d, both_results(F.adaptive_max_pool2d),
           adaptive_calls(distinct, 2),
           (example(5, distinct, (2, 3, 5, 6), output_size=(3, 4)),
            example(8, distinct, (1, 2, 2, 3), output_size=2, without=True)),
           (*adaptive_errors("adaptive_max_pool2d", 2),
            Error(Call(np.ones((1, 0, 4, 4)), output_size=2), RuntimeError,
                  "adaptive_max_pool2d: x must be")),
           run=both_results(ops.adaptive_max_pool2d), corners=adaptive_calls(with_nan, 2)),
    OpCase(ops.adaptive_max_pool1d, both_results(F.adaptive_max_pool1d),
           adaptive_calls(distinct, 1),
           (example(5, distinct, (2, 3, 7), output_size=3),
            example(8, distinct, (1, 2, 3), output_size=2, without=True)),
           adaptive_errors("adaptive_max_pool1d", 1),
           run=both_results(ops.adaptive_max_pool1d), corners=adaptive_calls(with_nan, 1)),
    OpCase(ops.adaptive_avg_pool2d, F.adaptive_avg_pool2d, adaptive_calls(real, 2),
           (example(6, real, (2, 3, 5, 6), output_size=(3, 4)),
            example(7, real, (3, 5, 6), output_size=(None, 2))),
           adaptive_errors("adaptive_avg_pool2d", 2)),
    OpCase(ops.adaptive_avg_pool2d, values(F.adaptive_avg_pool2d),
           st.builds(lambda channels, size: Call(np.ones((1, channels, 2, 3)), output_size=size),
                     st.integers(0, 1), st.integers(0, 2)),
           (Call(np.ones((1, 0, 2, 3)), output_size=2),
            Call(np.ones((1, 2, 2, 3)), output_size=(0, 2))),
           run=values(ops.adaptive_avg_pool2d), differentiable=False,
           excused={"dtypes": "PyTorch takes integers as long as there are none"},
           name="adaptive_avg_pool2d of nothing, or to nothing"),
    OpCase(ops.adaptive_avg_pool1d, F.adaptive_avg_pool1d, adaptive_calls(real, 1),
           (example(6, real, (2, 3, 7), output_size=3),
            example(7, real, (3, 6), output_size=(4,))),
           adaptive_errors("adaptive_avg_pool1d", 1)),
]
