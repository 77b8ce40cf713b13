"""Where an op runs: the module's path and the user's line."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad import nn
from minigrad.inspect.places import Place, here
from minigrad.models.mlp import MLP
from minigrad.observer import Observer
from minigrad.tensor import Tensor


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + x


class Places(Observer):
    def __init__(self, net: nn.Module | None = None) -> None:
        self.net = net
        self.found: list[tuple[str, Place]] = []

    def op_ends(self, op: Any, inputs: Any, static: dict[str, Any], y: Tensor) -> None:
        self.found.append((op.__name__.strip("_"), here(self.net)))


def test_modules_and_lines() -> None:
    net = nn.Sequential(Block(), Block())
    with Places() as places:
        (net(mg.ones(1, 2)) * 2).sum()
    assert [(name, place.path) for name, place in places.found] == [
        ("linear", "0.inner.0"), ("tanh", "0.inner.1"), ("add", "0"),
        ("linear", "1.inner.0"), ("tanh", "1.inner.1"), ("add", "1"), ("mul", ""), ("sum", "")]
    places_of = dict(places.found)
    assert places_of["add"].code == "return self.inner(x) + x"
    assert [path for path, _ in places_of["tanh"].modules] == ["", "1", "1.inner", "1.inner.1"]
    assert places_of["mul"].code == "(net(mg.ones(1, 2)) * 2).sum()"
    assert str(places_of["tanh"]).startswith("1.inner.1 (Tanh), test_places.py:")


def test_paths_below_a_network_that_is_given() -> None:
    net = nn.Sequential(Block(), nn.ReLU())
    with Places(net[0]) as places:
        net(mg.ones(1, 2))
    assert [place.path for _, place in places.found] == ["inner.0", "inner.1", "", ""]
    assert not places.found[-1][1].modules


def test_models_are_read_as_a_users() -> None:
    with Places() as places:
        MLP()(mg.ones(1, 1, 28, 28))
    assert {place.file.rpartition("/")[2] for _, place in places.found} == {"mlp.py"}


def test_a_module_that_is_not_registered() -> None:
    class Hides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Tanh()]

        def forward(self, x: Tensor) -> Tensor:
            return self.layers[0](x)

    with Places() as places:
        Hides()(mg.ones(2))
    assert places.found[0][1].path == "<Tanh>"
