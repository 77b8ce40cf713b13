"""Modules nested 500 deep, and modules that hold each other."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

DEEP = 500


@pytest.fixture
def deep() -> nn.Module:
    module: nn.Module = nn.Linear(3, 3)
    for _ in range(DEEP):
        module = nn.Sequential(module)
    return module


@pytest.fixture
def frames() -> Iterator[None]:
    """A call takes two of Python's frames a level, in torch three: 1,000 do not suffice."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(3 * DEEP + 500)
    yield
    sys.setrecursionlimit(before)


def test_what_walks_modules_walks_deep_ones(deep: nn.Module) -> None:
    path = ".".join("0" * DEEP)
    assert list(deep.state_dict()) == [f"{path}.weight", f"{path}.bias"]
    assert deep.load_state_dict(deep.state_dict()) == ([], [])
    assert len(list(deep.modules())) == DEEP + 1
    leaf = deep.get_submodule(path)
    seen: list[Any] = []
    deep.apply(seen.append)
    assert seen[0] is leaf
    deep.to(mg.float64).eval().requires_grad_(False).zero_grad()
    assert leaf.weight.dtype == np.float64
    assert not leaf.training


def test_the_repr_of_deep_ones(deep: nn.Module) -> None:
    lines = repr(deep).splitlines()
    assert len(lines) == 2 * DEEP + 1
    assert lines[DEEP].strip() == "(0): Linear(in_features=3, out_features=3, bias=True)"


def test_a_deep_copy_of_deep_ones(deep: nn.Module) -> None:
    twin = copy.deepcopy(deep)
    for (name, value), (other, copied) in zip(deep.state_dict().items(), twin.state_dict().items(),
                                              strict=True):
        assert name == other
        np.testing.assert_array_equal(value.data, copied.data)
        assert not np.shares_memory(value.data, copied.data)


def test_deep_ones_can_be_pickled(deep: nn.Module) -> None:
    twin = pickle.loads(pickle.dumps(deep))
    assert repr(twin) == repr(deep)
    for value, other in zip(deep.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(value.data, other.data)
    last = deep.get_submodule(".".join("0" * DEEP))
    both = pickle.loads(pickle.dumps([deep, last]))
    assert both[0].get_submodule(".".join("0" * DEEP)) is both[1]


def test_a_pickle_keeps_what_is_shared_and_what_is_circular() -> None:
    pair = Pair(nn.Linear(2, 2))
    pair.left.owner = pair                      # type: ignore[assignment]
    twin = pickle.loads(pickle.dumps(pair))
    assert twin.left is twin.right is twin.kept[0] is not pair.left
    assert twin.left.owner is twin
    assert pickle.loads(pickle.dumps(Counted())).copies == 1
    assert pickle.loads(pickle.dumps(Own())).note == [1]


@pytest.mark.parametrize("length", [3, 20_000])
def test_a_result_is_pickled_and_copied_without_its_graph(length: int) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(length):
        y = y * 1.0
    for twin in (pickle.loads(pickle.dumps(y)), copy.copy(y)):
        assert twin.is_leaf
        assert twin.requires_grad
        np.testing.assert_array_equal(twin.detach().data, [1, 2])
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [2, 4])


def test_calls_and_hooks_of_deep_ones(deep: nn.Module, frames: None) -> None:
    called: list[Any] = []
    for module in deep.modules():
        module.register_forward_hook(lambda module, args, y: called.append(module))
    deep(mg.ones(1, 3)).sum().backward()
    assert called == list(deep.modules())[::-1]


class Pair(nn.Module):
    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.left = self.right = shared
        self.kept = [shared]


def test_a_copy_keeps_what_is_shared_and_what_is_circular() -> None:
    pair = Pair(nn.Linear(2, 2))
    pair.left.owner = pair                      # type: ignore[assignment]
    twin = copy.deepcopy(pair)
    assert twin.left is twin.right is twin.kept[0] is not pair.left
    assert twin.left.owner is twin              # type: ignore[comparison-overlap]
    assert "(owner): Pair(...)" in repr(pair)
    first, second = copy.deepcopy([pair, pair.left])
    assert first.left is second                 # type: ignore[attr-defined]


class Own(nn.Module):
    __slots__ = ("note",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.note = [1]

    def __repr__(self) -> str:
        return f"mine: {super().__repr__()}"


class Counted(Own):
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "copies": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, copies=state["copies"] + 1)

    def __deepcopy__(self, memo: dict[int, Any]) -> Counted:
        new: Counted = super().__deepcopy__(memo)       # type: ignore[assignment]
        new.mark = "own"
        return new


def test_a_class_may_show_and_copy_itself_in_its_own_way() -> None:
    net = nn.Sequential(Own(), Counted())
    twin = copy.deepcopy(net)
    assert twin[0].note == [1]
    assert twin[0].note is not net[0].note
    assert (twin[1].copies, twin[1].mark) == (1, "own")
    assert twin[1].layer is not net[1].layer
    assert repr(net).splitlines()[1] == "  (0): mine: Own("
