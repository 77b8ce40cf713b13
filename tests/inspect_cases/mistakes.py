"""Thirty mistakes, each as a student would write it.

`MISTAKES` has for each the kinds of finding that name it, and a function that returns the arguments
of `diagnose`: net, loss_fn, batch, and optimizer or step where the mistake is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.tensor import Tensor

Case = dict[str, Any]
MISTAKES: dict[str, tuple[tuple[str, ...], Callable[[], Case]]] = {}


def mistake(*kinds: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    def add(function: Callable[[], Case]) -> Callable[[], Case]:
        MISTAKES[function.__name__] = kinds, function
        return function
    return add


def classes(n: int = 64, features: int = 8, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = rng.integers(0, count, n)
    centres = rng.standard_normal((count, features))
    return (centres[y] + 0.5 * rng.standard_normal((n, features))).astype(np.float32), y


def numbers(n: int = 64, features: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((n, features)).astype(np.float32)
    return x, (np.sin(x[:, :1]) + 0.5 * x[:, 1:2]).astype(np.float32)


def digits(n: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((n, 1, 12, 12)).astype(np.float32), rng.integers(0, 10, n)


def mlp(ins: int = 8, outs: int = 4, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(ins, 32), nn.ReLU(), nn.Linear(32, outs), *last)


# ---- the loss ------------------------------------------------------------------------------------

@mistake("softmax_twice")
def softmax_before_cross_entropy() -> Case:
    return {"net": mlp(8, 4, nn.Softmax(1)), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("softmax_twice")
def log_softmax_before_cross_entropy() -> Case:
    return {"net": mlp(8, 4, nn.LogSoftmax(1)), "loss_fn": F.cross_entropy, "batch": classes()}


@mistake("sigmoid_twice")
def sigmoid_before_logits_loss() -> Case:
    x, y = classes(count=2)
    return {"net": mlp(8, 1, nn.Sigmoid()), "loss_fn": nn.BCEWithLogitsLoss(),
            "batch": (x, y[:, None].astype(np.float32))}


@mistake("needs_log_probabilities")
def nll_of_logits() -> Case:
    return {"net": mlp(), "loss_fn": nn.NLLLoss(), "batch": classes()}


@mistake("relu_output")
def relu_on_the_logits() -> Case:
    return {"net": mlp(8, 4, nn.ReLU()), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("target_broadcast")
def column_against_row() -> Case:
    x, y = numbers()
    return {"net": mlp(8, 1), "loss_fn": lambda out, t: ((out - t) ** 2).mean(),
            "batch": (x, y[:, 0])}


@mistake("target_range")
def labels_from_one() -> Case:
    x, y = classes()
    return {"net": mlp(), "loss_fn": nn.CrossEntropyLoss(), "batch": (x, y + 1)}


@mistake("target_range")
def labels_of_minus_one_and_one() -> Case:
    x, y = classes(count=2)
    return {"net": mlp(8, 1), "loss_fn": nn.BCEWithLogitsLoss(),
            "batch": (x, (2.0 * y[:, None] - 1).astype(np.float32))}


@mistake("target_dtype", "target_shape")
def labels_as_floats() -> Case:
    x, y = classes()
    return {"net": mlp(), "loss_fn": nn.CrossEntropyLoss(), "batch": (x, y.astype(np.float32))}


@mistake("target_shape")
def labels_as_a_column() -> Case:
    x, y = classes()
    return {"net": mlp(), "loss_fn": nn.CrossEntropyLoss(), "batch": (x, y[:, None])}


@mistake("output_range")
def sigmoid_for_a_regression() -> Case:
    x, y = numbers()
    return {"net": mlp(8, 1, nn.Sigmoid()), "loss_fn": nn.MSELoss(), "batch": (x, 3 * y)}


# ---- the data ------------------------------------------------------------------------------------

@mistake("input_scale")
def pixels_up_to_255() -> Case:
    x, y = digits()
    pixels = np.clip(np.abs(x) * 100, 0, 255).round().astype(np.float32)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 10))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": (pixels, y)}


@mistake("constant_input")
def divided_before_the_conversion() -> Case:
    x, y = digits()
    pixels = np.clip(np.abs(x) * 60, 0, 254).astype(np.uint8) // 255
    net = nn.Sequential(nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 10))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": (pixels.astype(np.float32), y)}


@mistake("nan_in_data")
def missing_values() -> Case:
    x, y = numbers()
    x[5, 2] = np.nan
    return {"net": mlp(8, 1), "loss_fn": nn.MSELoss(), "batch": (x, y)}


@mistake("one_class")
def sorted_by_class() -> Case:
    x, y = classes(256)
    order = np.argsort(y)
    return {"net": mlp(), "loss_fn": nn.CrossEntropyLoss(), "batch": (x[order[:32]], y[order[:32]])}


@mistake("target_scale")
def prices_in_pounds() -> Case:
    x, y = numbers()
    return {"net": mlp(8, 1), "loss_fn": nn.MSELoss(), "batch": (x, 200_000 + 50_000 * y)}


@mistake("batch_mixed")
def wrong_axis() -> Case:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.body(x).relu()
            return self.head(h.t().reshape(len(x), 16))

    return {"net": Mixer(), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


# ---- the network ---------------------------------------------------------------------------------

@mistake("no_activation")
def no_activation() -> Case:
    net = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 4))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("symmetry")
def all_weights_equal() -> Case:
    net = mlp()
    for p in net.parameters():
        nn.init.constant_(p, 0.1)
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("symmetry")
def all_weights_zero() -> Case:
    net = mlp()
    for p in net.parameters():
        nn.init.zeros_(p)
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("unused_parameter")
def layer_left_out() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.one(x).relu()
            return self.three(h)

    return {"net": Net(), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("no_gradient")
def detached() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = mlp(8, 16), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.features(x).relu()
            return self.head(Tensor(h.detach().numpy()))

    return {"net": Net(), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("unregistered_parameter")
def layers_in_a_list() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(8, 32), nn.Linear(32, 32)]
            self.head = nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x).relu()
            return self.head(x)

    return {"net": Net(), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("loss_not_connected")
def loss_of_predicted_classes() -> Case:
    def accuracy_loss(out: Tensor, target: Tensor) -> Tensor:
        wrong = (out.argmax(1) != target).float()
        return wrong.mean()

    return {"net": mlp(), "loss_fn": accuracy_loss, "batch": classes()}


@mistake("vanishing_gradient")
def many_sigmoids() -> Case:
    layers = [layer for _ in range(9) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    net = nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), *layers, nn.Linear(16, 4))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("dead_relu")
def large_negative_bias() -> Case:
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4))
    nn.init.constant_(net[0].bias, -10.0)
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("large_weights", "exploding_gradient", "saturated")
def standard_normal_weights() -> Case:
    net = nn.Sequential(nn.Linear(8, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(),
                        nn.Linear(128, 4))
    for layer in (net[0], net[2], net[4]):
        nn.init.normal_(layer.weight, 0.0, 2.0)
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("dropout_too_high")
def share_to_keep() -> Case:
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.9), nn.Linear(64, 4))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


# ---- the training --------------------------------------------------------------------------------

@mistake("evaluation_mode")
def evaluated_and_not_set_back() -> Case:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2),
                        nn.Linear(32, 4))
    net.eval()
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("zero_grad_forgotten")
def zero_grad_forgotten() -> Case:
    net = mlp()
    optimizer, loss_fn = optim.SGD(net.parameters(), lr=0.05), nn.CrossEntropyLoss()

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = loss_fn(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return {"net": net, "loss_fn": loss_fn, "batch": classes(), "optimizer": optimizer,
            "step": step}


@mistake("not_in_optimizer")
def only_the_head_is_optimised() -> Case:
    net = nn.Sequential(mlp(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes(),
            "optimizer": optim.Adam(net[2].parameters())}


@mistake("learning_rate_too_high")
def learning_rate_of_ten() -> Case:
    net = mlp()
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes(),
            "optimizer": optim.SGD(net.parameters(), lr=20.0, momentum=0.9)}


@mistake("learning_rate_too_low")
def learning_rate_of_a_millionth() -> Case:
    net = mlp()
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes(),
            "optimizer": optim.SGD(net.parameters(), lr=1e-6)}


@mistake("repeated_layer")
def one_layer_three_times() -> Case:
    block = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *[block] * 3, nn.Linear(32, 4))
    return {"net": net, "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


@mistake("dropout_in_evaluation")
def functional_dropout() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(8, 32), nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.dropout(self.body(x).relu(), 0.3))

    return {"net": Net(), "loss_fn": nn.CrossEntropyLoss(), "batch": classes()}


def seeded(build: Callable[[], Case]) -> Case:
    mg.manual_seed(7)
    return build()
