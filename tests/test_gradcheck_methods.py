"""Further ways to differentiate numerically, and orders above the second."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from leaves import at, leaf

import minigrad as mg
from minigrad import functional as F
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import GradcheckError, gradcheck, gradgradcheck

METHODS = pytest.mark.parametrize("method", ["two-sided", "order 4", "complex step", "directions"])


@op
def cube(x: Tensor) -> Any:
    return x.data**3, lambda g: g * x * x * 3.0


@op
def nearly_cube(x: Tensor) -> Any:
    return x.data**3, lambda g: g * x * x * (3.0 + 1e-8)


@op
def wrong_cube(x: Tensor) -> Any:
    return x.data**3, lambda g: g * x * x * 2.0


@METHODS
def test_each_method_passes_the_right_and_fails_the_wrong(method: str) -> None:
    assert gradcheck(cube, leaf(2, 3), method=method)
    with pytest.raises(GradcheckError, match=r"a factor: analytic = 0\.666667"):
        gradcheck(wrong_cube, leaf(2, 3), method=method)


def test_more_digits_see_smaller_mistakes() -> None:
    x = at([0.7, -1.3, 2.0])
    assert gradcheck(nearly_cube, x)
    for method in ("order 4", "complex step"):
        tight = {"method": method, "atol": 1e-10, "rtol": 1e-10}
        assert gradcheck(cube, x, **tight)
        with pytest.raises(GradcheckError, match=f"by {method}, sure to "):
            gradcheck(nearly_cube, x, **tight)


def test_a_method_says_how_sure_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    gradcheck(cube, at([0.7, -1.3]), method="complex step", verbose=True)
    gradcheck(lambda x: x.relu(), at([1e-4, 1.0]), method="order 4", verbose=True)  # near a kink
    gradcheck(cube, leaf(100), method="directions", verbose=True)
    exact, near, sample = capsys.readouterr().out.splitlines()
    assert exact.startswith("gradcheck: inputs[0] of shape (2,): 2 elements moved, method 'complex "
                            "step', sure to 4e-14; the gradient is at most ")
    assert float(re.search("2 elements moved, method 'order 4', sure to ([^;]+);", near)[1]) < 1e-8
    assert "inputs[0] of shape (100,): 16 elements moved, method 'two-sided', sure to " in sample
    assert sample.endswith("; all elements together along random directions")


def test_order_4_is_never_surer_than_it_should_be() -> None:
    for seed in range(20):
        x = leaf(5)
        f = (lambda x: x.tanh(), lambda x: x.exp() * x, lambda x: (x * 3).sin())[seed % 3]
        assert gradcheck(f, x, method="order 4", atol=0.0, rtol=0.0, seed=seed)


def test_one_wrong_element_of_many_is_found() -> None:
    @op
    def wrong_at_one(x: Tensor) -> Any:
        def vjp(g: Tensor) -> Tensor:
            spoiled = np.ones(x.shape)
            spoiled[123, 45] = 1.5
            return g * x * 2.0 * Tensor(spoiled)
        return x.data**2, vjp

    x = leaf(200, 200)
    x.data[123, 45] = 1.0                   # near 0, the wrong gradient would be right
    with pytest.raises(GradcheckError, match=r"of shape \(200, 200\) is wrong at 1 of 1\d elements "
                                             r"that were looked at; .* index \(123, 45\)"):
        gradcheck(wrong_at_one, x, method="directions")


def test_orders_above_the_second() -> None:
    assert gradcheck(cube, leaf(2), order=3)

    @op
    def third_is_lost(x: Tensor) -> Any:
        return x.data**4, lambda g: g * half(x) * 4.0

    @op
    def half(x: Tensor) -> Any:                     # x**3 with a right, but not recorded, gradient
        return x.data**3, lambda g: g * Tensor(3.0 * x.data**2)

    assert gradcheck(third_is_lost, at([1.5]), order=2)
    with pytest.raises(GradcheckError, match=r"^gradcheck of order 3: the gradient by inputs\[0\]"):
        gradcheck(third_is_lost, at([1.5]), order=3)


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "magic"}, "method must be one of two-sided, order 4, complex step, directions; "
                          "got 'magic'"),
    ({"order": 0}, "order must be an int of at least 1; got 0"),
    ({"order": 1.5}, "order must be an int of at least 1; got 1.5"),
])
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck(cube, leaf(2), **options)


@pytest.mark.parametrize("fn", [lambda x: x.exp() * 2.0, F.gelu, lambda x: x.softmax(0)])
def test_the_complex_step_is_refused_where_it_means_nothing(fn: Any) -> None:
    with pytest.raises(ValueError, match="complex"):
        gradcheck(fn, leaf(3), method="complex step")


# ---- large numbers, kinks, nothing to check ------------------------------------------------------

@op
def wrong_at_the_second(x: Tensor) -> Any:
    return x.data**2, lambda g: g * x * Tensor(np.array([2.0, 1.9]))


@op
def half_of_a_square_beside_a_large_number(x: Tensor) -> Any:
    return x.data**2 + 1e8, lambda g: g * x


def test_large_numbers_do_not_hide_mistakes() -> None:
    with pytest.raises(GradcheckError, match=r"wrong at 1 of 2 elements; .* index \(1,\)"):
        gradcheck(wrong_at_the_second, at([1e6, 1.0]))
    with pytest.raises(GradcheckError, match="wrong at 2 of 2"):
        gradcheck(half_of_a_square_beside_a_large_number, at([1.0, -2.0]))
    assert gradcheck(lambda x: x * x + 1e8, at([1.0, -2.0]))
    assert gradcheck(lambda x: x * x, at([1e6, 1.0]))


def test_a_curve_is_no_kink() -> None:
    @op
    def wrong_sine(x: Tensor) -> Any:
        return np.sin(x.data), lambda g: g * x.cos() * 1.1
    for method in ("two-sided", "order 4"):
        assert gradcheck(lambda x: x.sin(), at([1e6, -3e6]), method=method)
        with pytest.raises(GradcheckError) as caught:
            gradcheck(wrong_sine, at([1e6, -3e6]), method=method)
        assert "a kink" not in str(caught.value)


def test_a_kink_at_the_input_itself() -> None:
    @op
    def relu_with(x: Tensor, *, slope: float) -> Any:
        return np.maximum(x.data, 0.0), lambda g: g * Tensor(np.where(
            x.data == 0, slope, x.data > 0))
    for slope in (0.0, 0.3, 1.0):
        assert gradcheck(lambda x, s=slope: relu_with(x, slope=s), at([0.0, 1.0]), method="order 4")
    with pytest.raises(GradcheckError, match="a kink: right is any value from"):
        gradcheck(lambda x: relu_with(x, slope=2.0), at([0.0, 1.0]), method="order 4")


def test_the_complex_step_knows_rounding() -> None:
    pair = (lambda x: x * x + 1e8, lambda g, x: 2.0 * g * x)
    assert gradcheck(pair, np.array([1.0, -2.0]), method="complex step")


@pytest.mark.parametrize("fn", [lambda x: (), lambda x: x.argmax()])
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_without_floating_point_outputs_there_is_nothing_to_check(fn: Any, check: Any) -> None:
    with pytest.raises(ValueError, match="no floating-point numbers"):
        check(fn, leaf(3))
    assert gradcheck(lambda x: mg.zeros(2, dtype=np.float64), leaf(3))
