"""The five systems and the zoo's perceptrons in JAX: each network is a function.

A network takes the weights `p` by the names that they have in minigrad's state_dict, the input, a
key for dropout (None: dropout is off), and a dictionary to which batch norm writes its new running
statistics. It returns its output. Images lie channels last, (N, H, W, C), which XLA computes
fastest on a CPU; `weights_of` brings minigrad's weights into the matching order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from comparisons.datasets.base import Array
from comparisons.tasks.digit_recipes import MLP

Weights = dict[str, Any]
Network = Callable[[Weights, Any, Any, Weights], Any]
Loss = Callable[[Any, Any], Any]


def weights_of(state: dict[str, Array]) -> Weights:
    """minigrad's weights in JAX's order: a linear layer's as (in, out), a convolution's as
    (H, W, in, out)."""
    order = {2: (1, 0), 4: (2, 3, 1, 0)}
    return {name: jnp.asarray(value.transpose(order.get(value.ndim, range(value.ndim))))
            for name, value in state.items()}


def input_of(x: Array) -> Any:
    """A batch; of images, channels last."""
    return jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)


# ---- layers --------------------------------------------------------------------------------------

def linear(p: Weights, name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def conv(p: Weights, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    y = lax.conv_general_dilated(x, p[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2,
                                 dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def max_pool(x: Any, size: int, stride: int, padding: int = 0, ceil_mode: bool = False) -> Any:
    """torch's max_pool2d: with ceil_mode, the last window may reach beyond the image."""
    room = [n + 2 * padding - size for n in x.shape[1:3]]
    beyond = [-n % stride if ceil_mode else 0 for n in room]
    pads = ((0, 0), *((padding, padding + more) for more in beyond), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), pads)


def batch_norm(p: Weights, name: str, x: Any, statistics: Weights) -> Any:
    """Normalises with the batch's mean and variance, and updates their running averages."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    n = x.size // x.shape[-1]
    for key, value in (("running_mean", mean), ("running_var", variance * n / (n - 1))):
        statistics[f"{name}.{key}"] = 0.9 * p[f"{name}.{key}"] + 0.1 * value
    scale = lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"]
    return (x - mean) * scale + p[f"{name}.bias"]


def layer_norm(p: Weights, name: str, x: Any) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def dropout(x: Any, rate: float, key: Any) -> Any:
    if key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def response_norm(x: Any, size: int, alpha: float, beta: float) -> Any:
    """torch's local_response_norm with k = 1: over neighbouring channels."""
    total = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1),
                              ((0, 0),) * 3 + ((size // 2, (size - 1) // 2),))
    return x * (1 + alpha / size * total) ** -beta


def flat(x: Any) -> Any:
    """Images as rows, in the order of torch's flatten: channels, height, width."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


# ---- the five systems ----------------------------------------------------------------------------

def regression(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    return linear(p, "linear", x)


def diabetes(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    return linear(p, "linear", x)[:, 0]


def mnist_mlp(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    hidden = jax.nn.relu(linear(p, "layers.0", x.reshape(len(x), -1)))
    return linear(p, "layers.2", hidden)


def mnist_cnn(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    x = max_pool(jax.nn.relu(conv(p, "features.0", x, padding=1)), 2, 2)
    x = max_pool(jax.nn.relu(conv(p, "features.3", x, padding=1)), 2, 2)
    return linear(p, "classifier.3", jax.nn.relu(linear(p, "classifier.1", flat(x))))


def dexpression(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    """The network of the paper."""
    x = jax.nn.relu(conv(p, "features.0.0", x, 2, 3))
    x = response_norm(halve(x), 5, 1e-4, 0.75)
    for name in ("features.3", "features.5"):
        x = halve(featex(p, name, x, lambda path, x, padding: jax.nn.relu(
            conv(p, f"{path}.0", x, padding=padding))))
    return linear(p, "classifier.1", flat(x))


def compact(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    """DeXpression for small images, with batch norm."""
    def normed(path: str, x: Any, padding: int) -> Any:
        return jax.nn.relu(batch_norm(p, f"{path}.1", conv(p, f"{path}.0", x, padding=padding),
                                      statistics))

    x = halve(normed("features.1", local_contrast(x, x.shape[1] // 4 | 1), 1))
    for name in ("features.3", "features.5", "features.7"):
        x = halve(featex(p, name, x, normed))
    return linear(p, "classifier.1", flat(x))


def featex(p: Weights, name: str, x: Any, unit: Callable[[str, Any, int], Any]) -> Any:
    """Two parallel paths. unit: a convolution with what follows it, up to the ReLU."""
    details = unit(f"{name}.b", unit(f"{name}.a", x, 0), 1)
    return jnp.concatenate([details, unit(f"{name}.c", max_pool(x, 3, 1, 1), 0)], -1)


def halve(x: Any) -> Any:
    return max_pool(x, 3, 2, ceil_mode=True)


def local_contrast(x: Any, window: int) -> Any:
    def count(n: int) -> Array:         # of the places of each window within the image
        return np.convolve(np.ones(n, np.float32), np.ones(window, np.float32), "same")

    def box(x: Any) -> Any:
        total = lax.reduce_window(x, 0.0, lax.add, (1, window, window, 1), (1, 1, 1, 1), "SAME")
        return total / np.multiply.outer(count(x.shape[1]), count(x.shape[2]))[:, :, None]

    d = x - box(x)
    sigma = jnp.sqrt(box(d * d) + 1e-6)
    return d / jnp.maximum(sigma, sigma.mean((1, 2), keepdims=True))


# ---- the zoo's perceptrons -----------------------------------------------------------------------

def normalised(p: Weights, x: Any, key: Any, statistics: Weights) -> Any:
    keys = [None] * 3 if key is None else jax.random.split(key, 3)
    for i in range(3):
        x = layer_norm(p, f"{4 * i + 1}", linear(p, f"{4 * i}", x))
        x = dropout(jax.nn.gelu(x, approximate=False), 0.1, keys[i])
    return linear(p, "12", x)


def perceptron(p: Weights, x: Any, key: Any, statistics: Weights, *, hidden: int,
               activation: Callable[[Any], Any]) -> Any:
    for i in range(hidden):
        x = activation(linear(p, f"{2 * i}", x))
    return linear(p, f"{2 * hidden}", x)


# ---- losses --------------------------------------------------------------------------------------

def mean_square(y: Any, target: Any) -> Any:
    return jnp.mean((y - target) ** 2)


def binary_cross_entropy(logits: Any, target: Any) -> Any:
    return jnp.mean(jax.nn.softplus(logits) - logits * target)


def cross_entropy(logits: Any, target: Any, smoothing: float = 0.0) -> Any:
    logs = jax.nn.log_softmax(logits)
    own = jnp.mean(jnp.take_along_axis(logs, target[:, None], 1))
    return -((1 - smoothing) * own + smoothing * logs.mean()) if smoothing else -own


def weighted_cross_entropy(logits: Any, target: Any, *, weight: Array, smoothing: float) -> Any:
    """torch's cross_entropy with class weights and label smoothing."""
    logs = jax.nn.log_softmax(logits) * weight
    own = jnp.take_along_axis(logs, target[:, None], 1).sum()
    total = (1 - smoothing) * own + smoothing / math.prod(weight.shape) * logs.sum()
    return -total / jnp.asarray(weight)[target].sum()


SYSTEMS: dict[str, tuple[Network, Loss]] = {
    "regression": (regression, mean_square), "diabetes": (diabetes, binary_cross_entropy),
    "mnist-mlp": (mnist_mlp, partial(cross_entropy, smoothing=MLP["plain"].smoothing)),
    "mnist-cnn": (mnist_cnn, cross_entropy)}
DEXPRESSION: dict[str, Network] = {"paper": dexpression, "compact": compact}
PERCEPTRONS: dict[str, Network] = {
    "layer norm, GELU, dropout": normalised,
    "very wide perceptron": partial(perceptron, hidden=2, activation=jax.nn.relu),
    "very deep perceptron": partial(perceptron, hidden=30, activation=jnp.tanh)}
