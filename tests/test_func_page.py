"""docs/func.md is true: its snippets print what it shows, and its last one is IRLS."""

from __future__ import annotations

import numpy as np
from pages import DOCS, run_snippets

import minigrad as mg
import minigrad.functional as F
from comparisons.datasets.diabetes import impute_and_scale, load_diabetes
from minigrad import func
from minigrad.tensor import Tensor

PAGE = "func.md"


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """The table with a column of ones, (768, 9), and who had diabetes."""
    data = load_diabetes()
    features, _ = impute_and_scale(data.x, data.x)
    return np.column_stack([np.ones(len(features)), features]), data.y.astype(float)


def irls(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Iteratively reweighted least squares (McCullagh and Nelder 1989, §2.5): regress the working
    response Xw + (y - p)/(p(1 - p)) on X with the weights p(1 - p)."""
    w = np.zeros(x.shape[1])
    for _ in range(30):
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        root = np.sqrt(p * (1 - p))
        w, *_ = np.linalg.lstsq(x * root[:, None], (z + (y - p) / root**2) * root, rcond=None)
    return w


def test_the_page_shows_what_is_printed() -> None:
    names, count = run_snippets(PAGE)
    assert count > 6
    np.testing.assert_allclose(names["w"].data, irls(*diabetes()), atol=1e-10)
    assert len((DOCS / PAGE).read_text(encoding="utf-8").splitlines()) <= 150


def test_newtons_method_reaches_the_coefficients_of_irls() -> None:
    x, y = diabetes()
    expected, rows, labels = irls(x, y), Tensor(x), Tensor(y)

    def loss(w: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(rows @ w, labels)

    for by_vectors in (False, True):
        w, steps = mg.zeros(9, dtype=mg.float64), 0
        while np.abs(w.data - expected).max() > 1e-10:
            h = (np.stack([func.hvp(loss, (w,), (Tensor(e),)).data for e in np.eye(9)])
                 if by_vectors else func.hessian(loss)(w).data)
            w, steps = w - Tensor(np.linalg.solve(h, func.grad(loss)(w).data)), steps + 1
            assert steps <= 10
        p = 1 / (1 + np.exp(-x @ w.data))
        np.testing.assert_allclose(func.hessian(loss)(w).data,
                                   x.T @ (x * (p * (1 - p))[:, None]) / len(x), rtol=1e-10,
                                   atol=1e-14)
