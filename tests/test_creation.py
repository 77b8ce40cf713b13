"""Making tensors: the same values, shapes and dtypes as torch's functions of the same names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import minigrad as mg
from minigrad import creation
from minigrad.tensor import Tensor

BAD_INPUT = (TypeError, ValueError, RuntimeError)
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


def both(name: str, *args: Any, dtype: str | None = None, **named: Any) -> tuple[Tensor, Any]:
    typed = ({}, {}) if dtype is None else ({"dtype": np.dtype(dtype)},
                                            {"dtype": getattr(torch, dtype)})
    return (getattr(creation, name)(*args, **named, **typed[0]),
            getattr(torch, name)(*args, **named, **typed[1]))


def assert_equal(y: Tensor, t: torch.Tensor) -> None:
    expected = t.detach().numpy()
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y.data, expected)
    assert (y.requires_grad, y.is_leaf) == (t.requires_grad, True)


# ---- tensor --------------------------------------------------------------------------------------

F8, F4, I4, I8 = np.float64(1.5), np.float32(1.5), np.int32(2), np.int64(2)


@pytest.mark.parametrize("data", [
    3, 3.5, True, F8, F4, I4, [], (), [[], []], [1, 2], [1, 2.5], [True, 1], [True, 1.5],
    [F8], [F4, 2.0], [1.0, F8], [[F8, 1.0]], [I4], [I8, 1.5], [1, F8], [F4, F8], [I4, I8],
    (1, (2,))[:1], [(1, 2), [3, 4]], range(3), [range(2), range(2)],
    np.array([1, 2], np.int32), np.array(2.5), -2**63, 1e40, [float("nan"), float("inf")]], ids=str)
def test_dtypes_are_inferred_as_torch_does(data: Any) -> None:
    assert_equal(*both("tensor", data))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data", [[1, 0, 2], [1.5, 0.0], [True, False], 2, np.array([1.0, 0.0])],
                         ids=str)
def test_tensor_of_a_dtype(data: Any, dtype: str) -> None:
    assert_equal(*both("tensor", data, dtype=dtype))


def test_tensor_copies_and_is_a_leaf() -> None:
    array = np.ones((2, 3)).T
    y = creation.tensor(array, requires_grad=True)
    assert not np.shares_memory(y.data, array)
    assert y.data.flags.c_contiguous
    assert y.requires_grad
    x = creation.tensor([1.0, 2.0], requires_grad=True)
    assert not creation.tensor(x * 2).requires_grad
    np.testing.assert_array_equal(creation.tensor([Tensor(F8), 2.0]).data, [1.5, 2.0])


@pytest.mark.parametrize(("data", "named", "kind", "message"), [
    ([[1, 2], [3]], {}, ValueError, "tensor: the lists given are ragged"),
    ([1, [2]], {}, ValueError, "tensor: the lists given are ragged"),
    ("a", {}, TypeError, "tensor: cannot hold data of dtype"),
    (["a"], {}, TypeError, "tensor: needs a Tensor, an array or numbers; got 'a'"),
    (None, {}, TypeError, "tensor: cannot hold data of dtype object"),
    ({"a": 1}, {}, TypeError, "tensor: cannot hold data of dtype object"),
    (2**63, {}, ValueError, "tensor: a number does not fit int64"),
    ([2**63], {}, ValueError, "tensor: a number does not fit int64"),
    ([300], {"dtype": "uint8"}, ValueError, "tensor: a number does not fit uint8"),
    ([float("nan")], {"dtype": "int64"}, ValueError, "tensor: not all of the data can become int"),
    ([1, 2], {"requires_grad": True}, RuntimeError, "only floating point tensors can require grad"),
])
def test_what_is_no_tensor(data: Any, named: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        creation.tensor(data, **named)
    with pytest.raises((*BAD_INPUT, OverflowError)):
        torch.tensor(data, **{k: getattr(torch, v) if k == "dtype" else v
                              for k, v in named.items()})


# ---- constants -----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["zeros", "ones"])
@pytest.mark.parametrize("args", [(2, 3), ((2, 3),), ([2, 3],), ((),), (0,), (2, 0),
                                  (np.int64(2),)], ids=str)
def test_sizes_one_by_one_or_together(name: str, args: Any) -> None:
    assert_equal(*both(name, *args))
    assert_equal(*both(name, *args, dtype="int64"))
    assert_equal(*both(name, *args, requires_grad=True))
    assert_equal(*both(name, size=(2, 3)))


@pytest.mark.parametrize("name", ["zeros", "ones", "rand", "randn"])
@pytest.mark.parametrize(("args", "kind", "message"), [
    ((), TypeError, "needs its sizes"), ((-1,), RuntimeError, r"no size may be negative; got \(-1"),
    ((2.0,), TypeError, "size must be an int; got 2.0"), ((True,), TypeError, "size must be"),
    (((2, "a"),), TypeError, "size must be an int; got 'a'"), ((2, (3,)), TypeError, "size must"),
    ((None,), TypeError, "size must be an int; got None")])
def test_bad_sizes(name: str, args: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"{name}: {message}"):
        getattr(creation, name)(*args)
    with pytest.raises(BAD_INPUT):
        getattr(torch, name)(*args)


@pytest.mark.parametrize("dtype", [None, *DTYPES])
@pytest.mark.parametrize("value", [3, 3.7, True, F8, F4, I4, 0, -1.5], ids=repr)
def test_full(value: Any, dtype: str | None) -> None:
    if dtype == "uint8" and value < 0:
        return                                      # torch wraps round
    assert_equal(*both("full", (2, 3), value, dtype=dtype))
    assert_equal(*both("full", size=[], fill_value=value, dtype=dtype))


def test_full_of_a_0d_tensor() -> None:
    assert_equal(creation.full((2,), creation.tensor(2.5)), torch.full((2,), torch.tensor(2.5)))


@pytest.mark.parametrize(("args", "named", "kind", "message"), [
    ((2, 3), {}, TypeError, "full: size must be a tuple of ints; got 2"),
    (((-2,), 3), {}, RuntimeError, "full: no size may be negative"),
    (((2,), "a"), {}, TypeError, "full: fill_value must be a number; got 'a'"),
    (((2,), [1.0]), {}, TypeError, "full: fill_value must be a number"),
    (((2,), 300), {"dtype": "uint8"}, RuntimeError, "full: 300 does not fit uint8"),
    (((2,), float("nan")), {"dtype": "int64"}, RuntimeError, "full: nan does not fit int64"),
    (((2,), 3), {"requires_grad": True}, RuntimeError, "can require grad; got int64")])
def test_bad_full(args: Any, named: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        creation.full(*args, **named)
    with pytest.raises(BAD_INPUT):
        torch.full(*args, **{k: getattr(torch, v) if k == "dtype" else v for k, v in named.items()})


@pytest.mark.parametrize("like", [np.ones((2, 3)), np.ones((2, 0), np.int64), np.array(True)],
                         ids=str)
@pytest.mark.parametrize("dtype", [None, "float32", "int64"])
def test_like_another(like: Any, dtype: str | None) -> None:
    ours = {} if dtype is None else {"dtype": np.dtype(dtype)}
    theirs = {} if dtype is None else {"dtype": getattr(torch, dtype)}
    x, t = Tensor(like), torch.tensor(like)
    assert_equal(creation.zeros_like(x, **ours), torch.zeros_like(t, **theirs))
    assert_equal(creation.ones_like(x, **ours), torch.ones_like(t, **theirs))
    assert_equal(creation.full_like(x, 2.5, **ours), torch.full_like(t, 2.5, **theirs))


@pytest.mark.parametrize("args", [(3,), (2, 3), (3, 2), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("dtype", [None, *DTYPES])
def test_eye(args: Any, dtype: str | None) -> None:
    assert_equal(*both("eye", *args, dtype=dtype))


@pytest.mark.parametrize(("args", "kind", "message"), [
    ((-1,), RuntimeError, "eye: no size may be negative"), ((2, -1), RuntimeError, "eye: no size"),
    ((2.0,), TypeError, "eye: size must be an int; got 2.0"), ((True,), TypeError, "eye: size")])
def test_bad_eye(args: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        creation.eye(*args)
    with pytest.raises(BAD_INPUT):
        torch.eye(*args)


@pytest.mark.parametrize("dtype", ["float", "U5", object, 3.5, "no such", {"a": 1}], ids=str)
def test_what_is_no_dtype(dtype: Any) -> None:
    calls = {"zeros": ((2,),), "full": ((2,), 1), "eye": (2,), "arange": (3,), "rand": ((2,),),
             "tensor": ([1.0],), "ones_like": (Tensor(F8),), "sum": (Tensor(F8),),
             "mean": (Tensor(F8),), "softmax": (Tensor(F8), 0)}
    for name, args in calls.items():
        if dtype == "float":
            assert getattr(mg, name)(*args, dtype=float).dtype == np.float64
            continue
        with pytest.raises(TypeError, match=f"{name}: dtype must be one of floats, integers or"):
            getattr(mg, name)(*args, dtype=dtype)


# ---- ranges --------------------------------------------------------------------------------------

number = st.one_of(st.integers(-9, 9), st.sampled_from([-2.5, -0.9, -0.3, 0.1, 0.5, 1.5, 2.1, 4.7]))


@given(start=number, end=number, step=number,
       dtype=st.sampled_from([None, "float32", "float64", "int64", "int32", "uint8"]))
def test_arange(start: Any, end: Any, step: Any, dtype: str | None) -> None:
    if step == 0 or (end - start) * step < 0:
        for arange in (creation.arange, torch.arange):
            with pytest.raises(RuntimeError):
                arange(start, end, step)
        return
    y, t = both("arange", start, end, step, dtype=dtype)
    expected = t.numpy()
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.data, expected, rtol=1e-6 if y.dtype == np.float32 else 1e-15,
                               atol=1e-6 if y.dtype == np.float32 else 1e-14)


@pytest.mark.parametrize(("args", "named"), [
    ((5,), {}), ((5.0,), {}), ((), {"end": 4}), ((1,), {"end": 4}), ((), {"start": 1, "end": 4}),
    ((0, 4, 2), {}), ((np.float64(3),), {}), ((np.int64(3),), {}), ((True,), {}), ((0,), {}),
    ((2**53, 2**53 + 3), {}), ((0, 5.0), {"requires_grad": True})], ids=str)
def test_arange_is_called_as_torchs(args: Any, named: Any) -> None:
    assert_equal(*both("arange", *args, **named))


@pytest.mark.parametrize(("args", "kind"), [
    ((), TypeError), (("a",), TypeError), (([3],), TypeError), ((-3,), RuntimeError),
    ((1, 5, 0), RuntimeError), ((1, 5, -1), RuntimeError), ((float("nan"),), RuntimeError),
    ((0, float("inf")), RuntimeError)], ids=str)
def test_bad_arange(args: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="arange: "):
        creation.arange(*args)
    with pytest.raises(BAD_INPUT):
        torch.arange(*args)
    with pytest.raises(RuntimeError, match="arange: needs a dtype of numbers; got bool"):
        creation.arange(2, dtype="bool")


# ---- random numbers ------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["rand", "randn"])
def test_random_tensors_have_sizes_and_dtypes(name: str) -> None:
    make, like = getattr(creation, name), getattr(creation, f"{name}_like")
    assert (make(2, 3).shape, make((2, 3)).shape, make(size=(2, 3)).shape) == ((2, 3),) * 3
    assert (make(()).shape, make(0, 3).shape) == ((), (0, 3))
    assert make(2).dtype == np.float32
    y = make(2, dtype="float64", requires_grad=True)
    assert (y.dtype, y.requires_grad) == (np.float64, True)
    assert (like(y).shape, like(y).dtype, like(y, dtype="float32").dtype) == (
        (2,), np.float64, np.float32)
    for f in (lambda: make(2, dtype="int64"), lambda: like(creation.zeros(2, dtype="int64"))):
        with pytest.raises(RuntimeError, match=f"{name}: needs a floating point dtype; got int64"):
            f()
