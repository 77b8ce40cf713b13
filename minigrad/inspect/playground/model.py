"""The playground's perceptron: its data, its training, and all that the page shows of it."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.autograd import Array
from minigrad.inspect.encode import number
from minigrad.inspect.playground.data import SIDE, points
from minigrad.inspect.step_through import step_through
from minigrad.tensor import Tensor

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
OPTIMISERS: dict[str, type[optim.Optimizer]] = {
    "sgd": optim.SGD, "adam": optim.Adam, "rmsprop": optim.RMSprop}
LAYERS, NEURONS = 5, 8      # at most so many hidden layers, of so many neurons each
STEPS = 100                 # at most so many in one update
POINTS = 1000               # at most so many to learn from
GRID = 40                   # cells of a neuron's map, along each side
FINE = 80                   # and of the network's, which is shown large
HISTORY = 240               # at most so many points of the curve of the loss
LEARN, TEST = 0, 1          # seeds of the points to learn from, and of those to test with

RANGES = {"lr": (0.0, 10.0), "l2": (0.0, 1.0), "noise": (0.0, 2.0), "batch": (1, POINTS)}


@dataclass
class Settings:
    """What the user has chosen. l2: the optimiser's weight decay; batch: points in a step."""

    data: str = "spiral"
    noise: float = 0.1
    activation: str = "tanh"
    optimiser: str = "adam"
    lr: float = 0.01
    l2: float = 0.0
    batch: int = 20


class Playground:
    """A perceptron with two inputs and one output, the logit of class 1, and what it learns from.

    Initial weights and the order of the points depend on `seed` alone, which `reset` raises by one;
    for this the default generator of random numbers is seeded anew.
    """

    def __init__(self, sizes: tuple[int, ...] = (8, 8), seed: int = 0) -> None:
        self.settings, self.sizes, self.seed = Settings(), sizes, seed
        self.grid, self.fine = _grid(GRID), _grid(FINE)
        self.moved = 0                                      # how often the points have changed
        self.chosen: int | None = None
        self.x: Array = np.zeros((0, 2), np.float32)
        self.labels: Array = np.zeros((0, 1), np.float32)
        self._draw_data()
        self.seed = seed - 1
        self.reset()

    # ---- what the user does ----------------------------------------------------------------------

    def reset(self) -> None:
        """Begin again, from other weights."""
        self.seed += 1
        mg.manual_seed(self.seed)
        self.layers = self._new_layers()
        self._build()
        self._begin()

    def reshape(self, sizes: list[int]) -> None:
        """Give the hidden layers these sizes. Neurons that stay keep their weights.

        Raises: ValueError for more layers or neurons than the page can show.
        """
        if (not isinstance(sizes, list) or len(sizes) > LAYERS
                or not all(type(n) is int and 1 <= n <= NEURONS for n in sizes)):
            raise ValueError(f"sizes: must be at most {LAYERS} numbers from 1 to {NEURONS}")
        before, self.sizes = self.layers, tuple(sizes)
        self.layers = self._new_layers()
        for old, new in zip(before, self.layers, strict=False):
            rows, columns = map(min, old.weight.shape, new.weight.shape)
            with mg.no_grad():
                new.weight[:rows, :columns] = old.weight[:rows, :columns]
                _bias(new)[:rows] = _bias(old)[:rows]
        self._build()
        self._record()

    def set(self, name: str, value: Any) -> None:
        """Change one of the settings.

        Raises: ValueError for a setting that there is not, or a value that it cannot have.
        """
        choices: dict[str, Any] = {"activation": ACTIVATIONS, "optimiser": OPTIMISERS}
        if name in choices:
            if not isinstance(value, str) or value not in choices[name]:
                raise ValueError(f"{name}: must be one of {', '.join(choices[name])}; "
                                 f"got {value!r}")
        elif name in RANGES:
            low, high = RANGES[name]
            kinds = (int,) if name == "batch" else (int, float)
            if type(value) not in kinds or not low <= value <= high:
                raise ValueError(f"{name}: must be a number from {low:g} to {high:g}; "
                                 f"got {value!r}")
        elif name == "data":
            points(str(value), 0, 0)                        # raises unless there is such a set
        else:
            raise ValueError(f"settings: there is no {name!r}")
        setattr(self.settings, name, value)
        if name == "data" or (name == "noise" and self.settings.data != "drawn"):
            self._draw_data()
            self._begin()
        elif name in ("activation", "optimiser"):
            self._build()
        for group in self.optimiser.param_groups:
            group["lr"], group["weight_decay"] = self.settings.lr, self.settings.l2

    def add_point(self, x: float, y: float, label: int) -> None:
        """Add a point to learn from.

        Raises: ValueError outside the square, for a class other than 0 and 1, and for too many.
        """
        if not all(type(v) in (int, float) and abs(v) <= SIDE for v in (x, y)):
            raise ValueError(f"point: x and y must be numbers from {-SIDE:g} to {SIDE:g}")
        if label not in (0, 1):
            raise ValueError(f"label: must be 0 or 1; got {label!r}")
        if len(self.x) >= POINTS:
            raise ValueError(f"point: there are {POINTS} points already")
        self.x = np.append(self.x, np.array([[x, y]], np.float32), 0)
        self.labels = np.append(self.labels, np.array([[label]], np.float32), 0)
        self._order = np.zeros(0, np.int64)
        self.moved += 1

    def choose(self, point: int | None) -> None:
        """Choose a point whose gradient is shown; None: no point.

        Raises: ValueError if there is no such point.
        """
        if point is not None and (type(point) is not int or not 0 <= point < len(self.x)):
            raise ValueError(f"point: must be one of the {len(self.x)} points, counted from 0")
        self.chosen = point

    def train(self, steps: int = 1) -> None:
        """Take steps with the optimiser, each along the gradient of a batch.

        Raises: ValueError unless 0 <= steps <= STEPS.
        """
        if type(steps) is not int or not 0 <= steps <= STEPS:
            raise ValueError(f"steps: must be from 0 to {STEPS}; got {steps!r}")
        if not len(self.x):
            return
        for _ in range(steps):
            batch = self._next_batch()
            self.optimiser.zero_grad()
            self.loss(self.x[batch], self.labels[batch]).backward()
            self.optimiser.step()
            self.step += 1
            self.epoch += len(batch) / len(self.x)
        self._record()

    # ---- the network -----------------------------------------------------------------------------

    def loss(self, x: Array, labels: Array) -> Tensor:
        """The cross-entropy of points, on average."""
        logits = self.net(mg.tensor(x))
        return F.binary_cross_entropy_with_logits(logits, mg.tensor(labels))

    def _new_layers(self) -> list[nn.Linear]:
        widths = [2, *self.sizes, 1]
        return [nn.Linear(a, b) for a, b in pairwise(widths)]

    def _build(self) -> None:
        """Build the network around its layers, and its optimiser."""
        self.activation = ACTIVATIONS[self.settings.activation]()
        modules: list[nn.Module] = [self.layers[0]]
        for layer in self.layers[1:]:
            modules += [self.activation, layer]
        self.net = nn.Sequential(*modules)
        # lr and weight_decay are arguments of each of the optimisers
        kind: Any = OPTIMISERS[self.settings.optimiser]
        self.optimiser: optim.Optimizer = kind(
            self.net.parameters(), lr=self.settings.lr, weight_decay=self.settings.l2)

    def _begin(self) -> None:
        """Start the count of steps."""
        self.step, self.epoch, self.every = 0, 0.0, 1
        self.history: list[tuple[int, float, float | None]] = []
        self._random = np.random.default_rng(self.seed)
        self._order = np.zeros(0, np.int64)
        self._record()

    def _draw_data(self) -> None:
        """Draw the points to learn from, and others to test with."""
        name, noise = self.settings.data, self.settings.noise
        self.x, self.labels = points(name, noise, LEARN)
        self.test_x, self.test_labels = points(name, noise, TEST)
        self.chosen = None
        self._order = np.zeros(0, np.int64)
        self.moved += 1

    def _next_batch(self) -> Array:
        """Numbers of points. Each point comes once before any comes again."""
        if not len(self._order):
            self._order = self._random.permutation(len(self.x))
        batch, self._order = np.split(self._order, [self.settings.batch])
        return batch

    def _record(self) -> None:
        """Write down the losses, at as many steps as the curve can show."""
        if self.history[1:] and self.history[-1][0] < self.history[-2][0] + self.every:
            self.history.pop()                              # the last point follows each update
        with mg.no_grad():
            train, test = (self.loss(x, labels).item() if len(x) else None for x, labels in
                           ((self.x, self.labels), (self.test_x, self.test_labels)))
        if train is not None:
            self.history.append((self.step, train, test))
        if len(self.history) > HISTORY:
            self.history, self.every = self.history[::2], 2 * self.step // HISTORY

    # ---- what the page shows ---------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that changes from one update to the next.

        maps: of each layer, from the inputs to the output, a map of each neuron in steps from 1 to
        255, where 128 is 0 and 255 the layer's peak; row by row, as base64. The output's is the
        probability of class 1, less that of class 0; `surface` is the same on a finer grid.
        weights, biases: of each layer; gradients likewise: those of the batch of the last step, or
        of the chosen point.
        """
        activations = self._activations()
        peaks = [float(np.abs(a).max()) or 1.0 for a in activations[:-1]] + [1.0]
        gradients = self._gradients()
        return {
            "step": self.step, "sizes": list(self.sizes), "settings": asdict(self.settings),
            "moved": self.moved, "epoch": number(self.epoch),
            "history": [[step, number(a), None if b is None else number(b)]
                        for step, a, b in self.history],
            "accuracy": self._accuracy(), "chosen": self._about_chosen(),
            "maps": [_quantised(a, peak) for a, peak in zip(activations, peaks, strict=True)],
            "surface": self._surface(), "peaks": [number(peak) for peak in peaks],
            "weights": [_rounded(layer.weight.data) for layer in self.layers],
            "biases": [_rounded(_bias(layer).data) for layer in self.layers],
            "weight_gradients": [_rounded(w) for w, _ in gradients],
            "bias_gradients": [_rounded(b) for _, b in gradients]}

    def points(self) -> dict[str, Any]:
        """The points to learn from, each [x, y, class], and the sizes of the plane and its maps."""
        return {"moved": self.moved, "side": SIDE, "grid": GRID,
                "fine": FINE,
                "train": _rounded(np.hstack([self.x, self.labels]))}

    def explain(self, point: int) -> str:
        """A page that goes through the gradient of one point's loss, step by step.

        Raises: ValueError if there is no such point.
        """
        if not 0 <= point < len(self.x):
            raise ValueError(f"point: must be one of the {len(self.x)} points, counted from 0")
        x, label = self.x[point], int(self.labels[point, 0])
        return step_through(self.loss, x[None], self.labels[point, None], net=self.net,
                            title=f"The gradient of the point ({x[0]:.2f}, {x[1]:.2f}) of class "
                            f"{label}, at step {self.step}").html

    def _activations(self) -> list[Array]:
        """The inputs, each hidden layer's output and the last map on the grid; (GRID², neurons)."""
        x, found = self.grid, [self.grid.data]
        with mg.no_grad():
            for layer in self.layers[:-1]:
                x = self.activation(layer(x))
                found.append(x.data)
            return [*found, mg.tanh(self.layers[-1](x) / 2).data]       # 2·σ(x) - 1 = tanh(x/2)

    def _surface(self) -> str:
        with mg.no_grad():
            return _quantised(mg.tanh(self.net(self.fine) / 2).data, 1)[0]

    def _gradients(self) -> list[tuple[Array, Array]]:
        """Of each layer's weight and bias: those of the chosen point, or else of the last batch."""
        parameters = list(self.net.parameters())
        if self.chosen is not None:
            one = slice(self.chosen, self.chosen + 1)
            loss = self.loss(self.x[one], self.labels[one])
            found = [np.zeros_like(p.data) if g is None else g.data for p, g in
                     zip(parameters, mg.grad(loss, parameters), strict=True)]
        else:
            found = [np.zeros_like(p.data) if p.grad is None else p.grad.data for p in parameters]
        return list(zip(found[::2], found[1::2], strict=True))

    def _accuracy(self) -> list[float | None]:
        """The share of points that are on the right side: to learn from, and to test with."""
        with mg.no_grad():
            return [number(float(((self.net(mg.tensor(x)).data > 0) == labels).mean()))
                    if len(x) else None for x, labels in
                    ((self.x, self.labels), (self.test_x, self.test_labels))]

    def _about_chosen(self) -> dict[str, Any] | None:
        if self.chosen is None:
            return None
        x, label = self.x[self.chosen], self.labels[self.chosen]
        with mg.no_grad():
            logit = self.net(mg.tensor(x[None]))
            return {"point": self.chosen, "x": number(float(x[0])), "y": number(float(x[1])),
                    "label": int(label[0]), "probability": number(mg.sigmoid(logit).item()),
                    "loss": number(self.loss(x[None], label[None]).item())}


def _bias(layer: nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _grid(cells: int) -> Tensor:
    """The middles of cells² cells of the plane, row by row from the upper left corner."""
    ticks = ((np.arange(cells) + 0.5) / cells * 2 * SIDE - SIDE).astype(np.float32)
    return mg.tensor(np.stack(np.meshgrid(ticks, -ticks), -1).reshape(-1, 2))


def _rounded(x: Array) -> Any:
    """As lists, to five digits of the largest value; values that are not finite as 0."""
    x = np.nan_to_num(x.astype(np.float64), nan=0, posinf=0, neginf=0)
    peak = float(np.abs(x).max(initial=0))
    return np.round(x, 4 - math.floor(math.log10(peak)) if peak else 0).tolist()


def _quantised(x: Array, peak: float) -> list[str]:
    """Each column of x as base64, from 1 (-peak) to 255 (peak)."""
    steps = np.rint(np.nan_to_num(x / peak).clip(-1, 1) * 127 + 128).astype(np.uint8)
    return [base64.b64encode(column.tobytes()).decode("ascii") for column in steps.T]
