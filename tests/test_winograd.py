"""Winograd's convolution: which ones it computes, and how exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from minigrad.kernels import convolve, winograd

ERROR = 2e-5            # of a value, for values of size 1: what kernels/winograd.py promises


def both(images: int, channels: int, outs: int, size: tuple[int, int], padding: tuple[int, int],
         seed: int) -> dict[str, tuple[Any, Any]]:
    """y, dx and dw: minigrad's in float32 and torch's in float64, on scale 1"""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, channels, *size)).astype(np.float32)
    w = (rng.standard_normal((outs, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
    tx, tw = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, w))
    y = torch.nn.functional.conv2d(tx, tw, None, 1, padding)
    g = rng.standard_normal(y.shape).astype(np.float32)
    dx, dw = torch.autograd.grad(y, [tx, tw], torch.tensor(g, dtype=torch.float64))
    geometry = convolve.Geometry((3, 3), (1, 1), padding, (1, 1), 1, size,
                                 (y.shape[2], y.shape[3]))
    assert convolve._winograd_pays(geometry, channels, outs, images, np.dtype(np.float32))
    scale = np.sqrt(g.size / outs)                              # of a sum over all positions
    return {"y": (convolve.conv2d(x, w, None, geometry), y.detach().numpy()),
            "dx": (convolve.conv2d_input_grad(g, w, None, x.shape, geometry), dx.numpy()),
            "dw": (convolve.conv2d_weight_grad(x, g, w.shape, geometry) / scale,
                   dw.numpy() / scale)}


@given(images=st.sampled_from([10, 13, 16, 20, 32]),
       channels=st.integers(16, 52), outs=st.integers(16, 56),
       size=st.tuples(st.integers(7, 14), st.integers(7, 14)),
       padding=st.tuples(st.integers(0, 3), st.integers(0, 3)), seed=st.integers(0, 2**32 - 1))
def test_any_size_is_within_the_promised_error(images: int, channels: int, outs: int,
                                               size: tuple[int, int], padding: tuple[int, int],
                                               seed: int) -> None:
    for name, (ours, exact) in both(images, channels, outs, size, padding, seed).items():
        np.testing.assert_allclose(ours, exact, rtol=0, atol=ERROR, err_msg=name)


@pytest.mark.parametrize(("channels", "outs", "size"), [(64, 64, 14), (96, 208, 12), (208, 96, 12)])
def test_the_models_layers_are_within_the_promised_error(channels: int, outs: int, size: int
                                                          ) -> None:
    for name, (ours, exact) in both(32, channels, outs, (size, size), (1, 1), 0).items():
        np.testing.assert_allclose(ours, exact, rtol=0, atol=ERROR, err_msg=name)


def error_with(points: tuple[float, float]) -> float:
    """The root mean square error of float32 F(4×4, 3×3) at the points 0, ±a, ±b, ∞.

    Its matrices come from polynomials evaluated at the points (Cook and Toom): Aᵀ and G evaluate,
    Bᵀ is the transposed inverse of evaluating all six coefficients.
    """
    a, b = points

    def evaluate(terms: int) -> Any:
        at_points = np.vander([0, a, -a, b, -b], terms, increasing=True)
        return np.vstack([at_points, np.eye(terms)[-1]])                        # ∞: the last one

    at, g, bt = evaluate(4).T, evaluate(3), np.linalg.inv(evaluate(6)).T
    rng = np.random.default_rng(0)
    d, w = rng.standard_normal((64, 200, 6, 6)), rng.standard_normal((64, 3, 3)) / 24
    exact = sum(np.einsum("c, cthw -> thw", w[:, i, j], d[:, :, i:i + 4, j:j + 4])
                for i in range(3) for j in range(3))
    at, g, bt = (m.astype(np.float32) for m in (at, g, bt))
    u = np.einsum("ip, cpq, jq -> cij", g, w.astype(np.float32), g)
    v = np.einsum("ip, ctpq, jq -> ctij", bt, d.astype(np.float32), bt)
    m = np.einsum("cij, ctij -> tij", u, v)
    y = np.einsum("pi, tij, qj -> tpq", at, m, at)
    return float(np.sqrt(np.mean((y - exact)**2)))


def test_these_points_are_more_exact_than_the_usual_ones() -> None:
    assert error_with((winograd.A, winograd.B)) < 0.6 * error_with((1.0, 2.0))


def test_the_matrices_are_those_of_the_points() -> None:
    """Exactly: a tile convolved in float64"""
    rng = np.random.default_rng(1)
    d, w = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    y = winograd.AT @ ((winograd.G @ w @ winograd.G.T) * (winograd.BT @ d @ winograd.BT.T)) \
        @ winograd.AT.T
    exact = sum(w[i, j] * d[i:i + 4, j:j + 4] for i in range(3) for j in range(3))
    np.testing.assert_allclose(y, exact, atol=1e-13)


def test_float64_takes_the_exact_way() -> None:
    geometry = convolve.Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1, (8, 8), (8, 8))
    for dtype, pays in ((np.float32, True), (np.float64, False)):
        assert convolve._winograd_pays(geometry, 48, 48, 16, np.dtype(dtype)) is pays
