"""gradcheck_modules where a gradient is stopped on purpose: excused layers, rows of padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.tensor import Tensor
from minigrad.testing import GradcheckError, gradcheck_modules


class Gate(nn.Module):
    """Scales by a gate that is not learnt from here: a gradient that is stopped on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x).sigmoid().detach()


class Net(nn.Module):
    def __init__(self, between: Any = lambda y: y) -> None:
        super().__init__()
        mg.manual_seed(0)
        self.first, self.gate, self.last = nn.Linear(4, 4), Gate(), nn.Linear(4, 2)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).tanh()
        return self.last(self.gate(h) + self.between(h))


X = mg.tensor(np.random.default_rng(0).standard_normal((3, 4)))


def test_a_layer_that_stops_the_gradient_on_purpose_is_excused() -> None:
    with pytest.raises(GradcheckError, match=r"✗ gate \(Gate\)"):
        gradcheck_modules(Net(), X)
    lines = {report.path: str(report) for report in
             gradcheck_modules(Net(), X, excused={"gate": "the gate learns elsewhere"})}
    assert lines["gate"] == "· gate (Gate): excused: the gate learns elsewhere"
    assert lines["gate.fc"].startswith("✓ gate.fc (Linear): inputs[0]")
    assert lines[""].startswith("✓ the network (Net): inputs[0], the 6 parameters in it; "
                                "gate held constant, as excused")


def test_other_cuts_are_noticed_beside_an_excused_layer() -> None:
    with pytest.raises(GradcheckError, match="✗ the network") as caught:
        gradcheck_modules(Net(lambda y: (y * 2).detach()), X, excused={"gate": "on purpose"})
    assert "no gradient arrives" in str(caught.value)


def test_the_network_itself_is_excused() -> None:
    reports = gradcheck_modules(Net(lambda y: y.detach()), X,
                                excused={"": "one path is for the values only", "gate": "as above"})
    assert str(reports[0]) == "· the network (Net): excused: one path is for the values only"


def test_an_excused_layer_that_draws_random_numbers() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + mg.randn(*x.shape)).detach() + x

    net = nn.Sequential(nn.Linear(4, 4), Noisy(), nn.Dropout(0.5), nn.Linear(4, 2))
    reports = gradcheck_modules(net, X, excused={"1": "a straight-through estimator"})
    assert str(reports[0]).startswith("✓ the network")


@pytest.mark.parametrize(("excused", "error", "message"), [
    (["gate"], TypeError, r"excused must give the reason for each layer, as in \{'encoder.gate': "),
    ({"gate": ""}, TypeError, "excused must give the reason for each layer"),
    ({"gat": "why"}, ValueError, "excused: there is no layer 'gat'; there are '', 'first', 'gate'"),
])
def test_bad_excuses(excused: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^gradcheck_modules: {message}"):
        gradcheck_modules(Net(), X, excused=excused)


class Tied(nn.Module):
    """An output layer that shares the table of the embedding, whose row 0 is for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 3, padding_idx=0)
        self.out = nn.Linear(3, 6)
        self.out.weight = self.table.weight

    def forward(self, i: Tensor) -> Tensor:
        return self.out(self.table(i).tanh())


@pytest.mark.parametrize("net", [
    nn.Embedding(5, 3, padding_idx=1), nn.Embedding(5, 3, padding_idx=-1), Tied(),
    nn.Sequential(nn.Embedding(5, 3, padding_idx=1), nn.Linear(3, 2)),
])
def test_the_row_of_padding_idx_needs_no_excuse(net: nn.Module) -> None:
    assert gradcheck_modules(net, mg.tensor([[0, 1, 2], [1, 4, 4]]))


def test_the_other_rows_of_such_a_table_are_checked() -> None:
    class Cut(nn.Embedding):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 1.0 + super().forward(input).detach()

    with pytest.raises(GradcheckError, match=r"its parameter weight of shape \(5, 3\) is wrong"):
        gradcheck_modules(Cut(5, 3, padding_idx=1), mg.tensor([[0, 1, 2]]))
