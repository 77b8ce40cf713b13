"""A wrong gradient is reported with its place, its size and its likely cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from leaves import at, leaf

import minigrad as mg
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import GradcheckError, gradcheck
from minigrad.testing.mutation import MUTATIONS, mutant

# ---- wrong ops, and the cause that the report must name ------------------------------------------

@op
def wrong_sign(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: -(g * b), lambda g: g * a


@op
def wrong_factor(x: Tensor) -> Any:
    return x.data**2, lambda g: g * x


@op
def slightly_wrong_factor(x: Tensor) -> Any:
    return x.data**2, lambda g: g * x * 2.001


@op
def transposed(x: Tensor, a: Tensor) -> Any:
    return x.data @ a.data, lambda g: a @ g.t(), lambda g: x.t() @ g


@op
def no_sum(x: Tensor, b: Tensor) -> Any:
    return x.data + b.data, lambda g: g, lambda g: g[0]


@op
def mean_for_sum(x: Tensor, b: Tensor) -> Any:
    return x.data + b.data, lambda g: g, lambda g: g.mean(0)


@op
def no_vjp(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: g * b, None


@op
def swapped(a: Tensor, b: Tensor) -> Any:
    return a.data * b.data, lambda g: g * a, lambda g: g * b


@op
def rolled(x: Tensor) -> Any:
    return x.data * 3.0, lambda g: g.roll(1) * 3.0


@op
def dividing(x: Tensor) -> Any:
    return x.data * 2.0, lambda g: g * x * 2.0 / x


@op
def wrong_formula(x: Tensor) -> Any:
    return np.tanh(x.data), lambda g, y: g * (1 - y)


@op
def wrong_sign_below_zero(x: Tensor) -> Any:
    return x.data**3, lambda g: g * x * x.abs() * 3.0


@op
def unscattered(x: Tensor) -> Any:
    return x.data * 2.0, lambda g: mg.cat([g[:2] * 2.0, g[2:] * 0.0])


@op
def ones_only(x: Tensor) -> Any:
    """A softmax whose vjp is right for a cotangent of ones only."""
    e = np.exp(x.data)
    return e / e.sum(), lambda g, y: y * 0.0


def outside(x: Tensor) -> Tensor:
    return x * Tensor(x.data)


def detached(x: Tensor) -> Tensor:
    return x.detach().exp()


WRONG: list[tuple[Callable[..., Any], list[Tensor], str]] = [
    (wrong_sign, [leaf(2, 3), leaf(2, 3)], r"inputs\[0\] of shape \(2, 3\) .*6 of 6(.|\n)*"
                                           "the sign: analytic = -numeric"),
    (wrong_factor, [leaf(2, 3)], "a factor: analytic = 0.5 × numeric"),
    (slightly_wrong_factor, [leaf(2, 3)], "a factor: analytic = 1.0005 × numeric"),
    (transposed, [leaf(3, 3), leaf(3, 3)], r"transposed: analytic.transpose\(1, 0\) = numeric"),
    (no_sum, [leaf(4, 3), leaf(3)], r"inputs\[1\](.|\n)*missing sum over the broadcast axis 0"),
    (mean_for_sum, [leaf(4, 3), leaf(3)], "a factor: analytic = 0.25 × numeric"),
    (no_vjp, [leaf(3), leaf(3)], r"inputs\[1\](.|\n)*no gradient arrives"),
    (swapped, [leaf(3), leaf(3)], "the vjps are in the wrong order"),
    (rolled, [leaf(4)], "the right values in the wrong places"),
    (dividing, [at([1.0, 0.0])], "divides by zero"),
    (wrong_formula, [leaf(4)], "no simple pattern"),
    (ones_only, [leaf(4)], "no gradient arrives"),
    (wrong_sign_below_zero, [at([1.0, -2.0, 3.0, -4.0])],
     r"2 of 4(.|\n)*the sign: analytic = -numeric where it is wrong, and right elsewhere"),
    (unscattered, [leaf(4)], "2 of 4(.|\n)*nothing arrives: analytic = 0 where it is wrong"),
    (slightly_wrong_factor, [leaf()], "perhaps a factor: analytic = 1.0005 × numeric"),
    (outside, [leaf(4)], "a factor: analytic = 0.5 × numeric"),
    (detached, [leaf(4)], "no gradient arrives(.|\n)*detach"),
]


@pytest.mark.parametrize(("fn", "inputs", "report"), WRONG)
@pytest.mark.filterwarnings("ignore:invalid value")        # `dividing`
def test_wrong_gradients_are_reported_with_their_cause(fn: Any, inputs: Any, report: str) -> None:
    with pytest.raises(GradcheckError, match=report):
        gradcheck(fn, inputs)


def mul_rows(x: Tensor, w: Tensor) -> Tensor:
    return (x * w).exp()


CAUSES = {
    "negated": "the sign: analytic = -numeric everywhere",
    "scaled": "a factor: analytic = 1.01 × numeric everywhere",
    "zeroed": "no gradient arrives",
    "dropped": "no gradient arrives",
    "rolled": "the right values in the wrong places",
    "reversed": "the right values in the wrong places",
    "transposed": "the right values in the wrong places",
    "shifted": r"an offset: analytic = numeric \+ 0.01 everywhere",
    "g ignored": "g is not used: this is the gradient of the outputs' plain sum",
    "unsummed": "a missing sum over the broadcast axis 0",
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_each_mutant_is_named(name: str) -> None:
    i = int(name == "unsummed")
    with pytest.raises(GradcheckError, match=rf"inputs\[{i}\](.|\n)*likely cause: {CAUSES[name]}"):
        gradcheck(mutant(mul_rows, MUTATIONS[name], i), [leaf(2, 3), leaf(3)])


def test_gradcheck_sees_all_mutants_but_two() -> None:
    unseen = {m.name for m in MUTATIONS.values() if "gradcheck" not in m.seen_by}
    assert unseen == MUTATIONS.keys() - CAUSES.keys() == {"detached", "float32"}


def test_the_report_shows_both_values_at_the_worst_index() -> None:
    @op
    def wrong_at_one_place(x: Tensor) -> Any:
        extra = np.zeros((2, 3))
        extra[1, 2] = 0.5
        return x.data.copy(), lambda g: g + Tensor(extra)

    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong_at_one_place, leaf(2, 3))
    lines = str(caught.value).splitlines()
    assert "wrong at 1 of 6 elements; the furthest off is at index (1, 2)" in lines[0]
    analytic, numeric = (float(line.split()[1]) for line in lines[1:3])
    assert analytic - numeric == pytest.approx(0.5, abs=1e-6)


def test_every_wrong_input_is_reported() -> None:
    with pytest.raises(GradcheckError, match=r"inputs\[0\](.|\n)*inputs\[2\]"):
        gradcheck(lambda a, n, b: swapped(a, b) * n, [leaf(3), 2.0, leaf(3)])
