"""A compiled step gives what the step itself gives, to the bit, or says why it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F, nn, optim
from minigrad.observer import Observer
from minigrad.optim import lr_scheduler

RNG = np.random.default_rng(0)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.3),
                         nn.Linear(16, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2, padding=1),
                         nn.BatchNorm2d(4), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(8, 3))


class Attention(nn.Module):
    """Attention among the six values of an item."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv, self.head = nn.Linear(1, 8), nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.embed(x.unsqueeze(-1))).chunk(3, -1)
        return self.head((F.softmax(q @ k.transpose(-2, -1), -1) @ v).mean(1))


class Own(nn.Module):
    """Ops that a user composes, and a mask made of values."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(minigrad.randn(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = minigrad.where(x > 0, x, x * 0.1) @ self.w
        y = y / (y * y).sum(1, keepdim=True).sqrt().clamp(min=1e-3)
        return F.leaky_relu(minigrad.cat([y[:, :1], y[:, 1:].abs()], 1))


MODELS = (perceptron, dropping, convolutional, Attention, Own)
OPTIMIZERS = (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.AdamW(p, lr=0.01),
              lambda p: optim.RMSprop(p, lr=0.01))


def batch(n: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return (Tensor(rng.standard_normal((n, 6)).astype(np.float32)),
            Tensor(rng.integers(0, 3, n)))


def trained(make: Callable[[], nn.Module], optimizer_of: Any, compiled: bool,
            batches: list[tuple[Tensor, Tensor]], observed: Collection[int] = ()
            ) -> tuple[list[float], dict[str, Any]]:
    minigrad.manual_seed(1)
    model = make()
    optimizer = optimizer_of(model.parameters())
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)

    def step(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        y = model(x)
        loss = F.cross_entropy(y, t, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss, y.argmax(1)

    run = minigrad.compile(step) if compiled else step
    found = []
    for i, each in enumerate(batches):
        with Counter() if i in observed else contextlib.nullcontext() as ops:
            found.append(run(*each))
        assert ops is None or ops.count > 5
    return ([(loss.item(), guess.tolist()) for loss, guess in found],
            {key: value.data.tobytes() for key, value in model.state_dict().items()})


class Counter(Observer):
    count = 0

    def op_ends(self, *event: Any) -> None:
        self.count += 1


@pytest.mark.parametrize("optimizer_of", OPTIMIZERS)
@pytest.mark.parametrize("make", MODELS)
def test_the_same_to_the_bit(make: Any, optimizer_of: Any) -> None:
    batches = [batch(n, seed) for seed, n in enumerate([5, 5, 5, 5, 4, 4, 5, 4, 4, 5])]
    assert (trained(make, optimizer_of, True, batches)
            == trained(make, optimizer_of, False, batches))


@pytest.mark.parametrize("make", MODELS)
def test_what_is_observed_runs_as_it_is_written(make: Any) -> None:
    batches = [batch(n, seed) for seed, n in enumerate([5, 5, 5, 5, 4, 5, 4, 4, 5])]
    assert (trained(make, OPTIMIZERS[1], True, batches, observed=(3, 4, 5, 7))
            == trained(make, OPTIMIZERS[1], False, batches))


def test_gradients_are_left_in_grad_and_the_results_are_copies() -> None:
    w = Tensor(np.ones(3, np.float32), requires_grad=True)

    @minigrad.compile
    def step(x: Tensor) -> Tensor:
        w.grad = None
        loss = (w * x).square().sum()
        loss.backward()
        return loss

    values = [Tensor(np.full(3, n, np.float32)) for n in range(5)]
    losses = [step(x) for x in values]
    assert [loss.item() for loss in losses] == [3 * n**2 for n in range(5)]
    w.grad = None
    step(values[2])
    np.testing.assert_array_equal(w.grad.data, [8, 8, 8])


def test_the_order_of_memory_is_kept() -> None:
    def step(x: Tensor) -> Tensor:
        return (x * 3).sum() / F.normalize(x, dim=0).square().mean()

    compiled = minigrad.compile(step)
    for seed in range(4):
        for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0)):
            a = np.random.default_rng(seed).standard_normal((7, 11, 13)).astype(np.float32)
            x = Tensor(a.transpose(order))
            assert compiled(x).item() == step(x).item()


def test_numbers_and_shapes_have_recordings_of_their_own() -> None:
    calls = []

    @minigrad.compile
    def step(x: Tensor, factor: float) -> Tensor:
        calls.append(factor)
        return x * factor

    for factor in (2.0, 3.0):
        for n in (1, 2, 3, 4):
            y = step(Tensor(np.full(2, n, np.float32)), factor)
            assert y.tolist() == [n * factor] * 2
    assert calls == [2.0, 2.0, 3.0, 3.0]
    for n in range(6):
        step(ones(2), n + 10)
    with pytest.raises(RuntimeError, match="8 different kinds of arguments"):
        step(ones(2), 16)


# ---- what is refused -----------------------------------------------------------------------------

def ones(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32))


def reads(x: Tensor) -> Any:
    return x * x.sum().item()


def counts(x: Tensor, calls: list[int] = []) -> Any:        # noqa: B006  # what is refused
    calls.append(1)
    return x * len(calls)


def grows(x: Tensor, calls: list[int] = []) -> Any:         # noqa: B006  # what is refused
    calls.append(1)
    for _ in calls:
        x = x + 1
    return x


def leaves(x: Tensor) -> Any:
    return x + Tensor(np.array(x.data.tolist() if False else RNG.standard_normal(2), np.float32))


@pytest.mark.parametrize(("step", "message"), [
    (reads, "reads a value"), (counts, "not the same program.*call 1"),
    (grows, "not the same program"), (leaves, "not the same program")])
def test_refused(step: Any, message: str) -> None:
    run = minigrad.compile(step)
    with pytest.raises(RuntimeError, match=message):
        [run(ones(2)) for _ in range(3)]


def test_a_condition_on_values_is_watched() -> None:
    @minigrad.compile
    def step(x: Tensor) -> Tensor:
        return x * 2 if (x.sum() > 0).data else -x

    for _ in range(3):
        assert step(ones(2)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match=r"a condition on the values .* was True"):
        step(Tensor(-np.ones(2, np.float32)))


def test_a_class_out_of_range_is_noticed() -> None:
    run = minigrad.compile(lambda x, t: F.cross_entropy(x, t))
    for _ in range(3):
        run(ones(2, 3), Tensor(np.array([0, 1])))
    with pytest.raises((RuntimeError, IndexError)):
        run(ones(2, 3), Tensor(np.array([0, 5])))


def test_another_array_for_a_parameter_is_noticed() -> None:
    w = ones(2)
    run = minigrad.compile(lambda x: x * w)
    for _ in range(3):
        run(ones(2))
    w.data = np.zeros(2, np.float32)
    with pytest.raises(RuntimeError, match="given another array"):
        run(ones(2))


def test_nothing_stays_behind() -> None:
    """After recording, arrays are plain again, and nothing more is recorded."""
    model = perceptron()
    run = minigrad.compile(lambda x: model(x))
    for _ in range(3):
        y = run(ones(2, 6))
    assert {type(t.data) for t in (y, *model.parameters())} == {np.ndarray}
