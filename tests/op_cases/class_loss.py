"""Cases of minigrad.ops.class_loss."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import minigrad
from minigrad.ops import class_loss as ops
from minigrad.testing.case import Call, Error, OpCase
from minigrad.testing.domains import positive, probability, real
from minigrad.testing.strategies import generators
from op_cases.loss import reductions, weight_static

X, T = np.ones((2, 3)), np.zeros(2, np.int64)


@st.composite
def class_calls(draw, *, smoothing: bool) -> Call:
    rng, n, classes = draw(generators()), draw(st.integers(1, 4)), draw(st.integers(2, 4))
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
    rng, shape = draw(generators()), draw(st.sampled_from([(3,), (2, 3), (4, 2, 3), (2, 4, 1, 2)]))
    classes = shape[1 if len(shape) > 1 else 0]
    return Call(real(rng, shape), probability(rng, shape), reduction=draw(reductions),
                label_smoothing=draw(st.sampled_from([0.0, 0.2])),
                weights=draw(st.sampled_from([None, {"weight": list(positive(rng, (classes,)))}])))


def pinned(*labels, classes: int = 4, **static) -> Call:
    """Some numbers, and these classes for them."""
    target = np.array(labels)
    x = (*target.shape[:1], classes, *target.shape[1:])
    return Call(real(np.random.default_rng(6), x), target=target, **static)


IGNORED = [[1, -100, 3], [2, 0, -100]]
FOUR = [1.0, 2.0, 0.5, 1.5]
CHOICES = [pinned(1, -100, 3, weights=FOUR), pinned(1, -100, 3), pinned(1, 2, 3, ignore_index=2),
           pinned(*IGNORED, reduction="none"), pinned(*IGNORED, reduction="sum", weights=FOUR),
           pinned(*np.arange(12).reshape(2, 2, 3) % 4, reduction="none", weights=FOUR),
           pinned(2, 0, classes=3, reduction="none"), pinned(0, -100, classes=1),
           Call(real(np.random.default_rng(7), (3,)), target=np.array(1), reduction="none"),
           pinned(*np.array([2, 0], np.uint8)), Call(X * [[1, 2, 4], [3, 1, 5]], target=T + 1)]
"""Each way in which classes are chosen, weighted, left out and summed."""

CASES = [
    OpCase(ops.cross_entropy, by_class(F.cross_entropy), class_calls(smoothing=True),
           (Call(real(np.random.default_rng(1), (3, 4)), target=np.array([1, -100, 3]),
                 weights=[1.0, 2.0, 0.5, 1.5], label_smoothing=0.1),
            Call(real(np.random.default_rng(2), (2, 4, 3)), reduction="sum",
                 target=np.array([[1, 2, 0], [3, 3, 1]])), *CHOICES,
            pinned(*IGNORED, label_smoothing=0.2, weights=FOUR),
            pinned(*IGNORED, label_smoothing=0.2, reduction="sum"),
            pinned(*IGNORED, label_smoothing=0.2, reduction="none", weights=FOUR)),
           (Error(Call(X, target=np.zeros(3, np.int64)), ValueError,
                  r"target must have x's shape without .*got x \(2, 3\), target \(3,\)"),
            Error(Call(X, target=np.array([0, 3])), IndexError, r"lie in \[0, 2\].*got 0 to 3"),
            Error(Call(X, target=T, weights=[1.0, 1.0]), RuntimeError,
                  r"weight must have one entry for each of 3 classes .* got \(2,\)"),
            Error(Call(X, target=T, reduction="average"), ValueError, "reduction must be"),
            Error(Call(X, target=T, label_smoothing=1.5), RuntimeError, "label_smoothing must lie"),
            Error(Call(X, target=T, label_smoothing=-0.5), RuntimeError, "smoothing must lie"),
            Error(Call(X, target=np.ones(2)), RuntimeError, "target of probabilities must have"),
            Error(Call(X, target=X, ignore_index=0), RuntimeError,
                  "ignore_index is for class numbers; got 0 and a target of float64"),
            Error(Call(X, target=T.astype(np.int32)), RuntimeError, "class numbers, .* got int32"),
            Error(Call(X, target=T, label_smoothing="0"), TypeError, "must be a number; got '0'"),
            Error(Call(X, target=T, ignore_index=0.5), TypeError, "ignore_index must be an int"),
            Error(Call(np.ones(()), target=T[0]), ValueError, r"x must be \(C,\), .*got \(\)"),
            Error(Call(X.astype(int), target=T), RuntimeError, "cross_entropy: needs floating")),
           run=by_class(ops.cross_entropy)),
    OpCase(ops.cross_entropy, weight_static(F.cross_entropy), probability_calls(),
           (Call(real(np.random.default_rng(3), (2, 3)),
                 probability(np.random.default_rng(4), (2, 3)), label_smoothing=0.2),
            Call(real(np.random.default_rng(3), (2, 3, 4)),
                 probability(np.random.default_rng(4), (2, 3, 4)), reduction="none",
                 weights={"weight": [1.0, 2.0, 0.5]}),
            Call(real(np.random.default_rng(3), (2, 3, 4)),
                 probability(np.random.default_rng(4), (2, 3, 4)), reduction="sum",
                 ignore_index=-1),
            Call(real(np.random.default_rng(3), (3,)),
                 probability(np.random.default_rng(4), (3,)), label_smoothing=0.2,
                 weights={"weight": [1.0, 2.0, 0.5]})),
           run=weight_static(ops.cross_entropy), name="cross_entropy of probabilities",
           excused={"empty": "smoothing over no class at all is 0/0 to PyTorch, and 0 here"}),
    OpCase(ops.nll_loss, by_class(F.nll_loss), class_calls(smoothing=False),
           (Call(real(np.random.default_rng(5), (3, 4)), target=np.array([1, -100, 3]),
                 weights=[1.0, 2.0, 0.5, 1.5]), *CHOICES),
           (Error(Call(X, target=np.array([0, -1])), IndexError, r"must lie in \[0, 2\]"),
            Error(Call(X, target=np.ones(2)), RuntimeError, "target must hold class numbers"),
            *(Error(Call(X, target=T, **{old: True}), TypeError, "reduce went out of use in torch")
              for old in ("size_average", "reduce")),
            Error(Call(np.ones(()), target=T[0]), ValueError, "target must have x's shape"),
            Error(Call(X.astype(int), target=T), RuntimeError, "nll_loss: needs floating point")),
           run=by_class(ops.nll_loss),
           # an item that does not count may have a probability of 0
           corners=st.just(Call([[-np.inf, -np.inf, 0.0], [-1.0, -2.0, -0.5]],
                                target=np.array([-100, 1]), reduction="none"))),
]
