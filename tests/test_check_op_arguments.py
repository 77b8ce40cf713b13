"""check_op, OpCase, op_tests, mutate, strategies: a bad argument gives one clear sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as hs
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import testing
from minigrad.testing import (
    Call,
    OpCase,
    Tolerance,
    check_op,
    domains,
    example,
    mutate,
    op_tests,
    strategies as st,
)

X = np.random.default_rng(0).standard_normal((3, 4))
LEAF = mg.tensor(X, requires_grad=True)


def square(x: Any) -> Any:
    return x * x


CASE = OpCase(square, None, None, [Call(X)])
SIN = (np.sin, lambda g, x: g * np.cos(x))

CHECK_OP: list[tuple[dict[str, Any], str]] = [
    ({"excused": ["gradcheck"]}, "excused must give the reason for each, as in .*; got "),
    ({"tolerance": 1e-3}, "tolerance must be a Tolerance, as in Tolerance.*; got 0.001"),
    ({"tolerance": Tolerance(-1)}, "a tolerance must be at least 0"),
    ({"dtypes": "float64"}, "dtypes must be a sequence of names, .*; got 'float64'"),
    ({"dtypes": ("foo",)}, "dtypes: 'foo' is not one of bool, "),
    ({"corners": [X]}, "corners must be a hypothesis strategy of calls, .*; got list"),
    ({"corners": domains.special}, "corners must be a hypothesis strategy of calls, .*; got spec"),
    ({"raises": [(X, ValueError)]}, r"raises\[0\] must be \(inputs, exception, "),
    ({"raises": [(X, "ValueError", "x")]}, r"raises\[0\] must name an exception, .*'ValueError'"),
    ({"raises": [(X, ValueError, "(")]}, r"raises\[0\]: '\(' is no regular expression"),
    ({"raises": X}, "raises must be a list of .*; got ndarray"),
    ({"examples": X}, "examples must be a list of inputs; got ndarray"),
    ({"max_examples": "a"}, "max_examples must be an int; got 'a'"),
    ({"max_examples": 0}, "max_examples must be at least 1; got 0"),
    ({"seed": "a"}, "seed must be an int or None; got 'a'"),
    ({"reference": lambda x: None}, "the reference <lambda> must return a Tensor, an array or sev"),
    ({"equivalent": {"foo": "?"}}, "equivalent: no mutation is called 'foo'"),
    ({"equivalent": {"inputs[9] rolled": "?"}}, "equivalent: there is no input for .*are 1"),
    ({"equivalent": ["rolled"]}, "equivalent must give the reason for each"),
    ({"fn": (np.sin, None)}, r"a pair \(f, vjp\) must be two functions; got \(sin, None\)"),
    ({"fn": (np.sin, np.cos, np.sin)}, r"a pair \(f, vjp\) must be two functions; got \(sin, cos,"),
    ({"fn": (np.sin,)}, r"a pair \(f, vjp\) must be two functions; got \(sin\)"),
    ({"fn": np.sin}, r"sin is NumPy's, which has no gradients: give a pair \(sin, vjp\)"),
    ({"fn": torch.sin}, "sin is PyTorch's: give torch tensors as inputs"),
    ({"fn": torch.nn.functional.gelu}, "gelu is PyTorch's: give torch tensors as inputs"),
    ({"fn": OpCase("f", None, None, [Call(X)]), "inputs": None}, "fn must be a func.*; got str"),  # type: ignore[arg-type]
    ({"fn": OpCase(square, None, None, [X]), "inputs": None},  # type: ignore[list-item]
     r"examples\[0\] must be a Call, .*; got ndarray"),
    ({"fn": CASE}, "an OpCase says all there is to say about its op; got inputs as well"),
    ({"fn": CASE, "inputs": None, "reference": torch.square}, "got reference as well"),
    ({"fn": lambda x: ()}, "<lambda> returns nothing, so there is nothing to check"),
    ({"fn": lambda x: x.argmax()}, "returns no floating-point numbers to differentiate, but int64"),
]


@pytest.mark.parametrize(("changes", "message"), CHECK_OP, ids=[m for _, m in CHECK_OP])
def test_bad_arguments_of_check_op(changes: dict[str, Any], message: str) -> None:
    arguments = {"fn": square, "inputs": [X], **changes}
    with pytest.raises((TypeError, ValueError), match=f"^check_op: (.*){message}") as caught:
        check_op(**arguments)
    assert len(str(caught.value).splitlines()) == 1


def test_functions_of_jax_need_its_arrays() -> None:
    with pytest.raises(TypeError, match="check_op: sin is JAX's: give JAX's arrays as inputs"):
        check_op(jnp.sin, [X])


OTHERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: op_tests(3), "op_tests: it decorates a function that returns an OpCase"),  # type: ignore[arg-type]
    (lambda: op_tests(CASE), "op_tests: it decorates a function .*; got an OpCase"),  # type: ignore[arg-type]
    (lambda: op_tests(lambda: None), "op_tests: <lambda> must return an OpCase, .*; got None"),  # type: ignore[arg-type, return-value]
    (lambda: op_tests(list), r"op_tests: list must return an OpCase, .*; got \[\]"),
    (lambda: op_tests(lambda: ["a"]), "op_tests: <lambda> must return an OpCase, "),  # type: ignore[list-item]
    (lambda: mutate(square, LEAF, checks=[1]), r"mutate: checks must map a name to check\(fn, in"),  # type: ignore[arg-type]
    (lambda: mutate(square, LEAF, checks={"a": 1}), "mutate: checks must map a name to check"),  # type: ignore[dict-item]
    (lambda: mutate(square, LEAF, equivalent=["rolled"]), "mutate: equivalent must give the reas"),  # type: ignore[arg-type]
    (lambda: mutate(square, LEAF, equivalent={"inputs[9] rolled": "?"}), "mutate: equiv.*no input"),
    (lambda: mutate(square, X), "mutate: none of the inputs is a Tensor that requires grad"),
    (lambda: st.unary(shapes=(2, 3)), r"unary: shapes must be a hypothesis strat.*got \(2, 3\)"),  # type: ignore[arg-type]
    (lambda: st.arrays(domains.real, (2, 3)), "arrays: shape must be a hypothesis strategy"),  # type: ignore[arg-type]
    (lambda: st.arrays("x"), "arrays: domain must be a function"),  # type: ignore[arg-type]
    (lambda: st.calls(domains.real, shapes=((2,),)), "calls: shapes must be a hypothesis strat"),  # type: ignore[arg-type]
    (lambda: st.unary(dim=1), "calls: dim must be a hypothesis strategy, .*; got 1"),  # type: ignore[arg-type]
    (lambda: st.unary("x", hs.just((2,))), "calls: domain must be a function .*; got 'x'"),  # type: ignore[arg-type]
    (lambda: example(1, (2, 3)), r"example: domain must be a function .*; got \(2, 3\)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("act", "message"), OTHERS, ids=[m for _, m in OTHERS])
def test_bad_arguments_of_the_others(act: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        act()


def test_what_is_not_in_a_report() -> None:
    with pytest.raises(KeyError, match="no check 'nope' in this report; there are call, reference"):
        check_op(square, [X])["nope"]
    with pytest.raises(KeyError, match=r"no mutant \('inputs\[7\]', 'negated'\) in this report"):
        mutate(square, LEAF)["inputs[7]", "negated"]


def test_examples_are_checked_in_float64() -> None:
    assert check_op(OpCase(square, torch.square, None, [Call(X.astype(np.float32))])).ok


def test_the_strategies_come_with_the_package() -> None:
    assert testing.strategies is st
    with pytest.raises(AttributeError, match="has no attribute 'strategy'"):
        _ = testing.strategy


def test_a_pair_has_no_second_derivative_to_be_wrong_in() -> None:
    line = check_op(SIN, [X])["mutants"].line(0)
    assert re.match(r" +✓ mutants +10 of 10 wrong gradients would be noticed$", line)


@pytest.mark.parametrize(("fn", "inputs", "message"), [
    (mg.sin, [np.array([[0.5, np.nan]])], r"inputs\[0\] holds nan at index \(0, 1\), where there "
     r"is no derivative to compare with; give finite inputs"),
    (mg.sin, [np.array([np.inf, 1.0])], r"inputs\[0\] holds inf at index \(0,\)"),
    (mg.log, [np.array([1.0, 2.0, -1.0])], r"the output of .*log is nan at index \(2,\); give "
     "inputs at which all outputs are finite"),
    ((np.reciprocal, lambda g, x: -g / x**2), [np.array([1.0, 0.0])],
     r"the output of reciprocal is inf at index \(1,\)"),
    (mg.sqrt, [np.array([0.0, 2.0])], r"inputs\[0\] is 0 at index \(0,\), where the domain of "
     r".*sqrt ends: at -1e-06 an output is infinite or NaN"),
    (lambda x: (1 - x).log(), [np.array([0.5, 1 - 1e-7])], r"inputs\[0\] is 0.9999999 at index "
     r"\(1,\), where the domain of <lambda> ends: at 1.0000009"),
])
def test_places_where_there_is_no_derivative_are_told_before_the_checks(
        fn: Any, inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^check_op: {message}"):
        check_op(fn, inputs)


def test_what_may_be_infinite() -> None:
    mask = torch.tensor([0.0, -np.inf, 0.0], dtype=torch.float64)
    scores = torch.tensor(X[:, :3], requires_grad=True)
    assert check_op(lambda x, m: torch.softmax(x + m, -1), [scores, mask], max_examples=4).ok
    assert check_op(lambda x: x > 0, [np.array([0.5, np.nan])], differentiable=False,
                    max_examples=4).ok
