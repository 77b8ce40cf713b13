"""The doctor names planted mistakes, says nothing of healthy networks, and changes nothing."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from inspect_cases.healthy import HEALTHY
from inspect_cases.mistakes import MISTAKES, mlp, seeded

import minigrad as mg
from minigrad import nn, optim
from minigrad.inspect import diagnose
from minigrad.inspect.doctor import CHECKS
from minigrad.random import default_generator
from minigrad.tensor import Tensor


def test_there_are_thirty_mistakes_and_ten_healthy_networks() -> None:
    assert len(MISTAKES) >= 30
    assert len(HEALTHY) == 10


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_first(name: str) -> None:
    kinds, build = MISTAKES[name]
    report = diagnose(**seeded(build))
    assert not report.ok
    assert report.kinds[0] in kinds, str(report)


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_a_healthy_network(name: str) -> None:
    case = seeded(HEALTHY[name])
    net, loss_fn, (x, y) = case["net"], case["loss_fn"], map(Tensor, case["batch"])
    assert diagnose(**case).findings == []
    optimizer = optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss_fn(net(x), y).backward()
        optimizer.step()
    assert diagnose(**case, optimizer=optimizer).findings == []


def everything(net: nn.Module, optimizer: optim.Optimizer) -> list[Any]:
    """All that must not change, by identity and by value."""
    tensors = [*net.parameters(), *net.buffers()]
    return [[(id(t._data), t.data.tobytes(), id(t._grad), t.requires_grad) for t in tensors],
            [t.grad.data.tobytes() for t in tensors if t.grad is not None],
            [(m.training, sorted(m.__dict__)) for m in net.modules()],
            [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()],
            [[(key, value) for key, value in group.items() if key != "params"]
             for group in optimizer.param_groups],
            [(name, np.asarray(value).tobytes()) for state in optimizer.state.values()
             for name, value in state.items()],
            default_generator.get_state().tobytes(), random.getstate(),
            np.random.mtrand._rand.get_state()[1].tobytes()]


def test_everything_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), mlp(16))
    net[3].eval()
    optimizer, loss_fn = optim.Adam(net.parameters()), nn.CrossEntropyLoss()
    x, y = mg.randn(32, 8), mg.tensor([0, 1, 2, 3] * 8)

    def step(x: Tensor, y: Tensor) -> None:
        loss_fn(net(x), y).backward()
        optimizer.step()

    step(x, y)
    pending = loss_fn(net(x), y)
    before = everything(net, optimizer)
    diagnose(net, loss_fn, (x, y), optimizer=optimizer, step=step)
    assert everything(net, optimizer) == before
    pending.backward()                  # no value that a graph needs was written to
    step(x, y)


def test_the_batch_is_left_as_it_was() -> None:
    x, y = mg.randn(32, 8).requires_grad_(), mg.tensor([0, 1, 2, 3] * 8)
    diagnose(mlp(), nn.CrossEntropyLoss(), (x, y))
    assert x.grad is None


def test_what_a_step_refers_to_is_left_as_it_was() -> None:
    net, x, y = mlp(), mg.randn(32, 8), mg.tensor([0, 1, 2, 3] * 8)
    optimizer, loss_fn = optim.Adam(net.parameters(), lr=1e-9), nn.CrossEntropyLoss()
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        loss_fn(net(x), y).backward()
        optimizer.step()
        scheduler.step()

    before = everything(net, optimizer), scheduler.state_dict()
    assert diagnose(net, loss_fn, (x, y), step=step).kinds == ["learning_rate_too_low"]
    assert (everything(net, optimizer), scheduler.state_dict()) == before


def test_training_goes_on_as_if_nothing_had_been() -> None:
    def trained(examined: bool) -> list[float]:
        mg.manual_seed(3)
        net = nn.Sequential(mlp(8, 16), nn.Dropout(0.2), nn.Linear(16, 4))
        optimizer, loss_fn = optim.Adam(net.parameters()), nn.CrossEntropyLoss()
        x, y = mg.randn(16, 8), mg.tensor([0, 1, 2, 3] * 4)
        losses = []
        for _ in range(4):
            if examined:
                diagnose(net, loss_fn, (x, y), optimizer=optimizer)
            optimizer.zero_grad()
            loss = loss_fn(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.data))
        return losses

    assert trained(True) == trained(False)


def test_a_loss_of_the_network_and_the_batch() -> None:
    x, y = mg.randn(16, 8), mg.tensor([0, 1, 2, 3] * 4)

    def of_batch(net: nn.Module, batch: Any) -> Tensor:
        return nn.CrossEntropyLoss()(net(batch[0]).softmax(1), batch[1])

    def of_parts(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return nn.CrossEntropyLoss()(net(x).softmax(1), y)

    for loss_fn in (of_batch, of_parts):
        assert diagnose(mlp(), loss_fn, (x, y)).kinds[0] == "softmax_twice"


def test_a_sum_is_judged_as_a_mean() -> None:
    x, y = mg.randn(64, 8), mg.tensor([0, 1, 2, 3] * 16)
    assert diagnose(mlp(), nn.CrossEntropyLoss(reduction="sum"), (x, y)).ok


def test_a_batch_of_another_structure() -> None:
    batch = {"x": mg.randn(64, 8), "y": mg.tensor([0, 1, 2, 3] * 16)}

    def loss_fn(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.CrossEntropyLoss()(model(batch["x"]), batch["y"])

    assert diagnose(mlp(), loss_fn, batch).ok
    assert diagnose(mlp(8, 4, nn.ReLU()), loss_fn, batch).kinds == ["relu_output"]


def test_the_report() -> None:
    report = diagnose(**seeded(MISTAKES["pixels_up_to_255"][1]))
    finding = report.findings[0]
    assert finding.kind == "input_scale"
    assert finding.numbers["rms"] > 50
    assert str(report).startswith("Found 1 error and 1 warning.")
    assert finding.advice in str(report)
    ET.fromstring(report._repr_html_().replace("<br>", "<br/>"))
    healthy = diagnose(**seeded(HEALTHY["perceptron"]))
    assert healthy.ok
    assert str(healthy).startswith(f"Nothing is wrong, as far as {len(CHECKS)} checks can tell.")
