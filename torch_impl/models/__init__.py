"""The five systems' networks."""

from torch_impl.models.cnn import CNN as CNN, StrongCNN as StrongCNN
from torch_impl.models.dexpression import DeXpression as DeXpression
from torch_impl.models.linear import (
    LinearRegression as LinearRegression,
    LogisticRegression as LogisticRegression,
)
from torch_impl.models.mlp import MLP as MLP
