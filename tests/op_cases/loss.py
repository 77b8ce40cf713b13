"""Cases of minigrad.ops.loss."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import minigrad
from minigrad.ops import loss as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import Domain, positive, probability, real
from minigrad.testing.strategies import generators, shapes

reductions = st.sampled_from(["none", "mean", "sum"])
plain = st.sampled_from(["none", "sum"])            # torch warns of kl_div's "mean"
X, T = np.ones((2, 3)), np.zeros(2, np.int64)


def weight_static(loss):
    def run(x, target, *, weights=None, **static):
        new = torch.tensor if isinstance(x, torch.Tensor) else minigrad.tensor
        named = {name: new(value, dtype=x.dtype) for name, value in (weights or {}).items()}
        return loss(x, target, **named, **static)
    return run


def numbers(x: Domain, target: Domain, **static: st.SearchStrategy) -> st.SearchStrategy[Call]:
    return st.builds(lambda rng, shape, **drawn: Call(x(rng, shape), target(rng, shape), **drawn),
                     generators(), shapes(0, 3), **({"reduction": reductions} | static))


def weighted(op, reference, x: Domain, target: Domain) -> OpCase:
    """With a weight for each number, a static argument."""
    def call(rng, shape, **static):
        return Call(x(rng, shape), target(rng, shape), weights={"weight": positive(rng, shape)},
                    **static)
    rng = np.random.default_rng(12)
    return OpCase(op, weight_static(reference),
                  st.builds(call, generators(), shapes(0, 3), reduction=reductions),
                  [call(rng, (2, 3)), call(rng, (2, 3), reduction="none"),
                   call(rng, (2, 3), reduction="sum")],
                  [Error(Call(X, X, weights={"weight": np.ones(3)}), ValueError,
                         rf"{op.__name__}: weight must have x's shape; got x \(2, 3\)")],
                  run=weight_static(op), name=f"{op.__name__} with weight",
                  excused={"dtypes": "integers are refused, as without weights"})


def errors(name: str, **static: str) -> tuple[Error, ...]:
    whole = X.astype(np.int64)
    return (Error(Call(X, X, reduction="average"), ValueError,
                  f"{name}: reduction must be 'none', 'mean' or 'sum'; got 'average'"),
            Error(Call(X, X, reduction=None), ValueError, f"{name}: reduction must be .* got None"),
            Error(Call(whole, whole, **static), RuntimeError, f"{name}: needs floating point"))


def apart(rng, shape):
    """0.1 to 0.4, or 1.6 to 4: clear of the kink at 1 and of 0."""
    return np.where(rng.random(shape) < 0.5, rng.uniform(0.1, 0.4, shape),
                    rng.uniform(1.6, 4, shape))


def zeros(rng, shape):
    return np.zeros(shape)


def ends(rng, shape):
    """Probabilities of exactly 0 and 1 among others."""
    return np.asarray(rng.choice([0.0, 1.0, 0.5, 1e-30], shape))


def kinks(rng, shape):
    return np.asarray(rng.choice([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 700.0, np.inf, -np.inf], shape))


CASES = [
    OpCase(ops.mse_loss, F.mse_loss, numbers(real, real),
           (example(6, real, (2, 3), (2, 3)),), errors("mse_loss")),
    OpCase(ops.l1_loss, F.l1_loss, numbers(positive, lambda rng, shape: -positive(rng, shape)),
           (example(7, real, (2, 3), (2, 3)),),
           (*errors("l1_loss"),
            Error(Call(X, X > 0), RuntimeError, "l1_loss: needs numbers, not bools")),
           corners=st.one_of(numbers(kinks, zeros), st.builds(
               lambda reduction: Call([3, -2], [1, 5], reduction=reduction),
               st.sampled_from(["none", "sum"])))),
    OpCase(ops.smooth_l1_loss, F.smooth_l1_loss,
           numbers(apart, zeros, beta=st.sampled_from([0.0, 0.5, 1.0])),
           (Call(np.array([[0.2, -0.3, 2.0], [-1.7, 3.0, 0.1]]), np.zeros((2, 3))),
            Call(np.array([0.2, -0.3, 2.0]), np.zeros(3), beta=0.5)),
           (*errors("smooth_l1_loss"),
            Error(Call(X, X, beta=-1), RuntimeError, "beta must not be negative; got -1"),
            Error(Call(X, X, beta=np.nan), RuntimeError, "beta must not be negative; got nan"),
            Error(Call(X, X, beta="1"), TypeError, "beta must be a number; got '1'")),
           corners=numbers(kinks, zeros, beta=st.sampled_from([0.0, 0.5, 1, 2.0]))),
    OpCase(ops.huber_loss, F.huber_loss, numbers(apart, zeros, delta=st.sampled_from([0.5, 1.0])),
           (Call(np.array([[0.2, -0.3, 2.0], [-1.7, 3.0, 0.1]]), np.zeros((2, 3))),),
           (*errors("huber_loss"),
            Error(Call(X, X, delta=0), RuntimeError, "delta must be positive; got 0"),
            Error(Call(X, X, delta=None), TypeError, "delta must be a number; got None")),
           corners=numbers(kinks, zeros, delta=st.sampled_from([0.5, 1, 2.0, math.inf]))),
    OpCase(ops.binary_cross_entropy, weight_static(F.binary_cross_entropy),
           numbers(probability, probability),
           (example(8, probability, (2, 3), (2, 3)),
            example(8, probability, (2, 3), (2, 3), weights={"weight": [2.0, 3.0, 0.5]}),
            example(8, probability, (2, 3), (2, 3), weights={"weight": [[2.0], [0.5]]})),
           (*errors("binary_cross_entropy"),
            Error(Call(X, np.ones((2, 1))), ValueError,
                  r"target must have x's shape; got x \(2, 3\), target \(2, 1\)"),
            Error(Call(X * 2, X), RuntimeError, r"x must lie in \[0, 1\]; got 2.0 to 2.0"),
            Error(Call(X, -X), RuntimeError, r"target must lie in \[0, 1\]; got -1.0 to -1.0"),
            Error(Call(X, X.astype(np.float32)), RuntimeError, "one dtype; got float64, float32"),
            Error(Call(X, X, weights={"weight": [1.0, 1.0]}), RuntimeError,
                  r"weight \(2,\) does not broadcast to x \(2, 3\)"),
            Error(Call(X, X, weights={"weight": np.ones((3, 3))}), RuntimeError,
                  r"weight \(3, 3\) does not broadcast to x \(2, 3\)")),
           run=weight_static(ops.binary_cross_entropy), corners=numbers(ends, ends)),
    OpCase(ops.binary_cross_entropy_with_logits,
           weight_static(F.binary_cross_entropy_with_logits), numbers(real, probability),
           (example(9, real, (2, 3), (2, 3), reduction="none"),
            Call(np.array([[0.5, -1.0, 40.0], [-60.0, 2.0, 0.3]]), np.full((2, 3), 0.3)),
            example(13, real, (2, 3), (2, 3), weights={"weight": [2.0, 3.0, 0.5]}),
            example(13, real, (2, 3), (2, 3), weights={
                "pos_weight": [0.5, 2.0, 3.0], "weight": [[2.0], [0.5]]})),
           (*errors("binary_cross_entropy_with_logits"),
            Error(Call(X, np.ones(3)), ValueError, "target must have x's shape"),
            Error(Call(X, X.astype(int)), RuntimeError, "needs floating point .* got int64"),
            Error(Call(X, X, weights={"pos_weight": np.ones((1, 2, 3))}), RuntimeError,
                  r"pos_weight \(1, 2, 3\) does not broadcast to x \(2, 3\)")),
           run=weight_static(ops.binary_cross_entropy_with_logits),
           corners=numbers(kinks, ends)),
    OpCase(ops.kl_div, F.kl_div,
           numbers(real, probability, log_target=st.booleans(), reduction=plain),
           (example(10, probability, (2, 3), (2, 3), reduction="batchmean"),
            example(11, real, (2, 3), (2, 3), log_target=True, reduction="sum"),
            example(12, probability, (2, 3), (3,), reduction="sum")),
           (*errors("kl_div", reduction="sum"),
            Error(Call(X, X.astype(int), reduction="sum"), RuntimeError,
                  "kl_div: needs floating .* got int64"),
            Error(Call(X, np.ones((2, 4)), reduction="sum"), RuntimeError,
                  r"kl_div: x \(2, 3\) and target \(2, 4\) do not broadcast"),
            Error(Call(X, X, log_target=None, reduction="sum"), TypeError,
                  "log_target must be True or False")),
           corners=numbers(real, ends, reduction=st.sampled_from(["none", "sum", "batchmean"]))),
    weighted(ops.mse_loss, F.mse_loss, real, real),
    weighted(ops.l1_loss, F.l1_loss, positive, lambda rng, shape: -positive(rng, shape)),
    weighted(ops.huber_loss, F.huber_loss, apart, zeros),
]
