"""What an optimiser remembers: saved, loaded, exchanged with torch, changed by hand."""

import numpy as np
import pytest
import torch
from optimisers import OPTIMISERS, assert_equal, parameters, set_gradients

import minigrad as mg
from minigrad import optim


def as_torch(state):
    """An optimiser's state_dict with torch tensors in place of ours."""
    if isinstance(state, dict):
        return {key: as_torch(value) for key, value in state.items()}
    return torch.tensor(state.numpy()) if isinstance(state, mg.Tensor) else state


@pytest.mark.parametrize(("name", "options"), OPTIMISERS, ids=str)
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_state_moves_both_ways(name, options, direction):
    ours, theirs = parameters()
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(5):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
    state, torch_state = a.state_dict(), b.state_dict()
    group, torch_group = state["param_groups"][0], torch_state["param_groups"][0]
    assert group == {key: torch_group[key] for key in group}
    assert {i: set(values) for i, values in state["state"].items()} == {
        i: {k for k, v in values.items() if v is not None}
        for i, values in torch_state["state"].items()
        if any(v is not None for v in values.values())}
    if direction == "from torch":
        a = getattr(optim, name)(ours)
        a.load_state_dict(torch_state)
    else:
        b = getattr(torch.optim, name)(theirs)
        b.load_state_dict(as_torch(state))
    for step in range(5, 10):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
    assert_equal(ours, theirs)


def test_loaded_state_is_a_copy_in_the_parameters_dtype():
    ours, theirs = parameters(np.float32)
    a = optim.Adam(ours)
    set_gradients(ours, theirs, 0)
    a.step()
    saved = a.state_dict()
    before = saved["state"][1]["exp_avg"].numpy().copy()
    double, torch_double = parameters(np.float64)
    b = optim.Adam(double)
    b.load_state_dict(saved)
    set_gradients(double, torch_double, 1)
    b.step()
    np.testing.assert_array_equal(saved["state"][1]["exp_avg"].numpy(), before)
    state = b.state_dict()["state"][1]
    assert state["exp_avg"].dtype == np.float64
    assert state["step"].dtype == np.float32
    assert state["step"].item() == 2


def test_named_parameters_keep_their_names():
    for package, layers in ((optim, mg.nn), (torch.optim, torch.nn)):
        model = layers.Linear(3, 2)
        a = package.SGD(model.named_parameters(), lr=0.5)
        group = a.param_groups[0]
        assert list(map(id, group["params"])) == list(map(id, model.parameters()))
        assert a.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
        plain = package.SGD(layers.Linear(3, 2).parameters(), lr=0.1)
        a.load_state_dict(plain.state_dict())
        assert a.param_groups[0]["param_names"] == ["weight", "bias"]
        assert a.param_groups[0]["lr"] == 0.1
        plain.load_state_dict(a.state_dict())
        assert plain.param_groups[0]["param_names"] == ["weight", "bias"]
        other = layers.Linear(1, 1)
        a.add_param_group({"params": [("extra", other.weight)]})
        for wrong in ([("a", other.bias), layers.Linear(1, 1).bias], [other.bias]):
            with pytest.raises(ValueError, match=r"names"):
                a.add_param_group({"params": wrong})
        assert len(a.param_groups) == 2


def test_what_is_remembered_may_be_changed_replaced_or_forgotten():
    ours, theirs = parameters()
    a, b = optim.Adam(ours), torch.optim.Adam(theirs)
    for step in range(6):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
        assert_equal(ours, theirs)
        for state, params, zeros in ((a.state, ours, np.zeros_like),
                                     (b.state, theirs, torch.zeros_like)):
            if step == 1:
                state[params[0]]["exp_avg"] *= 2
            elif step == 2:
                state[params[1]]["exp_avg"] = zeros(state[params[1]]["exp_avg"])
            elif step == 3:
                del state[params[2]]
            elif step == 4:
                state[params[1]]["step"] -= 2
            assert state[params[0]]["exp_avg"].shape == params[0].shape


def test_loading_what_does_not_fit_changes_nothing():
    ours, theirs = parameters()
    a = optim.Adam(ours)
    set_gradients(ours, theirs, 0)
    a.step()
    good = a.state_dict()
    wrong_shape = {"state": {0: good["state"][1]}, "param_groups": good["param_groups"]}
    fewer = {"state": {}, "param_groups": [good["param_groups"][0] | {"params": [0]}]}
    more = {"state": {}, "param_groups": good["param_groups"] * 2}
    other_kind = optim.SGD(parameters()[0]).state_dict()
    no_average = {"state": {0: {"step": 1.0}}, "param_groups": good["param_groups"]}
    wrong_rate = {"state": {}, "param_groups": [good["param_groups"][0] | {"lr": -1}]}
    for state in (wrong_shape, fewer, more, other_kind, no_average, wrong_rate, {}, 3):
        with pytest.raises(ValueError, match=r"Adam: (the loaded|lr must be)"):
            a.load_state_dict(state)
    assert a.state_dict()["state"][0]["step"].item() == 1
    assert len(a.state_dict()["state"]) == 4
    assert a.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize(("saved", "target", "lacks"), [
    ("Adam", "SGD", "dampening, momentum, nesterov"), ("SGD", "Adam", "amsgrad, betas"),
    ("Adam", "RMSprop", "alpha, centered, momentum"), ("RMSprop", "SGD", "dampening, nesterov"),
    ("SGD", "RMSprop", "alpha"), ("RMSprop", "AdamW", "amsgrad, betas")])
@pytest.mark.parametrize("package", [optim, torch.optim], ids=["minigrad", "torch"])
def test_the_state_of_another_kind_is_refused(saved, target, lacks, package):
    ours, theirs = parameters()
    set_gradients(ours, theirs, 0)
    a = getattr(package, saved)(ours if package is optim else theirs)
    b = getattr(optim, target)(ours)
    a.step(), b.step()
    before = repr(b.state_dict())
    with pytest.raises(ValueError, match=f"{target}: .* another kind .*: it has no {lacks}"):
        b.load_state_dict(a.state_dict())
    assert repr(b.state_dict()) == before


@pytest.mark.parametrize(("saved", "target"), [("Adam", "AdamW"), ("AdamW", "Adam")])
def test_adam_and_adamw_exchange_states(saved, target):
    ours, theirs = parameters()
    for package, ps in ((optim, ours), (torch.optim, theirs)):
        set_gradients(ours, theirs, 0)
        a = getattr(package, saved)(ps, weight_decay=0.1)
        a.step()
        b = getattr(package, target)(ps)
        b.load_state_dict(a.state_dict())
        b.step()
    assert_equal(ours, theirs)


@pytest.mark.parametrize("lacks", [(0,), (1,), (0, 1)])
def test_momentum_that_is_not_there_yet_for_some(lacks):
    """As states of torch have it: None"""
    ours, theirs = parameters(shapes=[(3,), (2,)])
    both = [mod.SGD(params, lr=0.1, momentum=0.5) for mod, params in ((optim, ours),
                                                                     (torch.optim, theirs))]
    for step in range(3):
        for i, (p, t) in enumerate(zip(ours, theirs, strict=True)):
            p.grad = mg.tensor(np.full(p.shape, i + step + 1.0))
            t.grad = torch.full(t.shape, i + step + 1.0, dtype=torch.float64)
        for optimiser in both:
            optimiser.step()
            if step == 0:
                saved = optimiser.state_dict()
                for i in lacks:
                    saved["state"][i]["momentum_buffer"] = None
                optimiser.load_state_dict(saved)
    assert_equal(ours, theirs)
