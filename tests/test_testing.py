"""gradcheck flags no right gradient and lets no wrong one pass, at kinks and jumps, too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from leaves import at, leaf

import minigrad as mg
from minigrad import functional as F
from minigrad.autograd import no_grad, op
from minigrad.tensor import Tensor
from minigrad.testing import GradcheckError, gradcheck, gradgradcheck

# ---- right ones ----------------------------------------------------------------------------------

RIGHT: list[tuple[Callable[..., Any], Any]] = [
    (lambda x: x.exp() / x, at([0.5, 2.0])),
    (lambda x, w, b: F.linear(x, w, b), [leaf(4, 3), leaf(2, 3), leaf(2)]),
    (lambda x: x.softmax(-1), leaf(3, 4)),
    (lambda x: x.log_softmax(0), leaf(3, 4)),
    (lambda x: x.prod(1), leaf(2, 3)),
    (lambda x: x**3 * 100.0, at([10.0, -20.0])),
    (lambda x: x, leaf(3)),
    (lambda x: x.sum(), leaf()),
    (lambda x: x * 2.0, Tensor(np.zeros((0, 3)), True)),
    (lambda x, y: (x * y, y.sum(), x > 0), [leaf(3), leaf(3)]),
    (lambda x: x.max(1), leaf(3, 4)),
    (lambda x: mg.tensor([1.0], dtype=mg.float64), leaf(3)),
]

AT_KINKS: list[tuple[Callable[..., Any], Any]] = [
    (lambda x: x.relu(), at([0.0, 1.0, -1.0])),
    (lambda x: x.abs(), at([0.0, 1.0])),
    (lambda x: x.clamp(-1.0, 1.0), at([-1.0, 0.0, 1.0, 1.0 - 1e-8, 1.0 + 1e-8])),
    (lambda a, b: a.maximum(b), [at([1.0, 2.0]), at([1.0, 3.0])]),
    (lambda x: x.amax(1), at([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])),
    (lambda x: x.max(1), at([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])),
    (lambda x: x.sign(), at([0.0, 1.0])),
    (lambda x: mg.where(x.data > 0, x + 1.0, x), at([0.0, 1.0])),
    (lambda x: x.relu(), at([1e-9, -1e-9, 3e-8])),
    (lambda x: F.max_pool2d(x, 2, 1), at(np.ones((1, 1, 3, 3)))),
    (lambda x: F.leaky_relu(x), at([0.0, 1e-8])),
    (lambda x: (x.relu() - (-x).relu()) * x.abs(), at([0.0, 1e-7, 2.0])),
]


@pytest.mark.parametrize(("fn", "inputs"), RIGHT + AT_KINKS)
def test_right_gradients_are_never_flagged(fn: Any, inputs: Any) -> None:
    for seed in range(5):
        assert gradcheck(fn, inputs, seed=seed) is True


@pytest.mark.parametrize(("fn", "edge"), [
    (lambda x: x.sqrt(), 0.0), (lambda x: x.sqrt(), 1e-8), (lambda x: x.log(), 5e-7),
    (lambda x: 1 / (1 - x).sqrt(), 1 - 1e-9)])
def test_inputs_at_the_end_of_the_domain_are_refused(fn: Any, edge: float) -> None:
    """There one of the two slopes does not exist, and any gradient would pass."""
    with pytest.raises(ValueError, match=r"gradcheck: inputs\[0\] at index \(1,\) lies where the "
                                         r"function's domain ends: 1e-06 from there"):
        gradcheck(fn, at([0.5, edge]))


@pytest.mark.parametrize(("fn", "inputs"), RIGHT + AT_KINKS[:8])
def test_right_second_gradients_are_never_flagged(fn: Any, inputs: Any) -> None:
    for seed in range(3):
        assert gradgradcheck(fn, inputs, seed=seed) is True


def test_a_wrong_gradient_at_a_kink_is_reported_as_a_kink() -> None:
    @op
    def bad_relu(x: Tensor) -> Any:
        return np.maximum(x.data, 0), lambda g: mg.where(x.data == 0, g * 1.5, g * (x > 0.0))

    assert gradcheck(bad_relu, at([1.0, -1.0]))
    with pytest.raises(GradcheckError, match=r"1 of 3(.|\n)*index \(1,\)(.|\n)*a kink: right is"):
        gradcheck(bad_relu, at([1.0, 0.0, -1.0]))


def test_a_wrong_gradient_next_to_a_jump_is_caught() -> None:
    @op
    def bad_step(x: Tensor) -> Any:
        return np.floor(x.data) + x.data, lambda g: g * 2.0

    with pytest.raises(GradcheckError, match="1 of 2"):
        gradcheck(bad_step, at([1.0, 1.5]))


# ---- second gradients ----------------------------------------------------------------------------

def test_wrong_second_gradients_are_caught() -> None:
    @op
    def cube(x: Tensor) -> Any:
        return x.data**3, lambda g: g * Tensor(3 * x.data**2)      # right, but not differentiable

    assert gradcheck(cube, leaf(3))
    with pytest.raises(GradcheckError, match=r"^gradgradcheck: the gradient by inputs\[0\](.|\n)*"
                                             "no gradient arrives"):
        gradgradcheck(cube, leaf(3))


def test_the_report_names_the_outputs_cotangent() -> None:
    @op
    def constant_gradient(x: Tensor) -> Any:
        return x.data * 2.0, lambda g: Tensor(2.0 * g.data)

    with pytest.raises(GradcheckError, match=r"^gradgradcheck: the gradient by g\[0\] of shape"):
        gradgradcheck(constant_gradient, leaf(3))


def test_recording_may_be_off_around_the_check() -> None:
    with no_grad():
        assert gradcheck(lambda x: x * x, leaf(3))
        assert gradgradcheck(lambda x: x * x, leaf(3))
        with pytest.raises(GradcheckError):
            gradgradcheck(lambda x: x.detach() * x * x, leaf(3))


def test_a_function_that_takes_a_gradient_itself() -> None:
    def slope(x: Tensor) -> Tensor:
        return mg.grad((x**3).sum(), x, create_graph=True)[0]

    assert gradcheck(slope, leaf(3))
    assert gradgradcheck(slope, leaf(3))


# ---- what it refuses -----------------------------------------------------------------------------

def test_float32_is_refused() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"gradcheck: inputs\[0\] has dtype float32; .* double\(\)"):
        gradcheck(lambda x: x * x, x)
    with pytest.raises(TypeError, match="gradcheck: output 0 has dtype float32"):
        gradcheck(lambda x: (x * x).float(), leaf(2))
    assert gradcheck(lambda x, y: x * y.double(), [leaf(2), mg.tensor([1.0, 2.0])])


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the inputs is a Tensor that requires grad"):
        gradcheck(lambda x: x * 2, mg.tensor([1.0]))
    with pytest.raises(ValueError, match="an output is infinite or NaN"):
        gradcheck(lambda x: x.log(), at([0.0]))
    with pytest.raises(TypeError, match="fn must return Tensors; output 0 is float"):
        gradcheck(lambda x: x.item(), at(1.0))
    drawn = iter(range(100))
    with pytest.raises(ValueError, match="different values for the same inputs"):
        gradcheck(lambda x: x * float(next(drawn)), at([1.0]))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck], ids=lambda check: check.__name__)
def test_bad_arguments_are_refused(check: Callable[..., bool]) -> None:
    name, x = check.__name__, leaf(2)
    for fn, inputs, options, kind, message in [
        (x, x, {}, TypeError, "fn must be a function; got Tensor"),
        (torch_like, 3.0, {}, ValueError, "none of the inputs .* requires grad; got float"),
        (torch_like, [], {}, ValueError, "none of the inputs .* requires grad; got nothing"),
        (torch_like, x.data, {}, ValueError, "requires grad; got ndarray"),
        (torch_like, [x.data, x.detach()], {}, ValueError, "requires grad; got ndarray, Tensor"),
        (torch_like, at([1.0, np.inf]), {}, ValueError, r"inputs\[0\] holds infinities or NaN"),
        (torch_like, x, {"eps": 0.0}, ValueError, "eps must be between 0 and 1; got 0.0"),
        (torch_like, x, {"eps": -1e-6}, ValueError, "eps must be between 0 and 1; got -1e-06"),
        (torch_like, x, {"eps": float("nan")}, ValueError, "eps must be between 0 and 1; got nan"),
        (torch_like, x, {"eps": "small"}, TypeError, "eps must be a number; got str"),
        (torch_like, x, {"atol": -1.0}, ValueError, "atol must be 0 or more, and finite; got -1"),
        (torch_like, x, {"rtol": None}, TypeError, "rtol must be a number; got NoneType"),
        (lambda x: None, x, {}, TypeError, "fn must return Tensors; output 0 is NoneType"),
        (lambda x: x.log(), at([0.0, -1.0]), {}, ValueError, "an output is infinite or NaN"),
        (torch_like, x.float().detach().requires_grad_(), {}, TypeError, "dtype float32"),
    ]:
        with pytest.raises(kind, match=f"^{name}: .*{message}"):
            check(fn, inputs, **options)


def torch_like(x: Any) -> Any:
    return mg.exp(x)


def test_any_callable_will_do_for_an_op_and_its_vjps() -> None:
    class Scale:
        def __init__(self, k: float) -> None:
            self.k = k

        def vjp(self, g: Tensor) -> Tensor:
            return g * self.k

        def with_output(self, g: Tensor, y: Tensor) -> Tensor:
            return g * y * self.k

        def __call__(self, x: Tensor) -> Tensor:
            return scaled(x) * exponential(x)

    def power(n: float, g: Tensor) -> Tensor:
        return g * n

    @op
    def scaled(x: Tensor) -> Any:
        return x.data * 3.0, Scale(3.0).vjp

    @op
    def exponential(x: Tensor) -> Any:
        return np.exp(2.0 * x.data), Scale(2.0).with_output

    @op
    def by_partial(x: Tensor) -> Any:
        return x.data * 4.0, functools.partial(power, 4.0)

    for fn in (scaled, exponential, by_partial, Scale(1.0), functools.partial(mg.mul, 2.0)):
        assert gradcheck(fn, leaf(3))
        assert gradgradcheck(fn, leaf(3))


def test_a_function_that_uses_other_tensors_than_its_arguments_is_refused() -> None:
    x, layer = leaf(3), mg.nn.Linear(3, 2).double()
    for check in (gradcheck, gradgradcheck):
        with pytest.raises(ValueError, match=f"^{check.__name__}: fn does not depend on its in"):
            check(lambda _: x * x, x)
        with pytest.raises(ValueError, match="make it use its arguments"):
            check(lambda *_: layer(x.detach()), list(layer.parameters()))
        assert check(lambda x: layer(x), x)
        assert check(lambda w, b: F.linear(x.detach(), w, b), list(layer.parameters()))
        assert check(lambda x: x.sign(), x)


def test_inputs_are_left_as_they_were() -> None:
    x, other = leaf(3), leaf(3)
    x.grad = Tensor(np.ones(3))
    before = x.data.copy()
    gradcheck(lambda x, y: x * y, [x, other])
    np.testing.assert_array_equal(x.data, before)
    np.testing.assert_array_equal(x.grad.data, np.ones(3))
    assert other.grad is None


def test_interior_and_shared_inputs() -> None:
    x = leaf(3)
    assert gradcheck(lambda a, b: a * b, [x * 2.0, x])
    assert gradcheck(lambda a, b: a * b, [x, x])
    assert gradcheck(lambda a: a.sum(1), Tensor(np.broadcast_to(np.ones(3), (2, 3)), True))
