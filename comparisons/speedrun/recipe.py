"""The recipe of the speed record: one network, one number of steps, one schedule.

Nothing in it depends on the test digits. docs/speedrun.md gives the reason for each ingredient.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from comparisons.datasets.base import Array
from comparisons.implementations import Implementation
from comparisons.speedrun.step import Step, stepper

STEPS, BATCH = 350, 100
SIDE = 24                               # pixels: the margin of the 28 × 28 images is nearly empty
SHIFT = 1                               # pixels, the most by which a training image is moved
LR, RISE = 0.02, 0.2                    # the highest rate; the part of the steps until then
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.01
SMOOTHING = 0.1

SETTINGS = {"steps": STEPS, "batch": BATCH, "side": SIDE, "shift": SHIFT, "lr": LR, "rise": RISE,
            "betas": list(BETAS), "weight_decay": WEIGHT_DECAY, "label_smoothing": SMOOTHING}


def network(implementation: Implementation) -> Any:
    """The network. Biases before a batch norm would have no effect, so there are none."""
    nn = implementation.nn
    return nn.Sequential(                                                   # 1 × 24 × 24
        nn.Conv2d(1, 16, 6, stride=2, bias=False),                          # 16 × 10 × 10
        nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, bias=False), nn.MaxPool2d(2),                  # 32 × 4 × 4
        nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 10))


def batches(x: Array, y: Array, seed: int) -> Iterator[tuple[Array, Array]]:
    """The batches of the whole training: digits in random order, moved a little.

    No digit comes again before all have come.
    Shapes: x (N, 1, H, W) → (BATCH, 1, SIDE, SIDE), cut out around the centre.
    """
    rng, count = np.random.default_rng(seed), STEPS * BATCH
    order = np.concatenate([rng.permutation(len(x)) for _ in range(-(-count // len(x)))])
    top, left = margins(x)[:, None] + rng.integers(-SHIFT, SHIFT, (2, count), endpoint=True)
    windows = np.lib.stride_tricks.sliding_window_view(x[:, 0], (SIDE, SIDE), (1, 2))   # no copy
    for i in range(0, count, BATCH):
        now = slice(i, i + BATCH)
        yield windows[order[now], top[now], left[now]][:, None], y[order[now]]


def margins(x: Array) -> Array:
    """How many pixels are cut off at the top and at the left."""
    return (np.array(x.shape[2:]) - SIDE) // 2


def prepare(implementation: Implementation, seed: int) -> tuple[Any, Step]:
    """A network with its initial weights, and its training step."""
    model = implementation.new_model(network, seed, np.float32)
    model.train()
    optimizer = implementation.optim.AdamW(model.parameters(), lr=LR, betas=BETAS,
                                           weight_decay=WEIGHT_DECAY)
    scheduler = implementation.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LR, total_steps=STEPS, pct_start=RISE, anneal_strategy="linear",
        cycle_momentum=False)
    train = stepper(implementation, model, optimizer, partial(
        implementation.functional.cross_entropy, label_smoothing=SMOOTHING))

    def step(batch: Array, target: Array) -> Any:
        loss = train(batch, target)
        scheduler.step()
        return loss
    return model, step


def train(implementation: Implementation, x: Array, y: Array, seed: int) -> tuple[Any, float]:
    """A trained network, and the seconds from the initial weights to the final ones.

    The time includes drawing, cutting out and moving the digits, and the recording of minigrad's
    step. It does not include reading the files, importing, or compiling kernels.
    """
    model, step = prepare(implementation, seed)
    start = time.perf_counter()
    for batch, target in batches(x, y, seed):
        step(batch, target)
    return model, time.perf_counter() - start


def accuracy(implementation: Implementation, model: Any, x: Array, y: Array) -> float:
    """The share of digits that are read right, each from one forward pass."""
    top, left = margins(x)
    guesses = implementation.predict(
        model, np.ascontiguousarray(x[:, :, top:top + SIDE, left:left + SIDE])).argmax(1)
    return float(np.mean(guesses == y))
