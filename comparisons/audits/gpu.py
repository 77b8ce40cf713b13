"""Checks each network of PyTorch's side on a GPU, where minigrad on the CPU is the judge.

Both have the same weights, and one batch goes forward and backward. minigrad computes in float64.
In float64 the GPU must give the same numbers up to the order of sums. In float32 and in bfloat16
(mixed precision) rounding decides whether a value near zero is positive, so single numbers may
differ; there, the norm of the difference over a whole tensor is compared. TF32, which would round
the factors of float32 products to 10 bits, is off.

Only PyTorch, NumPy and Python's own library are needed, so that a rented machine runs it at once.
Where there is no Numba, minigrad computes with NumPy alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import minigrad
from comparisons.errors import Fault
from minigrad import functional, models
from minigrad.data import ArrayDataset, DataLoader
from minigrad.kernels import compile as compiler
from torch_impl import models as torch_models, train

Array = NDArray[Any]
Values = dict[str, Array]

CLASSES = 7
BOUNDS = {"float64": (1e-9, 1e-9), "float32": (1e-5, 0.03), "mixed": (0.05, 0.7)}
"""How far outputs and loss, and gradients, may be from minigrad's: the norm of the difference, by
that of the tensor. Rounding changes a gradient where it decides which way a ReLU or a max pool
goes: in float32 here and there, in bfloat16, whose numbers have 8 bits, often, in deep networks and
towards the input above all. A wrong sign makes 2. TF32 would show in the outputs."""

EPOCHS, BATCHES, LR = 12, 4, 1e-3       # of a training
LEARNED = 0.9                           # what is at most left of the first epoch's loss
SECONDS, MOST = 1.0, 50                 # that steps are timed for, and how many at most


@dataclass(frozen=True)
class Network:
    """A network of both sides. make: builds it from the module of either side's models. shape: of
    one item. target: "numbers", "truth" or "classes"."""

    name: str
    make: Callable[[Any], Any]
    shape: tuple[int, ...]
    target: str
    batch: int = 32

    def items(self, n: int) -> tuple[Array, Array]:
        """n items and their targets, which can be learned from them."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, *self.shape))
        if self.target == "classes":
            classes = rng.integers(0, CLASSES, n)
            return x + rng.standard_normal((CLASSES, *self.shape))[classes], classes
        y = x @ rng.standard_normal(self.shape)
        return x, y[:, None] if self.target == "numbers" else (y > 0).astype(float)

    def loss(self, side: Any) -> Callable[[Any, Any], Any]:
        """The loss function. side: either side's `functional`."""
        loss: Callable[[Any, Any], Any] = getattr(side, {
            "numbers": "mse_loss", "truth": "binary_cross_entropy_with_logits",
            "classes": "cross_entropy"}[self.target])
        return loss


NETWORKS = (
    Network("regression", lambda side: side.LinearRegression(8), (8,), "numbers", 256),
    Network("diabetes", lambda side: side.LogisticRegression(8), (8,), "truth", 256),
    Network("mnist-mlp, plain", lambda side: side.MLP((784, 500, CLASSES)), (1, 28, 28),
            "classes", 64),
    Network("mnist-mlp, deep", lambda side: side.MLP((784, 300, 200, 100, CLASSES), norm=True),
            (1, 28, 28), "classes", 64),
    Network("mnist-cnn, simple", lambda side: side.CNN(CLASSES), (1, 28, 28), "classes", 64),
    Network("mnist-cnn, strong", lambda side: side.StrongCNN(CLASSES), (1, 28, 28), "classes", 64),
    Network("dexpression, paper", lambda side: side.DeXpression(CLASSES, 64), (1, 64, 64),
            "classes", 8),
    Network("dexpression, compact", lambda side: side.DeXpression(CLASSES, 48, "compact"),
            (1, 48, 48), "classes", 16))


def main(words: Sequence[str], rehearse: bool = False) -> int:
    """Check the networks whose names contain one of the words, all without any; return 1 if
    anything is out of bounds, or was not learned.

    Raises: Fault if there is no GPU, or if a word is in no name.
    """
    for word in words:
        if not any(named(network, word) for network in NETWORKS):
            raise Fault(f"gpu: no network is named {word}; there are "
                        + "; ".join(network.name for network in NETWORKS))
    chosen = [network for network in NETWORKS
              if not words or any(named(network, word) for word in words)]
    device, title = find_device(rehearse)
    print(f"{title}; PyTorch {torch.__version__}, TF32 off", flush=True)
    started, bad = time.perf_counter(), 0
    compiler.TWINS_ONLY |= find_spec("numba") is None
    with full_precision():
        for network in chosen:
            bad += check(network, device)
    print(f"\n{f'{bad} failed' if bad else 'all passed'}, after "
          f"{time.perf_counter() - started:.0f} s: {title}")
    return int(bad > 0)


def named(network: Network, word: str) -> bool:
    return word.lower() in network.name


def find_device(rehearse: bool) -> tuple[torch.device, str]:
    """The GPU, and what it is called. Raises: Fault if there is none."""
    if rehearse:
        return torch.device("cpu"), "REHEARSAL ON THE CPU, which says nothing about a GPU"
    device = train.pick_device()
    if device.type == "cpu":
        raise Fault(f"gpu: PyTorch {torch.__version__} finds no GPU on this machine; --rehearse "
                    "runs the check on the CPU")
    return device, torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU"


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 numbers in float32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def check(network: Network, device: torch.device) -> int:
    """Print the figures of a network; return how many are out of bounds."""
    print(f"\n{network.name}, batches of {network.batch}")
    x, y = network.items(network.batch)
    weights, right = judge(network, x, y)
    bad = 0
    for kind, bounds in BOUNDS.items():
        if kind == "float64" and device.type == "mps":
            print("  float64   this GPU has none")
            continue
        found = values(network, weights, x, y, device, kind)
        off = {key: distance(found[key], right[key]) for key in right}
        wrong = {key: each for key, each in off.items()     # `not <=`, so that NaN is wrong
                 if not each <= bounds[key.startswith("∂")]}
        bad += bool(wrong)
        told = ", ".join(f"{key} {each:.1e}" for key, each in wrong.items())
        print(f"  {kind:8}  outputs {off['outputs']:.1e} (bound {bounds[0]:g}), gradients "
              f"{max(each for key, each in off.items() if key.startswith('∂')):.1e} "
              f"(bound {bounds[1]:g}){f'  OUT OF BOUNDS: {told}' if wrong else ''}", flush=True)
    for amp in (False, True):
        first, last = learned(network, weights, device, amp)
        falls = last <= LEARNED * first
        bad += not falls
        print(f"  trained{' (mixed)' if amp else '':8}  loss {first:.4f} → {last:.4f} in "
              f"{EPOCHS * BATCHES} steps{'' if falls else '  NOT LEARNED'}", flush=True)
    there = {amp: step_seconds(network, weights, device, amp) for amp in (False, True)}
    here = step_seconds(network, weights, torch.device("cpu"), False)
    print(f"  a step    {there[False] * 1e3:.2f} ms, mixed {there[True] * 1e3:.2f} ms; PyTorch on "
          f"the CPU {here * 1e3:.2f} ms ({here / there[False]:.1f} times as long)", flush=True)
    return bad


# ---- values --------------------------------------------------------------------------------------

def judge(network: Network, x: Array, y: Array) -> tuple[Values, Values]:
    """The weights, and minigrad's values: outputs, loss and all gradients, in float64."""
    minigrad.manual_seed(0)
    model = network.make(models)
    weights = {key: np.array(value.data) for key, value in model.state_dict().items()}
    given = minigrad.Tensor(x, requires_grad=True)
    outputs = model.double()(given)
    loss = network.loss(functional)(outputs, minigrad.Tensor(y))
    loss.backward()
    return weights, {"outputs": outputs.data, "loss": loss.data, "∂ input": given.grad.data} | {
        f"∂ {name}": p.grad.data for name, p in model.named_parameters()}


def built(network: Network, weights: Values, device: torch.device) -> Any:
    """PyTorch's network with these weights."""
    model = network.make(torch_models)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return model.to(device)


def values(network: Network, weights: Values, x: Array, y: Array, device: torch.device, kind: str
           ) -> Values:
    """As `judge`, by PyTorch on a device. kind: float64, float32, or mixed."""
    dtype = torch.float64 if kind == "float64" else torch.float32
    model = built(network, weights, device).to(dtype)
    given = torch.tensor(x, dtype=dtype, device=device, requires_grad=True)
    target = torch.tensor(y, dtype=dtype if y.dtype.kind == "f" else None, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=kind == "mixed"):
        outputs = model(given)
        loss = network.loss(torch.nn.functional)(outputs, target)
    loss.backward()
    assert given.grad is not None
    found = {"outputs": outputs, "loss": loss, "∂ input": given.grad} | {
        f"∂ {name}": p.grad for name, p in model.named_parameters()}
    return {key: value.detach().cpu().double().numpy() for key, value in found.items()}


def distance(a: Array, b: Array) -> float:
    """The norm of a - b by that of b; NaN if their shapes differ."""
    if a.shape != b.shape:
        return float("nan")
    return float(np.linalg.norm(a - b) / (np.linalg.norm(b) or 1))


# ---- training and speed --------------------------------------------------------------------------

def learned(network: Network, weights: Values, device: torch.device, amp: bool
            ) -> tuple[float, float]:
    """The mean losses of the first and of the last epoch of a training."""
    x, y = network.items(BATCHES * network.batch)
    model = built(network, weights, device)
    losses: list[float] = []
    loader = DataLoader(ArrayDataset(x.astype(np.float32), float32(y)), network.batch, shuffle=True)
    train.fit(model, loader, network.loss(torch.nn.functional),
              torch.optim.Adam(model.parameters(), rate(network)), epochs=EPOCHS, device=device,
              amp=amp, on_epoch=lambda epoch, loss, seconds: losses.append(loss))
    return losses[0], losses[-1]


def rate(network: Network) -> float:
    """The learning rate. A linear model, which begins far from its optimum, takes a larger one."""
    return LR if network.target == "classes" else 50 * LR


def float32(y: Array) -> Array:
    """Targets as the loss takes them: numbers in float32, classes as they are."""
    return y.astype(np.float32) if y.dtype.kind == "f" else y


def step_seconds(network: Network, weights: Values, device: torch.device, amp: bool) -> float:
    """The median time of a training step, in float32 or mixed precision."""
    model = built(network, weights, device)
    optimizer = torch.optim.Adam(model.parameters(), LR)
    loss_of = network.loss(torch.nn.functional)
    x, y = (torch.tensor(array, device=device) for array in map(
        float32, network.items(network.batch)))
    times: list[float] = []
    for i in range(MOST + 2):
        synchronize(device)
        started = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        synchronize(device)
        if i >= 2:                      # the first steps choose algorithms and allocate memory
            times.append(time.perf_counter() - started)
        if sum(times) > SECONDS:
            break
    return statistics.median(times)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
