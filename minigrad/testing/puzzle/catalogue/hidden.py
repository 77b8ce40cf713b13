"""Grade 5: ops that pass a usual gradient check, or most of the usual checks."""

from __future__ import annotations

import math

import numpy as np

from minigrad.autograd import grad
from minigrad.tensor import Tensor
from minigrad.testing.puzzle.catalogue.calls import elementwise, on
from minigrad.testing.puzzle.puzzle import Call, Mistake, Op, Puzzle, Rng
from minigrad.testing.puzzle.training import Problem, Training, constant


def _two_waves(rng: Rng) -> Problem:
    t = rng.uniform(-2, 2, 60)
    target = np.sin(t) + np.sin(3 * t)
    return Problem([[0.7], [3.2]], lambda sin, v, w: (
        sin(constant(t) * v) + sin(constant(t) * w) - constant(target)).square().mean())


SIN = Puzzle(
    op="sin",
    source='''
@op
def sin(x):
    """y = sin x"""
    return np.sin(x.data), lambda g: g * x.cos()
''',
    mistakes=(Mistake("captures a value that changes",
                      "    return np.sin(x.data), lambda g: g * x.cos()",
                      "    sin.x = x                               # the gradient needs it\n"
                      "    return np.sin(x.data), lambda g: g * sin.x.cos()"),),
    task="Gradient descent looks for the frequencies of two waves, v and w, from 60 points of "
         "their sum, sin(v t) + sin(w t).",
    training=Training(_two_waves, lr=0.2, steps=60),
    calls=elementwise(),
    hints=(
        "A single call of the op gives the right value and the right gradient. The sum of two "
        "waves takes two calls.",
        "When the gradients are computed, all calls of the forward pass are over. What has the "
        "op kept of each of them?",
        "The op is one object, however often it is called. Each call returns a vjp of its own, "
        "which can keep what belongs to the call in its own variables.",
    ),
    why="What is stored on the op itself is overwritten by the next call, and the backward pass "
        "begins only after the last one. A vjp that uses the argument of its own call captures "
        "that argument: each call has its own closure.",
)


def _valley(rng: Rng) -> Problem:
    k = rng.uniform(2, 4)
    return Problem([[1.0]], lambda log10, w: (w - k * log10(w)).sum(),
                   lambda w: abs(w.item() - k / math.log(10)))


LOG10 = Puzzle(
    op="log10",
    source='''
@op
def log10(x):
    """y = the logarithm of x to the base 10"""
    log_of_10 = 2.302585092994046
    return np.log10(x.data), lambda g: g / (x * log_of_10)
''',
    mistakes=(Mistake("a constant in float32", "log_of_10 = 2.302585092994046",
                      "log_of_10 = float(np.log(np.float32(10)))"),),
    task="The valley w - k log10 w, with a known k, is lowest at w = k / log 10. Gradient descent "
         "looks for this place, in float64. What is drawn is how far w is from it.",
    training=Training(_valley, lr=0.8, steps=60, shown="distance from the answer"),
    calls=elementwise(0.5, 3.0),
    hints=(
        "The formula is right, and a gradient check with its usual tolerance passes. How many "
        "digits of the answer are right?",
        "float64 carries about 16 digits, float32 about 7. Compare your gradient with g divided "
        "by x log 10, computed separately, to 12 digits.",
        "The gradient arrives in float64, and leaves in float64. In between, it meets one number "
        "that was computed less precisely. Print this number with 16 digits.",
    ),
    why="The logarithm of a float32 number is computed in float32, and has only 7 correct digits; "
        "converting it to a float afterwards does not bring the others back.",
)


def _loudness(rng: Rng) -> Problem:
    x = rng.normal(size=(12, 16))
    target = rng.uniform(0.5, 2, (12, 1))
    return Problem([x], lambda rms, w: (rms(w, dims=(-1,)) - constant(target)).square().sum())


def _dims(rng: Rng) -> list[Call]:
    return [*on([(3, 4)], low=0.5, high=2.0, static=({"dims": (0,)}, {"dims": (1,)},
                                                     {"dims": (0, 1)}, {"dims": (-1,)}))(rng),
            *on([(2, 3, 4)], low=0.5, high=2.0, static=({"dims": (1, 2)}, {"dims": (-2, 0)}))(rng)]


RMS = Puzzle(
    op="rms",
    source='''
@op
def rms(x, *, dims):
    """y = √ of the mean of x² over dims, which stay with size 1"""
    dims = tuple(dim % x.ndim for dim in dims)
    n = np.prod([size for dim, size in enumerate(x.shape) if dim in dims])
    return (np.sqrt((x.data**2).mean(dims, keepdims=True)),
            lambda g, y: g * x / (n * y))
''',
    mistakes=(Mistake("wrong for negative dims only",
                      "    dims = tuple(dim % x.ndim for dim in dims)\n", ""),),
    task="Twelve sounds of 16 samples each are to get given loudnesses: the root of the mean "
         "square over the last dim.",
    training=Training(_loudness, lr=2.0, steps=60),
    calls=_dims,
    hints=(
        "For some dims the gradient is right, for others it is too large by a factor. "
        "Which dims are these?",
        "Print n, for x of shape (3, 4) and a few choices of dims. Is it always the number "
        "of elements that are averaged?",
        "A dim may be counted from the front or from the end. NumPy understands both ways, so "
        "that the value is right. Which line of the op understands only one?",
    ),
    why="A dim of -1 is the last one, but enumerate counts from 0 and never meets -1: then n is "
        "the product of nothing, 1. dim % x.ndim brings all dims to the same form.",
)


def _slopes(rng: Rng) -> Problem:
    t = np.linspace(-3, 3, 30)
    height, place = rng.uniform(1, 2, 2)
    target = height / (1 + np.exp(-(t + place)))

    def loss(softplus: Op, a: Tensor, b: Tensor) -> Tensor:
        x = Tensor(t.copy(), True)
        (slope,) = grad((a * softplus(x + b)).sum(), x, create_graph=True)
        assert slope is not None
        return (slope - constant(target)).square().mean()
    return Problem([[1.0], [0.0]], loss)


SOFTPLUS = Puzzle(
    op="softplus",
    source='''
@op
def softplus(x):
    """y = log(1 + e^x), a smooth relu"""
    y = np.logaddexp(0, x.data)
    return y, lambda g: g * x.sigmoid()
''',
    mistakes=(Mistake("right to first order only", "g * x.sigmoid()",
                      "g * Tensor(1 / (1 + np.exp(-x.data)))"),),
    task="The slopes of a curve are known, but not the curve itself. So the loss compares slopes: "
         "it contains the derivative of a softplus(t + b) by t, and is itself differentiated.",
    training=Training(_slopes, lr=0.8, steps=60),
    calls=elementwise(),
    hints=(
        "Every value and every gradient is right. The loss of this training contains a "
        "gradient. What else must then be right?",
        "Under create_graph=True, a gradient is itself the result of ops. Follow the path from x "
        "to the gradient through the vjp. Where does it end?",
        "The vjp computes with arrays where it should compute with Tensors: the engine records "
        "only ops on Tensors. There is an op for the function that is computed here.",
    ),
    why="A gradient that is computed from x.data does not depend on x as far as the engine knows, "
        "so its own derivative comes out as 0. A vjp is written with ops on Tensors; then it "
        "can be differentiated again, as often as needed.",
)

PUZZLES = [SIN, LOG10, RMS, SOFTPLUS]
