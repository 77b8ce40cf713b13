"""Optimisers against torch's: every option, twenty steps, in float64."""

import math
import re

import numpy as np
import pytest
import torch
from signatures import assert_signature

import minigrad as mg
from minigrad import optim
from minigrad.nn import Parameter

SHAPES = [(), (3,), (4, 5), (2, 3, 2, 2)]
STEPS = 20

OPTIMISERS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.7)}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.1, "eps": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.1, "centered": True, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5, "centered": True, "maximize": True}),
]


def parameters(dtype=np.float64, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    return ([Parameter(np.array(v)) for v in values],
            [torch.nn.Parameter(torch.tensor(v)) for v in values])


def set_gradients(ours, theirs, seed):
    rng = np.random.default_rng(seed)
    for p, q in zip(ours, theirs, strict=True):
        g = rng.standard_normal(p.shape).astype(p.dtype)
        g *= 10.0 ** rng.integers(-3, 3)
        p.grad, q.grad = mg.tensor(g), torch.tensor(g)


def assert_equal(ours, theirs, rtol=1e-13, atol=1e-13):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=atol)


def as_torch(state):
    """An optimiser's state_dict with torch tensors in place of ours."""
    if isinstance(state, dict):
        return {key: as_torch(value) for key, value in state.items()}
    return torch.tensor(state.numpy()) if isinstance(state, mg.Tensor) else state


@pytest.mark.parametrize(("name", "options"), OPTIMISERS, ids=str)
@pytest.mark.parametrize(("dtype", "rtol", "atol"), [
    (np.float64, 1e-13, 1e-13), (np.float32, 1.3e-6, 1e-5)])
def test_steps_are_torchs(name, options, dtype, rtol, atol):
    ours, theirs = parameters(dtype)
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(STEPS):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
        assert_equal(ours, theirs, rtol, atol)
        assert all(p.dtype == dtype for p in ours)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Optimizer"])
def test_signatures_are_torchs(name):
    ours, theirs = getattr(optim, name), getattr(torch.optim, name)
    for method in ("__init__", "step", "zero_grad", "state_dict", "load_state_dict",
                   "add_param_group"):
        assert_signature(getattr(ours, method), getattr(theirs, method))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_large_parameters_in_float32(name):
    """Large ones go through the compiled kernels; a transposed one must be written to as well."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    ours, theirs = parameters(np.float32, [(150, 200), (200, 100)])
    ours[1] = Parameter(np.asfortranarray(ours[1].data))
    a, b = (package(ps, lr=0.01, weight_decay=0.1, **options)
            for package, ps in ((getattr(optim, name), ours), (getattr(torch.optim, name), theirs)))
    for step in range(5):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
    assert_equal(ours, theirs, 1.3e-6, 1e-5)


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


def test_param_groups_have_their_own_options():
    ours, theirs = parameters()
    groups = [[{"params": ps[:2], "lr": 0.5}, {"params": ps[2]}] for ps in (ours, theirs)]
    a, b = (package.SGD(group, lr=0.1, momentum=0.9)
            for package, group in zip((optim, torch.optim), groups, strict=True))
    for optimiser, ps in ((a, ours), (b, theirs)):
        optimiser.add_param_group({"params": [ps[3]], "momentum": 0})
    assert [g["lr"] for g in a.param_groups] == [0.5, 0.1, 0.1]
    for step in range(5):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
        assert_equal(ours, theirs)
    assert [g["params"] for g in a.state_dict()["param_groups"]] == [[0, 1], [2], [3]]


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


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_a_learning_rate_may_be_a_tensor(name):
    ours, theirs = parameters()
    a = getattr(optim, name)(ours, lr=mg.tensor(0.1))
    b = getattr(torch.optim, name)(theirs, lr=torch.tensor(0.1))
    for step in range(3):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
    assert_equal(ours, theirs, 1e-7, 1e-7)      # torch computes with a float32 rate


def test_parameters_without_gradients_are_left_alone():
    ours, theirs = parameters()
    a, b = optim.Adam(ours, weight_decay=0.5), torch.optim.Adam(theirs, weight_decay=0.5)
    set_gradients(ours, theirs, 0)
    ours[1].grad = theirs[1].grad = None
    a.step(), b.step()
    assert_equal(ours, theirs)
    assert sorted(a.state_dict()["state"]) == sorted(b.state_dict()["state"]) == [0, 2, 3]


@pytest.mark.parametrize(("name", "options"), OPTIMISERS, ids=str)
def test_gradients_may_come_and_go(name, options):
    ours, theirs = parameters()
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step, missing in enumerate([[3], [], [0, 1], [0, 1, 2], [], [1], [0, 1, 2, 3], []]):
        set_gradients(ours, theirs, step)
        for i in missing:
            ours[i].grad = theirs[i].grad = None
        a.step(), b.step()
        assert_equal(ours, theirs)
    steps, torch_steps = ([s["step"].item() for _, s in sorted(each.state_dict()["state"].items())
                           if "step" in s] for each in (a, b))
    assert steps == torch_steps


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


def test_zero_grad():
    ours, theirs = parameters()
    a = optim.SGD(ours)
    set_gradients(ours, theirs, 0)
    a.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() and p.grad.shape == p.shape for p in ours)
    a.zero_grad()
    assert all(p.grad is None for p in ours)


def test_closure_runs_with_gradients_on():
    ours, _ = parameters()
    a = optim.SGD(ours, lr=0.1)

    def closure():
        a.zero_grad()
        loss = sum((p * p).sum() for p in ours)
        loss.backward()
        return loss
    with mg.no_grad():
        first = a.step(closure)
    assert a.step(closure).item() < first.item()
    assert a.step() is None


def test_a_step_between_forward_and_backward_is_noticed():
    w = Parameter(np.ones(3))
    a = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    w.grad = mg.tensor(np.ones(3))
    a.step()
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


# (optimiser, options, message)
INVALID = [
    ("SGD", {"lr": -1}, "lr must be a number of at least 0; got -1"),
    ("SGD", {"lr": "a"}, "lr must be a number of at least 0; got 'a'"),
    ("SGD", {"lr": None}, "lr must be a number of at least 0; got None"),
    ("SGD", {"lr": 1j}, "lr must be a number of at least 0; got 1j"),
    ("SGD", {"lr": [0.1]}, "lr must be a number"),
    ("SGD", {"momentum": -1}, "momentum must be"), ("SGD", {"momentum": "a"}, "momentum must be"),
    ("SGD", {"weight_decay": -1}, "weight_decay must be"),
    ("SGD", {"weight_decay": "a"}, "weight_decay must be"),
    ("SGD", {"nesterov": True}, "nesterov needs a momentum"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and no dampening"),
    ("Adam", {"lr": -1}, "lr must be"), ("Adam", {"lr": "a"}, "lr must be"),
    ("Adam", {"eps": -1}, "eps must be"), ("Adam", {"eps": "a"}, "eps must be"),
    ("Adam", {"betas": (1.0, 0.9)}, "betas must be two numbers in [0, 1); got (1.0, 0.9)"),
    ("Adam", {"betas": (0.9, -0.1)}, "betas must be two numbers in [0, 1); got (0.9, -0.1)"),
    ("Adam", {"betas": (0.9,)}, "betas must be two numbers in [0, 1); got (0.9,)"),
    ("Adam", {"betas": 0.9}, "betas must be two numbers in [0, 1); got 0.9"),
    ("Adam", {"betas": ("a", 0.9)}, "betas must be two numbers"),
    ("Adam", {"betas": None}, "betas must be two numbers"),
    ("Adam", {"weight_decay": -1}, "weight_decay must be"),
    ("AdamW", {"lr": -1}, "lr must be"), ("AdamW", {"betas": 0.9}, "betas must be two numbers"),
    ("RMSprop", {"lr": -1}, "lr must be"), ("RMSprop", {"alpha": -1}, "alpha must be"),
    ("RMSprop", {"alpha": "a"}, "alpha must be"), ("RMSprop", {"momentum": -1}, "momentum must be"),
    ("RMSprop", {"eps": -1}, "eps must be"), ("RMSprop", {"weight_decay": -1}, "weight_decay must"),
    ("SGD", {"unknown": 1}, "unexpected keyword argument 'unknown'"),
]


@pytest.mark.parametrize(("name", "options", "message"), INVALID, ids=str)
def test_options_that_cannot_be(name, options, message):
    ours, theirs = parameters()
    with pytest.raises((ValueError, TypeError, IndexError)):
        getattr(torch.optim, name)(theirs, **options)
    with pytest.raises((ValueError, TypeError), match=rf"{name}.*{re.escape(message)}") as caught:
        getattr(optim, name)(ours, **options)
    assert "\n" not in str(caught.value)


def test_options_that_only_torchs_steps_refuse():
    w = Parameter(np.ones(3))
    for options, kind, message in [
            ({"dampening": "a"}, TypeError, "SGD: dampening must be a number; got 'a'"),
            ({"lr": math.nan}, ValueError, "SGD: lr must be a number of at least 0; got nan"),
            ({"lr": mg.ones(2)}, ValueError, "SGD: lr must be a .*of one element; got shape")]:
        with pytest.raises(kind, match=message):
            optim.SGD([w], **options)
        with pytest.raises(kind, match=message):
            optim.SGD([{"params": w, **options}])


def test_parameters_that_cannot_be_optimised():
    w = Parameter(np.ones(3))
    for wrong, error, message in [
            (w, TypeError, "one Tensor"), ([], ValueError, "empty"),
            ([np.ones(3)], TypeError, "ndarray"),
            ([w * 2], ValueError, "leaves"), ([w, w], ValueError, "more than once"),
            ([{"params": [w]}, {"params": w}], ValueError, "more than once"),
            ([{"params": {w}}], TypeError, "set"), (None, TypeError, "iterable of Tensors"),
            (3, TypeError, "iterable of Tensors or dicts; got int"),
            ({"params": [w]}, TypeError, "can only optimise Tensors; got str"),
            ([w, {"params": [w]}], TypeError, "can only optimise Tensors; got dict"),
            ([{"params": [w]}, w], TypeError, "param group must be a dict; got Parameter"),
            ([{"lr": 1}], ValueError, 'needs "params"; got .*lr'),
            ([{"params": 3}], TypeError, "iterable of Tensors or dicts; got int"),
            ([{"params": [w], "lr": -1}], ValueError, "lr must be")]:
        with pytest.raises(error, match=message):
            optim.SGD(wrong)
    a = optim.SGD([w])
    for wrong, error, message in [
            ([w], TypeError, "param group must be a dict; got list"),
            ({"params": [w]}, ValueError, "more than once"),
            ({"params": [Parameter(np.ones(1))], "lr": "a"}, TypeError, "lr must be")]:
        with pytest.raises(error, match=message):
            a.add_param_group(wrong)
    assert len(a.param_groups) == 1


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


def test_a_gradient_that_does_not_fit_is_told():
    w = Parameter(np.ones(3))
    optim.SGD([w])
    for wrong in (mg.ones(4, dtype=mg.float64), mg.ones(3)):
        with pytest.raises(RuntimeError, match=r"gradient .* \(3,\)"):
            w.grad = wrong


def test_repr_lists_the_options():
    assert "lr: 0.001" in repr(optim.SGD([Parameter(np.ones(2))]))


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_infinite_gradients_step_as_torchs_in_silence(name):
    ours, theirs = parameters()
    set_gradients(ours, theirs, 0)
    for p in (ours[1], theirs[1]):
        p.grad[0], p.grad[1] = math.inf, math.nan
    getattr(optim, name)(ours, lr=0.1).step(), getattr(torch.optim, name)(theirs, lr=0.1).step()
    assert_equal(ours, theirs)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_empty_parameters_are_stepped(name):
    w = Parameter(np.zeros((0, 3)))
    w.grad = mg.tensor(np.zeros((0, 3)))
    getattr(optim, name)([w], lr=0.1).step()
    assert w.shape == (0, 3)


class Plain(optim.Optimizer):
    def update(self, p, g, state, group):
        p -= group["lr"] * g


class Unit(optim.Optimizer):
    """Steps of length lr: a rule for whole parameters."""

    def update(self, p, g, state, group):
        p -= group["lr"] * g / np.linalg.norm(g)


def test_a_rule_for_whole_parameters_sees_one_at_a_time():
    ours = [Parameter(np.zeros((2, 2))), Parameter(np.zeros(3))]
    for p in ours:
        p.grad = mg.tensor(np.ones(p.shape))
    Unit(ours, {"lr": 1.0}).step()
    for p in ours:
        np.testing.assert_allclose(np.linalg.norm(p.detach().numpy()), 1.0, rtol=1e-15)


def test_an_optimiser_of_ones_own():
    w = Parameter(np.ones(2))
    w.grad = mg.tensor(np.array([1.0, 2.0]))
    Plain([w], {"lr": 0.5}).step()
    np.testing.assert_array_equal(w.detach().numpy(), [0.5, 0.0])


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_parameters_that_share_memory_are_stepped_one_after_the_other(name):
    shared, torch_shared = np.ones(4), np.ones(4)
    ours = [Parameter(mg.tensor(np.ones(3)).data) for _ in range(3)]
    for p in ours[:2]:
        p.data = shared
    theirs = [torch.nn.Parameter(torch.from_numpy(a))
              for a in (torch_shared, torch_shared, np.ones(3))]
    for i, (p, t) in enumerate(zip(ours, theirs, strict=True)):
        p.grad = mg.tensor(np.full(p.shape, i + 1.0))
        t.grad = torch.full(t.shape, i + 1.0, dtype=torch.float64)
    getattr(optim, name)(ours, lr=0.1).step(), getattr(torch.optim, name)(theirs, lr=0.1).step()
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
