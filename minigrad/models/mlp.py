"""A multi-layer perceptron."""

from itertools import pairwise

from minigrad import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    dropout: the share of the values that is set to zero in training, of the inputs and of the
    outputs of each hidden layer. norm: with batch norm before each ReLU.
    Shapes: x (N, *), sizes[0] values an example → (N, sizes[-1]).
    """

    def __init__(self, sizes: tuple[int, ...] = (784, 500, 10),
                 dropout: tuple[float, float] = (0.0, 0.0), norm: bool = False) -> None:
        super().__init__()
        of_inputs, of_hidden = (nn.Dropout(p) if p else None for p in dropout)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes[:-1]):
            layers.append(nn.Linear(n_in, n_out, bias=not norm))    # batch norm has a bias itself
            # what follows a linear layer is one module, so that the linear layers keep their names
            after: list[nn.Module] = [nn.BatchNorm1d(n_out)] if norm else []
            after += [nn.ReLU(), of_hidden] if of_hidden else [nn.ReLU()]
            layers.append(nn.Sequential(*after) if after[1:] else after[0])
        self.dropout = of_inputs
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.layers(x if self.dropout is None else self.dropout(x))
