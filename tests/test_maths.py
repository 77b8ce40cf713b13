"""e^x, log, erf and their kin for float32, against the same functions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch

from minigrad.kernels import maths
from minigrad.kernels.elementwise import exp

CASES: dict[str, tuple[Callable[[Any], Any], float, float, int]] = {
    "fast_exp": (torch.exp, -87, 88, 1), "whole_exp": (torch.exp, -110, 95, 1),
    "fast_expm1": (torch.expm1, -40, 0, 2), "fast_sigmoid": (torch.sigmoid, -80, 40, 3),
    "fast_tanh": (torch.tanh, -12, 12, 3), "fast_log1p": (torch.log1p, 0, 1, 2),
    "whole_log1p": (torch.log1p, -0.999, 50, 3),
    "fast_log": (torch.log, 1e-6, 100, 1), "fast_erf": (torch.erf, -5, 5, 2),
    "scaled_tail": (lambda x: 0.5 * torch.special.erfcx(x / math.sqrt(2)), 0, 13, 6)}


def applied(name: str, x: Any) -> Any:
    exp.compiled()                          # compiles the functions that it shares its file with
    function = getattr(maths, name)

    @numba.njit(fastmath={"contract"}, error_model="numpy")     # type: ignore[untyped-decorator]
    def run(x: Any, y: Any) -> None:
        for i in range(len(x)):
            y[i] = function(x[i])
    y = np.empty_like(x)
    run(x, y)
    return y


@pytest.mark.parametrize("name", CASES)
def test_errors_are_a_few_units_in_the_last_place(name: str) -> None:
    reference, low, high, units = CASES[name]
    x = np.linspace(low, high, 200_001).astype(np.float32)
    near = np.geomspace(1e-30, 1, 2001).astype(np.float32) * np.float32(high or low)
    x = np.concatenate([x, near])
    expected = reference(torch.tensor(x).double()).numpy()
    with np.errstate(over="ignore", under="ignore"):
        rounded = expected.astype(np.float32)
    y, finite = applied(name, x), np.isfinite(rounded)
    errors = np.abs(y.astype(np.float64) - expected)[finite]
    assert (errors <= units * np.spacing(np.abs(rounded[finite])).astype(np.float64)).all()
    np.testing.assert_array_equal(y[~finite], rounded[~finite])


@pytest.mark.parametrize("name", ["fast_exp", "whole_exp", "fast_sigmoid", "fast_tanh", "fast_log",
                                  "whole_log1p",
                                  "fast_erf"])
def test_infinities_nan_and_zeros(name: str) -> None:
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    expected = CASES[name][0](torch.tensor(x)).numpy()
    np.testing.assert_array_equal(applied(name, x), expected)


def test_integers_are_ordered_as_the_floats() -> None:
    exp.compiled()
    x = np.array([-np.inf, -2, -1e-40, -0.0, 0.0, 1e-40, 2, np.inf, np.nan], np.float32)

    @numba.njit     # type: ignore[untyped-decorator]
    def run(x: Any, keys: Any, back: Any) -> None:
        for i in range(len(x)):
            keys[i] = maths.ordered(x[i])
            back[i] = maths.unordered(keys[i], x[i])
    for dtype, integer in ((np.float32, np.int32), (np.float64, np.int64)):
        keys, back = np.empty(len(x), integer), np.empty(len(x), dtype)
        run(x.astype(dtype), keys, back)
        assert (np.diff(keys) > 0).all()
        assert keys[-1] == np.iinfo(integer).max
        np.testing.assert_array_equal(back, x.astype(dtype))


def least_maximum(f: Callable[[Any], Any], low: float, high: float, degree: int) -> Any:
    """The polynomial whose largest relative error is least, from the highest power on."""
    x = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(2000) + 0.5) / 2000)
    y, weight = f(x), np.ones(2000)
    for _ in range(60):
        scale = np.sqrt(weight) / np.abs(y)
        c = np.linalg.lstsq(np.vander(x, degree + 1) * scale[:, None], y * scale, rcond=None)[0]
        error = np.abs(np.polyval(c, x) / y - 1)
        weight *= error / error.max() + 1e-9
        weight /= weight.sum()
    return c


@pytest.mark.parametrize(("coefficients", "f", "low", "high"), [
    (maths.EXP[:-2], lambda r: (np.expm1(r) - r) / r**2, -0.3469, 0.3469),
    (maths.LOG1P, lambda x: np.log1p(x) / x, 1e-9, 1)])
def test_coefficients_make_the_largest_error_least(coefficients: Any, f: Callable[[Any], Any],
                                                   low: float, high: float) -> None:
    found = least_maximum(f, low, high, len(coefficients) - 1)
    x = np.linspace(low, high, 1000)
    x = x[np.abs(x) > 1e-3]
    ours, best = (np.abs(np.polyval(np.float64(c), x) / f(x) - 1).max()
                  for c in (coefficients, found))
    assert ours < 2 * best + 2.0**-24
