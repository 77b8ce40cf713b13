"""A function of minigrad's beside PyTorch's: values, gradients and gradients of gradients, of
images in either order of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg


def ordered(x: Any, batch_last: bool) -> Any:
    """The same values, (N, C, H, W), which lie in memory as (C, H, W, N)."""
    return x.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2) if batch_last else x


def assert_torchs_to_the_second_order(
        ours: Callable[[Any], Any], torchs: Callable[[Any], Any], shape: tuple[int, ...],
        batch_last: bool, seed: int, error: float, second: float) -> None:
    """On float64 of this shape. error: of values and gradients, absolute and relative; second: of
    gradients of gradients."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    x = mg.Tensor(ordered(a, batch_last), requires_grad=True)
    tx = torch.tensor(a, requires_grad=True)
    y, ty = ours(x), torchs(tx)
    np.testing.assert_allclose(y.data, ty.detach().numpy(), rtol=error, atol=error)

    cotangent = rng.standard_normal(y.shape)
    g, tg = mg.Tensor(cotangent, requires_grad=True), torch.tensor(cotangent, requires_grad=True)
    (dx,) = mg.grad([y], [x], [g], create_graph=True)
    (tdx,) = torch.autograd.grad(ty, tx, tg, create_graph=True)
    np.testing.assert_allclose(dx.data, tdx.detach().numpy(), rtol=error, atol=error)

    (dg,) = mg.grad([(dx * dx).sum()], [g])
    (tdg,) = torch.autograd.grad((tdx * tdx).sum(), tg)
    np.testing.assert_allclose(dg.data, tdg.numpy(), rtol=second, atol=second)
