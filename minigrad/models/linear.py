"""Models of one linear layer: linear regression and logistic regression."""

from minigrad import Tensor, nn


class LinearRegression(nn.Module):
    """y = x·wᵀ + b.  Shapes: x (N, in_features) → (N, out_features)."""

    def __init__(self, in_features: int = 1, out_features: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class LogisticRegression(nn.Module):
    """The log-odds of class 1: log p / (1 - p) = x·w + b.  Shapes: x (N, in_features) → (N,)."""

    def __init__(self, in_features: int = 8) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).squeeze(-1)
