"""Grade 2: ops of two inputs, and ops whose gradient depends on a size."""

from __future__ import annotations

import numpy as np

from minigrad.tensor import Tensor
from minigrad.testing.puzzle.catalogue.calls import on
from minigrad.testing.puzzle.puzzle import Call, Mistake, Op, Puzzle, Rng
from minigrad.testing.puzzle.training import Problem, Training, constant


def _plane(rng: Rng) -> Problem:
    x = rng.uniform(-1, 1, (50, 3))
    target = x @ np.array([1.0, -2.0, 0.5])
    return Problem([np.zeros(3)], lambda mul, w: (
        mul(w, constant(x)).sum(1) - constant(target)).square().mean())


MUL = Puzzle(
    op="mul",
    source='''
@op
def mul(a, b):
    """y = a b, elementwise"""
    return a.data * b.data, lambda g: g * b, lambda g: g * a
''',
    mistakes=(Mistake("vjps in the wrong order", "lambda g: g * b, lambda g: g * a",
                      "lambda g: g * a, lambda g: g * b"),),
    task="Linear regression with three weights: the prediction is the sum of mul(w, x).",
    training=Training(_plane, lr=0.5, steps=60),
    calls=on([(4,), (4,)], [(3, 4), (3, 4)], [(3, 1), (1, 4)], [(4,), (3, 4)]),
    hints=(
        "The weights start at 0, and they never move. Which gradient would be 0 when the weights "
        "are 0?",
        "Call the op with a = 2 and b = 5. If a grows by 1, how much does y grow? What does the "
        "first vjp say?",
        "The first vjp belongs to the first input, the second to the second. Read each of them "
        "as: how fast does y change when this input changes?",
    ),
    why="If a changes by 1, a b changes by b: so the gradient by a contains b, and the gradient "
        "by b contains a. An op returns its vjps in the order of its inputs.",
)


def _gains(rng: Rng) -> Problem:
    x = rng.uniform(0.5, 1.5, (6, 6))
    gains = rng.uniform(-2, 2, 6)
    return Problem([np.zeros(6)], lambda scale_rows, s: (
        scale_rows(constant(x), s) - constant(x * gains[:, None])).square().mean())


SCALE_ROWS = Puzzle(
    op="scale_rows",
    source='''
@op
def scale_rows(x, s):
    """y_ij = x_ij s_i, for x (N, D) and a factor for each row, s (N,)"""
    return (x.data * s.data[:, None],
            lambda g: g * s.unsqueeze(1),
            lambda g: (g * x).sum(1))
''',
    mistakes=(Mistake("forgotten sum over the broadcast axis", "(g * x).sum(1)", "g * x"),),
    task="Gradient descent looks for the gains of six amplifiers: the signals x before them and "
         "the signals behind them are known, six values of each.",
    training=Training(_gains, lr=1.0, steps=60),
    calls=on([(4, 4), (4,)], [(3, 4), (3,)], [(4, 1), (4,)]),
    hints=(
        "Which shape does each input have, and which shape does each vjp return?",
        "Each s_i takes part in D elements of y. A change of s_i therefore changes the loss in "
        "D places.",
        "A vjp may return a gradient with more dims than its input has. The engine then sums it "
        "over the leading ones, along which NumPy's broadcasting would have repeated the input. "
        "Is this the axis along which s was repeated?",
    ),
    why="s_i was used in all elements of row i, so its gradient is the sum of g x over that row. "
        "The engine sums a gradient that has too many dims over the leading ones: for a square "
        "matrix this gives the right shape, and the sums of the columns instead of those of the "
        "rows. For other matrices it is an error.",
)


def _two_systems(rng: Rng) -> Problem:
    x, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    left, right = rng.normal(size=(2, 4, 4))

    def loss(matmul: Op, w: Tensor, v: Tensor) -> Tensor:
        return ((matmul(w, constant(x)) - constant(left @ x)).square().sum()
                + (matmul(constant(x), v) - constant(x @ right)).square().sum())
    return Problem([np.zeros((4, 4)), np.zeros((4, 4))], loss)


MATMUL = Puzzle(
    op="matmul",
    source='''
@op
def matmul(a, b):
    """y = a b, the product of two matrices, a (N, K) and b (K, M)"""
    return a.data @ b.data, lambda g: g @ b.t(), lambda g: a.t() @ g
''',
    mistakes=(Mistake("lost transpose", "g @ b.t()", "g @ b"),
              Mistake("lost transpose", "a.t() @ g", "a @ g")),
    task="Two matrices are to be found from their products with a known one: w from w x, and v "
         "from x v. All of them have 4 × 4 elements.",
    training=Training(_two_systems, lr=0.1, steps=60),
    calls=on([(4, 4), (4, 4)], [(2, 3), (3, 4)], [(1, 3), (3, 1)]),
    hints=(
        "Call the op with matrices that are not square, and let a gradient flow back.",
        "Write the shapes beside the formulas: y and g are (N, M). What shape must each of the "
        "two gradients have, and which products give it?",
        "All shapes are equal if the matrices are square, so that shapes alone cannot reveal "
        "the mistake. If N, K and M differ, only one of the two products is still possible "
        "as it stands.",
    ),
    why="From y_nm = Σ_k a_nk b_km follows ∂L/∂a_nk = Σ_m g_nm b_km: the sum runs over the "
        "columns of b, which is the product with the transpose of b. In the same way, the "
        "gradient by b is the transpose of a times g.",
)


def _average(rng: Rng) -> Problem:
    x = rng.uniform(-1, 1, (30, 2))
    target = x @ np.array([1.5, -1.0])
    return Problem([np.zeros(2)], lambda mean, w: mean(
        (constant(x) @ w - constant(target)).square().unsqueeze(0), dim=1).sum())


def _mean_calls(rng: Rng) -> list[Call]:
    return (on([(5,)], static=({"dim": 0},))(rng)
            + on([(3, 4)], [(2, 3, 4)], static=({"dim": 0}, {"dim": 1}, {"dim": -1}))(rng))


MEAN = Puzzle(
    op="mean",
    source='''
@op
def mean(x, *, dim):
    """y = the mean of x along one dim, which goes away"""
    shape, n = x.shape, x.shape[dim]
    return x.data.mean(dim), lambda g: g.unsqueeze(dim).expand(shape) / n
''',
    mistakes=(Mistake("the mean's 1/n is lost", ".expand(shape) / n", ".expand(shape)"),),
    task="Linear regression with two weights. The loss is the mean of 30 squared errors.",
    training=Training(_average, lr=0.5, steps=40),
    calls=_mean_calls,
    hints=(
        "The loss explodes, as it does with a learning rate that is much too large. Would it "
        "explode with 30 examples, with 3, with 1?",
        "Sum the gradients of a mean's inputs, for g = 1. What should come out, and why?",
        "If one of n numbers grows by 1, how much does their mean grow?",
    ),
    why="Each of the n numbers contributes with the weight 1/n to the mean, so each gets the "
        "n-th part of g. Without it, the gradient is that of a sum.",
)


PUZZLES = [MUL, SCALE_ROWS, MATMUL, MEAN]
