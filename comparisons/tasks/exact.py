"""What the two linear systems share: an exact solution, which training must find.

Training takes whole steps of gradient descent with momentum, on all rows at once and in float64, so
that the coefficients can agree with the exact ones to more than six digits.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any

import numpy as np

from comparisons.datasets.base import Array
from comparisons.datasets.stored import Images
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.task import Headline, Metrics, OptionsT, Recipe, Split, Task

COEFFICIENT_ERROR = Headline(
    "largest coefficient error", "coefficient_error", "exact", "coefficient_error", ".1e",
    "The largest absolute difference between a learned coefficient, the bias included, and the "
    "exact one, over all trainings of the task. The exact coefficients solve the same training "
    "problem by linear algebra, so the reference is 0.")


class LinearTask(Task[OptionsT]):
    """A linear model. Every epoch is one step on all training rows."""

    batch_size = None
    dtype = np.float64
    shuffle = False                     # another order of the sum would change the last digits
    momentum: float

    @abstractmethod
    def exact(self, split: Split) -> Array:
        """The exact coefficients of a split, the bias last: (F + 1, outputs)."""

    def optimizer(self, implementation: Implementation, parameters: Any, recipe: Recipe) -> Any:
        return implementation.optim.SGD(parameters, lr=recipe.lr, momentum=self.momentum)

    def watch(self, implementation: Implementation, model: Any, split: Split) -> Metrics:
        return {"coefficient_error": self.error(implementation.weights(model), split)}

    def error(self, weights: dict[str, Array], split: Split) -> float:
        """The largest absolute difference of a learned coefficient from the exact one."""
        return float(np.abs(coefficients(weights) - self.exact(split)).max())


def with_ones(x: Images) -> Array:
    """x with a column of ones, whose coefficient is the bias: (N, F) → (N, F + 1)."""
    return np.column_stack([x, np.ones(len(x))])


def coefficients(weights: dict[str, Array]) -> Array:
    """A linear model's coefficients, the bias last: (F + 1, outputs)."""
    (weight,), (bias,) = ([value for key, value in weights.items() if key.endswith(end)]
                          for end in ("weight", "bias"))
    return np.vstack([weight.T, bias])


@functools.lru_cache(maxsize=16)
def least_squares(split: Split) -> Array:
    """The coefficients with the least squared error on the training items: (F + 1, outputs)."""
    solution: Array = np.linalg.lstsq(with_ones(split.x), split.y)[0]
    return solution


@functools.lru_cache(maxsize=16)
def maximum_likelihood(split: Split) -> tuple[Array, Array]:
    """The coefficients of logistic regression, (F + 1, 1), and their standard errors, (F + 1,).

    Iteratively reweighted least squares (IRLS), which is Newton's method:
    w += (XᵀSX)⁻¹ Xᵀ(y - p), with p = 1 / (1 + e^-Xw) and S = diag p(1 - p).
    Raises: Fault if there is no finite solution.
    """
    x, w = with_ones(split.x), np.zeros(split.x.shape[1] + 1)
    with np.errstate(over="ignore"):    # if it diverges, which is told below
        for _ in range(25):
            p = 1 / (1 + np.exp(-x @ w))
            curvature = (x * (p * (1 - p))[:, None]).T @ x
            try:
                step = np.linalg.solve(curvature, x.T @ (split.y - p))
            except np.linalg.LinAlgError:
                step = np.full_like(w, np.inf)
                break
            w = w + step
            if np.abs(step).max() < 1e-13:
                break
    if not np.abs(step).max() < 1e-6:
        raise Fault(f"{split.title or 'the training rows'}: logistic regression has no finite "
                    "solution: the columns separate the classes without an error, or depend on "
                    "one another linearly")
    return w[:, None], np.sqrt(np.diag(np.linalg.inv(curvature)))
