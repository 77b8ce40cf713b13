"""summary: equal to what PyTorch's own counters report for the same network."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from inspected import NETWORKS, Stateful, Two, built
from torch.utils.flop_counter import FlopCounterMode

import minigrad as mg
import minigrad.functional as mg_functional
from minigrad import nn
from minigrad.inspect import summary
from minigrad.random import default_generator

MODELS = {
    "linear": ("linear", "LinearRegression", {"in_features": 8}, (16, 8)),
    "logistic": ("linear", "LogisticRegression", {}, (16, 8)),
    "mlp": ("mlp", "MLP", {}, (4, 1, 28, 28)),
    "cnn": ("cnn", "CNN", {}, (3, 1, 28, 28)),
    "dexpression": ("dexpression", "DeXpression", {"size": 64}, (2, 1, 64, 64)),
    "compact": ("dexpression", "DeXpression", {"size": 48, "variant": "compact"}, (2, 1, 48, 48)),
}


def model(name: str, package: str) -> tuple[Any, tuple[int, ...]]:
    file, kind, options, shape = MODELS[name]
    return getattr(importlib.import_module(f"{package}.models.{file}"), kind)(**options), shape


def counted(net: torch.nn.Module, *inputs: torch.Tensor) -> tuple[dict[str, int], int]:
    """Multiply-adds forward by the module's path, and backward of the whole."""
    with FlopCounterMode(display=False) as counter:
        result = net(*inputs)
        forward = {path: sum(kinds.values()) // 2
                   for path, kinds in counter.get_flop_counts().items()}
        sum(y.sum() for y in torch.utils._pytree.tree_leaves(result)).backward()
    whole = counter.get_total_flops() // 2
    root = type(net).__name__
    return ({path.removeprefix(root).removeprefix("."): n for path, n in forward.items()
             if path.startswith(root)}, whole - forward["Global"])


def compare(net: Any, twin: Any, inputs: list[np.ndarray]) -> None:
    found = summary(net, *map(mg.Tensor, inputs), repeats=1)
    forward, backward = counted(twin, *map(torch.from_numpy, inputs))
    for row in found.rows:
        if row.calls:
            assert row.multiply_adds == forward.get(row.path, 0), row.path
    assert found.total.multiply_adds == forward[""]
    assert found.total.backward_multiply_adds == backward
    assert found.total.parameters == sum(p.numel() for p in twin.parameters())
    assert found.total.gradients == sum(p.grad.nbytes for p in twin.parameters()
                                        if p.grad is not None)
    assert found.buffers == sum(b.numel() for b in twin.buffers())


@pytest.mark.parametrize("name", MODELS)
def test_the_five_models(name: str) -> None:
    net, shape = model(name, "minigrad")
    twin, _ = model(name, "torch_impl")
    compare(net, twin, [np.random.default_rng(0).standard_normal(shape).astype(np.float32)])


@pytest.mark.parametrize("name", NETWORKS)
def test_users_networks(name: str) -> None:
    net, inputs = built(name, nn, mg)
    twin, _ = built(name, torch.nn, torch)
    compare(net, twin, inputs)


# ---- memory --------------------------------------------------------------------------------------

def saved(net: torch.nn.Module, x: torch.Tensor) -> int:
    """Bytes that PyTorch saves for the backward pass, besides parameters and the input."""
    known = {t.untyped_storage().data_ptr() for t in (x, *net.parameters())}
    found: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        net(x)
    return sum(found.values())


LAYERS: dict[str, Callable[[Any], Any]] = {
    "perceptron": lambda nn: nn.Sequential(nn.Linear(6, 50), nn.Tanh(), nn.Linear(50, 30),
                                           nn.ReLU(), nn.Linear(30, 3), nn.Sigmoid()),
    "convolutions": lambda nn: nn.Sequential(nn.Unflatten(1, (2, 3, 1)), nn.Conv2d(2, 8, 1),
                                             nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Softplus()),
    "shared": lambda nn: nn.Sequential(*[nn.Linear(6, 6), nn.Tanh()] * 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_memory_of_activations(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((512, 6)).astype(np.float32)
    found = summary(LAYERS[name](nn), mg.Tensor(x), repeats=1)
    assert found.total.activations == saved(LAYERS[name](torch.nn), torch.from_numpy(x))


def test_an_activation_counts_once_for_the_layer_that_made_it() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())
    found = summary(net, mg.randn(10, 4))
    # the ReLU's output is needed by itself and by the layer after it; the Linears' by nobody
    assert [row.activations for row in found.rows] == [320, 0, 160, 0, 160]


# ---- the table -----------------------------------------------------------------------------------

def test_shared_modules_and_parameters_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)
            self.second.weight = self.first.weight
            self.again = self.first

        def forward(self, x: Any) -> Any:
            return self.again(self.second(self.first(x)))

    found = summary(Tied(), mg.randn(2, 5))
    assert [(row.path, row.calls, row.parameters) for row in found.rows] == [
        ("", 1, 35), ("first", 2, 30), ("second", 1, 5)]
    assert found["first"].multiply_adds == 2 * found["second"].multiply_adds == 100


def test_outputs_of_other_kinds_and_layers_that_do_not_run() -> None:
    found = summary(Two(nn, mg), mg.randn(3, 4), mg.randn(3, 4))
    assert found.total.output == "{'sum': (3, 2), 'both': ((3, 2), (3, 2))}"
    assert (found["unused"].calls, found["unused"].output) == (0, "")
    assert "unused" in str(found)
    assert "<table" in found._repr_html_()


def test_text() -> None:
    lines = str(summary(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)),
                        mg.randn(4, 2))).splitlines()
    assert lines[0].split() == ["layer", "type", "output", "parameters", "multiply-adds",
                                "activations", "gradients", "forward", "backward"]
    assert lines[3].split()[:8] == ["0", "Linear", "(4,", "8)", "24", "64", "–", "96"]
    assert lines[-2:] == ["33 parameters", "96 multiply-adds forward, 128 backward"]
    assert all(row.forward > 0 for row in summary(nn.Sequential(nn.ReLU()), mg.ones(2)).rows)


def test_frozen_parameters_and_no_gradient_at_all() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[0].requires_grad_(False)
    found = summary(net, mg.ones(1, 2))
    assert (found.trainable, found.total.gradients) == (4, 16)
    assert "13 parameters, of which 9 are frozen" in str(found)
    with mg.no_grad():                                  # a summary records all the same
        assert summary(net, mg.ones(1, 2)).total.gradients == 16
    assert summary(net.requires_grad_(False), mg.ones(1, 2)).total.backward == 0


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="summary: net must be a Module; got function"):
        summary(lambda x: x, mg.ones(1))                # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeats must be at least 1; got 0"):
        summary(nn.ReLU(), mg.ones(1), repeats=0)


# ---- the network afterwards ----------------------------------------------------------------------

def test_the_network_is_left_as_it_was() -> None:
    net = Stateful(nn, mg)
    net.register_forward_hook(lambda *_: None)
    x = mg.randn(6, 4, requires_grad=True)
    (net(x * 1).sum() * 2).backward()
    upstream = x * 3
    before = {id(m): dict(m.__dict__) for m in net.modules()}
    hooks = [(dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in net.modules()]
    values = {name: (t._data, t._data.copy()) for name, t in net.state_dict(keep_vars=True).items()}
    gradients = [(p.grad, p.grad.data.copy()) for p in net.parameters() if p.grad is not None]
    states = (default_generator.get_state(), np.random.mtrand._rand.get_state()[1].copy(),
              random.getstate())
    seen, x_grad = list(net.seen), x.grad
    summary(net, upstream)
    assert {id(m): dict(m.__dict__) for m in net.modules()}.keys() == before.keys()
    for module in net.modules():
        assert all(module.__dict__[name] is value for name, value in before[id(module)].items())
    assert [(m._forward_hooks, m._forward_pre_hooks) for m in net.modules()] == hooks
    for name, t in net.state_dict(keep_vars=True).items():
        assert t._data is values[name][0]
        np.testing.assert_array_equal(t._data, values[name][1])
    for p, (g, value) in zip((p for p in net.parameters() if p.grad is not None), gradients,
                             strict=True):
        assert p.grad is g
        np.testing.assert_array_equal(g.data, value)
    assert net.seen == seen
    assert x.grad is x_grad
    np.testing.assert_array_equal(default_generator.get_state(), states[0])
    np.testing.assert_array_equal(np.random.mtrand._rand.get_state()[1], states[1])
    assert random.getstate() == states[2]
    mg_functional.mse_loss(upstream, mg.zeros(6, 4)).backward()     # its graph was not touched


def test_also_after_an_error() -> None:
    net = Stateful(nn, mg)
    with pytest.raises(RuntimeError, match="linear: "):
        summary(net, mg.randn(6, 5))
    assert (net.seen, net.training) == ([], True)
    assert not any(m._forward_hooks for m in net.modules())


def test_ops_that_fail_are_left_out() -> None:
    class Tries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            try:
                x + mg.ones(7)
            except RuntimeError:
                x = x * 2
            return self.layer(x)

    assert summary(Tries(), mg.ones(3, 2)).total.multiply_adds == 12
