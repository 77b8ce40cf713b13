"""Optimisers against torch's: every option, twenty steps, in float64."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim
from minigrad.nn import Parameter
from minigrad.nn.utils import clip_grad_norm_

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


def assert_equal(ours, theirs, tolerance=1e-13):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance,
                                   atol=tolerance)


def as_torch(state):
    """An optimiser's state_dict with torch tensors in place of ours."""
    if isinstance(state, dict):
        return {key: as_torch(value) for key, value in state.items()}
    return torch.tensor(state.numpy()) if isinstance(state, mg.Tensor) else state


@pytest.mark.parametrize(("name", "options"), OPTIMISERS, ids=str)
def test_steps_are_torchs(name, options):
    ours, theirs = parameters()
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(STEPS):
        set_gradients(ours, theirs, step)
        a.step(), b.step()
        assert_equal(ours, theirs)


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
    assert_equal(ours, theirs, 2e-5)        # float32's rounding over 5 steps


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


def test_named_parameters_are_accepted():
    model = mg.nn.Linear(3, 2)
    assert optim.SGD(model.named_parameters()).param_groups[0]["params"] == list(model.parameters())


def test_parameters_without_gradients_are_left_alone():
    ours, theirs = parameters()
    a, b = optim.Adam(ours, weight_decay=0.5), torch.optim.Adam(theirs, weight_decay=0.5)
    set_gradients(ours, theirs, 0)
    ours[1].grad = theirs[1].grad = None
    a.step(), b.step()
    assert_equal(ours, theirs)
    assert sorted(a.state_dict()["state"]) == sorted(b.state_dict()["state"]) == [0, 2, 3]


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


INVALID = [
    ("SGD", {"lr": -1}), ("SGD", {"momentum": -1}), ("SGD", {"weight_decay": -1}),
    ("SGD", {"nesterov": True}), ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ("Adam", {"lr": -1}), ("Adam", {"eps": -1}), ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"betas": (0.9, -0.1)}), ("Adam", {"weight_decay": -1}), ("AdamW", {"lr": -1}),
    ("RMSprop", {"lr": -1}), ("RMSprop", {"alpha": -1}), ("RMSprop", {"momentum": -1}),
    ("RMSprop", {"eps": -1}), ("RMSprop", {"weight_decay": -1}),
]


@pytest.mark.parametrize(("name", "options"), INVALID, ids=str)
def test_options_out_of_range(name, options):
    ours, theirs = parameters()
    with pytest.raises(ValueError, match=rf"{name}: .* got"):
        getattr(optim, name)(ours, **options)
    with pytest.raises(ValueError, match=r"Invalid|Nesterov"):
        getattr(torch.optim, name)(theirs, **options)


def test_parameters_that_cannot_be_optimised():
    w = Parameter(np.ones(3))
    for wrong, error, message in [
            (w, TypeError, "one Tensor"), ([], ValueError, "empty"),
            ([np.ones(3)], TypeError, "ndarray"),
            ([w * 2], ValueError, "leaves"), ([w, w], ValueError, "more than once"),
            ([{"params": [w]}, {"params": w}], ValueError, "more than once"),
            ([{"params": {w}}], TypeError, "set"),
            ([{"params": [w], "lr": -1}], ValueError, "lr must be")]:
        with pytest.raises(error, match=message):
            optim.SGD(wrong)
    with pytest.raises(TypeError, match="must be a dict"):
        optim.SGD([w]).add_param_group([w])


def test_loading_what_does_not_fit_changes_nothing():
    ours, theirs = parameters()
    a = optim.Adam(ours)
    set_gradients(ours, theirs, 0)
    a.step()
    good = a.state_dict()
    wrong_shape = {"state": {0: good["state"][1]}, "param_groups": good["param_groups"]}
    fewer = {"state": {}, "param_groups": [good["param_groups"][0] | {"params": [0]}]}
    more = {"state": {}, "param_groups": good["param_groups"] * 2}
    for state in (wrong_shape, fewer, more):
        with pytest.raises(ValueError, match="Adam: the loaded"):
            a.load_state_dict(state)
    assert a.state_dict()["state"][0]["step"].item() == 1
    assert len(a.state_dict()["state"]) == 4


def test_repr_lists_the_options():
    assert "lr: 0.001" in repr(optim.SGD([Parameter(np.ones(2))]))


class Plain(optim.Optimizer):
    def update(self, p, g, state, group):
        p -= group["lr"] * g


def test_an_optimiser_of_ones_own():
    w = Parameter(np.ones(2))
    w.grad = mg.tensor(np.array([1.0, 2.0]))
    Plain([w], {"lr": 0.5, "maximize": False}).step()
    np.testing.assert_array_equal(w.detach().numpy(), [0.5, 0.0])


# ---- gradient clipping ---------------------------------------------------------------------------

@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = parameters()
    set_gradients(ours, theirs, 1)
    ours[2].grad = theirs[2].grad = None
    a = clip_grad_norm_(ours, max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(a.item(), b.item(), rtol=1e-14)
    for p, q in zip(ours, theirs, strict=True):
        if p.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-13)


def test_clip_grad_norm_of_nothing_and_of_infinity():
    w = Parameter(np.ones(2))
    assert clip_grad_norm_([w], 1.0).item() == 0
    w.grad = mg.tensor(np.array([np.inf, 1.0]))
    with pytest.raises(RuntimeError, match="inf"):
        clip_grad_norm_(w, 1.0, error_if_nonfinite=True)
