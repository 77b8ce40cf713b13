"""Grade 4: ops whose gradient is right nearly everywhere, or as long as nothing else uses it."""

from __future__ import annotations

import numpy as np

from minigrad.tensor import Tensor
from minigrad.testing.puzzle.catalogue.calls import elementwise, on
from minigrad.testing.puzzle.puzzle import Call, Mistake, Op, Puzzle, Rng
from minigrad.testing.puzzle.training import Problem, Training, constant


def _plateaus(rng: Rng) -> Problem:
    target = rng.uniform(-2, 2, 5)
    return Problem([np.zeros((5, 1))], lambda amax, w: (
        amax(w.expand((5, 8))) - constant(target)).square().sum())


def _ties(rng: Rng) -> list[Call]:
    two = rng.permuted(np.tile([1.0, 1.0, -0.5, 0.0], (3, 1)), axis=1)
    return [*on([(3, 4)], [(1, 5)], [(4, 1)])(rng),
            Call([two], special="each row has its largest value twice"),
            Call([np.ones((2, 3))], special="all elements are equal")]


AMAX = Puzzle(
    op="amax",
    source='''
@op
def amax(x):
    """y_i = max_j x_ij

    Elements that are equally large share the gradient evenly.
    """
    y = x.data.max(1)
    largest = Tensor((x.data == y[:, None]).astype(x.dtype))
    return y, lambda g: (
        g.unsqueeze(1) * largest / largest.sum(1, keepdim=True))
''',
    mistakes=(Mistake("each of several maxima gets all of the gradient",
                      " / largest.sum(1, keepdim=True)", ""),),
    task="Five plateaus of eight equal heights each: the maximum over each plateau is to reach a "
         "given height.",
    training=Training(_plateaus, lr=0.3, steps=40),
    calls=_ties,
    hints=(
        "The op is right as long as each row has one largest element. What happens in training, "
        "where the eight elements of a row are equal?",
        "Add 0.01 to all elements of a row. How much does the maximum grow? What do the "
        "gradients of the row add up to, for g = 1?",
        "The last sentence of the docstring says what is to happen if several elements are "
        "equally large. How many are there in each row?",
    ),
    why="If all elements of a row grow together, the maximum grows by the same amount, so the "
        "gradients of a row must add up to g. With n equal maxima, each gets the n-th "
        "part of it, as in PyTorch's amax.",
)


def _brightness(rng: Rng) -> Problem:
    target = rng.uniform(0.2, 0.8, 8)
    start = rng.permutation([0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.0])
    return Problem([start], lambda clamp, w: (clamp(w) - constant(target)).square().sum())


def _at_the_bounds(rng: Rng) -> list[Call]:
    inside = rng.uniform(0.1, 0.9, (2, 3))
    edges = np.array([0.0, 0.5, 1.0, -0.01, 0.01, 0.99, 1.01])
    return [*on([(3, 4)], [()], low=-1.0, high=2.0)(rng), Call([inside]),
            Call([edges], special="two elements lie exactly on a bound")]


CLAMP = Puzzle(
    op="clamp",
    source='''
@op
def clamp(x):
    """y = x, but at least 0 and at most 1

    On the bounds themselves, the gradient passes.
    """
    passes = Tensor(((x.data >= 0) & (x.data <= 1)).astype(x.dtype))
    return x.data.clip(0, 1), lambda g: g * passes
''',
    mistakes=(Mistake("the bound itself is excluded", "x.data >= 0", "x.data > 0"),
              Mistake("the bound itself is excluded", "x.data <= 1", "x.data < 1")),
    task="Eight brightnesses between 0 and 1 are to be found. Three of them start at exactly 0, "
         "three at exactly 1.",
    training=Training(_brightness, lr=0.1, steps=60),
    calls=_at_the_bounds,
    hints=(
        "Some of the parameters never move. Which of them are these, and where do they start?",
        "Look at the three cases below 0, between 0 and 1, and above 1: all of them are right. "
        "Which values of x belong to none of them?",
        "Read the last sentence of the docstring, and compare it with the comparisons in the "
        "source.",
    ),
    why="On a bound, y moves with x to one side and stays to the other, so any value from 0 to g "
        "is a subgradient. But an element that starts on the bound could never leave it if its "
        "gradient were 0. PyTorch lets the gradient pass there, too.",
)


def _shrinkage(rng: Rng) -> Problem:
    x = rng.normal(size=(20, 4))
    target = x @ np.array([1.0, -2.0, 0.5, 1.5])

    def loss(times: Op, w: Tensor) -> Tensor:
        return (constant(x) @ w - constant(target)).square().mean() + 2.0 * times(w, w).sum()

    # the exact solution of the ridge regression
    best = np.linalg.solve(x.T @ x / 20 + 2.0 * np.eye(4), x.T @ target / 20)
    lowest = float(((x @ best - target) ** 2).mean() + 2.0 * (best**2).sum())
    return Problem([np.zeros(4)], lambda times, w: loss(times, w) - lowest)


TWICE = Puzzle(
    op="times",
    source='''
@op
def times(a, b):
    """y = a b, elementwise"""
    if a is b:                  # a square: one vjp does the work of both
        return a.data**2, lambda g: 2 * g * a, None
    return a.data * b.data, lambda g: g * b, lambda g: g * a
''',
    mistakes=(Mistake("wrong if an input is used twice", "2 * g * a, None", "g * a, None"),),
    task="Ridge regression: the loss contains the squares of the weights, times(w, w). What is "
         "drawn is the loss minus the smallest possible loss, which is known.",
    training=Training(_shrinkage, lr=0.1, steps=60, shown="loss, minus the smallest possible"),
    calls=on([(4,), (4,)], [(3, 4), (3, 4)], [(3, 1), (1, 4)]),
    hints=(
        "The op is right for times(a, b) with any two tensors. Training uses it in another way.",
        "What is the derivative of w² by w? Follow the line that computes it here.",
        "If both inputs are the same tensor, two gradients arrive at it, one through each input, "
        "and the engine adds them. The shortcut returns None for one of them, so the other must "
        "stand for both.",
    ),
    why="The derivative of a² is 2a: a, once as the first input and once as the second. The "
        "shortcut has only one vjp for both, and so must return both.",
)


def _residual(rng: Rng) -> Problem:
    start = rng.permutation([-1.0, -0.8, -0.6, -0.4, 0.4, 0.6, 0.8, 1.0])
    target = np.where(start > 0, 2, 1) * start * rng.uniform(1.5, 2.0, 8)
    return Problem([start], lambda relu, h: (relu(h) + h - constant(target)).square().sum())


RELU = Puzzle(
    op="relu",
    source='''
@op
def relu(x):
    """y = max(x, 0)"""
    def vjp(g):
        return g * Tensor((x.data > 0).astype(x.dtype))

    return np.maximum(x.data, 0), vjp
''',
    mistakes=(Mistake("writes to g", "        return g * Tensor((x.data > 0).astype(x.dtype))",
                      "        g.data[x.data <= 0] = 0\n        return g"),),
    task="A residual connection: eight numbers h are to be found for which relu(h) + h has given "
         "values, half of them negative.",
    training=Training(_residual, lr=0.05, steps=80),
    calls=elementwise(),
    hints=(
        "The gradient of the op alone is right. Training adds relu(h) and h. Both get a gradient "
        "from the sum: which one?",
        "After a backward pass, print the gradient that you passed in. Is it still what it was?",
        "The same tensor g may be on its way to other inputs as well. An op may read g, but what "
        "it returns must be a new tensor, made with ops.",
    ),
    why="The sum relu(h) + h passes the same g to both of its inputs, and does not copy it. What "
        "relu writes into g is therefore missing in the gradient of h, too. A vjp never "
        "changes g. An op on g also appears in the graph, which second derivatives need.",
)

PUZZLES = [AMAX, CLAMP, TWICE, RELU]
