"""Grade 1: ops of one input."""

from __future__ import annotations

import numpy as np

from minigrad.testing.puzzle.catalogue.calls import elementwise
from minigrad.testing.puzzle.puzzle import Mistake, Puzzle, Rng
from minigrad.testing.puzzle.training import Problem, Training, constant


def _phase(rng: Rng) -> Problem:
    t = rng.uniform(0, 6, 40)
    return Problem([[0.0]], lambda cos, phase: (
        cos(constant(t) + phase) - constant(np.cos(t + 1))).square().mean())


COS = Puzzle(
    op="cos",
    source='''
@op
def cos(x):
    """y = cos x"""
    return np.cos(x.data), lambda g: -g * x.sin()
''',
    mistakes=(Mistake("wrong sign", "-g * x.sin()", "g * x.sin()"),),
    task="Gradient descent looks for the phase of a wave: 40 of its points are known.",
    training=Training(_phase, lr=0.5, steps=30),
    calls=elementwise(),
    hints=(
        "The loss does not merely fall too slowly: it rises. What does this say about the "
        "direction of each step?",
        "Draw cos x near x = 1. Does it rise or fall there? Now compute what the vjp returns "
        "at x = 1 for g = 1.",
        "The vjp contains the right function of x, and the right factor g. Only one symbol is "
        "missing.",
    ),
    why="The derivative of cos x is -sin x, so the gradient is g times -sin x. With the opposite "
        "sign, every step goes up the hill instead of down.",
)


def _roots(rng: Rng) -> Problem:
    roots = rng.uniform(0.9, 1.1, 5)
    return Problem([np.full(5, 0.6)], lambda power, w: (
        power(w) - power(constant(roots)).detach()).square().sum())


POWER = Puzzle(
    op="power",
    source='''
@op
def power(x):
    """y = x^$k"""
    return x.data**$k, lambda g: g * $k * x**$less
''',
    mistakes=(Mistake("lost factor", "g * $k * x**$less", "g * x**$less"),),
    numbers=(5, 4, 6),
    task="Five numbers are to become the roots of five other numbers: w^$k is compared with "
         "them, and w is changed by gradient descent.",
    training=Training(_roots, lr=0.005, steps=100),
    calls=elementwise(0.5, 1.5),
    hints=(
        "The loss falls, but as if the learning rate were too small. So the sign is right, and "
        "the size is not.",
        "Divide the finite difference that the judge prints by the gradient that your op "
        "computes, at a few places. Does the quotient depend on x?",
        "Write the rule for the derivative of a power on paper, and count its factors. The vjp "
        "has one fewer.",
    ),
    why="The derivative of x^n is n x^(n-1). If the factor n is missing, the direction is right "
        "but every step is too short.",
)


def _centre(rng: Rng) -> Problem:
    t = rng.uniform(-3, 3, 40)
    return Problem([[-1.0]], lambda bell, centre: (
        bell(constant(t) - centre) - constant(np.exp(-(t - 0.5) ** 2))).square().mean())


BELL = Puzzle(
    op="bell",
    source='''
@op
def bell(x):
    """y = e^(-x²)"""
    return np.exp(-x.data**2), lambda g, y: g * y * (-2 * x)
''',
    mistakes=(Mistake("lost chain factor", "g * y * (-2 * x)", "-g * y"),),
    task="Gradient descent looks for the centre of a bell curve: 40 of its points are known.",
    training=Training(_centre, lr=0.5, steps=60),
    calls=elementwise(),
    hints=(
        "A bell curve rises on one side and falls on the other. Look at the sign of what the vjp "
        "returns for x = -1 and for x = 1, with g = 1.",
        "The op is a function of a function: first u = -x², then y = e^u. The chain rule has a "
        "factor for each of the two.",
        "The factor for e^u is y, and it is there. Which factor belongs to u = -x²?",
    ),
    why="By the chain rule, dy/dx = dy/du · du/dx with u = -x². The first factor is e^u = y; the "
        "second is -2x, and not -1.",
)


def _neuron(rng: Rng) -> Problem:
    x = rng.uniform(-2, 2, 40)
    return Problem([[0.1], [0.0]], lambda tanh, w, b: (
        tanh(constant(x) * w + b) - constant(np.tanh(1.5 * x - 0.5))).square().mean())


TANH = Puzzle(
    op="tanh",
    source='''
@op
def tanh(x):
    """y = tanh x"""
    return np.tanh(x.data), lambda g, y: g * (1 - y * y)
''',
    mistakes=(Mistake("g ignored", "g * (1 - y * y)", "1 - y * y"),),
    task="One neuron, y = tanh(w x + b), learns from 40 examples.",
    training=Training(_neuron, lr=0.5, steps=60),
    calls=elementwise(),
    hints=(
        "The derivative of tanh is 1 - tanh², and it is there. What else does a vjp have to take "
        "into account?",
        "Multiply the loss by -1, or by 1000. How should the gradient change? Does it?",
        "A vjp receives what has arrived from the ops behind it, and passes it on. Which of its "
        "arguments is never used?",
    ),
    why="A vjp computes the product of the gradient that arrives, g, and the op's derivative. "
        "Without g, the op passes on the same gradient whatever the loss is.",
)

PUZZLES = [COS, POWER, BELL, TANH]
