"""check_op looks beyond the examples, and what it shows of a failure does not mislead."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.autograd import op
from minigrad.kernels.compile import thread_count
from minigrad.tensor import Tensor
from minigrad.testing import (
    Call,
    GradcheckError,
    OpCase,
    OpCheckError,
    OpReport,
    check_op,
    domains,
    gradcheck,
    search,
    strategies,
    variations,
)
from minigrad.testing.checks import memory, sizes

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 4))


def failing(fn: Any, inputs: Any, reference: Any = None) -> OpReport:
    with pytest.raises(OpCheckError) as caught:
        check_op(fn, inputs, reference)
    return caught.value.report


# ---- beyond the examples -------------------------------------------------------------------------

def scatter_once(g: Any, x: Any, i: Any) -> Any:
    z = np.zeros_like(x)
    z[i] = g
    return z, None


_first: dict[str, Any] = {}


def remembers(x: Any) -> Any:
    _first.setdefault("x", x.copy())
    return x * x


def square(x: Any) -> Any:
    return x * x


WRONG_ELSEWHERE = {
    "negative": (square, lambda g, x: np.where(x < 0, g * x, 2 * g * x), [np.abs(A) + 0.1]),
    "large": (square, lambda g, x: np.where(np.abs(x) > 3, g * x, 2 * g * x), [A]),
    "whole": (square, lambda g, x: np.where(x == np.round(x), 0, 2 * g * x), [A]),
    "long": (square, lambda g, x: 2 * g * x * (1 + (x.shape[-1] > 5)), [A]),
    "batch": (square, lambda g, x: 2 * g * x * (np.arange(len(x)) == 0)[:, None], [A[:1]]),
    "repeated index": (lambda x, i: x[i], scatter_once, [A.T, np.array([0, 2, 1])]),
    "first": (remembers, lambda g, x: 2 * g * (_first["x"] if _first["x"].shape == x.shape else x),
              [A]),
}


@pytest.mark.parametrize("name", WRONG_ELSEWHERE)
def test_gradients_that_are_wrong_elsewhere_than_at_the_example(name: str) -> None:
    fn, vjp, inputs = WRONG_ELSEWHERE[name]
    assert failing((fn, vjp), inputs)["gradcheck"].problem


@pytest.mark.parametrize(("fn", "inputs"), [
    (lambda x: x.log(), [np.abs(A) + 0.1]),
    (lambda x: x.relu(), [A]),
    (lambda x: x.amax(-1), [A]),
    (lambda x: x.tan(), [A / 3]),
    (lambda x: x.sqrt(), [np.abs(A) + 0.1]),
    (lambda x: x.sin() * 1e3, [10 * A]),
    (lambda x, i: x[i], [A, np.array([0, 2])]),
    (lambda a, b: a / b, [A, np.abs(A) + 0.5]),
    (lambda x: x @ x.t(), [A]),
    (lambda x: x.clamp(-1.0, 1.0), [A]),
    (lambda x: (x * x).sum().sqrt(), [A]),
    (lambda x: (-1.0 / x.abs()).exp(), [A]),
    (mg.functional.gelu, [A]),
    (lambda x: x.softmax(-1), [A]),
    (torch.linalg.qr, [torch.tensor(A.T)]),         # jumps where a matrix is singular
])
def test_right_ops_pass_elsewhere_too(fn: Any, inputs: Any) -> None:
    assert check_op(fn, inputs).ok


def send_to_median(g: Any, x: Any) -> Any:
    z = np.zeros_like(x)
    middle = np.argsort(x, -1)[..., x.shape[-1] // 2, None]
    np.put_along_axis(z, middle, g[..., None], -1)
    return z


@pytest.mark.parametrize(("fn", "inputs"), [
    # a matrix of whole numbers, one row of which occurs twice
    ((np.linalg.det, lambda g, x: g * np.linalg.det(x) * np.linalg.inv(x).T),
     [RNG.standard_normal((3, 3)) + 2 * np.eye(3)]),
    # three equal numbers, none of which alone moves their median
    ((lambda x: np.sort(x, -1)[..., x.shape[-1] // 2], send_to_median),
     [RNG.permutation(15).reshape(3, 5) * 0.3]),
    # an index by name, with an entry for each row
    ((lambda x, i, n: np.add.at(y := np.zeros((n, *x.shape[1:]), x.dtype), i, x) or y,
      lambda g, x, i, n: g[i]),
     Call(RNG.standard_normal((5, 3)), i=np.array([0, 2, 2, 1, 0]), n=4)),
])
def test_right_ops_pass_where_their_inputs_belong_together(fn: Any, inputs: Any) -> None:
    assert check_op(fn, inputs).ok


def test_no_check_is_made_where_nothing_comes_out_of_an_op_but_that_of_its_size() -> None:
    report = failing((np.diff, lambda g, x: np.concatenate(
        [-g[..., :1], -np.diff(g), g[..., -1:]], -1)), [A])
    assert [finding.check for finding in report.failures] == ["size 1"]


def test_float32_may_not_be_enough_for_larger_numbers_than_the_examples() -> None:
    def log_softmax(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b).softmax(-1).log()            # log(0) where float32 underflows

    inputs = [3 * A, 2 * A.T]
    report = check_op(log_softmax, inputs)
    assert report.ok
    assert "with larger numbers than the examples', the output in float32" in report[
        "float32"].doubt
    assert failing(log_softmax, [60 * A, 2 * A.T])["float32"].problem


def test_an_op_with_nothing_in_it_is_soon_checked() -> None:
    began = time.process_time()
    assert check_op(lambda x: x * 2, [np.zeros((0, 3))]).ok
    assert time.process_time() - began < 5


def test_kinks_are_looked_at_where_the_elements_tell_the_slopes() -> None:
    """Of three equal numbers, each is the largest if it grows, but none alone moves the median."""
    tied = Call(np.array([[2.0, 2.0, 4.0, 1.0, 2.0]]))
    largest = OpCase(lambda x: x.amin(-1), None, None, [Call(-tied.arrays[0])])
    median = OpCase((lambda x: np.median(x, -1), lambda g, x: g), None, None, [tied])
    assert variations.sloping(largest, Call(-tied.arrays[0]))
    assert variations.sloping(largest, Call(-np.minimum(tied.arrays[0], 2.0)))
    assert not variations.sloping(median, tied)


def test_kernels_run_on_one_thread_but_where_threads_are_compared() -> None:
    seen = []

    def counted(x: Tensor) -> Tensor:
        seen.append(thread_count())
        return x * 2

    with memory.threads(None):
        before = thread_count()
        check_op(counted, [A], max_examples=2)
        assert thread_count() == before
    assert seen.count(1) > 0.8 * len(seen)


def test_a_large_example_is_cut_short() -> None:
    drawn: list[Call] = []
    large = Call(np.ones((300, 400)))
    search.draw(variations.resizings(large, short=True), drawn.append, 20, 0)
    assert all(n <= variations.LONGEST or n in (300, 400)
               for call in drawn for n in call.arrays[0].shape)


def test_indices_stay_within_the_dims_that_are_left() -> None:
    call = sizes.resized(Call(A, np.array([0, 2, 1, 2, 0])), {3: 2})
    np.testing.assert_array_equal(call.arrays[1], [0, 0, 1, 0, 0])
    assert all(i.arrays[1].max(initial=0) < min(i.arrays[0].shape)
               for i in sizes.broadcast(Call(A, np.array([0, 2, 1, 2, 0]))))


def test_a_call_grows_without_ties_and_within_bounds() -> None:
    larger = variations.enlarged(Call(A, np.arange(4)), 4, 7)
    assert [x.shape for x in larger.arrays] == [(3, 7), (7,)]
    assert len(np.unique(larger.arrays[0])) == 21
    np.testing.assert_array_equal(larger.arrays[1], [0, 1, 2, 3, 0, 1, 2])
    assert variations.enlarged(Call(A[:1]), (0, 0), 5).arrays[0].shape == (5, 4)
    large = Call(np.ones((5, 100)))
    assert variations.enlarged(large, 5, 7) is large


# ---- what is shown -------------------------------------------------------------------------------

@op
def sinh_with_a_minus(x: Tensor) -> Any:
    return np.sinh(x.data), lambda g: g * (x.exp() - (-x).exp()) / 2


@op
def nearly_relu(x: Tensor) -> Any:
    return np.maximum(x.data, 0) * 1.0, lambda g: g * Tensor((x.data > 0) * (1 + 1e-4))


@op
def writes_into_x(x: Tensor) -> Any:
    return np.exp(x.data, out=x.data), lambda g, y: g * y


def test_a_smaller_call_fails_in_the_same_way() -> None:
    report = failing(sinh_with_a_minus, [A])
    assert "no simple pattern" in report["gradcheck"].problem
    assert report["gradcheck"].smallest is not None
    assert (report["gradcheck"].smallest.arrays[0] != 0).all()
    report = failing((square, lambda g, x: g @ x), [A])
    assert report["gradcheck"].problem.startswith("it raises ValueError: matmul")
    report = failing(nearly_relu, [A])
    assert (report["gradcheck"].smallest.arrays[0] > 0).any()


def test_the_failure_that_explains_the_others_is_shown() -> None:
    report = failing(writes_into_x, [A])
    assert report.failures[0].check == "inputs kept"
    assert "\ninputs kept, in full:" in str(report)


def test_one_that_cannot_be_called() -> None:
    text = str(failing(mg.nn.Linear(5, 2), [A]))
    assert text.startswith("Linear: it cannot be called; nothing else was checked")
    assert "smallest" not in text
    text = str(failing(lambda x: __import__("torch").sin(x), [A]))
    assert "give torch tensors as inputs" in text


def test_mutants_that_escape_are_a_doubt_not_a_tick() -> None:
    report = check_op(square, [A * 1e-6])
    assert "? mutants" in str(report)
    assert "of 11 wrong gradients would be noticed; these would not, at these" in str(report)
    assert ", and 1 leaves a doubt" in str(report)


@pytest.mark.parametrize(("factor", "cause"), [
    (1 + 1e-6, "a factor"), (np.float64(np.float32(0.1)) / 0.1, "right to single precision only"),
])
def test_small_errors_are_no_transposition(factor: float, cause: str) -> None:
    with pytest.raises(GradcheckError, match=f"likely cause: {cause}"):
        gradcheck((lambda x: x**3, lambda g, x: 3 * g * x * x * factor), A, method="order 4",
                  atol=1e-10, rtol=1e-10)


def test_one_column_is_no_transposition() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck((square, lambda g, x: 2 * g * x + np.array([[1e-3], [-2e-3]])), A[:2, :1])
    assert "transposed" not in str(caught.value)


# ---- time and noise ------------------------------------------------------------------------------

def test_the_search_for_a_smaller_call_ends() -> None:
    def slow(g: Any, x: Any) -> Any:
        time.sleep(0.02)
        return g * x

    before = time.perf_counter()
    failing((square, slow), [A])
    assert time.perf_counter() - before < 60


def test_mutants_of_large_inputs_are_tried_on_a_part() -> None:
    before = time.process_time()
    assert "11 of 11" in check_op(square, [RNG.standard_normal((300, 400))])["mutants"].passed
    assert time.process_time() - before < 20


def test_warnings_at_inputs_that_the_checks_choose_are_not_shown() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_op((np.log, lambda g, x: g / x), [np.abs(A) + 0.1])
    assert not seen


def test_a_failure_is_told_when_there_is_no_time_to_make_it_smaller(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SECONDS", 0.0)

    @op
    def steep_at_zero(x: Tensor) -> Any:
        return np.maximum(x.data, 0), lambda g: g * (x >= 0.0)

    corners = strategies.unary(domains.tied)
    with pytest.raises(OpCheckError) as caught:
        check_op(steep_at_zero, [np.array([[0.5, -1.0], [2.0, 3.0]])], torch.relu, corners=corners)
    assert "is wrong at" in caught.value.report["corners"].problem


def test_inputs_that_pass_are_told_from_others_that_fail() -> None:
    told = str(failing(WRONG_ELSEWHERE["negative"][:2], WRONG_ELSEWHERE["negative"][2]))
    assert "the inputs that were given pass; the smallest found, made of them, at which" in told
    assert told.endswith("if the op is not meant for inputs like these, let it raise an error for "
                         "them")
    assert "were given pass" not in str(failing((square, lambda g, x: g * x), [A]))


def test_what_several_checks_find_is_said_once() -> None:
    told = str(failing((lambda x: x.sum(1), lambda g, x: g), [A]))
    assert "\ngradcheck, in full:" in told
    assert told.count("the vjp returns a gradient of shape") == 2
    assert "adjoint           the same as gradcheck" in told


def test_random_numbers_are_not_taken_for_a_write_into_the_inputs() -> None:
    told = str(failing(torch.nn.functional.dropout, [torch.tensor(A)]))
    assert "in full:\n    it raises ValueError: gradcheck: fn gives different values" in told
    assert "writes into" not in told
