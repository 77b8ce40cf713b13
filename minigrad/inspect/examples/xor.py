"""The README's network, which learns the exclusive or, at its first step."""

import minigrad as mg
import minigrad.functional as F
from minigrad import nn

mg.manual_seed(0)
x = mg.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])
y = mg.tensor([[0.], [1.], [1.], [0.]])
model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def loss() -> mg.Tensor:
    return F.mse_loss(model(x), y)


def network() -> tuple[nn.Module, mg.Tensor]:
    return model, x
