"""Cases of what minigrad.functional composes itself."""

from __future__ import annotations

import functools

import numpy as np
import torch.nn.functional as F
from domains import any_shapes, broadcastable, dim_of, finite_special, nonzero, real, seeds
from hypothesis import strategies as st

from minigrad import functional as ops
from op_cases.case import Call, Error, OpCase, example, unary


def activation(name: str, domain=real, corners=finite_special, errors=(), **static) -> OpCase:
    return OpCase(getattr(ops, name), getattr(F, name), unary(domain, **static),
                  (example(1, domain, (2, 3)),), errors,
                  corners=None if corners is None else unary(corners, **static),
                  name=f"functional.{name}")        # some are in the table as primitives as well


@st.composite
def pad_calls(draw) -> Call:
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    if mode == "constant":
        shape = draw(any_shapes(1, 4))
        n = draw(st.integers(1, len(shape)))
        low = [-(side // 2) for side in shape[::-1][:n]]
    else:
        n = draw(st.integers(1, 2))
        shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)),
                 *(draw(st.integers(2, 4)) for _ in range(n)))
        low = [0] * n
    sizes = [draw(st.integers(a, 3 if mode in ("constant", "replicate") else side - 1))
             for a, side in zip(low, shape[::-1][:n], strict=True) for _ in range(2)]
    value = draw(st.sampled_from([None, 1.5])) if mode == "constant" else None
    return Call(real(draw(seeds), shape), pad=tuple(sizes), mode=mode, value=value)


@st.composite
def norm_calls(draw, *, several: bool) -> Call:
    rng = draw(seeds)
    if several:
        shapes = draw(broadcastable(2))
        ndim = max(len(shape) for shape in shapes)
        shapes = [(1,) * (max(ndim, 1) - len(shape)) + shape for shape in shapes]
        return Call(*(nonzero(rng, shape) for shape in shapes), dim=draw(dim_of(ndim)))
    shape = draw(any_shapes(1, 3))
    return Call(nonzero(rng, shape), dim=draw(dim_of(len(shape))),
                p=draw(st.sampled_from([1.0, 2.0, 3.0])))


def rows_static(embedding):
    def run(weight, *, rows, **static):
        return embedding(rows, weight, **static)
    return run


ROWS = np.array([[0, 2, 2], [3, 0, 1]])
embedding_calls = functools.partial(
    st.builds,
    lambda rng, rows, **padding: Call(real(rng, (4, 3)), rows=np.array(rows, np.int64),
                                    **padding),
    seeds, st.lists(st.integers(0, 3), max_size=5))
X = np.ones((2, 3))

CASES = [
    activation("relu", nonzero), activation("leaky_relu", nonzero,
                                            negative_slope=st.sampled_from([0.01, 0.3])),
    activation("sigmoid"), activation("tanh"), activation("silu"), activation("logsigmoid"),
    activation("elu", nonzero, alpha=st.sampled_from([1.0, 0.5])),
    activation("softplus", beta=st.sampled_from([1.0, 2.0])),
    activation("gelu", approximate=st.sampled_from(["none", "tanh"]), corners=None,
               errors=(Error(Call(X, approximate="fast"), RuntimeError,
                             "approximate must be 'none' or 'tanh'; got 'fast'"),)),
    activation("hardtanh", lambda rng, shape: nonzero(rng, shape) * 1.01,
               min_val=st.sampled_from([-1.0, -0.25]), max_val=st.sampled_from([0.2, 6.0]),
               errors=(Error(Call(X, min_val=2.0, max_val=1.0), ValueError,
                             "min_val must be less than max_val; got 2.0, 1.0"),)),
    OpCase(ops.pad, F.pad, pad_calls(),
           (example(2, real, (2, 3, 4), pad=(1, 2, -1, 1)),
            example(3, real, (2, 2, 3, 4), pad=(1, 2, 2, 1), mode="reflect"),
            example(4, real, (2, 2, 3, 4), pad=(1, 2, 2, 1), mode="circular")),
           (Error(Call(X, pad=(1,)), RuntimeError, "needs two sizes a dim"),
            Error(Call(X, pad=(1,) * 6), RuntimeError, "at most 2 dims"),
            Error(Call(X, pad=(-2, -2)), RuntimeError, "-2 and -2 do not fit dim 1 of x"),
            Error(Call(X, pad=(3, 0), mode="reflect"), RuntimeError, "do not fit dim 1"))),
    OpCase(ops.normalize, F.normalize, norm_calls(several=False),
           (example(5, nonzero, (2, 3)), example(6, nonzero, (2, 3), p=1.0, dim=0),
            example(7, nonzero, (2, 3), p=3.0)),
           corners=st.builds(lambda: Call(np.array([[0.0, 0, 0], [3, 0, 4]])))),
    OpCase(ops.cosine_similarity, F.cosine_similarity, norm_calls(several=True),
           (example(8, nonzero, (2, 3), (2, 3)), example(9, nonzero, (2, 3), (2, 3), dim=0))),
    OpCase(ops.embedding, rows_static(F.embedding), embedding_calls(),
           (Call(real(np.random.default_rng(10), (4, 3)), rows=ROWS),),
           (Error(Call(np.ones((2, 3)), rows=np.array([2])), IndexError,
                  r"input must lie in \[0, 1\]; got 2 to 2"),
            Error(Call(np.ones((2, 3)), rows=np.array([0.5])), RuntimeError, "needs integers")),
           run=rows_static(ops.embedding),
           corners=embedding_calls(padding_idx=st.sampled_from([None, 2, -1]))),
]
