"""Learning rates against torch's, step by step."""

import math

import numpy as np
import pytest
import torch

from minigrad import optim
from minigrad.nn import Parameter
from minigrad.optim import lr_scheduler as sched

STEPS = 20

SCHEDULERS = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: 1 + t]}),
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 20}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": [0.5, 0.2], "epochs": 5, "steps_per_epoch": 5}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "anneal_strategy": "linear",
                    "pct_start": 0.2, "div_factor": 10.0, "final_div_factor": 100.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "three_phase": True,
                    "base_momentum": 0.6, "max_momentum": [0.8, 0.9]}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "cycle_momentum": False}),
    ("ReduceLROnPlateau", {"patience": 1}),
    ("ReduceLROnPlateau", {"patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": 0.01}),
    ("ReduceLROnPlateau", {"mode": "max", "patience": 2, "threshold": 0.3, "min_lr": [0.0, 0.05]}),
    ("ReduceLROnPlateau", {"patience": 1, "threshold": 0.1, "threshold_mode": "abs"}),
    ("ReduceLROnPlateau", {"mode": "max", "patience": 1, "threshold_mode": "abs", "eps": 0.02}),
]


def two_groups(name="SGD"):
    """An optimiser of either framework, with two groups and two rates."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    return [getattr(package, name)([{"params": [make(np.ones(2))]},
                                    {"params": [make(np.ones(3))], "lr": 0.3}], lr=0.1, **options)
            for package, make in ((optim, Parameter),
                                  (torch.optim, lambda v: torch.nn.Parameter(torch.tensor(v))))]


def advance(scheduler, t):
    scheduler.optimizer.step()          # torch warns where it is left out
    if "Plateau" in type(scheduler).__name__:
        scheduler.step(1.0 + math.sin(1.7 * t) / (1 + t % 4))
    else:
        scheduler.step()


def options_of(optimiser):
    return [[v for key in ("lr", "momentum", "betas") for v in np.atleast_1d(group.get(key, 0))]
            for group in optimiser.param_groups]


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=str)
def test_rates_are_torchs(name, options, optimiser):
    a, b = two_groups(optimiser)
    ours, theirs = getattr(sched, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(
        b, **options)
    for t in range(STEPS):
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-13)
        advance(ours, t), advance(theirs, t)
    np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=str)
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_scheduler_state_moves_both_ways(name, options, direction):
    a, b = two_groups()
    ours, theirs = getattr(sched, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(
        b, **options)
    for t in range(6):
        advance(ours, t), advance(theirs, t)
    assert set(ours.state_dict()) <= set(theirs.state_dict())
    state, optimiser_state = ((theirs.state_dict(), b.state_dict()) if direction == "from torch"
                              else (ours.state_dict(), a.state_dict()))
    a, b = two_groups()
    ours, theirs = getattr(sched, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(
        b, **options)
    for scheduler, opt in ((ours, a), (theirs, b)):
        opt.load_state_dict(optimiser_state)
        scheduler.load_state_dict(dict(state))
    for t in range(6, STEPS):
        advance(ours, t), advance(theirs, t)
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)


def test_two_schedulers_act_together():
    a, b = two_groups()
    pairs = [[module.StepLR(o, 2, 0.7), module.CosineAnnealingLR(o, 10)]
             for module, o in ((sched, a), (torch.optim.lr_scheduler, b))]
    for _ in range(9):
        for o, schedulers in zip((a, b), pairs, strict=True):
            o.step()
            for scheduler in schedulers:
                scheduler.step()
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-12)


@pytest.mark.parametrize(("name", "options"), [
    ("StepLR", {"step_size": 3}), ("CosineAnnealingLR", {"T_max": 9}),
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20})], ids=str)
def test_resuming_by_last_epoch(name, options):
    a, b = two_groups()
    with pytest.raises(KeyError, match="initial_lr"):
        getattr(sched, name)(a, **options, last_epoch=3)
    for module, o in ((sched, a), (torch.optim.lr_scheduler, b)):
        scheduler = getattr(module, name)(o, **options)
        for t in range(4):
            advance(scheduler, t)
    ours = getattr(sched, name)(a, **options, last_epoch=3)
    theirs = getattr(torch.optim.lr_scheduler, name)(b, **options, last_epoch=3)
    for t in range(5):
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)
        advance(ours, t), advance(theirs, t)


INVALID_SCHEDULERS = [
    ("OneCycleLR", {"max_lr": 1.0}), ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 2.5}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 1.5}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "anneal_strategy": "sine"}),
    ("OneCycleLR", {"max_lr": [1.0], "total_steps": 5}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1.0]}),
    ("ReduceLROnPlateau", {"factor": 1.0}), ("ReduceLROnPlateau", {"mode": "best"}),
    ("ReduceLROnPlateau", {"threshold_mode": "both"}), ("ReduceLROnPlateau", {"min_lr": [0.0]}),
]


@pytest.mark.parametrize(("name", "options"), INVALID_SCHEDULERS, ids=str)
def test_schedulers_arguments_out_of_range(name, options):
    a, b = two_groups()
    with pytest.raises(ValueError, match=name):
        getattr(sched, name)(a, **options)
    with pytest.raises(ValueError, match=r".*"):
        getattr(torch.optim.lr_scheduler, name)(b, **options)


def test_one_cycle_ends():
    a, _ = two_groups()
    scheduler = sched.OneCycleLR(a, 0.5, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="beyond total_steps 3"):
        scheduler.step()
    with pytest.raises(ValueError, match="momentum or betas"):
        sched.OneCycleLR(optim.Optimizer([Parameter(np.ones(2))], {"lr": 1.0}), 0.5, 3)


def test_scheduler_needs_an_optimiser_and_a_whole_state():
    with pytest.raises(TypeError, match="needs an Optimizer"):
        sched.StepLR(None, 3)
    a, _ = two_groups()
    scheduler = sched.StepLR(a, 3)
    with pytest.raises(ValueError, match=r"lacks .*last_epoch"):
        scheduler.load_state_dict({"step_size": 5})
    assert scheduler.step_size == 3
