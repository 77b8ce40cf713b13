"""The five systems' networks."""

from minigrad.models.cnn import CNN as CNN, StrongCNN as StrongCNN
from minigrad.models.dexpression import DeXpression as DeXpression
from minigrad.models.linear import (
    LinearRegression as LinearRegression,
    LogisticRegression as LogisticRegression,
)
from minigrad.models.mlp import MLP as MLP
