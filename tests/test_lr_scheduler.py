"""Learning rates against torch's, step by step."""

import math
import re

import numpy as np
import pytest
import torch
from signatures import assert_signature

from minigrad import optim
from minigrad.nn import Parameter
from minigrad.optim import lr_scheduler as sched

STEPS = 20


def label(value):
    """The same in every process: without the addresses of functions."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))


SCHEDULERS = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: 1 + t]}),
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 20}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingLR", {"T_max": 2.5}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "pct_start": 0.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "epochs": 1, "steps_per_epoch": 1}),
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
@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=label)
def test_rates_are_torchs(name, options, optimiser):
    a, b = two_groups(optimiser)
    ours, theirs = getattr(sched, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(
        b, **options)
    for t in range(STEPS):
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-13)
        advance(ours, t), advance(theirs, t)
    np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=label)
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
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20})], ids=label)
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
    ("OneCycleLR", {"max_lr": 1.0}, "needs a positive int for total_steps"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "needs a positive int for total_steps"),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3}, "got None, 3, None"),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3, "steps_per_epoch": 2.5}, "got None, 3, 2.5"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 2.5}, "got 2.5, None, None"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 1.5}, "pct_start must be"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 1}, "pct_start must be a float"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": "a"}, "got 'a'"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "anneal_strategy": "sine"}, "got 'sine'"),
    ("OneCycleLR", {"max_lr": [1.0], "total_steps": 5}, "max_lr has 1 values for 2 param groups"),
    ("OneCycleLR", {"max_lr": "a", "total_steps": 5}, "max_lr must be a number; got 'a'"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "div_factor": 0}, "must not be 0; got 0"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "div_factor": "a"}, "div_factor must be"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1}, "a phase has no length"),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "base_momentum": [0.1]}, "base_momentum has"),
    ("LambdaLR", {"lr_lambda": [lambda t: 1.0]}, "lr_lambda has 1 values for 2 param groups"),
    ("LambdaLR", {"lr_lambda": 3}, "lr_lambda must be a function or a list of them; got 3"),
    ("ReduceLROnPlateau", {"factor": 1.0}, "factor must be below 1; got 1.0"),
    ("ReduceLROnPlateau", {"factor": "a"}, "factor must be a number; got 'a'"),
    ("ReduceLROnPlateau", {"mode": "best"}, "mode must be 'min' or 'max'"),
    ("ReduceLROnPlateau", {"threshold_mode": "both"}, "threshold_mode 'rel' or 'abs'; got 'min'"),
    ("ReduceLROnPlateau", {"min_lr": [0.0]}, "min_lr has 1 values for 2 param groups"),
    ("StepLR", {"step_size": 0}, "step_size must be positive; got 0"),
    ("StepLR", {"step_size": "a"}, "step_size must be a number; got 'a'"),
    ("StepLR", {"step_size": 1, "gamma": None}, "gamma must be a number; got None"),
    ("CosineAnnealingLR", {"T_max": 0}, "T_max must not be 0"),
    ("CosineAnnealingLR", {"T_max": "a"}, "T_max must be a number; got 'a'"),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": "a"}, "eta_min must be a number; got 'a'"),
]


@pytest.mark.parametrize(("name", "options", "message"), INVALID_SCHEDULERS, ids=label)
def test_schedulers_arguments_that_cannot_be(name, options, message):
    a, b = two_groups()
    with pytest.raises((ValueError, TypeError), match=f"{name}: .*{message}") as caught:
        getattr(sched, name)(a, **options)
    assert "\n" not in str(caught.value)

    def torchs():                       # some it notices at a step
        theirs = getattr(torch.optim.lr_scheduler, name)(b, **options)
        for t in range(3):
            advance(theirs, t)
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
        torchs()


@pytest.mark.parametrize("name", ["LambdaLR", "StepLR", "CosineAnnealingLR", "OneCycleLR",
                                  "ReduceLROnPlateau"])
def test_signatures_are_torchs(name):
    ours, theirs = getattr(sched, name), getattr(torch.optim.lr_scheduler, name)
    for method in ("__init__", "step", "get_last_lr", "state_dict", "load_state_dict"):
        assert_signature(getattr(ours, method), getattr(theirs, method))


def test_a_metric_must_be_one_number():
    a, b = two_groups()
    ours = sched.ReduceLROnPlateau(a, patience=0, cooldown=1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(b, patience=0, cooldown=1)
    for wrong in ("a", None, np.ones(2)):
        with pytest.raises(TypeError, match="metrics must be a number"):
            ours.step(wrong)
        with pytest.raises((TypeError, ValueError)):
            theirs.step(wrong)
    assert ours.last_epoch == 0
    for value in (1.0, math.nan, 2.0, -1.0, 0.5):
        ours.step(value), theirs.step(value)
        assert ours.in_cooldown == theirs.in_cooldown
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-14)


@pytest.mark.parametrize(("name", "options", "works"), [
    ("StepLR", {"step_size": 1}, True), ("LambdaLR", {"lr_lambda": lambda t: 0.5}, False),
    ("CosineAnnealingLR", {"T_max": 5}, True),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 12}, False),
    ("ReduceLROnPlateau", {"patience": 0}, True),
    ("ReduceLROnPlateau", {"patience": 0, "min_lr": [0.0, 0.0]}, False)], ids=label)
def test_a_param_group_that_came_later(name, options, works):
    a, b = two_groups()
    ours = getattr(sched, name)(a, **options)
    theirs = getattr(torch.optim.lr_scheduler, name)(b, **options)
    a.add_param_group({"params": [Parameter(np.ones(1))]})
    b.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    if works:
        for t in range(4):
            advance(ours, t), advance(theirs, t)
        np.testing.assert_allclose(options_of(a), options_of(b), rtol=1e-13)
        return
    advance(ours, 0) if "Plateau" in name else None
    with pytest.raises((ValueError, RuntimeError), match=f"{name}: .* now has 3"):
        advance(ours, 1)
    advance(theirs, 0) if "Plateau" in name else None
    with pytest.raises((ValueError, RuntimeError, KeyError)):
        advance(theirs, 1)


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
    with pytest.raises(TypeError, match="StepLR: the loaded state must be a dict; got int"):
        scheduler.load_state_dict(3)
