"""Gradient clipping against torch's."""

import math

import numpy as np
import pytest
import torch
from signatures import assert_signature

import minigrad as mg
from minigrad.nn import Parameter
from minigrad.nn.utils import clip_grad_norm_, clip_grad_value_


def gradients():
    """Parameters of both frameworks with equal gradients, one without."""
    rng = np.random.default_rng(1)
    ours, theirs = [], []
    for shape in ((), (3,), (2,), (2, 3, 2, 2)):
        g = rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 2)
        ours.append(Parameter(np.zeros(shape)))
        theirs.append(torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))
        if shape != (2,):
            ours[-1].grad, theirs[-1].grad = mg.tensor(g), torch.tensor(g)
    return ours, theirs


@pytest.mark.parametrize("norm_type", [0, 0.5, 1.0, 2.0, 3.5, math.inf, -1.0, -math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = gradients()
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
    v = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    v.grad = torch.tensor(w.grad.numpy().copy())
    assert clip_grad_norm_([w], 1.0).item() == torch.nn.utils.clip_grad_norm_([v], 1.0).item()
    np.testing.assert_array_equal(w.grad.numpy(), v.grad.numpy())


@pytest.mark.parametrize("limit", [0.05, 2, 0, -0.5, math.inf])
def test_clip_grad_value(limit):
    ours, theirs = gradients()
    clip_grad_value_(iter(ours), limit), torch.nn.utils.clip_grad_value_(theirs, limit)
    for p, q in zip(ours, theirs, strict=True):
        if p.grad is not None:
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
    clip_grad_value_(ours[0], 0.01)
    assert abs(ours[0].grad.item()) <= 0.01


def test_clipping_refuses_what_cannot_be():
    w = Parameter(np.ones(2))
    for clip, name in ((clip_grad_norm_, "max_norm"), (clip_grad_value_, "clip_value")):
        assert_signature(clip, getattr(torch.nn.utils, clip.__name__))
        for parameters, limit, message in [
                ([w], "a", f"{name} must be a number; got 'a'"), ([w], None, name),
                (3, 1.0, "parameters must be Tensors; got int"), ([w, 3], 1.0, "got int")]:
            with pytest.raises(TypeError, match=f"{clip.__name__}: .*{message}"):
                clip(parameters, limit)
    with pytest.raises(TypeError, match="norm_type must be a number; got 'a'"):
        clip_grad_norm_([w], 1.0, "a")
