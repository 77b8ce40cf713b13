"""One neuron and its error: five operations on single numbers."""

import minigrad as mg

x, target = mg.tensor(0.5), mg.tensor(1.0)
w = mg.tensor(0.8, requires_grad=True)
b = mg.tensor(-0.1, requires_grad=True)


def loss() -> mg.Tensor:
    y = (w * x + b).tanh()
    return (y - target).square()
