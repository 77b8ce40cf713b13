"""Layers against torch's: keys, initial weights, outputs and gradients."""

import math
import re

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn


def f(*shape):
    return lambda rng: rng.standard_normal(shape)


def integers(high, *shape):
    return lambda rng: rng.integers(0, high, shape)


def probabilities(*shape):
    return lambda rng: 0.02 + 0.96 * rng.random(shape)


def weights(n):
    """A weight for losses, in either framework."""
    return np.linspace(0.5, 2, n)


# (name, positional arguments, keyword arguments, inputs)
CASES = [
    ("Identity", (), {}, [f(2, 3)]),
    ("Linear", (4, 3), {}, [f(5, 4)]),
    ("Linear", (4, 3), {}, [f(4)]),
    ("Linear", (4, 3), {"bias": False}, [f(2, 5, 4)]),
    ("Conv1d", (4, 6, 3), {}, [f(2, 4, 9)]),
    ("Conv1d", (4, 6, 3, 2, 1, 2, 2), {"bias": False}, [f(2, 4, 11)]),
    ("Conv1d", (2, 3, 3), {"padding": "same"}, [f(2, 2, 7)]),
    ("Conv1d", (2, 3, 3), {"padding": 2, "padding_mode": "circular"}, [f(2, 2, 7)]),
    ("Conv2d", (3, 4, 3), {}, [f(2, 3, 6, 7)]),
    ("Conv2d", (4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2), {}, [f(2, 4, 7, 8)]),
    ("Conv2d", (4, 4, 3), {"groups": 4, "bias": False, "padding": "valid"}, [f(2, 4, 6, 6)]),
    ("Conv2d", (2, 3, (2, 5)), {"padding": "same", "dilation": (2, 1)}, [f(2, 2, 7, 6)]),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "reflect"}, [f(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, 3), {"padding": (2, 1), "padding_mode": "replicate"}, [f(2, 2, 6, 5)]),
    ("Conv2d", (2, 3, (4, 3)), {"padding": "same", "padding_mode": "circular"}, [f(2, 2, 6, 5)]),
    ("ConvTranspose2d", (3, 4, 3), {}, [f(2, 3, 5, 4)]),
    ("ConvTranspose2d", (4, 6, (3, 2), 2, 1, 1, 2, False, 2), {}, [f(2, 4, 4, 5)]),
    ("MaxPool2d", (2,), {}, [f(2, 3, 6, 7)]),
    ("MaxPool2d", ((3, 2), (2, 1), (1, 0)), {"ceil_mode": True, "dilation": (1, 2)},
     [f(2, 3, 8, 7)]),
    ("AvgPool2d", (2,), {}, [f(2, 3, 6, 7)]),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, [f(2, 3, 6, 7)]),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, [f(2, 3, 6, 7)]),
    ("AdaptiveAvgPool2d", (1,), {}, [f(2, 3, 6, 7)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [f(2, 3, 7, 5)]),
    ("AdaptiveMaxPool2d", ((4, 2),), {}, [f(2, 3, 7, 5)]),
    ("BatchNorm1d", (4,), {}, [f(5, 4)]),
    ("BatchNorm1d", (4,), {"eps": 1e-3, "momentum": 0.3, "affine": False}, [f(3, 4, 5)]),
    ("BatchNorm2d", (3,), {}, [f(4, 3, 2, 5)]),
    ("BatchNorm2d", (3,), {"momentum": None}, [f(4, 3, 2, 5)]),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, [f(4, 3, 2, 5)]),
    ("InstanceNorm1d", (3,), {}, [f(2, 3, 6)]),
    ("InstanceNorm1d", (3,), {"affine": True}, [f(3, 6)]),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, [f(2, 3, 4, 5)]),
    ("InstanceNorm2d", (3, 1e-3), {}, [f(3, 4, 5)]),
    ("LayerNorm", (5,), {}, [f(2, 3, 5)]),
    ("LayerNorm", ((3, 5),), {"eps": 1e-3, "bias": False}, [f(2, 3, 5)]),
    ("LayerNorm", (5,), {"elementwise_affine": False}, [f(2, 5)]),
    ("GroupNorm", (2, 6), {}, [f(3, 6, 4)]),
    ("GroupNorm", (3, 6, 1e-2), {"affine": False}, [f(3, 6, 2, 2)]),
    ("LocalResponseNorm", (5,), {}, [f(2, 7, 3, 3)]),
    ("LocalResponseNorm", (3, 0.5, 0.6, 2.0), {}, [f(2, 7, 3, 3)]),
    ("ReLU", (), {}, [f(3, 4)]),
    ("LeakyReLU", (0.2,), {}, [f(3, 4)]),
    ("ELU", (), {"alpha": 0.7}, [f(3, 4)]),
    ("GELU", (), {}, [f(3, 4)]),
    ("GELU", (), {"approximate": "tanh"}, [f(3, 4)]),
    ("SiLU", (), {}, [f(3, 4)]),
    ("Softplus", (2.0,), {"threshold": 1.0}, [f(3, 4)]),
    ("Hardtanh", (-0.5, 0.7), {}, [f(3, 4)]),
    ("Sigmoid", (), {}, [f(3, 4)]),
    ("LogSigmoid", (), {}, [f(3, 4)]),
    ("Tanh", (), {}, [f(3, 4)]),
    ("Softmax", (1,), {}, [f(3, 4)]),
    ("LogSoftmax", (), {"dim": 0}, [f(3, 4)]),
    ("Dropout", (0.0,), {}, [f(3, 4)]),
    ("Flatten", (), {}, [f(3, 4, 5)]),
    ("Flatten", (0, 1), {}, [f(3, 4, 5)]),
    ("Embedding", (7, 3), {}, [integers(7, 2, 4)]),
    ("Embedding", (7, 5), {"padding_idx": -2}, [integers(7, 20)]),
    ("CrossEntropyLoss", (), {}, [f(6, 4), integers(4, 6)]),
    ("CrossEntropyLoss", (), {"ignore_index": 1, "label_smoothing": 0.2, "weight": weights(4)},
     [f(6, 4, 3), integers(4, 6, 3)]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, [f(6, 4), probabilities(6, 4)]),
    ("NLLLoss", (weights(4),), {}, [f(6, 4), integers(4, 6)]),
    ("NLLLoss", (), {"ignore_index": 2, "reduction": "sum"}, [f(6, 4), integers(4, 6)]),
    ("MSELoss", (), {}, [f(3, 4), f(3, 4)]),
    ("L1Loss", (), {"reduction": "sum"}, [f(3, 4), f(3, 4)]),
    ("SmoothL1Loss", (), {"beta": 0.3}, [f(3, 4), f(3, 4)]),
    ("HuberLoss", ("none", 0.4), {}, [f(3, 4), f(3, 4)]),
    ("BCELoss", (), {}, [probabilities(3, 4), probabilities(3, 4)]),
    ("BCELoss", (weights(4),), {"reduction": "sum"}, [probabilities(3, 4), probabilities(3, 4)]),
    ("BCEWithLogitsLoss", (), {"pos_weight": weights(4)}, [f(3, 4), probabilities(3, 4)]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [f(3, 4), probabilities(3, 4)]),
    ("KLDivLoss", (), {"reduction": "sum", "log_target": True}, [f(3, 4), f(3, 4)]),
]
IDS = [f"{name}{args or ''}{kwargs or ''}" for name, args, kwargs, _ in CASES]
each_case = pytest.mark.parametrize(("name", "args", "kwargs", "inputs"), CASES, ids=IDS)


def pair(name, args, kwargs, seed=5):
    """The module of both frameworks, made after the same seed."""
    def build(package, convert):
        def convert_any(v):
            return convert(v) if isinstance(v, np.ndarray) else v
        return getattr(package, name)(*map(convert_any, args),
                                      **{k: convert_any(v) for k, v in kwargs.items()})
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    return build(nn, mg.tensor), build(torch.nn, torch.tensor)


def exact_pair(name, args, kwargs):
    """In float64, with random parameters (norms start with ones and zeros) that are equal."""
    ours, theirs = pair(name, args, kwargs)
    ours.double(), theirs.double()
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.tensor(rng.standard_normal(p.shape)))
    if name == "Embedding" and theirs.padding_idx is not None:
        theirs.weight.data[theirs.padding_idx] = 0
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_every_layer_has_a_case():
    layers = {name for name, value in vars(nn).items()
              if isinstance(value, type) and issubclass(value, nn.Module)}
    containers = {"Module", "Sequential", "ModuleList", "ModuleDict"}
    assert layers - containers == {name for name, *_ in CASES}


@each_case
def test_keys_and_initial_weights_are_torchs(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    for key, value in ours.state_dict().items():
        expected = state[key].numpy()
        assert value.dtype == expected.dtype
        if name == "Embedding":     # normal numbers: the logarithms of two libraries
            np.testing.assert_allclose(value.numpy(), expected, rtol=3e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(value.numpy(), expected)


def shown(module):
    """The repr, but for the norms' `bias`, which older versions of torch lack."""
    return re.sub(r"(affine=\w+), bias=\w+", r"\1", repr(module))


@each_case
def test_repr_is_torchs(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    assert shown(ours) == shown(theirs)


@each_case
@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_buffers_are_torchs(name, args, kwargs, inputs, training):
    ours, theirs = exact_pair(name, args, kwargs)
    ours.train(training), theirs.train(training)
    rng = np.random.default_rng(2)
    for _ in range(2):              # twice: running statistics add up
        arrays = [draw(rng) for draw in inputs]
        xs = [mg.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0)
              for i, a in enumerate(arrays)]
        zs = [torch.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0)
              for i, a in enumerate(arrays)]
        y, z = ours(*xs), theirs(*zs)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-11, atol=1e-11)
        assert y.shape == tuple(z.shape)
        if not z.requires_grad:
            continue
        g = rng.standard_normal(y.shape)
        ours.zero_grad(), theirs.zero_grad()
        y.backward(g)
        z.backward(torch.tensor(g))
        for a, b in [*zip(xs[:1], zs[:1], strict=True),
                     *zip(ours.parameters(), theirs.parameters(), strict=True)]:
            if b.grad is not None:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-10)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@each_case
def test_state_moves_both_ways(name, args, kwargs, inputs):
    ours, theirs = pair(name, args, kwargs)
    again, torchs_again = pair(name, args, kwargs, seed=6)
    again.load_state_dict(theirs.state_dict())
    torchs_again.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for a, b in ((again, theirs), (ours, torchs_again)):
        for key, value in b.state_dict().items():
            np.testing.assert_array_equal(a.state_dict()[key].numpy(), value.numpy())


def test_max_pools_give_indices():
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 5))
    for name, args in (("MaxPool2d", (3, 2)), ("AdaptiveMaxPool2d", ((3, 2),))):
        values, places = getattr(nn, name)(*args, return_indices=True)(mg.tensor(x))
        expected = getattr(torch.nn, name)(*args, return_indices=True)(torch.tensor(x))
        np.testing.assert_array_equal(values.numpy(), expected[0].numpy())
        np.testing.assert_array_equal(places.numpy(), expected[1].numpy())


def test_dropout_draws_anew_and_only_in_training():
    mg.manual_seed(0)
    layer, x = nn.Dropout(0.3), mg.ones(100, 100)
    first, second = layer(x).numpy(), layer(x).numpy()
    assert (first != second).any()
    assert abs((first == 0).mean() - 0.3) < 0.02
    np.testing.assert_allclose(first[first != 0], 1 / 0.7, rtol=1e-6)
    assert layer.eval()(x) is x


INVALID = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups; got 3 and 2"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels must be divisible"),
    (lambda: nn.Conv1d(4, 4, 3, groups=0), "groups must be positive"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), "padding must be"),
    (lambda: nn.Conv2d(1, 1, 3, 2, padding="same"), "'same' needs stride 1"),
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="wrap"), "padding_mode must be one of"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), "padding_mode must be one of"),
    (lambda: nn.Dropout(1.5), "p must be between 0 and 1; got 1.5"),
    (lambda: nn.Hardtanh(1, 1), "max_val must be larger"),
    (lambda: nn.GroupNorm(4, 6), "num_channels must be divisible"),
    (lambda: nn.Embedding(4, 2, padding_idx=4), "padding_idx 4 is outside"),
    (lambda: nn.BatchNorm2d(3)(mg.ones(2, 3)), "BatchNorm2d: x must have 4 dims"),
    (lambda: nn.BatchNorm1d(3)(mg.ones(2, 3, 4, 5)), "BatchNorm1d: x must have 2 or 3 dims"),
    (lambda: nn.Linear(2, 2).train(1), "mode must be a bool"),
]


@pytest.mark.parametrize(("wrong", "message"), INVALID, ids=[m for _, m in INVALID])
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(("name", "args", "shape"), [
    ("BatchNorm2d", (3,), (2, 3, 4, 4)), ("InstanceNorm2d", (3, 1e-5, 0.1, True), (2, 3, 4, 4)),
    ("GroupNorm", (3, 6), (2, 6, 4))])
def test_norms_without_bias(name, args, shape):
    x = mg.tensor(np.random.default_rng(0).standard_normal(shape))
    layer, usual = (getattr(nn, name)(*args, bias=bias).double() for bias in (False, True))
    assert "bias" not in layer.state_dict()
    np.testing.assert_array_equal(layer(x).detach().numpy(), usual(x).detach().numpy())


# ---- initial values -----------------------------------------------------------------------------

FILLS = [
    ("uniform_", (), {}), ("uniform_", (-2.0, 3.0), {}), ("normal_", (), {}),
    ("normal_", (1.0, 0.2), {}), ("constant_", (0.3,), {}), ("zeros_", (), {}), ("ones_", (), {}),
    ("xavier_uniform_", (), {}), ("xavier_uniform_", (2.0,), {}), ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {}), ("kaiming_uniform_", (math.sqrt(5), "fan_out"), {}),
    ("kaiming_uniform_", (), {"nonlinearity": "tanh"}), ("kaiming_normal_", (), {}),
    ("kaiming_normal_", (0.1, "fan_out", "relu"), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), FILLS, ids=str)
@pytest.mark.parametrize("shape", [(20, 30), (8, 5, 3, 3), (6, 4, 7)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fills_are_torchs(name, args, kwargs, shape, dtype):
    ours, theirs = nn.Parameter(np.empty(shape, dtype)), torch.tensor(np.empty(shape, dtype))
    mg.manual_seed(4)
    torch.manual_seed(4)
    assert getattr(nn.init, name)(ours, *args, **kwargs) is ours
    getattr(torch.nn.init, name)(theirs, *args, **kwargs)
    if "normal" in name:
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


def test_wrong_fills():
    w = mg.zeros(3, 3)
    for wrong, message in [
            (lambda: nn.init.calculate_gain("cube"), "unknown nonlinearity 'cube'"),
            (lambda: nn.init.calculate_gain("leaky_relu", "x"), "param must be a number"),
            (lambda: nn.init.xavier_uniform_(mg.zeros(3)), "at least 2 dims"),
            (lambda: nn.init.kaiming_normal_(w, mode="fan"), "mode must be")]:
        with pytest.raises(ValueError, match=message):
            wrong()


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
