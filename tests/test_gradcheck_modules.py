"""Whole networks: which layer has a wrong gradient, and which op in it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import functional as F, nn
from minigrad.autograd import op
from minigrad.tensor import Tensor
from minigrad.testing import GradcheckError, gradcheck_modules


@op
def swish(x: Tensor) -> Any:
    s = x.sigmoid().detach()
    return x.data * s.data, lambda g: g * (s + x * s * (1.0 - s))


@op
def bad_swish(x: Tensor) -> Any:
    s = x.sigmoid().detach()
    return x.data * s.data, lambda g: g * (s + x * s * (1.0 + s))


class Block(nn.Module):
    def __init__(self, n: int, activation: Any) -> None:
        super().__init__()
        self.fc, self.norm, self.activation = nn.Linear(n, n), nn.LayerNorm(n), activation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.activation(self.norm(self.fc(x)))


def network(activation: Any) -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(nn.Embedding(7, 6), Block(6, F.relu), nn.Dropout(0.3),
                         nn.Sequential(Block(6, activation), nn.BatchNorm1d(5)), nn.Flatten(),
                         nn.Linear(30, 3))


WORDS = mg.tensor(np.arange(20).reshape(4, 5) % 7)


def test_every_layer_of_a_right_network_is_checked() -> None:
    net = network(swish)
    before = {name: p.data.copy() for name, p in net.state_dict().items()}
    reports = {report.path: report for report in gradcheck_modules(net, WORDS)}
    assert set(reports) == {"", "0", "1", "1.fc", "1.norm", "2", "3", "3.0", "3.0.fc", "3.0.norm",
                            "3.1", "4", "5"}
    assert reports["0"].checked == ["its parameter weight"]
    assert reports["3.1"].checked == ["inputs[0]", "its parameter weight", "its parameter bias"]
    assert str(reports["2"]) == "✓ 2 (Dropout): inputs[0]"
    for name, p in net.state_dict().items():
        np.testing.assert_array_equal(p.data, before[name])


def test_the_wrong_layer_and_the_wrong_op_are_named() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck_modules(network(bad_swish), WORDS)
    text = str(caught.value).splitlines()
    marks = [line.split(":")[0] for line in text if line.startswith("✗")]
    assert marks == ["✗ 3.0 (Block)"]
    named = next(line for line in text if "the op in it that is wrong" in line)
    assert named.endswith("test_gradcheck_modules.bad_swish, for inputs of shape (4, 5, 6)")
    assert any("✓ 1 (Block): inputs[0]" in line for line in text)
    assert any("3 (Sequential): not checked, as it contains a wrong one" in line for line in text)


def test_a_wrong_gradient_by_a_parameter_is_found() -> None:
    @op
    def scaled(x: Tensor, w: Tensor) -> Any:
        return x.data * w.data, lambda g: g * w, lambda g: g * x * 1.1

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(mg.randn(3))

        def forward(self, x: Tensor) -> Tensor:
            return scaled(x, self.weight)

    with pytest.raises(GradcheckError, match=r"✗ 1 \(Scale\): the gradient by its parameter w"):
        gradcheck_modules(nn.Sequential(nn.Linear(4, 3), Scale()), mg.randn(5, 4))


@pytest.mark.parametrize(("net", "got"), [
    (lambda x: x, "function"), (nn.Linear, "the class Linear: make one")])
def test_what_is_no_network_is_refused(net: Any, got: str) -> None:
    with pytest.raises(TypeError, match=f"net must be a Module; got {got}"):
        gradcheck_modules(net, mg.randn(2))


# ---- a gradient that is cut ----------------------------------------------------------------------

@op
def twice(x: Tensor) -> Any:
    return x.data * 2.0, lambda g: g * 2.0


@op
def nearly_twice(x: Tensor) -> Any:
    return x.data * 2.0, lambda g: g * 2.2


@op
def product(x: Tensor, y: Tensor) -> Any:
    return x.data * y.data, lambda g: g * y, lambda g: g * x


@op
def bad_product(x: Tensor, y: Tensor) -> Any:
    return x.data * y.data, lambda g: g * y, lambda g: g * y


class Words(nn.Module):
    """An embedding e and a layer l, with `between` what is done between the two."""

    def __init__(self, between: Any, layer: Any = None) -> None:
        super().__init__()
        self.e, self.l, self.between = nn.Embedding(7, 5), layer or nn.Linear(5, 5), between

    def forward(self, i: Tensor) -> Any:
        return self.between(self, self.e(i))


def problem(net: nn.Module, *inputs: Any, **named: Any) -> str:
    with pytest.raises(GradcheckError) as caught:
        gradcheck_modules(net, *inputs, **named)
    return str(caught.value)


def lines(net: nn.Module, *inputs: Any, **named: Any) -> dict[str, str]:
    return {report.path: str(report) for report in gradcheck_modules(net, *inputs, **named)}


@pytest.mark.parametrize("between", [
    lambda net, x: net.l(x.detach().tanh()),
    lambda net, x: net.l(Tensor(x.data)),
])
def test_a_gradient_that_is_cut_between_layers(between: Any) -> None:
    text = problem(Words(between), WORDS)
    assert ("✗ the network (Words): each layer by itself is right, but the network's gradient by "
            "e.weight is not: no gradient arrives; look for detach(), .data or no_grad() between "
            "the layers") in text
    assert "✓ l (Linear)" in text
    assert lines(Words(lambda net, x: net.l(x.tanh())), WORDS)[""] == (
        "✓ the network (Words): the 3 parameters in it")


def test_a_gradient_of_which_a_part_is_cut() -> None:
    text = problem(Words(lambda net, x: net.l(x) + x.detach()), WORDS)
    assert "gradient by e.weight is not: a part of it is missing or wrong; look for det" in text


def test_the_innermost_block_with_a_cut_is_named() -> None:
    inner = Words(lambda net, x: net.l(x.detach()))
    text = problem(nn.Sequential(nn.Flatten(), inner, nn.Linear(5, 2)), WORDS)
    assert "✗ 1 (Words): each layer in it is right by itself, but its gradient by e.weight" in text
    assert "· the network (Sequential): not checked, as it contains a wrong one" in text


def test_a_weight_that_another_layer_uses() -> None:
    tied = Words(lambda net, x: net.l(x) @ net.e.weight.T)
    assert lines(tied, WORDS)[""].startswith("✓")
    text = problem(Words(lambda net, x: net.l(x) @ net.e.weight.detach().T), WORDS)
    assert "gradient by e.weight is not" in text


def test_a_wrong_op_in_the_forward_of_the_network() -> None:
    text = problem(Words(lambda net, x: net.l(nearly_twice(x))), WORDS)
    assert "✗ the network (Words): the gradient by e.weight of shape (7, 5) is wrong" in text
    assert "the op in it that is wrong: test_gradcheck_modules.nearly_twice" in text
    assert "look for detach()" not in text


# ---- what layers are called with -----------------------------------------------------------------

def gate(multiply: Any) -> nn.Module:
    class Gate(nn.Module):
        def forward(self, x: Any, *, by: Tensor | None = None) -> Any:
            if isinstance(x, dict):
                return {"y": [multiply(x["x"], x["by"][0])], "unused": None}
            return multiply(x, by)
    return Gate()


CALLS = pytest.mark.parametrize(("call", "name"), [
    (lambda net, x: net.l(x, by=x.tanh()), "by"),
    (lambda net, x: net.l({"x": x, "by": [x.tanh()]})["y"][0], "inputs[0]['by'][0]"),
])


@CALLS
def test_inputs_by_keyword_and_in_lists_and_dicts(call: Any, name: str) -> None:
    assert name in lines(Words(call, gate(product)), WORDS)["l"]
    text = problem(Words(call, gate(bad_product)), WORDS)
    assert f"✗ l (Gate): the gradient by {name} of shape (4, 5, 5) is wrong" in text


def recurrent(multiply: Any, first: Any) -> nn.Module:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i = nn.Linear(5, 6)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return self.i(x).tanh() + multiply(h, h + 1.0)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = Cell(), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = first(len(x), 6)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.out(h)

    return Recurrent()


@pytest.mark.parametrize("first", [
    mg.zeros, lambda *shape: mg.zeros(*shape, dtype=mg.float32),
    lambda *shape: mg.tensor([[0.0] * shape[1]] * shape[0]).float(),
    lambda *shape: Tensor(np.zeros(shape, np.float32)),
])
def test_tensors_that_forward_makes_and_later_calls(first: Any) -> None:
    x = mg.randn(3, 4, 5)
    assert lines(recurrent(product, first), x)["cell"] == "✓ cell (Cell): inputs[0], inputs[1], " \
                                                          "the 2 parameters in it"
    assert "✗ cell (Cell): the gradient by inputs[1]" in problem(recurrent(bad_product, first), x)
    assert mg.zeros(2).dtype == np.float32


def test_tensors_that_a_layer_holds() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = {"w": [mg.randn(5, 5)]}

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.held["w"][0] @ mg.ones(5, 5)

    assert lines(nn.Sequential(Held()), mg.randn(2, 5))["0"] == "✓ 0 (Held): inputs[0]"


def test_a_later_call_of_another_kind() -> None:
    class Late(nn.Module):
        def forward(self, x: Tensor, first: bool) -> Tensor:
            return twice(x) if first else nearly_twice(x)

    text = problem(Words(lambda net, x: net.l(net.l(x, True), first=False), Late()), WORDS)
    assert "✗ l (Late): at call 2: the gradient by inputs[0]" in text


def test_layers_that_do_not_run_are_listed() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.ModuleList([nn.Linear(5, 5)]), nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Any:
            return {"y": [self.used[0](x)]}

    assert lines(Unused(), mg.randn(2, 5)) == {
        "": "✓ the network (Unused): inputs[0], the 4 parameters in it",
        "used.0": "✓ used.0 (Linear): inputs[0], its parameter weight, its parameter bias",
        "unused": "· unused (Linear): its forward did not run"}


# ---- what cannot be checked ----------------------------------------------------------------------

class Layer(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.calls, self.seen = function, 0, []

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        self.seen.append(x)
        return self.function(self, x)


@pytest.mark.parametrize("function", [
    lambda layer, x: x * float(layer.calls),
    lambda layer, x: x * float(len(layer.seen)),
    lambda layer, x: x * random.random(),
    lambda layer, x: x * mg.rand(5),
])
def test_state_and_random_numbers_are_the_same_at_each_evaluation(function: Any) -> None:
    report = lines(nn.Sequential(nn.Linear(5, 5), Layer(function)), mg.randn(2, 5))
    assert report["1"] == "✓ 1 (Layer): inputs[0]"
    assert report[""] == "✓ the network (Sequential): inputs[0], the 2 parameters in it"


def test_a_state_that_an_earlier_run_has_left() -> None:
    def remember(layer: Any, x: Tensor) -> Tensor:
        layer.last = x * (1.0 if layer.last is None else 2.0)
        return layer.last

    layer = Layer(remember)
    layer.last = None
    net = nn.Sequential(nn.Linear(5, 5), layer)
    net(mg.randn(2, 5))
    assert lines(net, mg.randn(2, 5))["1"] == "✓ 1 (Layer): inputs[0]"


class Strange:
    def __init__(self, y: Tensor) -> None:
        self.y = y


@pytest.mark.parametrize(("function", "after", "says"), [
    (lambda layer, x: x.masked_fill(x < 0.0, float("-inf")), lambda y: y.softmax(-1),
     "could not be checked: an output is infinite or NaN"),
    (lambda layer, x: Strange(x), lambda y: y.y,
     "could not be checked: it returns no Tensor of floats"),
    (lambda layer, x: x * next(DRAWN), lambda y: y,
     "could not be checked: it gives different values for the same inputs"),
])
def test_what_cannot_be_checked_is_the_line_of_its_layer(function: Any, after: Any, says: str
                                                         ) -> None:
    reports = lines(Words(lambda net, x: after(net.l(x)), Layer(function)), WORDS)
    assert reports["l"].startswith(f"· l (Layer): {says}")
    assert reports["e"] == "✓ e (Embedding): its parameter weight"


DRAWN = iter(np.random.default_rng(0).random(100_000).tolist())


def test_an_infinite_mask_is_passed_on() -> None:
    mask = mg.tensor([[0.0, float("-inf")], [0.0, 0.0]])

    class Masked(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return (x + mask).softmax(-1)

    assert lines(Masked(), mg.randn(2, 2), mask=mask) == {
        "": "✓ the network (Masked): inputs[0]"}


def test_a_relu_at_its_kink_is_right() -> None:
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    assert lines(net, mg.zeros(2, 3))[""].startswith("✓")


# ---- inputs and options --------------------------------------------------------------------------

def test_inputs_of_the_network_by_keyword() -> None:
    assert lines(nn.Linear(5, 2), input=mg.randn(3, 5)) == {
        "": "✓ the network (Linear): input, its parameter weight, its parameter bias"}


def test_an_op_that_is_its_whole_layer_is_reported_once() -> None:
    text = problem(nn.Sequential(nn.Linear(5, 5), Layer(lambda layer, x: nearly_twice(x))),
                   mg.randn(2, 5))
    assert text.count("likely cause: a factor: analytic = 1.1 × numeric everywhere") == 1
    assert "the op in it that is wrong: test_gradcheck_modules.nearly_twice" in text
    assert "· the network (Sequential): not checked, as it contains a wrong one" in text


X = mg.ones(2, 5)


@pytest.mark.parametrize(("inputs", "options", "error", "message"), [
    ((X,), {"atol": -1}, ValueError, "atol must be 0 or more, and finite; got -1"),
    ((X,), {"rtol": "a"}, TypeError, "rtol must be a number; got str"),
    ((X,), {"seed": 1.5}, TypeError, "seed must be an int of at least 0; got 1.5"),
    ((X,), {"seed": -1}, ValueError, "seed must be an int of at least 0; got -1"),
    ((X.numpy(),), {}, TypeError, r"inputs\[0\] must be a Tensor of minigrad; got numpy.ndarray: "
                                  "make it one with minigrad.tensor"),
    (([X],), {}, ValueError, r"the network does not run on these inputs: .*\(Linear\) raises "
                             r"RuntimeError: .*; give the inputs one by one, not as a list"),
    ((X * float("nan"),), {}, ValueError, r"inputs\[0\] holds NaN"),
    ((mg.ones(2, 4),), {}, ValueError, r"the network does not run on these inputs: the network "
                                       r"\(Linear\) raises RuntimeError: "),
    ((), {"inputs": X}, ValueError, "unexpected keyword argument 'inputs'"),
    ((), {}, ValueError, "the network does not run on these inputs"),
])
def test_bad_inputs_and_options(inputs: Any, options: dict[str, Any], error: type[Exception],
                                message: str) -> None:
    with pytest.raises(error, match=f"^gradcheck_modules: .*{message}"):
        gradcheck_modules(nn.Linear(5, 2), *inputs, **options)


def test_the_layer_that_does_not_run_is_named() -> None:
    with pytest.raises(ValueError, match=r"inputs: 1\.0 \(Linear\) raises RuntimeError: "):
        gradcheck_modules(nn.Sequential(nn.Linear(5, 4), nn.Sequential(nn.Linear(5, 2))), X)


def test_nothing_to_check_is_no_success() -> None:
    with pytest.raises(ValueError, match="gradcheck_modules: nothing could be checked\n· the net"):
        gradcheck_modules(nn.Flatten(), WORDS)
