"""The optimisers and options that are tested, and parameters for both frameworks to try them on."""

import numpy as np
import torch

import minigrad as mg
from minigrad.nn import Parameter

SHAPES = [(), (3,), (4, 5), (2, 3, 2, 2)]

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
