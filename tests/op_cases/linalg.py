"""Cases of minigrad.ops.linalg."""

from __future__ import annotations

import re

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import linalg as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real
from minigrad.testing.strategies import broadcastable_shapes, generators

sides = st.integers(0, 4)


@st.composite
def matmul_calls(draw) -> Call:
    n, k, m = draw(sides), draw(sides), draw(sides)
    lead_a, lead_b = draw(broadcastable_shapes(2, max_dims=2))
    a = draw(st.sampled_from([(k,), (n, k), (*lead_a, n, k)]))
    b = draw(st.sampled_from([(k,), (k, m), (*lead_b, k, m)]))
    rng = draw(generators())
    return Call(real(rng, a), real(rng, b))


@st.composite
def stacks(draw, lead: int) -> Call:
    n, k, m = draw(sides), draw(sides), draw(sides)
    stack = tuple(draw(sides) for _ in range(lead))
    rng = draw(generators())
    return Call(real(rng, (*stack, n, k)), real(rng, (*stack, k, m)))


@st.composite
def linear_calls(draw) -> Call:
    lead = draw(st.lists(sides, max_size=2))
    inputs, outputs = draw(sides), draw(sides)
    rng = draw(generators())
    b = draw(st.sampled_from([None, (outputs,), (1,), (*lead[:len(lead) == 1], outputs)]))
    return Call(real(rng, (*lead, inputs)), real(rng, (outputs, inputs)),
                None if b is None else real(rng, b))


def misfit(op, a, b) -> Error:
    return Error(Call(np.ones(a), np.ones(b)), RuntimeError,
                 rf"{op.__name__}: shapes do not fit; got .*{re.escape(str(a))}")


def bools(op, a, b) -> Error:
    return Error(Call(np.ones(a, bool), np.ones(b, bool)), RuntimeError,
                 f"{op.__name__}: operands must be numbers; got bool")


def mixed(op, a, b) -> Error:
    return Error(Call(np.ones(a), np.ones(b, np.float32)), RuntimeError,
                 f"{op.__name__}: operands must have one dtype; got float64, float32")


CASES = [
    OpCase(ops.matmul, torch.matmul, matmul_calls(),
           (example(1, real, (2, 3), (3, 2)), example(2, real, (2, 2), (2, 2)),
            example(3, real, (2, 3), (3,)), example(4, real, (3,), (3, 2)),
            example(5, real, (3,), (3,)), example(6, real, (2, 1, 2, 3), (4, 3, 2))),
           (misfit(ops.matmul, (2, 3), (2, 3)), misfit(ops.matmul, (3,), (2,)),
            misfit(ops.matmul, (), (2,)),
            Error(Call(np.ones((2, 2, 3)), np.ones((3, 3, 2))), RuntimeError,
                  r"matmul: shapes \(2, 2, 3\) and \(3, 3, 2\) do not broadcast"),
            misfit(ops.matmul, (2, 3), ()), mixed(ops.matmul, (2, 3), (3, 2)),
            bools(ops.matmul, (2, 3), (3, 2)))),
    OpCase(ops.matmul, lambda x, other: torch.matmul(x, torch.tensor(other, dtype=x.dtype)), None,
           (example(1, real, (2, 3), other=[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]),),
           run=ops.matmul, name="matmul by a list"),
    OpCase(ops.mm, torch.mm, stacks(0), (example(7, real, (2, 3), (3, 4)),),
           (misfit(ops.mm, (2, 3), (2, 3)), misfit(ops.mm, (3,), (3, 2)),
            misfit(ops.mm, (1, 2, 3), (1, 3, 2)), mixed(ops.mm, (2, 3), (3, 2)),
            bools(ops.mm, (2, 3), (3, 2)))),
    OpCase(ops.bmm, torch.bmm, stacks(1), (example(8, real, (2, 2, 3), (2, 3, 4)),),
           (misfit(ops.bmm, (2, 2, 3), (3, 3, 2)), misfit(ops.bmm, (2, 3), (3, 2)),
            misfit(ops.bmm, (1, 2, 3), (3, 3, 2)), bools(ops.bmm, (1, 2, 3), (1, 3, 2)))),
    OpCase(ops.dot, torch.dot,
           st.builds(lambda rng, n: Call(real(rng, (n,)), real(rng, (n,))), generators(), sides),
           (example(9, real, (3,), (3,)),),
           (misfit(ops.dot, (3,), (2,)), misfit(ops.dot, (2, 2), (2, 2)),
            misfit(ops.dot, (), ()), mixed(ops.dot, (3,), (3,)), bools(ops.dot, (3,), (3,)))),
    OpCase(ops.linear, torch.nn.functional.linear, linear_calls(),
           (example(10, real, (4, 3), (2, 3), (2,)), example(11, real, (2, 2, 3), (4, 3), (4,)),
            Call(np.arange(6.0).reshape(2, 3), np.ones((3, 3)), None),
            example(12, real, (3,), (2, 3), (2,)), example(13, real, (2, 3), (3,)),
            example(14, real, (2, 3), (4, 3), (2, 1)), example(15, real, (3,), (3,)),
            example(16, real, (4, 3), (2, 3), ())),
           (misfit(ops.linear, (4, 3), (2, 4)), misfit(ops.linear, (4, 2), (2, 3)),
            misfit(ops.linear, (), (2, 3)), mixed(ops.linear, (4, 3), (2, 3)),
            bools(ops.linear, (4, 3), (2, 3)),
            Error(Call(np.ones((4, 3)), np.ones((2, 3)), np.ones(2, np.float32)), RuntimeError,
                  "linear: operands must have one dtype; got float64, float64, float32"),
            Error(Call(np.ones((3, 2, 3)), np.ones((4, 3)), np.ones((3, 4))), RuntimeError,
                  r"linear: shapes do not fit; got .* b \(3, 4\)"),
            Error(Call(np.ones((4, 3)), np.ones((2, 3)), np.ones(3)), RuntimeError,
                  r"linear: shapes do not fit; got x \(4, 3\), w \(2, 3\), b \(3,\)"),
            Error(Call(np.ones((4, 3)), np.ones((2, 3)), np.ones((1, 4, 2))), RuntimeError,
                  r"linear: shapes do not fit; got .* b \(1, 4, 2\)"))),
]
