"""Cases of minigrad.ops.conv."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st

from minigrad.ops import conv as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real
from minigrad.testing.strategies import generators

small = st.integers(1, 3)


def quiet(convolve):
    """torch warns that its padding="same" copies x where the window is even."""
    @functools.wraps(convolve)
    def call(*xs, **static):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            return convolve(*xs, **static)
    return call


@st.composite
def conv_calls(draw, dims: int) -> Call:
    """Windows of every kind that fit, on images just large enough and larger; unbatched too."""
    def each(low: int, high: int):
        one = st.integers(low, high)
        sizes = draw(st.one_of(one, st.tuples(*[one] * dims)))
        return sizes, [sizes] * dims if isinstance(sizes, int) else list(sizes)

    groups = draw(st.integers(1, 2))
    kernel = [draw(small) for _ in range(dims)]
    stride, _ = each(1, 3)
    dilation, holes = each(1, 2)
    padding, before = each(0, 2)
    if draw(st.booleans()):
        padding, before = draw(st.sampled_from(["valid", "same"])), [0] * dims
        stride = 1 if padding == "same" else stride
    sides = [max(1, d * (k - 1) + 1 - 2 * p * (padding != "same")) + draw(st.integers(0, 4))
             for d, k, p in zip(holes, kernel, before, strict=True)]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    rng, inputs, outputs = draw(generators()), groups * draw(small), groups * draw(small)
    return Call(real(rng, (*batch, inputs, *sides)),
                real(rng, (outputs, inputs // groups, *kernel)),
                real(rng, (outputs,)) if draw(st.booleans()) else None,
                stride=stride, padding=padding, dilation=dilation, groups=groups)


@st.composite
def transposed_calls(draw, dims: int) -> Call:
    groups, batch = draw(st.integers(1, 2)), draw(st.sampled_from([(), (1,), (2,)]))
    stride, dilation = draw(small), draw(st.integers(1, 2))
    kernel = [draw(st.integers(2, 3)) for _ in range(dims)]
    padding = draw(st.integers(0, 1))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    sides = [draw(st.integers(2, 4)) for _ in range(dims)]
    rng, inputs, outputs = draw(generators()), groups * draw(small), draw(small)
    return Call(real(rng, (*batch, inputs, *sides)), real(rng, (inputs, outputs, *kernel)),
                real(rng, (outputs * groups,)) if draw(st.booleans()) else None, stride=stride,
                padding=padding, output_padding=extra, groups=groups, dilation=dilation)


def call(*shapes, **static) -> Call:
    return Call(*(np.ones(shape) for shape in shapes), **static)


def errors(name: str, x, w) -> tuple[Error, ...]:
    deep = (*x[:1], x[1] + 1, *x[2:])
    return (
        Error(call(x, w, groups=1.0), TypeError, f"{name}: groups must be an int; got 1.0"),
        Error(call(x, w, stride=True), TypeError, f"{name}: stride must be an int; got True"),
        Error(call(x, w, padding=None), TypeError, f"{name}: padding must be an int; got None"),
        Error(Call(np.ones(x) > 0, np.ones(w) > 0), RuntimeError, f"{name}: .*; got bool, bool"),
        Error(call(deep, w), RuntimeError,
              rf"{name}: x has {x[1] + 1} channels but w expects {x[1]}.*; got x \({x[0]}, "),
        Error(call(x, w, (99,)), RuntimeError, rf"{name}: b must have shape .*; got \(99,\)"),
        Error(call(x, w, stride=0), ValueError, rf"{name}: stride must be .* at least 1; got 0"),
        Error(call(x, w, stride=(0,) * (len(x) - 2)), ValueError, f"{name}: stride must be .* 1; "),
        Error(call(x, w, stride=(1.0,) * (len(x) - 2)), TypeError, f"{name}: stride must be an i"),
        Error(call(x, w, padding=-1), ValueError, f"{name}: padding must be .*; got -1"),
        Error(call(x, w, dilation=(1, 1, 1)), ValueError, f"{name}: dilation must be"),
        Error(call(x, w, dilation=0), ValueError, f"{name}: dilation must be .* at least 1; got 0"),
        *(Error(call(x, w, groups=n), ValueError, f"{name}: groups must be at least 1; got {n}")
          for n in (0, -2**63)),
        *(Error(call(x, w, groups=n), ValueError, f"{name}: groups must fit in 64 bits; got {n}")
          for n in (2**63, -2**63 - 1)),
        Error(call(x, w, groups=2**63 - 1), RuntimeError, f"{name}: x has {x[1]} channels but"),
        *(Error(call(x, w, stride=n), ValueError, f"{name}: stride must fit in 64 bits")
          for n in (2**63, (2**63,) * (len(x) - 2))),
        *(Error(call(*shapes), RuntimeError, f"{name}: x must have .* dims")
          for shapes in ((x[2:], w), ((1, *x), w), (x, w[1:]), (x, (*w, 1)))),
        *(Error(call(*shapes), RuntimeError, f"{name}: no size may be 0 but the batch; got x")
          for shapes in (((x[1], 0, *x[3:]), w), (x, (*w[:2], 0, *w[3:])))),
        Error(call(deep[1:], w), RuntimeError, rf"{name}: x has .*; got x \({deep[1]}, "),
        Error(Call(np.ones(x), np.ones(w, np.float32)), RuntimeError,
              f"{name}: x, w and b must be .* of one dtype, .*; got float64, float32"),
    )


def forward_errors(name: str, x, w) -> tuple[Error, ...]:
    return (
        *errors(name, x, w),
        Error(call(x, w, groups=3), RuntimeError, f"{name}: x has"),
        Error(call(x, (3, x[1] // 2, *w[2:]), groups=2), RuntimeError,
              f"{name}: w has 3 output channels, which groups 2 must divide"),
        Error(call(x, (0, *w[1:])), RuntimeError, f"{name}: w has 0 output channels"),
        Error(call(x, w, padding="full"), ValueError, "padding must be 'same', 'valid' or sizes"),
        Error(call(x, w, padding="same", stride=2), ValueError, r"'same' needs stride 1; got \(2,"),
        Error(call(x, (*w[:2], *[9] * (len(w) - 2))), RuntimeError,
              f"{name}: the window .*9.* is larger than the padded x"),
    )


def transposed_errors(name: str, x, w) -> tuple[Error, ...]:
    return (
        *errors(name, x, w),
        Error(call(x, w, output_padding=1), RuntimeError, f"{name}: output_padding 1 must be"),
        Error(call(x, w, output_padding=-1), ValueError, f"{name}: output_padding must be .* 0; g"),
        Error(call(x, w, padding=9), RuntimeError, f"{name}: the output would have size"),
        Error(call(x, w, padding="same"), TypeError, f"{name}: padding must be an int; got 'same'"),
        Error(call(x, (x[1], 0, *w[2:])), RuntimeError, "none may be 0"),
    )


@st.composite
def unfold_calls(draw) -> Call:
    def pair(low: int, high: int):
        one = st.integers(low, high)
        return draw(st.one_of(one, st.tuples(one, one)))

    static = {"kernel_size": pair(1, 3), "dilation": pair(1, 2), "padding": pair(0, 2),
              "stride": pair(1, 3)}
    kernel, holes, before = ([n, n] if isinstance(n, int) else n for n in
                             [*static.values()][:3])
    sides = [max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 3))
             for k, d, p in zip(kernel, holes, before, strict=True)]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    return Call(real(draw(generators()), (*batch, draw(small), *sides)), **static)


@st.composite
def fold_calls(draw) -> Call:
    unfolded = draw(unfold_calls())
    *batch, channels, height, width = unfolded.arrays[0].shape
    k, d, p, s = ([n, n] if isinstance(n, int) else n for n in unfolded.static.values())
    windows = [(n + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1
               for i, n in enumerate((height, width))]
    return Call(real(draw(generators()), (*batch, channels * k[0] * k[1], windows[0] * windows[1])),
                output_size=(height, width), **unfolded.static)


def window_errors(name: str, shape, **static) -> tuple[Error, ...]:
    """What unfold and fold refuse alike"""
    def refused(kind: type[Exception], message: str, shape=shape, **more) -> Error:
        return Error(call(shape, **static | more), kind, f"{name}: {message}")
    return (
        refused(ValueError, "kernel_size must be 2 ints of at least 1; got 0", kernel_size=0),
        refused(TypeError, "kernel_size must be an int; got 2.0", kernel_size=2.0),
        refused(ValueError, r"stride must be .* got \(1, 2, 3\)", stride=(1, 2, 3)),
        refused(ValueError, "stride must be 2 ints of at least 1; got 0", stride=0),
        refused(ValueError, "padding must be 2 ints of at least 0; got -1", padding=-1),
        refused(ValueError, "dilation must be 2 ints of at least 1; got 0", dilation=0),
        refused(RuntimeError, r"x must have . or . dims; got \(3,\)", (3,)),
        Error(Call(np.ones(shape, np.int64), **static), RuntimeError, f"{name}: needs floating"),
    )


CASES = [
    OpCase(ops.conv2d, quiet(F.conv2d), conv_calls(2),
           (example(1, real, (2, 4, 5, 6), (6, 2, 3, 2), (6,), stride=(2, 1), padding=(1, 0),
                    dilation=(1, 2), groups=2),
            example(2, real, (2, 3, 4, 5), (2, 3, 1, 1), (2,)),
            example(3, real, (2, 2, 5, 4), (3, 2, 2, 3), (3,), padding="same", dilation=2)),
           forward_errors("conv2d", (2, 4, 5, 6), (4, 4, 3, 3)),
           excused={"empty": "without input channels PyTorch's output has none either, though it "
                             "should be the bias"}),
    OpCase(ops.conv1d, quiet(F.conv1d), conv_calls(1),
           (example(4, real, (2, 4, 9), (6, 2, 3), (6,), stride=2, padding=1, groups=2),
            example(12, real, (2, 3, 5), (2, 3, 3)),
            example(15, real, (1, 2, 4), (2, 2, 3), padding="valid"),
            example(16, real, (1, 2, 5), (2, 2, 4), padding="same")),
           forward_errors("conv1d", (2, 4, 5), (4, 4, 3))),
    OpCase(ops.conv_transpose2d, F.conv_transpose2d, transposed_calls(2),
           (example(5, real, (2, 4, 3, 4), (4, 3, 3, 2), (6,), stride=(3, 2), padding=(1, 0),
                    output_padding=(2, 1), groups=2, dilation=(1, 2)),
            example(6, real, (2, 3, 4, 5), (3, 2, 1, 1), (2,))),
           transposed_errors("conv_transpose2d", (2, 4, 5, 6), (4, 4, 3, 3))),
    OpCase(ops.conv_transpose1d, F.conv_transpose1d, transposed_calls(1),
           (example(7, real, (2, 4, 5), (4, 3, 3), (6,), stride=2, padding=1, output_padding=1,
                    groups=2),
            example(13, real, (2, 3, 4), (3, 2, 2)),
            example(14, real, (2, 2, 3), (2, 3, 3), padding=2)),
           (*transposed_errors("conv_transpose1d", (2, 4, 5), (4, 4, 3)),
            Error(call((1, 2, 2), (2, 2, 3), padding=2), RuntimeError,
                  r"the output would have size \(0,\)"))),
    OpCase(ops.unfold, F.unfold, unfold_calls(),
           (example(8, real, (2, 3, 5, 6), kernel_size=(3, 2), dilation=(1, 2), padding=(1, 0),
                    stride=(2, 1)),
            example(9, real, (3, 4, 5), kernel_size=2)),
           (*window_errors("unfold", (2, 3, 5, 6), kernel_size=2),
            Error(call((2, 3, 5, 6), kernel_size=6), RuntimeError,
                  r"unfold: no window fits; got x \(2, 3, 5, 6\), kernel_size 6"),
            Error(call((2, 0, 5, 6), kernel_size=2), RuntimeError, "unfold: no window fits"),
            Error(call((2, 3, 0, 6), kernel_size=1), RuntimeError, "unfold: no window fits"))),
    OpCase(ops.fold, F.fold, fold_calls(),
           (example(10, real, (2, 12, 9), output_size=(4, 5), kernel_size=(2, 3)),
            example(11, real, (8, 6), output_size=(6, 4), kernel_size=2, dilation=(1, 2),
                    stride=2, padding=(0, 1))),
           (*window_errors("fold", (2, 8, 6), output_size=(3, 4), kernel_size=2),
            Error(call((2, 8, 6), output_size=(3, 5), kernel_size=2), RuntimeError,
                  r"fold: x must be \(N, C·4, 2·4\) for output_size \(3, 5\); got \(2, 8, 6\)"),
            *(Error(call(shape, output_size=(3, 4), kernel_size=2), RuntimeError,
                    r"fold: x must be \(N, C·4, 2·3\)") for shape in ((2, 9, 6), (2, 0, 6))),
            Error(call((2, 8, 6), output_size=0, kernel_size=2), ValueError,
                  "fold: output_size must be 2 ints of at least 1; got 0"),
            Error(call((2, 8, 6), output_size=None, kernel_size=2), TypeError,
                  "output_size must be an int; got None"))),
]
