"""Grade 3: ops that normalise rows, whose gradients contain a sum along an axis."""

from __future__ import annotations

import numpy as np

from minigrad.testing.puzzle.catalogue.calls import Shape, on
from minigrad.testing.puzzle.puzzle import Call, Mistake, Puzzle, Rng
from minigrad.testing.puzzle.training import Problem, Training, constant

MATRICES: tuple[list[Shape], ...] = ([(4, 4)], [(3, 5)], [(1, 4)], [(4, 1)])


def _exponents(rng: Rng) -> list[Call]:
    large = np.array([[800.0, 799.0, -800.0], [-900.0, -901.0, -902.0]])
    return [*on(*MATRICES)(rng),
            Call([large], special="e^x is too large or too small for a float")]


def _probabilities(rng: Rng) -> Problem:
    target = rng.dirichlet(np.ones(4) * 0.7, size=5)
    return Problem([np.zeros((5, 4))], lambda softmax, x: -(
        constant(target) * (softmax(x) / constant(target + 1e-12)).log()).sum(1).mean())


SOFTMAX = Puzzle(
    op="softmax",
    source='''
@op
def softmax(x):
    """y_ij = e^x_ij / Σ_k e^x_ik, for each row of a matrix"""
    e = np.exp(x.data - x.data.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True),
            lambda g, y: y * (g - (g * y).sum(1, keepdim=True)))
''',
    mistakes=(Mistake("sum over the wrong axis", "(g * y).sum(1, keepdim=True)",
                      "(g * y).sum(0, keepdim=True)"),),
    task="Five distributions over four classes are to be learned: softmax(x) gives the "
         "probabilities, and the loss is the divergence from the true ones.",
    training=Training(_probabilities, lr=2.0, steps=80),
    calls=_exponents,
    hints=(
        "Which elements of x influence y_ij? Which elements of g may therefore influence the "
        "gradient by x_ij?",
        "Change one element of g, in one row. In which rows does the gradient change?",
        "The rows are independent of each other. The formula is right in every other respect; "
        "only the elements that are added up are not those of one row.",
    ),
    why="Row i of y depends on row i of x alone, so its gradient is y_i (g_i - Σ_k g_ik y_ik), "
        "with a sum along the row. A sum along the columns mixes rows that have nothing to do "
        "with each other.",
)


def _recipes(rng: Rng) -> Problem:
    target = rng.dirichlet(np.full(4, 5.0), size=4)
    target += rng.permutation([-0.1, -0.05, 0.1, 0.15])[:, None]        # they add up to 1 no more
    lowest = float(((target.sum(1) - 1) ** 2).sum() / 4)
    return Problem([np.ones((4, 4))], lambda share, x: (
        share(x) - constant(target)).square().sum() - lowest)


SHARE = Puzzle(
    op="share",
    source='''
@op
def share(x):
    """y_ij = x_ij / Σ_k x_ik: the share of each element in its row"""
    def vjp(g, y):
        total = x.sum(1, keepdim=True)
        return (g - (g * y).sum(1, keepdim=True)) / total

    return x.data / x.data.sum(1, keepdims=True), vjp
''',
    mistakes=(Mistake("keepdim lost", "(g * y).sum(1, keepdim=True)", "(g * y).sum(1)"),),
    task="Four recipes are given as shares of four ingredients, but not quite precisely: the "
         "shares do not add up to 1. Gradient descent looks for amounts whose shares come as "
         "close as possible. What is drawn is the loss minus the smallest possible loss.",
    training=Training(_recipes, lr=2.0, steps=80, shown="loss, minus the smallest possible"),
    calls=on(*MATRICES, low=0.5, high=2.0),
    hints=(
        "Try the op on a matrix that is not square.",
        "Write the shapes of all intermediate results of the vjp beside the formula, for x of "
        "shape (3, 5). Where do (3, 5) and (3,) meet?",
        "NumPy's broadcasting aligns shapes from the right: a vector of N values beside an (N, N) "
        "matrix is taken for a row, even where it was meant as a column.",
    ),
    why="The sum along a row gives one number for each row, which must stand in a column, "
        "shape (N, 1), to meet the elements of its own row. With shape (N,) it is broadcast as a "
        "row: an error for most matrices, and a wrong result without any error for square ones.",
)


def _classes(rng: Rng) -> Problem:
    x = rng.normal(size=(60, 2))
    angles = rng.uniform(0, 2 * np.pi) + np.array([0, 2, 4]) * np.pi / 3
    label = np.argmax(x @ np.stack([np.cos(angles), np.sin(angles)]), 1)
    label[:6] = rng.integers(0, 3, 6)                   # so that no weights are perfect
    chosen = np.eye(3)[label] / 60
    return Problem([np.zeros((2, 3))], lambda log_softmax, w: -(
        log_softmax(constant(x) @ w) * constant(chosen)).sum())


LOG_SOFTMAX = Puzzle(
    op="log_softmax",
    source='''
@op
def log_softmax(x):
    """y_ij = x_ij - log Σ_k e^x_ik, for each row of a matrix"""
    highest = x.data.max(1, keepdims=True)
    shifted = x.data - highest
    return (shifted - np.log(np.exp(shifted).sum(1, keepdims=True)),
            lambda g, y: g - y.exp() * g.sum(1, keepdim=True))
''',
    mistakes=(Mistake("lost sum of the cotangent", "y.exp() * g.sum(1, keepdim=True)",
                      "y.exp()"),),
    task="A linear classifier learns three classes from 60 points. Its loss is the cross-entropy, "
         "a mean over the points.",
    training=Training(_classes, lr=2.0, steps=60),
    calls=_exponents,
    hints=(
        "Let the gradient 0 arrive at y. Which gradient must then arrive at x?",
        "A vjp is linear in g: twice the g gives twice the gradient. Is each of the terms here "
        "linear in g?",
        "The well-known formula, softmax minus one-hot, holds for one example whose loss has the "
        "weight 1. Derive the second term for any g: how does the logarithm of the sum, which "
        "all elements of the row share, change with x_ij?",
    ),
    why="The logarithm of the sum is subtracted from every element of the row, so everything that "
        "arrives at the row flows through it: Σ_k g_ik, times its derivative, softmax. With one "
        "example of weight 1 this sum is -1, but with a mean over a batch it is not.",
)


def _directions(rng: Rng) -> Problem:
    target = rng.normal(size=(5, 3))
    target *= 0.3 / np.sqrt((target**2).sum(1, keepdims=True))
    start = target / 0.3 + 0.5 * rng.normal(size=(5, 3))
    return Problem([start], lambda unit, x: (unit(x) - constant(target)).square().sum() - 5 * 0.49)


UNIT = Puzzle(
    op="unit",
    source='''
@op
def unit(x):
    """y_i = x_i / |x_i|: each row of a matrix, brought to length 1"""
    def vjp(g, y):
        length = x.square().sum(1, keepdim=True).sqrt()
        return (g - y * (g * y).sum(1, keepdim=True)) / length

    return x.data / np.sqrt((x.data**2).sum(1, keepdims=True)), vjp
''',
    mistakes=(Mistake("lost projection", "(g - y * (g * y).sum(1, keepdim=True)) / length",
                      "g / length"),),
    task="Five arrows of length 1 are to point in given directions. What is drawn is the loss "
         "minus the smallest loss that arrows of length 1 can have.",
    training=Training(_directions, lr=0.3, steps=80, shown="loss, minus the smallest possible"),
    calls=on([(4, 3)], [(3, 3)], [(1, 4)], low=0.3, high=2.0),
    hints=(
        "Make x twice as long. How does y change? What must the gradient by x be in this "
        "direction?",
        "Print the scalar product of each row of x with its row of the gradient. It should "
        "be 0: why?",
        "The vjp treats the length of x as a constant. It is not: it depends on x, too, and "
        "contributes a second term.",
    ),
    why="The length of y is always 1, so a change along x has no effect: the part of g that lies "
        "along y has to be removed before g is divided by the length. This part is y times the "
        "scalar product of g and y.",
)

PUZZLES = [SOFTMAX, SHARE, LOG_SOFTMAX, UNIT]
