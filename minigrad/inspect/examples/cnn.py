"""A small convolutional network that tells four kinds of pictures apart."""

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import nn

mg.manual_seed(0)
images = np.zeros((8, 1, 16, 16), np.float32)
for i, shift in enumerate((5, 9)):
    images[i, 0, shift:shift + 2, 2:14] = 1                             # a line across
    images[2 + i, 0, 2:14, shift:shift + 2] = 1                         # a line upright
    images[4 + i, 0, 2:14, shift:shift + 2] = 1                         # a cross
    images[4 + i, 0, shift:shift + 2, 2:14] = 1
    images[6 + i, 0, shift - 3:shift + 4, shift - 3:shift + 4] = 1      # a frame
    images[6 + i, 0, shift - 1:shift + 2, shift - 1:shift + 2] = 0
x = mg.tensor(images)
classes = mg.tensor([0, 0, 1, 1, 2, 2, 3, 3])
net = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(8, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12 * 3 * 3, 4))


def loss() -> mg.Tensor:
    return F.cross_entropy(net(x), classes)


def network() -> tuple[nn.Module, mg.Tensor]:
    return net, x
