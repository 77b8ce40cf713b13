"""Initial weights and random numbers against torch's."""

import math

import numpy as np
import pytest
import torch
from signatures import assert_signature

import minigrad as mg
from minigrad import nn

FILLS = [
    ("uniform_", (), {}), ("uniform_", (-2.0, 3.0), {}), ("normal_", (), {}),
    ("normal_", (1.0, 0.2), {}), ("constant_", (0.3,), {}), ("zeros_", (), {}), ("ones_", (), {}),
    ("xavier_uniform_", (), {}), ("xavier_uniform_", (2.0,), {}), ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {}), ("kaiming_uniform_", (math.sqrt(5), "fan_out"), {}),
    ("kaiming_uniform_", (), {"nonlinearity": "tanh"}), ("kaiming_normal_", (), {}),
    ("kaiming_normal_", (0.1, "fan_out", "relu"), {}), ("orthogonal_", (), {}),
    ("orthogonal_", (1.5,), {}), ("trunc_normal_", (), {}), ("trunc_normal_", (0.0, 0.02), {}),
    ("trunc_normal_", (0.0, 1.0), {"a": -0.5, "b": 2.0}),
    ("trunc_normal_", (), {"a": 1.0, "b": 2.0}),
    ("trunc_normal_", (1.0, 0.5), {"a": 3.0, "b": 9.0}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), FILLS, ids=str)
@pytest.mark.parametrize("shape", [(20, 30), (8, 5, 3, 3), (6, 4, 7)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:mean is more than 2 std from")
def test_fills_are_torchs(name, args, kwargs, shape, dtype):
    ours, theirs = nn.Parameter(np.empty(shape, dtype)), torch.tensor(np.empty(shape, dtype))
    mg.manual_seed(4)
    torch.manual_seed(4)
    assert getattr(nn.init, name)(ours, *args, **kwargs) is ours
    getattr(torch.nn.init, name)(theirs, *args, **kwargs)
    if "ortho" in name:
        np.testing.assert_allclose(ours.detach().numpy(), theirs.numpy(), rtol=1e-3, atol=2e-6)
    elif "normal" in name:
        np.testing.assert_allclose(ours.detach().numpy(), theirs.numpy(), rtol=3e-6, atol=1e-6)
    elif dtype == np.float32:
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.numpy())
    else:
        np.testing.assert_allclose(ours.detach().numpy(), theirs.numpy(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("nonlinearity", ["linear", "conv1d", "conv2d", "conv_transpose2d",
                                          "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
@pytest.mark.parametrize("param", [None, 0, 0.3])
def test_gains_are_torchs(nonlinearity, param):
    assert nn.init.calculate_gain(nonlinearity, param) == pytest.approx(
        torch.nn.init.calculate_gain(nonlinearity, param), rel=1e-15)


@pytest.mark.parametrize(("name", "args", "shape"), [
    ("eye_", (), (3, 5)), ("eye_", (), (5, 3)), ("dirac_", (), (4, 2, 3)),
    ("dirac_", (), (2, 4, 2, 5)), ("dirac_", (2,), (6, 2, 3, 4)), ("dirac_", (2,), (2, 3, 1, 2, 3)),
    ("xavier_uniform_", (), (0, 3)), ("kaiming_uniform_", (), (3, 0)),
    ("kaiming_normal_", (), (0, 3)), ("orthogonal_", (), (0, 3))], ids=str)
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_exact_fills(name, args, shape):
    ours, theirs = mg.ones(*shape), torch.ones(*shape)
    getattr(nn.init, name)(ours, *args)
    getattr(torch.nn.init, name)(theirs, *args)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_signatures_are_torchs():
    ours = {name: value for name, value in vars(nn.init).items()
            if name.endswith("_") and not name.startswith("_") and callable(value)}
    assert len(ours) == 13
    for name, fill in [*ours.items(), ("calculate_gain", nn.init.calculate_gain)]:
        assert_signature(fill, getattr(torch.nn.init, name))


WRONG_FILLS = [
    (lambda i, w: i.calculate_gain("cube"), "unknown nonlinearity 'cube'"),
    (lambda i, w: i.calculate_gain("leaky_relu", "x"), "param must be a number; got 'x'"),
    (lambda i, w: i.calculate_gain("leaky_relu", True), "param must be a number; got True"),
    (lambda i, w: i.xavier_uniform_(w[0]), r"at least 2 dims; got shape \(4,\)"),
    (lambda i, w: i.kaiming_uniform_(w[0]), r"at least 2 dims; got shape \(4,\)"),
    (lambda i, w: i.orthogonal_(w[0]), r"at least 2 dims; got shape \(4,\)"),
    (lambda i, w: i.kaiming_normal_(w, mode="fan"), "mode must be .* got 'fan'"),
    (lambda i, w: i.kaiming_normal_(w, nonlinearity=3), "unknown nonlinearity 3"),
    (lambda i, w: i.uniform_(w, 1.0, 0.0), "uniform_: needs finite a ≤ b; got 1.0 and 0.0"),
    (lambda i, w: i.uniform_(w, 0.0, math.inf), "uniform_: needs finite a ≤ b; got 0.0 and inf"),
    (lambda i, w: i.uniform_(w, "a"), "uniform_: a must be a number; got 'a'"),
    (lambda i, w: i.normal_(w, 0.0, -1.0), "normal_: std must be at least 0; got -1.0"),
    (lambda i, w: i.normal_(w, None), "normal_: mean must be a number; got None"),
    (lambda i, w: i.trunc_normal_(w, a=2.0, b=-2.0), "needs std > 0 and finite a < b"),
    (lambda i, w: i.xavier_normal_(w, -1.0), "normal_: std must be at least 0"),
    (lambda i, w: i.constant_(w, None), "constant_: val must be a number; got None"),
    (lambda i, w: i.constant_(w, "a"), "constant_: val must be a number; got 'a'"),
    (lambda i, w: i.eye_(w[0]), r"eye_: needs 2 dims; got shape \(4,\)"),
    (lambda i, w: i.dirac_(w), r"dirac_: needs 3, 4 or 5 dims; got shape \(3, 4\)"),
    (lambda i, w: i.dirac_(w.reshape(3, 2, 2), 2), "must be divisible by groups; got 2"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_FILLS, ids=[m for _, m in WRONG_FILLS])
def test_wrong_fills(wrong, message):
    with pytest.raises((ValueError, TypeError, RuntimeError)) as expected:
        wrong(torch.nn.init, torch.zeros(3, 4))
    with pytest.raises(expected.type, match=message):
        wrong(nn.init, mg.zeros(3, 4))


def test_random_fills_need_floats():
    for fill in (nn.init.uniform_, nn.init.normal_):
        with pytest.raises(TypeError, match="needs a floating point tensor; got int64"):
            fill(mg.zeros(3, dtype=mg.int64))


def test_a_fill_takes_a_generator_of_its_own():
    a, b = mg.zeros(5, 5), mg.zeros(5, 5)
    nn.init.uniform_(a, generator=mg.random.Generator(3))
    mg.manual_seed(3)
    nn.init.uniform_(b)
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_random_numbers_are_torchs_whatever_their_counts():
    for sizes in ([3, 3, 20, 1, 5], [1, 16, 4, 17, 0, 2]):
        mg.manual_seed(7)
        torch.manual_seed(7)
        for n in sizes:
            for dtype in ("float32", "float64"):
                expected = torch.randn(n, dtype=getattr(torch, dtype))
                np.testing.assert_allclose(mg.randn(n, dtype=dtype).data, expected, atol=2e-6)
        np.testing.assert_array_equal(mg.rand(3).data, torch.rand(3))


def test_the_random_state_includes_the_normal_number_left_over():
    generator = mg.manual_seed(3)
    mg.randn(1)
    state = generator.get_state()
    after = mg.randn(2).data
    mg.manual_seed(4)
    generator.set_state(state)
    np.testing.assert_array_equal(mg.randn(2).data, after)
