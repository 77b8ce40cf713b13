"""The first NaN or infinity is named, with its op, line and values; deliberate ones are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import nn
from minigrad.inspect.anomaly import AnomalyError, detect_anomaly
from minigrad.modes import mode
from minigrad.tensor import Tensor

INF = float("inf")


def points() -> Tensor:
    return mg.tensor([[1.0, 2.0], [0.0, 3.0]], requires_grad=True)


def caught(run: Callable[[], object], check_inf: bool = True) -> AnomalyError:
    with pytest.raises(AnomalyError) as info, detect_anomaly(check_inf=check_inf):
        run()
    assert mode.observer is None
    return info.value


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        nn.init.constant_(self.body.weight, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.body(x).exp() * 1000
        return self.head(scale.exp())


def test_forward() -> None:
    error = caught(lambda: points().log())
    assert (error.op, error.phase, error.index, error.value) == ("log", "forward", (1, 0), -INF)
    assert [(e.index, e.value) for e in error.elements] == [((1, 0), 0.0)]
    assert str(error).startswith("log of 0.0 at [1, 0] is -inf, in the forward pass. ")
    assert "points().log()" in str(error)
    assert str(caught(lambda: 1 / points())).startswith("div of 1 and 0.0 at [1, 0] is inf")
    assert caught(lambda: (points() - 1).sqrt()).value != 0     # NaN


def test_in_a_network() -> None:
    error = caught(lambda: Net()(points() + 5))
    assert error.place is not None
    assert error.place.code == "return self.head(scale.exp())"
    assert "in the network (Net), at" in str(error)


def test_backward_names_the_line_of_the_forward_pass() -> None:
    def run() -> None:
        root = points().sqrt()
        total = root.sum()
        total.backward()

    error = caught(run)
    assert (error.op, error.phase, error.index, error.value) == ("sqrt", "backward", (1, 0), INF)
    assert error.place is not None
    assert error.place.code == "root = points().sqrt()"
    assert "total.backward()" in str(error)
    assert [e.value for e in error.elements] == [1.0, 0.0]


def test_a_branch_that_is_not_taken_has_a_gradient_of_nan() -> None:
    x = points()
    error = caught(lambda: mg.where(x > 0, x.sqrt(), 0.0).sum().backward())
    assert (error.op, error.phase) == ("sqrt", "backward")
    assert np.isnan(error.value)


def test_the_parameter_that_a_gradient_goes_to_is_named() -> None:
    net = nn.Linear(2, 1)
    nn.init.constant_(net.weight, 1.0)

    def run() -> None:
        net(mg.tensor([[1e30, 1.0]])).sum().backward(mg.tensor(1e10))

    assert "sends to the parameter 'weight'" in str(caught(run))


def test_the_graph_was_made_outside() -> None:
    y = points().sqrt().sum()
    error = caught(y.backward)
    assert error.place is None
    assert "ran outside of the block" in str(error)


def test_values_that_were_there_before() -> None:
    net = Net()
    error = caught(lambda: net(mg.tensor([[1.0, float("nan")]])))
    assert "An input of shape (1, 2) already holds NaN at [0, 1]" in str(error)
    net.body.weight.data[1, 0] = np.nan
    error = caught(lambda: net(points()))
    assert "The parameter 'body.weight' of shape (2, 2) already holds NaN at [1, 0]" in str(error)
    error = caught(lambda: points().sum().backward(mg.tensor(float("nan"))))
    assert "backward() was started with it" in str(error)


def masked_softmax() -> Tensor:
    return F.softmax(points().masked_fill(mg.tensor([[True, False], [False, False]]), -INF), 1)


def additive_mask() -> Tensor:
    return F.softmax(points() + mg.tensor([[1.0, 0.0], [1.0, 1.0]]).log(), 1)


def causal_attention() -> Tensor:
    q = mg.randn(2, 5, 4).requires_grad_()
    mask = mg.full((5, 5), -INF).triu(1)
    return F.softmax(q @ q.transpose(1, 2) + mask, -1) @ q


def padded_pool() -> Tensor:
    x = mg.randn(1, 1, 4, 4).requires_grad_()
    return F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-INF), 2)


def replaced_first() -> Tensor:
    x = points()
    return mg.where(x > 0, x, 1.0).log()


def smallest_so_far() -> Tensor:
    best = mg.full((2, 2), INF)
    return mg.minimum(best.roll(1), points())


@pytest.mark.parametrize("run", [masked_softmax, additive_mask, causal_attention, padded_pool,
                                 replaced_first, smallest_so_far])
def test_deliberate_infinities(run: Callable[[], Tensor]) -> None:
    with detect_anomaly():
        run().sum().backward()


def test_an_infinity_beside_a_deliberate_one() -> None:
    x = mg.tensor([-INF, 1000.0])
    assert caught(lambda: x.exp()).index == (1,)


def test_a_nan_of_an_infinity_names_where_that_came_from() -> None:
    def run() -> None:
        everything = mg.tensor([[True, True], [False, False]])
        scores = points().masked_fill(everything, -INF)
        F.softmax(scores, 1)

    error = caught(run)
    assert (error.op, error.index) == ("softmax", (0, 0))
    assert "scores = points().masked_fill(everything, -INF)" in str(error)
    assert "F.softmax(scores, 1)" in str(error)


def test_infinities_may_pass() -> None:
    with detect_anomaly(check_inf=False):
        points().log()

    def entropy() -> None:
        p = points()
        logs = p.log()
        (p * logs).sum()

    error = caught(entropy, check_inf=False)
    assert (error.op, [e.value for e in error.elements]) == ("mul", [0.0, -INF])
    assert "logs = p.log()" in str(error)


def test_as_a_decorator_and_one_within_another() -> None:
    @detect_anomaly()
    def step(depth: int) -> None:
        if depth:
            step(depth - 1)
        points().log()

    with pytest.raises(AnomalyError):
        step(2)
    assert mode.observer is None


def test_results_are_the_same() -> None:
    def gradient() -> list[float]:
        x = points()
        ((x * x).exp() / 10).mean().backward()
        assert x.grad is not None
        return [float(g) for g in x.grad.data.ravel()]

    expected = gradient()
    with detect_anomaly():
        assert gradient() == expected
