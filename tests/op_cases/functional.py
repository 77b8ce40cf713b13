"""Cases of what minigrad.functional composes itself."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st

from minigrad import functional as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import nonzero, real, tied
from minigrad.testing.strategies import (
    any_shapes,
    broadcastable_shapes,
    dim_of,
    dims_of,
    generators,
    shapes,
)


@st.composite
def softmax_calls(draw) -> Call:
    shape = draw(any_shapes(0, 3))
    return Call(real(draw(generators()), shape), dim=draw(dim_of(len(shape))))


@st.composite
def pad_calls(draw) -> Call:
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    if mode == "constant":
        shape = draw(any_shapes(1, 4))
        n = draw(st.integers(0, len(shape)))
    else:
        n = draw(st.integers(1, 3))
        lead = draw(st.sampled_from([(2,), (1, 2), (0, 1)]))
        shape = (*lead, *(draw(st.integers(2, 4)) for _ in range(n)))
    sizes = []
    for side in shape[::-1][:n]:
        first = draw(st.integers(-(side // 2), 3 if mode == "constant" else side - 1))
        least = -(side // 2) if mode == "constant" else max(1 - side - first, -(side // 2))
        # where negative sizes have cut, "circular" repeats what is left, once
        most = side - 1 + min(first, 0) if mode == "circular" else side - 1
        sizes += [first, draw(st.integers(least, max(most, least)))]
    if mode == "circular":
        sizes = [min(n, side + min(sizes[i ^ 1], 0)) for i, (n, side) in enumerate(
            zip(sizes, np.repeat(shape[::-1][:n], 2).tolist(), strict=True))]
    value = draw(st.sampled_from([None, 1.5, 2])) if mode == "constant" else None
    return Call(real(draw(generators()), shape), pad=tuple(sizes), mode=mode, value=value)


@st.composite
def normalize_calls(draw, domain=nonzero, p=(0, 0.5, 1, 1.5, 2.0, 3, -1, np.inf, -np.inf)) -> Call:
    shape = draw(any_shapes(1, 3) if domain is tied else shapes(1, 3))
    dim = dims_of(len(shape)) if 0 not in shape else dim_of(len(shape))
    p = draw(st.sampled_from([n for n in p if 0 < n < np.inf or 0 not in shape]))
    return Call(domain(draw(generators()), shape), dim=draw(dim), p=p)


@st.composite
def cosine_calls(draw, domain=nonzero, eps=(1e-8,)) -> Call:
    rng, pair = draw(generators()), draw(broadcastable_shapes(2))
    ndim = max(len(shape) for shape in pair)
    return Call(*(domain(rng, shape) for shape in pair), dim=draw(dim_of(ndim)),
                eps=draw(st.sampled_from(eps)))


X = np.ones((2, 3))

CASES = [
    *(OpCase(getattr(ops, name), getattr(F, name), softmax_calls(),
             (example(1, real, (2, 3), dim=1), example(2, real, (2, 3, 4), dim=-2)),
             (Error(Call(X, dim=2), IndexError, f"{name}: dim 2 is out of range"),
              Error(Call(X, dim=True), TypeError, f"{name}: dim must be an int; got True"),
              Error(Call(np.ones((2, 3), int), dim=1), RuntimeError, f"{name}: needs floating")),
             name=f"functional.{name}") for name in ("softmax", "log_softmax")),
    OpCase(ops.pad, F.pad, pad_calls(),
           (example(2, real, (2, 3, 4), pad=(1, 2, -1, 1)),
            example(3, real, (2, 2, 3, 4), pad=(1, 2, 2, 1), mode="reflect"),
            example(4, real, (2, 2, 3, 4), pad=(1, 2, 2, 1), mode="circular"),
            # nothing is added
            example(5, real, (2, 3), pad=(0, 0)), example(6, real, (2, 3), pad=(-1, 0)),
            example(7, real, (2, 2, 3), pad=(0, 0), mode="reflect")),
           (Error(Call(X, pad=(1,)), RuntimeError, "needs two sizes a dim"),
            Error(Call(X, pad=(1,) * 6), RuntimeError, "at most 2 dims"),
            Error(Call(X, pad=(1.0, 1.0)), TypeError, "pad: pad must be an int; got 1.0"),
            Error(Call(X, pad=1), TypeError, "pad: pad must be a tuple of ints; got 1"),
            *(Error(Call(X, pad=(n, n)), ValueError, f"pad: pad must fit in 64 bits; got {n}")
              for n in (2**63, -2**63 - 1)),
            Error(Call(X, pad=(-2, -2)), RuntimeError, "-2 and -2 do not fit dim 1 of x"),
            Error(Call(X, pad=(-4, 4)), RuntimeError, "-4 and 4 do not fit dim 1 of x"),
            Error(Call(X, pad=(3, 0), mode="reflect"), RuntimeError, "do not fit dim 1"),
            Error(Call(X, pad=(4, 0), mode="circular"), RuntimeError, "do not fit dim 1"),
            Error(Call(X, pad=(1, 1, 1, 1), mode="reflect"), RuntimeError,
                  "mode 'reflect' pads all dims but the first one or two; got 4 sizes"),
            Error(Call(np.ones((2, 3, 4, 5)), pad=(1, 1), mode="replicate"), RuntimeError,
                  "mode 'replicate' pads all dims but"),
            Error(Call(np.ones((2, 0)), pad=(1, 1), mode="replicate"), RuntimeError,
                  "mode 'replicate' needs numbers to repeat"),
            Error(Call(X, pad=(1, 1), mode="mirror"), ValueError, "mode must be 'constant'"),
            Error(Call(X, pad=(1, 1), mode="reflect", value=1.0), ValueError, "takes no value"),
            Error(Call(X, pad=(1, 1), value="1"), TypeError, "value must be a number; got '1'"),
            Error(Call(np.ones(2, int), pad=(1, 1), value=np.inf), RuntimeError,
                  "pad: int64 cannot hold the value inf"),
            Error(Call(np.ones(2, np.uint8), pad=(1, 1), value=-1), RuntimeError,
                  "pad: uint8 cannot hold the value -1"))),
    OpCase(ops.normalize, F.normalize, normalize_calls(),
           (example(5, nonzero, (2, 3)), example(6, nonzero, (2, 3), p=1.0, dim=0),
            example(7, nonzero, (2, 3), p=3.0), example(8, nonzero, (2, 3), eps=9.0),
            example(9, nonzero, (2, 3), p=0, dim=(0, 1))),
           (Error(Call(X, dim=2), IndexError, "normalize: dim 2 is out of range"),
            Error(Call(X, dim=True), TypeError, "normalize: dim must be an int; got True"),
            Error(Call(X, p=[2]), TypeError, r"normalize: p must be a number; got \[2\]"),
            Error(Call(np.ones((2, 3), int)), RuntimeError, "normalize: needs floating point")),
           corners=normalize_calls(tied, p=(0, 0.5, 1, 2.0, 3, np.inf))),
    OpCase(ops.cosine_similarity, F.cosine_similarity, cosine_calls(),
           (example(8, nonzero, (2, 3), (2, 3)), example(9, nonzero, (2, 3), (2, 3), dim=0)),
           (Error(Call(X, X, dim=2), IndexError, "cosine_similarity: dim 2 is out of range"),
            Error(Call(X, np.ones((2, 4))), RuntimeError,
                  r"shapes \(2, 3\) and \(2, 4\) do not broadcast"),
            Error(Call(X, X, eps=-1), RuntimeError, "eps must not be negative; got -1"),
            Error(Call(X, X, eps="1"), TypeError, "eps must be a number; got '1'"),
            Error(Call(np.ones((2, 3), int), np.ones((2, 3), int)), RuntimeError,
                  "cosine_similarity: needs floating point")),
           corners=st.one_of(cosine_calls(tied, eps=(1e-8, 0.5, 3)), st.sampled_from([
               Call(np.full((2, 3), 1e-10), np.ones((2, 3))), Call(X, np.ones((2, 3)), eps=0)]))),
]
