"""The formulas of gradients: what is written is what is computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import nn
from minigrad.autograd import op
from minigrad.inspect import step_through
from minigrad.inspect.formula import says, stated
from minigrad.inspect.sources import source_of
from minigrad.ops import activation, norm
from minigrad.tensor import Tensor


def sent_by(function: Callable[..., Any], *shapes: tuple[int, ...]) -> list[dict[str, Any]]:
    """What the last op of a function sends to its inputs."""
    rng = np.random.default_rng(0)
    xs = [Tensor(rng.uniform(0.5, 1.5, shape), True) for shape in shapes]
    weight = Tensor(rng.standard_normal(function(*xs).shape))
    data = step_through(lambda: (function(*xs) * weight).sum()).data
    return data["vertices"][data["forward"][-3]]["sends"]


@pytest.mark.parametrize(("function", "shapes", "formulas"), [
    (mg.mul, [(3,), (3,)], ["g · b", "g · a"]),
    (mg.div, [(3,), (3,)], ["g / b", "-g · y / b"]),
    (mg.sub, [(3,), (3,)], ["g", "-g"]),
    (mg.exp, [(3,)], ["g · y"]),
    (mg.log, [(3,)], ["g / x"]),
    (mg.sqrt, [(3,)], ["g / (y · 2)"]),
    (mg.tanh, [(3,)], ["g·(1 - y²)"]),
    (mg.sigmoid, [(3,)], ["g·y·(1 - y)"]),
    (lambda x: x.softmax(1), [(2, 3)], ["y·(g - Σ g·y)"]),
    (mg.matmul, [(2, 3), (3, 4)], ["g @ bᵀ", "aᵀ @ g"]),
    (F.linear, [(5, 3), (2, 3), (2,)], ["g @ w", "gᵀ @ x", "g"]),
    (F.linear, [(4, 5, 3), (2, 3)], ["g @ w", "gᵀ @ x"]),
    (lambda x: x.transpose(1, 2), [(2, 3, 4)], ["gᵀ"]),
    (lambda x: x.permute(2, 0, 1), [(2, 3, 4)], ["permute(g)"]),
    (lambda x: x.T, [(2, 3)], ["gᵀ"]),
    (lambda x: x.reshape(6), [(2, 3)], ["g, in the shape of the input"]),
    (lambda x, w: F.conv2d(x, w), [(1, 2, 4, 4), (3, 2, 3, 3)],
     ["conv2d_input_grad(g, w)", "conv2d_weight_grad(x, g)"]),
    (lambda x, w, b: F.layer_norm(x, (3,), w, b), [(2, 3), (3,), (3,)],
     ["(g·w - mean(g·w) - x̂·mean(g·w·x̂))/σ", "Σ g·x̂", "Σ g"]),
])
def test_formulas(function: Any, shapes: Any, formulas: list[str]) -> None:
    assert [sent["formula"] for sent in sent_by(function, *shapes)] == formulas


@pytest.mark.parametrize(("function", "shapes"), [
    (mg.mul, [(3,), (3,)]), (mg.div, [(3,), (3,)]), (mg.tanh, [(4,)]), (mg.sigmoid, [(4,)]),
    (mg.rsqrt, [(3,)]), (mg.tan, [(3,)]), (mg.log1p, [(3,)]), (mg.square, [(3,)]),
    (mg.reciprocal, [(2,)]), (mg.matmul, [(2, 3), (3, 4)]), (F.linear, [(5, 3), (2, 3)]),
    (F.mse_loss, [(3, 2), (3, 2)]),
])
def test_a_formula_that_is_evaluated_gives_the_gradient(function: Any, shapes: Any) -> None:
    rng = np.random.default_rng(0)
    xs = [Tensor(rng.uniform(0.5, 1.5, shape), True) for shape in shapes]
    data = step_through(lambda: function(*xs).sum() * 2).data
    vertex = next(data["vertices"][i] for i in data["forward"] if data["vertices"][i]["sends"])

    def values(index: int) -> Any:
        entry = data["arrays"][index]
        return np.array(entry["values"], float).reshape(entry["shape"])

    names = {name: values(data["vertices"][i]["value"])
             for name, i in zip(vertex["names"], vertex["inputs"], strict=True)}
    names |= {"y": values(vertex["value"]), "g": values(vertex["gradient"])}
    for sent in vertex["sends"]:
        code = re.sub(r"(\w+)ᵀ", r"\1.T", sent["formula"]).replace("·", "*").replace("²", "**2")
        code = code.replace("⁻¹", "**-1")
        np.testing.assert_allclose(eval(code, {}, names), values(sent["gradient"]), rtol=1e-4,
                                   atol=1e-5)


def test_a_users_op() -> None:
    @op
    def cubed(x: Tensor) -> Any:
        """y = x³"""
        return x.data**3, lambda g: g * x * x * 3

    (sent,) = sent_by(cubed, (3,))
    assert (sent["formula"], sent["code"]) == ("g · x · x · 3", "lambda g: g * x * x * 3")
    assert re.fullmatch(r"test_formula\.py:\d+", sent["where"])


def test_too_long_a_formula_is_left_out() -> None:
    @op
    def wordy(x: Tensor) -> Any:
        def vjp(g: Tensor) -> Tensor:
            for _ in range(30):
                g = g * x + x
            return g
        return x.data, vjp

    (sent,) = sent_by(wordy, (2,))
    assert sent["formula"] == ""
    assert sent["code"].splitlines()[0] == "def vjp(g: Tensor) -> Tensor:"


def test_what_docstrings_say() -> None:
    assert says(activation._tanh_grad) == "g·(1 - y²)"
    assert says(activation._relu_grad) == "g where y > 0 or NaN, 0 elsewhere"
    assert says(activation.tanh) == ""
    assert stated(norm._batch_norm, "w") == "Σ g·x̂"
    assert stated(activation.tanh, "x") == ""


def test_sources() -> None:
    first, second = (lambda g: g * 2, lambda g: g * 3)
    assert source_of(first).code == "lambda g: g * 2"
    assert source_of(second).code == "lambda g: g * 3"
    assert source_of(mg.exp).file == "minigrad/ops/elementwise.py"
    assert source_of(mg.exp).code.startswith("def exp(x: Tensor)")
    assert source_of(len).code == ""
    net = nn.BatchNorm1d(3)
    y = net(mg.randn(4, 3))
    assert source_of(y.node.edges[0][1]).code.startswith("def gradients(g: Tensor)")
    namespace: dict[str, Any] = {}
    exec("f = lambda g: g", namespace)              # its source is nowhere
    assert source_of(namespace["f"]).code == ""
