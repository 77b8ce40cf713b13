"""Trainings of other shapes than forward, backward, step: what is recorded of them is right."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest
from watched import T, X, network, silent, train

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.inspect import watch
from minigrad.inspect.watch.history import RECORDS, History
from minigrad.optim.optimizer import Group, State

RNG = np.random.default_rng(0)


def small() -> nn.Sequential:
    mg.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 3))


def rms(x: Any) -> Any:
    return pytest.approx(float(np.sqrt(np.square(x).mean())), rel=1e-4)


def test_two_networks_that_learn_from_each_other(tmp_path):
    makes, judges = nn.Sequential(nn.Linear(2, 6)), nn.Sequential(nn.Linear(6, 1), nn.Tanh())
    of_makes, of_judges = optim.SGD(makes.parameters(), 0.1), optim.SGD(judges.parameters(), 0.1)
    told: dict[str, list[float]] = {"makes": [], "judges": []}
    (tmp_path / "other").mkdir()
    with silent(makes, of_makes, tmp_path) as first, \
            silent(judges, of_judges, tmp_path / "other") as second:
        for _ in range(3):
            made = makes(mg.randn(8, 2))
            of_judges.zero_grad()
            real, forged = judges(X), judges(made.detach())
            loss = (forged - real).mean()
            loss.backward()
            of_judges.step()
            told["judges"].append(loss.item())
            of_makes.zero_grad()
            loss = -judges(made).mean().exp()
            loss.backward()
            of_makes.step()
            told["makes"].append(loss.item())
    for watched, name in [(first, "makes"), (second, "judges")]:
        state = watched.training.state()
        assert state["curves"]["loss"][1] == pytest.approx(told[name], rel=1e-5)
        assert [record["drawing"] for record in state["records"]] == [0, 0, 0]
    both = np.concatenate([real.data, forged.data])
    assert second.training.state()["records"][-1]["layers"][1]["activations"][2] == rms(both)
    assert ">exp<" not in second.training.drawings.svgs[0]
    assert ">exp<" in first.training.drawings.svgs[0]


@pytest.mark.parametrize("to_none", [True, False])
def test_a_backward_pass_whose_gradients_are_cleared_does_not_count(tmp_path, to_none):
    net = small()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        (net(X) * 1e6).sum().backward()
        optimizer.zero_grad(set_to_none=to_none)
        y = net(X)
        loss = F.cross_entropy(y, T)
        loss.backward()
        optimizer.step()
    state = watched.training.state()
    assert state["curves"]["loss"][1] == [pytest.approx(loss.item(), rel=1e-5)]
    assert state["records"][0]["layers"][0]["activations"][2] == rms(y.data)


def test_a_step_that_computes_its_gradients_itself(tmp_path):
    net = small()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    losses = []

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X), T)
        loss.backward()
        losses.append(loss.item())
        return loss

    with silent(net, optimizer, tmp_path) as watched:
        for i in range(3):
            before = net[0].weight.data.copy()
            optimizer.step(closure) if i else optimizer.step(closure=closure)
    state = watched.training.state()
    assert state["curves"]["loss"][1] == pytest.approx(losses, rel=1e-5)
    layer, weight = state["records"][-1]["layers"][0], net[0].weight
    assert layer["gradients"][0][2] == rms(weight.grad.data)
    change = np.linalg.norm(weight.data - before) / np.linalg.norm(before)
    assert layer["changes"][0] == pytest.approx(change, rel=1e-4)


class ByHand(optim.Optimizer):
    """Has a step of its own, which calls no hooks."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def step(self, closure: Any = None) -> None:
        for p in self.param_groups[0]["params"]:
            p.data = p.data - 0.1 * p.grad.data
            p.grad = None


class ByRule(optim.Optimizer):
    """Defines the rule alone."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def update(self, p: Any, g: Any, state: State, group: Group) -> None:
        p -= 0.1 * g


class Warm(optim.SGD):
    """Changes how steps are taken, and leaves the rest to the class above."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.1)

    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["lr"] *= 0.5
        return super().step(closure)


@pytest.mark.parametrize("kind", [ByHand, ByRule, Warm])
def test_optimisers_of_ones_own(tmp_path, kind):
    net = small()
    optimizer = kind(net.parameters())
    (tmp_path / "other").mkdir()
    with silent(net, optimizer, tmp_path) as watched, \
            silent(net, optimizer, tmp_path / "other") as twice:
        losses = train(net, optimizer, 3)
    assert losses == sorted(losses, reverse=True)
    for each in (watched, twice):
        state = each.training.state()
        assert state["step"] == 3
        assert state["curves"]["loss"][1] == pytest.approx(losses, rel=1e-5)
        assert state["records"][0]["layers"][0]["gradients"][0] is not None
        assert state["records"][0]["layers"][0]["changes"][0] > 0
    assert "step" not in vars(optimizer)
    train(net, optimizer, 1)
    assert watched.training.step == 3


def test_a_step_in_another_thread_is_not_watched(tmp_path):
    net = small()
    optimizer = optim.SGD(net.parameters(), lr=0.1)

    def trains() -> None:
        with pytest.warns(UserWarning, match="in another thread than the one that entered"):
            train(net, optimizer, 2)

    with silent(net, optimizer, tmp_path) as watched:
        thread = threading.Thread(target=trains)
        thread.start()
        thread.join()
        losses = train(net, optimizer, 1)
    assert watched.training.state()["curves"]["loss"] == [[1], pytest.approx(losses, rel=1e-5)]


def test_what_can_be_logged(tmp_path):
    net = small()
    with silent(net, optim.SGD(net.parameters(), lr=0.1), tmp_path) as watched:
        watched.log(a=mg.tensor(0.5), b=np.float32(2), c=1)
        with pytest.raises(ValueError, match="log: there is a curve of the loss anyway"):
            watched.log(loss=1.0)
        for wrong in ("high", None, np.ones(3), mg.ones(3)):
            with pytest.raises(TypeError, match="log: accuracy must be a number; got "):
                watched.log(good=1.0, accuracy=wrong)
    curves = watched.training.state()["curves"]
    assert {name: values for name, (_, values) in curves.items()} == {
        "a": [0.5], "b": [2.0], "c": [1.0]}


def test_a_frozen_network_whose_input_is_changed(tmp_path):
    net = small().requires_grad_(False)
    x = mg.tensor(X.data, requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        net(x).square().mean().backward()
        optimizer.step()
    record = watched.training.state()["records"][0]
    assert record["drawing"] == 0
    assert record["layers"][0]["activations"] is not None


def test_a_copy_of_the_network_is_not_watched(tmp_path):
    net = small()
    with silent(net, optim.SGD(net.parameters(), lr=0.1), tmp_path) as watched:
        y = net(X)
        copy.deepcopy(net)(X * 1e3)
        y.sum().backward()
        watched.optimizer.step()
    _, _, output = watched.training.pictures("0")
    np.testing.assert_allclose(output["values"], y.data[0], rtol=1e-4)


def test_layers_with_the_same_weight(tmp_path):
    inner = nn.Sequential(nn.Linear(6, 6, bias=False))
    net = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), inner)
    net[1].weight = net[2][0].weight = net[0].weight
    with silent(net, optim.SGD(net.parameters(), lr=0.1), tmp_path) as watched:
        pass
    layers = watched.training.description()["layers"]
    assert [(list(layer["parameters"]), layer["shared"]) for layer in layers] == [
        (["weight", "bias"], {}), (["bias"], {"weight": "0.weight"}),
        ([], {"weight": "0.weight"})]


def test_records_stay_evenly_spread_and_few_if_there_are_many_layers(tmp_path):
    history, step = History(), 0
    for i in range(20 * RECORDS):               # a look at every tenth step, then at each one
        step += 10 if i < 10 * RECORDS else 1
        history.record({"step": step})
    steps = [record["step"] for record in history.records]
    assert RECORDS / 2 < len(steps) < 2 * RECORDS
    assert max(np.diff(steps)) < 4 * step / RECORDS
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(300)))
    watched = silent(deep, optim.SGD(deep.parameters(), lr=0.1), tmp_path)
    assert watched.training.history.most == 30


def test_a_second_interrupt_still_ends_all(tmp_path):
    def interrupted() -> None:
        raise KeyboardInterrupt

    net = network()
    watched = watch(net, optim.SGD(net.parameters(), lr=0.1), file=tmp_path / "t.html")
    watched.training.wait_for_a_page = interrupted
    watched.__enter__()
    train(net, watched.optimizer, 1)
    with pytest.raises(KeyboardInterrupt):
        watched.__exit__(None, None, None)
    assert '"step":1' in (tmp_path / "t.html").read_text()
    assert watched._server.socket.fileno() == -1


def test_the_file_lies_where_it_was_named(tmp_path, monkeypatch):
    net = small()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with watch(net, optim.SGD(net.parameters(), lr=0.1), file="ein Lauf ü.html", live=False):
        monkeypatch.chdir(tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
