"""The doctor: what an experienced person checks when a network does not learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.inspect.doctor import data, learning, losses, structure, values
from minigrad.inspect.doctor.findings import ERROR, Finding as Finding, Report as Report
from minigrad.inspect.doctor.patient import SEED, Patient
from minigrad.inspect.doctor.state import unchanged, used_by
from minigrad.nn import Module
from minigrad.optim import Optimizer
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.testing.calls import same_random_numbers

CHECKS = (*data.CHECKS, *losses.CHECKS, *structure.CHECKS, *values.CHECKS, *learning.CHECKS)
"""In the order in which findings of the same severity are listed: causes before effects."""


def diagnose(net: Module, loss_fn: Callable[..., Any], batch: Any, *,
             optimizer: Optimizer | Sequence[Optimizer] | None = None,
             step: Callable[..., Any] | None = None) -> Report:
    """Examine a network that does not learn, and say in sentences what is wrong with it.

        print(diagnose(net, nn.CrossEntropyLoss(), (x, y), optimizer=optimizer))

    batch: (x, y), Tensors or arrays; x may be a tuple of several inputs. At least 16 items tell
    more than a few.
    loss_fn: a function of the output and the target, as all losses are. Or a function of the
    network and the batch, `loss_fn(net, batch)` or `loss_fn(net, x, y)`, known by the name of its
    first argument: net, model, network or module.
    optimizer: then its parameters and its learning rate are examined as well.
    step: your whole training step, a function of (x, y), of (net, x, y) or of (net, batch), to see
    whether it lacks zero_grad(), backward() or optimizer.step(). It is run twice. The optimiser
    that it refers to is examined if none is given.

    The network is run some hundred times, for at most some ten seconds if it is small. Parameters,
    buffers, gradients, modes, the optimiser's state and the random numbers are left as they were,
    and so are optimisers, schedulers and modules that `step` and `loss_fn` refer to. What `step`
    changes besides, such as a list of losses, is not known here and stays changed.
    """
    functions = [step, loss_fn]
    given = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or ())
    of_step = [each for f in functions for each in used_by(f, Optimizer)]
    mine = {id(p) for p in net.parameters()}
    optimizers = given or [each for each in dict.fromkeys(of_step) if any(
        id(p) in mine for group in each.param_groups for p in group["params"])]
    modules = [m for f in functions for m in [f, *used_by(f, Module)] if isinstance(m, Module)]
    kept = ([net, *modules], list(dict.fromkeys([*optimizers, *of_step])),
            [each for f in functions for each in used_by(f, LRScheduler)])
    patient = Patient(net, loss_fn, batch, optimizers, step)
    found: list[Finding] = []
    with unchanged(*kept):
        patient.examine()
    for check in CHECKS:
        with unchanged(*kept), same_random_numbers(SEED), np.errstate(all="ignore"):
            found += check(patient)
    if len(found) > 1:          # what has a cause that is named is no finding of its own
        found = [finding for finding in found if finding.kind != "cannot_learn_a_batch"]
    measured = {} if patient.loss is None else {"loss": patient.loss}
    if guess := learning.baseline(patient):
        measured["best constant answer"] = guess
    if norm := sum(float(np.square(g, dtype=float).sum()) for g in patient.gradients.values()
                   if g is not None):
        measured["gradient norm"] = math.sqrt(norm)
    found.sort(key=lambda finding: finding.severity != ERROR)
    return Report(found, measured, [(check.__doc__ or "").strip() for check in CHECKS])
