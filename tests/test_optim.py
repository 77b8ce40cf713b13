"""Optimisers against torch's: every option, twenty steps, in float64; and what they refuse."""

import math
import re

import numpy as np
import pytest
import torch
from optimisers import OPTIMISERS, assert_equal, parameters, set_gradients
from signatures import assert_signature

import minigrad as mg
from minigrad import optim
from minigrad.nn import Parameter

STEPS = 20


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


@pytest.mark.parametrize("framework", [optim, torch.optim])
def test_hooks_around_a_step(framework):
    w = (Parameter(np.array([1.0, 2.0])) if framework is optim
         else torch.tensor([1.0, 2.0], requires_grad=True))
    optimizer, seen = framework.SGD([w], lr=0.5), []

    def note(name):
        return lambda *given: seen.append((name, given[0] is optimizer, len(given[1]), given[2],
                                           w.tolist()))
    before = optimizer.register_step_pre_hook(note("before"))
    after = optimizer.register_step_post_hook(note("after"))
    optimizer.zero_grad()
    w.sum().backward()
    optimizer.step()
    assert seen == [("before", True, 1, {}, [1.0, 2.0]), ("after", True, 1, {}, [0.5, 1.5])]
    before.remove()
    optimizer.step(lambda: None)
    assert seen[2:] == [("after", True, 2, {}, [0.0, 1.0])]
    after.remove()
    optimizer.step()
    assert len(seen) == 3
