"""A multi-layer perceptron."""

from itertools import pairwise

from minigrad import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Shapes: x (N, *), sizes[0] values an example → (N, sizes[-1]).
    """

    def __init__(self, sizes: tuple[int, ...] = (784, 500, 10)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))
