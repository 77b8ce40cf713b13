"""Cases of minigrad.ops.loss."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from domains import Domain, positive, probability, real, seeds, shapes
from hypothesis import strategies as st

import minigrad
from minigrad.ops import loss as ops
from op_cases.case import Call, Error, OpCase, example

reductions = st.sampled_from(["none", "mean", "sum"])
plain = st.sampled_from(["none", "sum"])            # torch warns of kl_div's "mean"
X, T = np.ones((2, 3)), np.zeros(2, np.int64)


def weight_static(loss):
    def run(x, target, *, weights=None, **static):
        new = torch.tensor if isinstance(x, torch.Tensor) else minigrad.tensor
        named = {name: new(value, dtype=x.dtype) for name, value in (weights or {}).items()}
        return loss(x, target, **named, **static)
    return run


@st.composite
def class_calls(draw, *, smoothing: bool) -> Call:
    rng, n, classes = draw(seeds), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    rest = draw(st.sampled_from([(), (3,), (2, 2)]))
    x, target = (n, classes, *rest), (n, *rest)
    if draw(st.booleans()):
        x, target = (classes,), ()
    labels = rng.integers(0, classes, target)
    ignore = draw(st.sampled_from([-100, 0]))
    if target and draw(st.booleans()):
        labels.reshape(-1)[1::2] = ignore
    labels.reshape(-1)[0] = 1                                   # of no item at all the mean is NaN
    static = {"label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0]))} if smoothing else {}
    # the weights of torch's class numbers carry no gradient: they travel with the static arguments
    return Call(real(rng, x), target=labels, ignore_index=ignore, reduction=draw(reductions),
                weights=draw(st.sampled_from([None, list(positive(rng, (classes,)))])), **static)


def by_class(loss):
    def run(x, *, target, weights=None, **static):
        new = torch.tensor if isinstance(x, torch.Tensor) else minigrad.tensor
        return loss(x, target, None if weights is None else new(weights, dtype=x.dtype), **static)
    return run


@st.composite
def probability_calls(draw) -> Call:
    rng, shape = draw(seeds), draw(st.sampled_from([(3,), (2, 3), (4, 2, 3), (2, 4, 1, 2)]))
    classes = shape[1 if len(shape) > 1 else 0]
    return Call(real(rng, shape), probability(rng, shape), reduction=draw(reductions),
                label_smoothing=draw(st.sampled_from([0.0, 0.2])),
                weights=draw(st.sampled_from([None, {"weight": list(positive(rng, (classes,)))}])))


def numbers(x: Domain, target: Domain, **static: st.SearchStrategy) -> st.SearchStrategy[Call]:
    return st.builds(lambda rng, shape, **drawn: Call(x(rng, shape), target(rng, shape), **drawn),
                     seeds, shapes(0, 3), **({"reduction": reductions} | static))


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
    OpCase(ops.cross_entropy, by_class(F.cross_entropy), class_calls(smoothing=True),
           (Call(real(np.random.default_rng(1), (3, 4)), target=np.array([1, -100, 3]),
                 weights=[1.0, 2.0, 0.5, 1.5], label_smoothing=0.1),
            Call(real(np.random.default_rng(2), (2, 4, 3)), reduction="sum",
                 target=np.array([[1, 2, 0], [3, 3, 1]]))),
           (Error(Call(X, target=np.zeros(3, np.int64)), ValueError,
                  r"target must have x's shape without .*got x \(2, 3\), target \(3,\)"),
            Error(Call(X, target=np.array([0, 3])), IndexError, r"lie in \[0, 2\].*got 0 to 3"),
            Error(Call(X, target=T, weights=[1.0, 1.0]), RuntimeError,
                  r"weight must have one entry for each of 3 classes .* got \(2,\)"),
            Error(Call(X, target=T, reduction="average"), ValueError, "reduction must be"),
            Error(Call(X, target=T, label_smoothing=1.5), RuntimeError, "label_smoothing must lie"),
            Error(Call(X, target=np.ones(2)), RuntimeError, "target of probabilities must have"),
            Error(Call(X, target=X, ignore_index=1), RuntimeError,
                  "ignore_index is for class numbers; got 1 and a target of float64"),
            Error(Call(X, target=T.astype(np.int32)), RuntimeError, "class numbers, .* got int32"),
            Error(Call(X, target=T, label_smoothing="0"), TypeError, "must be a number; got '0'"),
            Error(Call(X, target=T, ignore_index=0.5), TypeError, "ignore_index must be an int"),
            Error(Call(np.ones(()), target=T[0]), ValueError, r"x must be \(C,\), .*got \(\)"),
            Error(Call(X.astype(int), target=T), RuntimeError, "cross_entropy: needs floating")),
           run=by_class(ops.cross_entropy)),
    OpCase(ops.cross_entropy, weight_static(F.cross_entropy), probability_calls(),
           (Call(real(np.random.default_rng(3), (2, 3)),
                 probability(np.random.default_rng(4), (2, 3)), label_smoothing=0.2),),
           run=weight_static(ops.cross_entropy), name="cross_entropy of probabilities"),
    OpCase(ops.nll_loss, by_class(F.nll_loss), class_calls(smoothing=False),
           (Call(real(np.random.default_rng(5), (3, 4)), target=np.array([1, -100, 3]),
                 weights=[1.0, 2.0, 0.5, 1.5]),),
           (Error(Call(X, target=np.array([0, -1])), IndexError, r"must lie in \[0, 2\]"),
            Error(Call(X, target=np.ones(2)), RuntimeError, "target must hold class numbers"),
            Error(Call(X.astype(int), target=T), RuntimeError, "nll_loss: needs floating point")),
           run=by_class(ops.nll_loss)),
    OpCase(ops.mse_loss, F.mse_loss, numbers(real, real),
           (example(6, real, (2, 3), (2, 3)),), errors("mse_loss")),
    OpCase(ops.l1_loss, F.l1_loss, numbers(positive, lambda rng, shape: -positive(rng, shape)),
           (example(7, real, (2, 3), (2, 3)),),
           (*errors("l1_loss"),
            Error(Call(X, X > 0), RuntimeError, "l1_loss: needs numbers, not bools")),
           corners=numbers(kinks, zeros)),
    OpCase(ops.smooth_l1_loss, F.smooth_l1_loss,
           numbers(apart, zeros, beta=st.sampled_from([0.0, 0.5, 1.0])),
           (Call(np.array([[0.2, -0.3, 2.0], [-1.7, 3.0, 0.1]]), np.zeros((2, 3))),),
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
           (example(8, probability, (2, 3), (2, 3)),),
           (*errors("binary_cross_entropy"),
            Error(Call(X, np.ones((2, 1))), ValueError,
                  r"target must have x's shape; got x \(2, 3\), target \(2, 1\)"),
            Error(Call(X * 2, X), RuntimeError, r"x must lie in \[0, 1\]; got 2.0 to 2.0"),
            Error(Call(X, -X), RuntimeError, r"target must lie in \[0, 1\]; got -1.0 to -1.0"),
            Error(Call(X, X.astype(np.float32)), RuntimeError, "one dtype; got float64, float32"),
            Error(Call(X, X, weights={"weight": [1.0, 1.0]}), RuntimeError,
                  r"weight \(2,\) does not broadcast to x \(2, 3\)")),
           run=weight_static(ops.binary_cross_entropy), corners=numbers(ends, ends)),
    OpCase(ops.binary_cross_entropy_with_logits,
           weight_static(F.binary_cross_entropy_with_logits), numbers(real, probability),
           (example(9, real, (2, 3), (2, 3), reduction="none"),
            Call(np.array([[0.5, -1.0, 40.0], [-60.0, 2.0, 0.3]]), np.full((2, 3), 0.3))),
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
            example(11, real, (2, 3), (2, 3), log_target=True, reduction="sum")),
           (*errors("kl_div", reduction="sum"),
            Error(Call(X, X.astype(int), reduction="sum"), RuntimeError,
                  "kl_div: needs floating .* got int64"),
            Error(Call(X, np.ones((2, 4)), reduction="sum"), RuntimeError,
                  r"kl_div: x \(2, 3\) and target \(2, 4\) do not broadcast"),
            Error(Call(X, X, log_target=None, reduction="sum"), TypeError,
                  "log_target must be True or False")),
           corners=numbers(real, ends, reduction=st.sampled_from(["none", "sum", "batchmean"]))),
]
